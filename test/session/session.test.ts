import { describe, expect, it } from "vitest";
import { sleep } from "../../src/clock/wait.ts";
import type { Term } from "../../src/election/term.ts";
import type { ConsensusEvent } from "../../src/lease/wiring.ts";
import { encodeRecord } from "../../src/record/codec.ts";
import type { Flag } from "../../src/record/record.ts";
import { Session, type SessionManagerOptions } from "../../src/session/session.ts";
import type { SessionOptions } from "../../src/session/options.ts";
import { testWorld, type TestNode, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { aborted } from "../election/harness.ts";
import { Manager } from "../../src/election/manager.ts";
import { counted, LIFE, POLL, recordAt, sessionRecordAt, timedRecordAt, TTL, WATCH } from "./harness.ts";

const KEY = "locks/elections/x";

async function opened(world: TestWorld, node: TestNode, over: Partial<SessionOptions> = {}): Promise<Session> {
  return await world.until(Session.open({ store: node.store, node: node.name, ttlMs: TTL, ...over }));
}

function memberOf(world: TestWorld): string {
  const keys = world.keys().filter((key) => key.startsWith("locks/members/"));
  expect(keys).toHaveLength(1);
  return keys[0] ?? "";
}

async function flag(world: TestWorld, value: Flag): Promise<void> {
  const { store } = world.node("operator");
  const key = memberOf(world);
  const read = await world.until(store.get(key));
  if (read.kind !== "found") throw new Error(read.kind);
  const now = timedRecordAt(world, key);
  const body = encodeRecord(key, { ...now, flag: value, nonce: `flag-${now.version}`, version: now.version + 1 });
  expect((await world.until(store.replace(key, read.etag, body))).kind).toBe("applied");
}

describe("Session.open", () => {
  it("writes one member record under a random id, with the node's name for people", async () => {
    const world = testWorld({ seed: 1 });
    const store = counted(world.node("a").store);
    const session = await world.until(Session.open({ store, node: "worker-7", ttlMs: TTL, metadata: { zone: "a" } }));
    expect(store.sent()).toEqual(["create locks/member"]);
    expect(timedRecordAt(world, memberOf(world))).toMatchObject({ holder: "worker-7", state: "held", metadata: { zone: "a" }, ttlMs: TTL });
    expect(session.node).toBe("worker-7");
    expect(session.health()).toMatchObject({ ok: true, role: "leader" });
  });

  it("says every fault of its options at once, and what belongs to it is refused in its elections", async () => {
    const world = testWorld({ seed: 1 });
    const { store } = world.node("a");
    await expect(Session.open({ store, ttlMs: 1, drainMs: -1 })).rejects.toMatchObject({
      code: "CONFIG",
      faults: [/ttlMs/, /drainMs/].map((r) => expect.stringMatching(r) as string),
    });
    const session = await opened(world, world.node("a"));
    expect(() => session.manager({ name: "x", ttlMs: 1 } as SessionManagerOptions<never>)).toThrow(/unknown option "ttlMs"/);
  });

  it("gives up with what hindered it after twice the ttl, or with the reason of its signal", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    node.faults({ kind: "lose-request", times: Infinity });
    const store = counted(node.store);
    await expect(world.until(Session.open({ store, ttlMs: TTL }))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(world.nowMs).toBeLessThan(3 * TTL);
    const stop = new AbortController();
    const opening = Session.open({ store, ttlMs: TTL, signal: stop.signal });
    await world.advance(1_000);
    stop.abort(new Error("enough"));
    await expect(world.until(opening)).rejects.toThrow("enough");
  });
});

describe("elections of a session", () => {
  it("cost no renewals, and a follower that is no session follows the member", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const session = await opened(world, node);
    const terms: number[] = [];
    const running = session.manager({ name: "x" }).start({
      onElected: async (term: Term) => {
        terms.push(term.fencingToken);
        await aborted(term.signal);
      },
    });
    await world.advance(1_000);
    expect(terms).toEqual([1]);
    expect(sessionRecordAt(world, KEY)).toMatchObject({ state: "held", holder: "a" });
    const follower = new Manager({ store: counted(world.node("b").store), name: "x", node: "b", ttlMs: TTL });
    const following = follower.start({ onElected: (term) => aborted(term.signal) });
    await world.advance(10 * TTL);
    expect(recordAt(world, KEY).fencingToken).toBe(1);
    expect(follower.lastLeader).toMatchObject({ holder: "a", fencingToken: 1 });
    node.crash();
    await world.advance(WATCH + POLL);
    expect(follower.isLeader()).toBe(true);
    expect(follower.current?.fencingToken).toBe(2);
    void running;
    await world.until(following.stop());
  });

  it("observers see the leader go when its member is dead or has left", async () => {
    const world = testWorld({ seed: 1 });
    const session = await opened(world, world.node("a"));
    const running = session.manager({ name: "x" }).start({ onElected: (term: Term) => aborted(term.signal) });
    await world.advance(1_000);
    const observer = new Manager({ store: world.node("b").store, name: "x", ttlMs: TTL });
    expect(await world.until(observer.leader())).toMatchObject({ holder: "a", freeInMs: expect.any(Number) as number });
    await world.until(session.close());
    await world.until(running.done);
    expect(await world.until(observer.leader())).toBeUndefined();
  });

  it("a lost session: the signal, the term and onDemoted hear of it, and run rejects with the loss", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const events: ConsensusEvent[] = [];
    const session = await opened(world, node, { onEvent: (e) => events.push(e) });
    const heard: string[] = [];
    const run = session.manager({ name: "x" }).run({
      onElected: (term: Term) => aborted(term.signal),
      onDemoted: ({ reason }) => void heard.push(reason.code, reason.reason),
    });
    run.catch(() => {});
    await world.advance(1_000);
    node.faults({ kind: "lose-request", times: Infinity });
    await world.advance(LIFE + POLL);
    expect(heard).toEqual(["LEASE_LOST", "expired"]);
    expect(session.signal.reason).toMatchObject({ code: "LEASE_LOST" });
    expect(session.health()).toMatchObject({ ok: false, error: { code: "LEASE_LOST" } });
    await expect(world.until(run)).rejects.toMatchObject({ code: "LEASE_LOST" });
    expect(events.filter((e) => e.type === "lost")).toHaveLength(2);
    expect(events.some((e) => e.type === "renewal-failed")).toBe(true);
  });

  it("steps down by one PUT, in the format of everybody, and another is elected while the session lives on", async () => {
    const world = testWorld({ seed: 1 });
    const session = await opened(world, world.node("a"));
    const manager = session.manager({ name: "x" });
    manager.start({ onElected: (term: Term) => aborted(term.signal) });
    await world.advance(1_000);
    await world.until(manager.stepDown({ to: "b", cooldownMs: TTL }));
    expect(timedRecordAt(world, KEY)).toMatchObject({ state: "released", reservedFor: "b" });
    expect(session.signal.aborted).toBe(false);
  });
});

describe("close", () => {
  it("stops all work, waits for it, and frees everything by one PUT (S11)", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const store = counted(node.store);
    const session = await world.until(Session.open({ store, node: "a", ttlMs: TTL }));
    const settled: string[] = [];
    const running = ["x", "y", "z"].map((name) =>
      session.manager({ name }).start({
        onElected: async (term: Term) => {
          await aborted(term.signal);
          await sleep(node.clock, 2_000);
          expect(term.isHeld()).toBe(true);
          settled.push(name);
        },
      }),
    );
    await world.advance(1_000);
    store.sent();
    const closing = session.close();
    await world.advance(1_000);
    expect(session.signal.reason).toMatchObject({ code: "LEASE_ENDED", reason: "stopped" });
    expect(timedRecordAt(world, memberOf(world)).state).toBe("held");
    await world.until(closing);
    expect(settled.sort()).toEqual(["x", "y", "z"]);
    expect(store.sent().filter((call) => call !== "get locks/member")).toEqual(["replace locks/member"]);
    expect(timedRecordAt(world, memberOf(world))).toMatchObject({ state: "released", endedBy: "self" });
    await world.until(Promise.all(running.map((r) => r.done)));
    expect(session.health()).toMatchObject({ ok: true, role: "idle" });
    expect([node.timers, node.inFlight]).toEqual([0, 0]);
    await world.until(session.close());
  });

  it("work that does not stop: WorkNotStoppedError after drainMs, everything stays held and renewed, and closes when it has (H7)", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const session = await opened(world, node, { drainMs: 3_000 });
    session.manager({ name: "x", drainMs: 100_000 }).start({ onElected: () => sleep(node.clock, 60_000).then(() => {}) });
    await world.advance(1_000);
    await expect(world.until(session.close())).rejects.toMatchObject({ code: "WORK_NOT_STOPPED", waitedMs: 3_000 });
    await world.advance(40_000);
    expect(timedRecordAt(world, memberOf(world)).state).toBe("held");
    await world.advance(30_000);
    expect(timedRecordAt(world, memberOf(world)).state).toBe("released");
    await session[Symbol.asyncDispose]();
  });

  it("the signal of its options closes it", async () => {
    const world = testWorld({ seed: 1 });
    const stop = new AbortController();
    const session = await opened(world, world.node("a"), { signal: stop.signal });
    stop.abort();
    await world.advance(1_000);
    expect(session.signal.aborted).toBe(true);
    expect(timedRecordAt(world, memberOf(world)).state).toBe("released");
  });
});

describe("an operator's word on the member record (S15)", () => {
  it("reaches the lock that it names, and no other: its work stops, it is released, and the session lives on", async () => {
    const world = testWorld({ seed: 1 });
    const session = await opened(world, world.node("a"));
    const heard: string[] = [];
    for (const name of ["x", "y"])
      session.manager({ name, cooldownMs: 10 * TTL }).start({
        onElected: (term: Term) => aborted(term.signal),
        onDemoted: ({ reason }) => void heard.push(`${name} ${reason.reason}`),
      });
    await world.advance(1_000);
    await flag(world, { kind: "revoke", lock: { key: KEY, fencingToken: 1 } });
    await world.advance(2 * POLL);
    expect(heard).toEqual(["x stepped-down"]);
    expect(timedRecordAt(world, KEY)).toMatchObject({ state: "released", endedBy: "self" });
    expect(session.signal.aborted).toBe(false);
    expect(timedRecordAt(world, memberOf(world)).flag).toBeUndefined();
  });

  it("of another tenancy of that lock means nothing", async () => {
    const world = testWorld({ seed: 1 });
    const session = await opened(world, world.node("a"));
    const manager = session.manager({ name: "x" });
    manager.start({ onElected: (term: Term) => aborted(term.signal) });
    await world.advance(1_000);
    await flag(world, { kind: "revoke", lock: { key: KEY, fencingToken: 2 } });
    await world.advance(2 * POLL);
    expect(manager.isLeader()).toBe(true);
  });

  it("without a lock it is for the session: everything stops, and is freed", async () => {
    const world = testWorld({ seed: 1 });
    const session = await opened(world, world.node("a"));
    session.manager({ name: "x" }).start({ onElected: (term: Term) => aborted(term.signal) });
    await world.advance(1_000);
    await flag(world, { kind: "revoke" });
    await world.advance(3 * POLL);
    expect(session.signal.aborted).toBe(true);
    expect(timedRecordAt(world, memberOf(world))).toMatchObject({ state: "released" });
  });

  it("a session that was ended by another loses everything at its next renewal", async () => {
    const world = testWorld({ seed: 1 });
    const session = await opened(world, world.node("a"));
    const manager = session.manager({ name: "x" });
    manager.start({ onElected: (term: Term) => aborted(term.signal) });
    await world.advance(1_000);
    const key = memberOf(world);
    const now = timedRecordAt(world, key);
    world.overwrite(key, encodeRecord(key, { ...now, state: "released", endedBy: "other", nonce: "op", version: now.version + 1 }));
    await world.advance(2 * POLL);
    expect(manager.isLeader()).toBe(false);
    expect(session.signal.reason).toMatchObject({ code: "LEASE_LOST", reason: "replaced" });
  });
});
