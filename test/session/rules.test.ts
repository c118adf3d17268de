import { describe, expect, it } from "vitest";
import { LeaseLostError } from "../../src/errors.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { someRecord } from "../lease/records.ts";
import { contending, counted, locked, member, POLL, put, recordAt, sessionRecordAt, timedRecordAt, TTL, WATCH, LIFE } from "./harness.ts";

const KEY = "locks/locks/a";

describe("a lock that is held through a session", () => {
  it("is opened by one PUT, locked by two requests, and costs no renewals: the record names the tenancy and has no time of its own (S9)", async () => {
    const world = testWorld({ seed: 1 });
    const m = await member(world, world.node("a"));
    expect(m.store.sent()).toEqual(["create locks/member"]);
    const lock = await locked(world, m, KEY);
    expect(m.store.sent()).toEqual([`get ${KEY}`, `create ${KEY}`]);
    const record = sessionRecordAt(world, KEY);
    expect(record.session).toEqual({ member: m.key, token: 1 });
    expect("ttlMs" in record).toBe(false);
    await world.advance(10 * TTL);
    expect(lock.isHeld()).toBe(true);
    expect(new Set(m.store.sent())).toEqual(new Set(["replace locks/member"]));
  });

  it("1,000 locks: one request a third of the ttl in all, and one loss for all of them, each with its own signal and reason (S2)", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node);
    const all = Array.from({ length: 1_000 }, (_, i) => contending(m.store, `locks/locks/${i}`, m).done);
    const locks = (await world.until(Promise.all(all))).filter((lock) => lock !== undefined);
    expect(locks).toHaveLength(1_000);
    m.store.sent();
    await world.advance(20 * TTL);
    const sent = m.store.sent();
    expect(sent.length).toBeGreaterThanOrEqual(59);
    expect(sent.length).toBeLessThanOrEqual(61);
    const heal = node.faults({ kind: "lose-request", times: Infinity });
    await world.advance(TTL);
    heal();
    for (const lock of locks) {
      expect(lock.isHeld()).toBe(false);
      expect(lock.signal.aborted).toBe(true);
      expect(lock.signal.reason).toMatchObject({ code: "LEASE_LOST", key: lock.key, reason: "expired" });
      expect(lock.lost).toBe(true);
      expect(await lock.release()).toBe("not-mine");
    }
    expect(m.tie.locks).toEqual([]);
  });

  it("belief ends at the member's deadline by its own timer, and a freeze is seen at the first look (S2, H3, H5)", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node);
    const lock = await locked(world, m, KEY);
    node.pause(3 * TTL);
    let first: boolean | undefined;
    const seen = new Promise<void>((resolve) => {
      node.clock.setTimer(TTL + 1, () => {
        first = lock.signal.aborted;
        resolve();
      });
    });
    await world.until(seen);
    expect(first).toBe(true);
    expect(lock.signal.reason).toBeInstanceOf(LeaseLostError);
  });

  it("is released by one conditional PUT that keeps the token, in the format that every version reads (R3, R4, S6)", async () => {
    const world = testWorld({ seed: 1 });
    const m = await member(world, world.node("a"));
    const lock = await locked(world, m, KEY);
    m.store.sent();
    expect(await world.until(lock.release())).toBe("released");
    expect(m.store.sent()).toEqual([`replace ${KEY}`]);
    expect(timedRecordAt(world, KEY)).toMatchObject({ state: "released", endedBy: "self", fencingToken: 1 });
    expect(JSON.parse(new TextDecoder().decode(world.peek(KEY)))).toMatchObject({ format: 1 });
    expect(await lock.release()).toBe("already-released");
  });

  it("an answer that comes after the session's end means nothing, although the store took the write (S2: NO_OWN_DEADLINE)", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node);
    node.faults({ kind: "slow-reply", on: "put", ms: 2_000 });
    const attempt = contending(m.store, KEY, m);
    await world.advance(1_000);
    expect(sessionRecordAt(world, KEY).session.token).toBe(1);
    m.membership.endBelief("stopped");
    await expect(world.until(attempt.done)).rejects.toMatchObject({ code: "LEASE_ENDED" });
    expect(m.tie.locks).toEqual([]);
    expect(attempt.lease.counters.snapshot()).toMatchObject({ acquired: 0, lost: 0 });
  });

  it("no lock write is sent, or sent again, once the session is over (S3)", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node);
    node.faults({ kind: "lose-request", on: "put", times: Infinity });
    const attempt = contending(m.store, KEY, m);
    await world.advance(LIFE + 1_000);
    expect(m.membership.isHeld()).toBe(false);
    await expect(world.until(attempt.done)).rejects.toMatchObject({ code: "LEASE_LOST", key: m.key });
    const end = m.store.calls.findLast((c) => c.key === KEY && c.kind !== "get")?.atMs ?? 0;
    expect(end).toBeLessThanOrEqual(LIFE + 1);
    await world.advance(TTL);
    expect(m.store.calls.findLast((c) => c.key === KEY)?.atMs).toBeLessThanOrEqual(LIFE + 1);
  });
});

describe("who meets a lock of another's session", () => {
  it("looks twice a poll, and leaves it alone as long as the member is renewed, however old the lock's own record is (S9: TIME_LOCK)", async () => {
    const world = testWorld({ seed: 1 });
    const m = await member(world, world.node("a"));
    const lock = await locked(world, m, KEY);
    const store = counted(world.node("b").store);
    const attempt = contending(store, KEY, undefined);
    await world.advance(20 * TTL);
    expect(lock.isHeld()).toBe(true);
    expect(recordAt(world, KEY).fencingToken).toBe(1);
    const sent = store.sent();
    expect(new Set(sent)).toEqual(new Set([`get ${KEY}`, "get locks/member"]));
    expect(sent.length).toBeLessThanOrEqual(2 * ((20 * TTL) / POLL + 2));
    attempt.stop.abort(new Error("enough"));
    await expect(world.until(attempt.done)).rejects.toThrow("enough");
  });

  it("takes it at once when it was released, or its session was closed: one write of the member frees all (S11)", async () => {
    const world = testWorld({ seed: 1 });
    const m = await member(world, world.node("a"));
    await locked(world, m, KEY);
    await locked(world, m, "locks/locks/b");
    expect(await world.until(m.membership.release("stopped"))).toBe("released");
    const store = counted(world.node("b").store);
    for (const key of [KEY, "locks/locks/b"]) {
      const tenancy = await world.until(contending(store, key, undefined).done);
      expect(tenancy?.fencingToken).toBe(2);
    }
    // The second needs no look at the member: ended is a fact that never changes back.
    expect(store.sent()).toEqual([`get ${KEY}`, "get locks/member", `replace ${KEY}`, "get locks/locks/b", "replace locks/locks/b"]);
  });

  it("ends a dead member after W by a CAS on the version that was watched, and only then takes the lock (S6, S7, C2)", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node, {});
    await locked(world, m, KEY);
    node.crash();
    const store = counted(world.node("b").store);
    const began = world.nowMs;
    const tenancy = await world.until(contending(store, KEY, undefined, { takeover: "observe" }).done);
    expect(tenancy?.fencingToken).toBe(2);
    expect(world.nowMs - began).toBeGreaterThanOrEqual(WATCH);
    expect(world.nowMs - began).toBeLessThan(WATCH + 1_000);
    expect(store.sent().slice(-2)).toEqual(["replace locks/member", `replace ${KEY}`]);
    expect(timedRecordAt(world, m.key)).toMatchObject({ state: "released", endedBy: "other", fencingToken: 1 });
  });

  it("recognises a dead member by the store's time at its first look (C3, T5)", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node);
    await locked(world, m, KEY);
    node.crash();
    await world.advance(2 * TTL);
    const store = counted(world.node("b").store);
    await world.until(contending(store, KEY, undefined, { untilMs: 0 }).done);
    expect(store.sent()).toEqual([`get ${KEY}`, "get locks/member", "replace locks/member", `replace ${KEY}`]);
    expect(recordAt(world, KEY).fencingToken).toBe(2);
  });

  it("a member that is renewed while its END is on its way lives on (S6: UNCOND_END, END_REFRESH)", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node);
    const lock = await locked(world, m, KEY);
    const store = world.node("b").store;
    const watching = contending(counted(store), KEY, undefined, { takeover: "observe" });
    // Cut off for less than its own lifetime: alive all the same, and each of its renewals restarts the watch.
    for (let i = 0; i < 6; i++) {
      const heal = node.faults({ kind: "lose-request", on: "put", times: Infinity });
      await world.advance(7_000);
      heal();
      await world.advance(6_000);
    }
    expect(lock.isHeld()).toBe(true);
    expect(timedRecordAt(world, m.key).state).toBe("held");
    watching.stop.abort(new Error("enough"));
  });

  it("a restarted process of the same node name inherits nothing, and waits like anybody (S1: INHERIT)", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    await locked(world, await member(world, node), KEY);
    node.restart();
    const again = await member(world, node);
    const attempt = contending(again.store, KEY, again, { takeover: "observe" });
    await world.advance(WATCH - 1_000);
    expect(sessionRecordAt(world, KEY).session.member).not.toBe(again.key);
    const tenancy = await world.until(attempt.done);
    expect(tenancy?.fencingToken).toBe(2);
    expect(sessionRecordAt(world, KEY).session.member).toBe(again.key);
  });

  it("compares id and token: the member's next tenancy does not keep an old one's lock closed (S1: ID_ONLY)", async () => {
    const world = testWorld({ seed: 1 });
    put(world, "locks/members/m", someRecord({ fencingToken: 5, version: 9 }));
    put(world, KEY, sessionLock({ member: "locks/members/m", token: 4 }));
    const tenancy = await world.until(contending(counted(world.node("b").store), KEY, undefined).done, 1_000);
    expect(tenancy?.fencingToken).toBe(2);
  });

  it("a member whose token is smaller than the one named is a regression: named, and nothing is taken (S10)", async () => {
    const world = testWorld({ seed: 1 });
    put(world, "locks/members/m", someRecord({ fencingToken: 2, version: 9, state: "released" }));
    put(world, KEY, sessionLock({ member: "locks/members/m", token: 3 }));
    const attempt = contending(counted(world.node("b").store), KEY, undefined);
    await world.advance(10 * TTL);
    expect(attempt.troubles[0]).toMatchObject({ code: "RECORD", kind: "regressed", key: "locks/members/m" });
    expect(recordAt(world, KEY).fencingToken).toBe(1);
    attempt.stop.abort(new Error("enough"));
  });

  it("a member that is missing is ended by a create before its lock is taken, and if it was there after all nothing is taken (S10, S12)", async () => {
    const world = testWorld({ seed: 1 });
    put(world, KEY, sessionLock({ member: "locks/members/m", token: 3 }));
    const store = counted(world.node("b").store);
    const tenancy = await world.until(contending(store, KEY, undefined).done, 1_000);
    expect(tenancy?.fencingToken).toBe(2);
    expect(store.sent()).toEqual([`get ${KEY}`, "get locks/member", "create locks/member", `replace ${KEY}`]);
    expect(timedRecordAt(world, "locks/members/m")).toMatchObject({ state: "released", fencingToken: 3, endedBy: "other" });
  });

  it("a stale read of nothing is no evidence: the create that should confirm it is refused (S10, W7)", async () => {
    const world = testWorld({ seed: 1 });
    const m = await member(world, world.node("a"));
    const lock = await locked(world, m, KEY);
    const inner = world.node("b").store;
    const store = counted({
      ...counted(inner),
      get: (key, o) => (key === m.key ? Promise.resolve({ kind: "absent", dateMs: undefined }) : inner.get(key, o)),
    });
    const attempt = contending(store, KEY, undefined);
    await world.advance(5 * TTL);
    expect(lock.isHeld()).toBe(true);
    expect(recordAt(world, KEY).fencingToken).toBe(1);
    attempt.stop.abort(new Error("enough"));
  });

  it("evidence belongs to one version of the lock: a new holder's living session is not ended by the old one's (S8: STALE_EVIDENCE)", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    await locked(world, await member(world, node), KEY);
    node.crash();
    const slow = world.node("b");
    const late = contending(counted(slow.store), KEY, undefined, { takeover: "observe" });
    const m = await member(world, world.node("c"));
    const quick = contending(m.store, KEY, m, { takeover: "observe", pollMs: 100 });
    await world.advance(15_000);
    slow.pause(10_000);
    const lock = await world.until(quick.done);
    expect(lock?.fencingToken).toBe(2);
    await world.advance(10 * TTL);
    expect(lock?.isHeld()).toBe(true);
    expect(sessionRecordAt(world, KEY).session.member).toBe(m.key);
    late.stop.abort(new Error("enough"));
  });

  it("END is no clean release: the lock's delay applies, to whoever ended the member too, and not after a close (S16, C6)", async () => {
    for (const ends of ["crash", "close"] as const) {
      const world = testWorld({ seed: 1 });
      const node = world.node("a");
      const m = await member(world, node);
      put(world, KEY, { ...sessionLock({ member: m.key, token: 1 }), lockDelayMs: 30_000 });
      if (ends === "crash") node.crash();
      else await world.until(m.membership.release("stopped"));
      const began = world.nowMs;
      await world.until(contending(counted(world.node("b").store), KEY, undefined, { takeover: "observe" }).done);
      if (ends === "crash") expect(world.nowMs - began).toBeGreaterThanOrEqual(WATCH + 30_000);
      else expect(world.nowMs - began).toBeLessThan(1_000);
    }
  });
});

function sessionLock(session: { readonly member: string; readonly token: number }): Parameters<typeof put>[2] {
  const { ttlMs: _1, marginMs: _2, expiresAt: _3, ...common } = someRecord();
  return { ...common, state: "held", session } as Parameters<typeof put>[2];
}
