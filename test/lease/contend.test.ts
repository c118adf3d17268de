import { describe, expect, it } from "vitest";
import { StoreAccessError, StoreUnavailableError, StoreUnsafeError } from "../../src/errors.ts";
import { observationsOf } from "../../src/lease/observations.ts";
import { encodeRecord } from "../../src/record/codec.ts";
import { testWorld, type TestNode, type TestWorld } from "../../src/testing/sim/test-world.ts";
import {
  acquired,
  contending,
  deniedWrite,
  goodVerdict,
  leaseOn,
  LIFE,
  missing,
  noAnswer,
  POLL,
  proven,
  put,
  recordIn,
  refused,
  tap,
  unknown,
  WATCH,
  when,
  type TappedStore,
} from "./harness.ts";
import { jsonBody, KEY, someRecord } from "./records.ts";

describe("what it costs (rule C5)", () => {
  it("a free lease: a GET and a PUT; and beside them the proof of rule W9", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const store = tap(node.store);
    await acquired(world, leaseOn(store));
    expect(store.sent()).toEqual(["get", "create"]);
    expect(node.store.stats()).toMatchObject({ get: 1, put: 2 });
  });

  it("a free lease whose ETag is known: one PUT", async () => {
    const world = testWorld({ seed: 1 });
    const store = proven(world.node("a"));
    const { tenancy, lease } = await acquired(world, leaseOn(store));
    await world.until(tenancy.release());
    store.sent();
    for (let cycle = 0; cycle < 10; cycle++) {
      const again = await acquired(world, lease);
      expect(store.sent()).toEqual(["replace"]);
      await world.until(again.tenancy.release());
      expect(store.sent()).toEqual(["replace"]);
    }
    expect(recordIn(world).fencingToken).toBe(11);
  });

  it("an idle follower: one GET a poll, answered without a body while nothing was written", async () => {
    const world = testWorld({ seed: 1 });
    put(world, { ttlMs: 3_600_000, marginMs: 360_000 });
    const node = world.node("a");
    const store = proven(node);
    const { stop, done } = contending(leaseOn(store));
    await world.advance(100 * POLL);
    const { get = 0, getNotModified = 0, put: puts = 0 } = node.store.stats();
    expect(puts).toBe(0);
    expect(get).toBeGreaterThanOrEqual(99);
    expect(get).toBeLessThanOrEqual(103);
    expect(getNotModified).toBe(get - 1);
    stop.abort();
    await expect(world.until(done)).rejects.toBe(stop.signal.reason);
    expect(node.timers + node.inFlight).toBe(0);
  });

  it("candidates that started together do not look together ever after", async () => {
    const looks = new Set<number>();
    for (let seed = 1; seed <= 20; seed++) {
      const world = testWorld({ seed });
      put(world, { ttlMs: 3_600_000, marginMs: 360_000 });
      const store = proven(world.node("a"));
      contending(leaseOn(store));
      await world.advance(2 * POLL);
      const second = store.calls[1]?.sentMs ?? 0;
      expect(second).toBeGreaterThanOrEqual(POLL / 2);
      expect(second).toBeLessThanOrEqual(POLL + 50);
      looks.add(Math.round(second / 10));
    }
    expect(looks.size).toBeGreaterThan(10);
  });

  it("one look and no more when the wait is 0", async () => {
    const world = testWorld({ seed: 1 });
    put(world);
    const store = proven(world.node("a"));
    const { done } = contending(leaseOn(store), { untilMs: 0 });
    expect(await world.until(done)).toBeUndefined();
    expect(store.sent()).toEqual(["get"]);
  });
});

describe("a free key and my own orphan (rule C1)", () => {
  it("an acquisition whose answer came too late is an orphan: never adopted, taken again at once with a new token", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const store = proven(node);
    const { done, lease } = contending(leaseOn(store));
    store.taps.write = async (send) => {
      const answer = await send();
      node.pause(LIFE + 500, "answers-first");
      store.taps.write = undefined;
      await new Promise<void>((resolve) => void store.clock.setTimer(1, resolve));
      return answer;
    };
    const tenancy = await world.until(done);
    expect(tenancy?.fencingToken).toBe(2);
    expect(lease.counters.snapshot()).toMatchObject({ acquired: 1, orphansTaken: 1 });
    expect(store.sent()).toEqual(["get", "create", "get", "replace"]);
  });

  it("an acquisition that was given up and landed is an orphan; another lease object's is not", async () => {
    for (const mine of [true, false]) {
      const world = testWorld({ seed: 1 });
      const node = world.node("a");
      const store = proven(node);
      const lease = leaseOn(store);
      node.faults({ kind: "lose-reply", on: "put", times: 1 });
      const one = contending(lease);
      await when(world, () => recordExists(world));
      // Nor is the look answered that would have shown that it was won.
      node.faults({ kind: "lose-reply", on: "get", times: 1 });
      one.stop.abort();
      await world.advance(8_000);
      const before = world.nowMs;
      const again = await acquired(world, mine ? lease : leaseOn(store, { node: "a" }));
      if (mine) expect(world.nowMs - before).toBeLessThan(200);
      else expect(world.nowMs - before).toBeGreaterThan(5_000);
      expect(again.tenancy.fencingToken).toBeGreaterThan(1);
    }
  });

  it("a create only after a look of one's own said that there is nothing (rule W6)", async () => {
    const world = testWorld({ seed: 1 });
    const store = proven(world.node("a"));
    store.taps.read = () => Promise.resolve(noAnswer);
    const attempt = contending(leaseOn(store));
    await world.advance(60_000);
    expect(store.calls.every((c) => c.kind === "get")).toBe(true);
    expect(attempt.troubles[0]).toBeInstanceOf(StoreUnavailableError);
    store.taps.read = undefined;
    await world.until(attempt.done);
  });

  it("what was forgotten is looked at again, never created over (rules W6, H10)", async () => {
    const world = testWorld({ seed: 1 });
    put(world, { state: "released" });
    const store = proven(world.node("a"));
    const { done } = contending(leaseOn(store), { notBeforeMs: 2_000 });
    await world.advance(1_000);
    // As many other keys as the table holds push this one out of it.
    for (let i = 0; i <= 10_000; i++) observationsOf(store).view(`other-${i}`);
    await world.until(done);
    expect(store.calls.filter((c) => c.kind === "create")).toEqual([]);
    expect(recordIn(world).fencingToken).toBe(2);
  });

  it("a CAS answered 404 while a read shows the record is never followed by a create (rule W6)", async () => {
    const world = testWorld({ seed: 1 });
    put(world, { state: "released" });
    const store = proven(world.node("a"));
    store.taps.write = () => Promise.resolve(missing);
    contending(leaseOn(store));
    await world.advance(120_000);
    expect(store.calls.filter((c) => c.kind === "create")).toEqual([]);
  });
});

function recordExists(world: TestWorld): boolean {
  return world.peek(KEY) !== undefined;
}

describe("no storm", () => {
  it.each([
    ["412 for ever to a free key", { state: "released" } as const, refused],
    ["404 for ever to a free key", { state: "released" } as const, missing],
    ["412 for ever to a dead holder's", {}, refused],
  ])("%s: a write and two reads a poll at most", async (_, over, answer) => {
    const world = testWorld({ seed: 1 });
    put(world, over);
    const store = proven(world.node("a"));
    store.taps.write = () => Promise.resolve(answer);
    contending(leaseOn(store));
    await world.advance(WATCH);
    store.sent();
    await world.advance(60 * POLL);
    const sent = store.sent();
    expect(sent.filter((k) => k !== "get").length).toBeLessThanOrEqual(61);
    expect(sent.length).toBeLessThanOrEqual(3 * 61);
    expect(sent.filter((k) => k !== "get").length).toBeGreaterThan(50);
  });

  it("a key that reads as absent and can't be created", async () => {
    const world = testWorld({ seed: 1 });
    const store = proven(world.node("a"));
    store.taps.write = () => Promise.resolve(refused);
    contending(leaseOn(store));
    await world.advance(60 * POLL);
    expect(store.calls.length).toBeLessThanOrEqual(3 * 61);
  });

  it("an outage: a free key is asked for at a pace", async () => {
    const world = testWorld({ seed: 1 });
    put(world, { state: "released" });
    const store = proven(world.node("a"));
    store.taps.write = () => Promise.resolve(unknown);
    contending(leaseOn(store));
    await world.advance(300_000);
    // With a cap of a second between attempts, about two a second.
    expect(store.calls.length).toBeLessThan(300 * 3);
  });

  it("a store whose proof fails for now is asked once a poll", async () => {
    const world = testWorld({ seed: 1 });
    let asked = 0;
    const store = tap(world.node("a").store, {
      verdict: () => {
        asked++;
        return Promise.reject(new StoreUnavailableError("not now"));
      },
    });
    contending(leaseOn(store));
    await world.advance(20 * POLL);
    expect(asked).toBeLessThanOrEqual(22);
    expect(store.calls.every((c) => c.kind === "get")).toBe(true);
    expect(store.calls.length).toBeLessThanOrEqual(22);
  });
});

describe("what may not be touched", () => {
  it.each([
    ["foreign", jsonBody({ hello: 1 })],
    ["newer", jsonBody({ format: 3 })],
    ["damaged", encodeRecord(KEY, someRecord()).slice(0, 60)],
    ["foreign", new TextEncoder().encode("x".repeat(10_000))],
  ])("a %s object is told, looked at once a poll, and left as it is (rule R4)", async (kind, body) => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, body);
    const store = proven(world.node("a"));
    const attempt = contending(leaseOn(store));
    await world.advance(20 * POLL);
    expect(attempt.troubles[0]).toMatchObject({ code: "RECORD", kind });
    expect(store.calls.every((c) => c.kind === "get")).toBe(true);
    expect(store.calls.length).toBeLessThanOrEqual(22);
    expect(world.peek(KEY)).toEqual(body);
    put(world, { state: "released" });
    await world.until(attempt.done);
  });

  it("a key that was deleted: no leadership, until a released record with at least that token is there (rule H10)", async () => {
    const world = testWorld({ seed: 1 });
    put(world, { fencingToken: 7, version: 20 });
    const store = proven(world.node("a"));
    const attempt = contending(leaseOn(store));
    await world.advance(1_000);
    world.overwrite(KEY, undefined);
    await world.advance(120_000);
    expect(attempt.troubles.at(-1)).toMatchObject({ code: "RECORD", kind: "regressed" });
    expect(world.peek(KEY)).toBeUndefined();
    put(world, { state: "released", fencingToken: 6, version: 1 });
    await world.advance(60_000);
    expect(recordIn(world).fencingToken).toBe(6);
    put(world, { state: "released", fencingToken: 7, version: 1 });
    const tenancy = await world.until(attempt.done, 60_000);
    expect(tenancy?.fencingToken).toBe(8);
  });

  it("a key rolled back to a lower token, likewise; the token never goes back", async () => {
    const world = testWorld({ seed: 1 });
    put(world, { fencingToken: 7, version: 20 });
    const store = proven(world.node("a"));
    const attempt = contending(leaseOn(store));
    await world.advance(1_000);
    put(world, { state: "released", fencingToken: 5, version: 11 });
    const rolledBack = world.peek(KEY);
    await world.advance(300_000);
    expect(world.peek(KEY)).toEqual(rolledBack);
    expect(attempt.troubles.at(-1)).toMatchObject({ kind: "regressed" });
  });

  it("an older version of the same token: watched anew, then taken (rule W7)", async () => {
    const world = testWorld({ seed: 1 });
    put(world, { fencingToken: 7, version: 20 });
    const store = proven(world.node("a"));
    const attempt = contending(leaseOn(store));
    await world.advance(1_000);
    put(world, { fencingToken: 7, version: 12 });
    const tenancy = await world.until(attempt.done, 120_000);
    expect(tenancy?.fencingToken).toBe(8);
    expect(world.nowMs).toBeGreaterThan(WATCH);
  });

  it("an unsafe store and a denied one end it at once", async () => {
    const world = testWorld({ seed: 1, profile: { conditions: "ignored" } });
    await expect(world.until(contending(leaseOn(tap(world.node("a").store))).done)).rejects.toBeInstanceOf(StoreUnsafeError);
    expect(world.keys().includes(KEY)).toBe(false);

    const other = testWorld({ seed: 1 });
    const store = proven(other.node("a"));
    store.taps.write = () => Promise.resolve(deniedWrite);
    await expect(other.until(contending(leaseOn(store)).done)).rejects.toBeInstanceOf(StoreAccessError);
    if (deniedWrite.kind !== "denied") throw new Error("it is");
    const { error } = deniedWrite;
    store.taps.read = () => Promise.resolve({ kind: "denied", error });
    await expect(other.until(contending(leaseOn(store)).done)).rejects.toBe(error);
  });
});

describe("being called off", () => {
  it("at any moment: with the reason, promptly, nothing left running, and what it won is given back", async () => {
    let wins = 0;
    for (let ms = 0; ms <= 60; ms++) {
      const world = testWorld({ seed: 5 });
      const node = world.node("a");
      const attempt = contending(leaseOn(tap(node.store)));
      await world.advance(ms);
      attempt.stop.abort(`enough ${ms}`);
      const before = world.nowMs;
      const outcome = await world.until(attempt.done.catch((e: unknown) => e));
      if (typeof outcome === "object") {
        // It was won before, and is the caller's.
        wins++;
        continue;
      }
      expect(outcome).toBe(`enough ${ms}`);
      expect(world.nowMs - before).toBeLessThan(200);
      await world.advance(0);
      expect(node.timers + node.inFlight).toBe(0);
      await world.advance(60_000);
      if (world.keys().includes(KEY)) expect(recordIn(world)).toMatchObject({ state: "released", endedBy: "self" });
      const { acquired: got, lost, released } = attempt.lease.counters.snapshot();
      expect(got).toBe(lost + released);
    }
    expect(wins).toBeGreaterThan(0);
  });

  it("in the middle of an acquisition whose reply is lost: the key does not stay closed for long", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const store = proven(node);
    node.faults({ kind: "lose-reply", on: "put", times: 1 });
    const attempt = contending(leaseOn(store));
    await when(world, () => recordExists(world));
    attempt.stop.abort("enough");
    await expect(world.until(attempt.done)).rejects.toBe("enough");
    expect(recordIn(world)).toMatchObject({ state: "released", fencingToken: 1 });
    expect(node.timers + node.inFlight).toBe(0);
  });

  it("before it began: nothing is sent", async () => {
    const world = testWorld({ seed: 1 });
    const store = tap(world.node("a").store);
    const stop = new AbortController();
    stop.abort("never");
    await expect(contending(leaseOn(store), { signal: stop.signal }).done).rejects.toBe("never");
    expect(store.sent()).toEqual([]);
  });

  it("a wait that ran out ends, even in an outage", async () => {
    const world = testWorld({ seed: 1 });
    put(world, { state: "released" });
    const store = proven(world.node("a"));
    store.taps.write = () => new Promise((resolve) => void store.clock.setTimer(900, () => resolve(unknown)));
    const { done } = contending(leaseOn(store), { untilMs: 2_000 });
    expect(await world.until(done)).toBeUndefined();
    // The time of the two requests that a lost reply takes is always given.
    expect(world.nowMs).toBeLessThan(2 * 3_825 + 100);
  });

  it("takes nothing before a cooldown is over", async () => {
    const world = testWorld({ seed: 1 });
    put(world, { state: "released" });
    const store = proven(world.node("a"));
    const { done } = contending(leaseOn(store), { notBeforeMs: 7_000 });
    await world.until(done);
    expect(store.calls.at(-1)?.sentMs).toBeGreaterThanOrEqual(7_000);
    expect(store.calls.at(-1)?.sentMs).toBeLessThan(7_100);
  });
});

describe("two lease objects of one process (rules H9, O3)", () => {
  it("exclude each other like strangers, whatever their node names", async () => {
    const world = testWorld({ seed: 1 });
    const store = proven(world.node("a"));
    const one = await acquired(world, leaseOn(store));
    const two = contending(leaseOn(store));
    await world.advance(300_000);
    expect(one.tenancy.isHeld()).toBe(true);
    await world.until(one.tenancy.release());
    const tenancy = await world.until(two.done);
    expect(tenancy?.fencingToken).toBe(2);
    expect(one.tenancy.isHeld()).toBe(false);
  });

  it("the slow answer of a release does not hide from it what another has taken since", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const store = proven(node);
    const one = await acquired(world, leaseOn(store));
    node.faults({ kind: "slow-reply", on: "put", ms: 2_000 });
    const releasing = one.tenancy.release();
    await when(world, () => recordIn(world).state === "released");
    const two = await acquired(world, leaseOn(store));
    expect(await world.until(releasing)).toBe("released");
    expect(one.lease.view.current?.record).toMatchObject({ state: "held", fencingToken: 2 });
    expect(two.tenancy.isHeld()).toBe(true);
  });
});

describe("which record is mine (rules C1, H9, S4)", () => {
  it("my instance id on a record that I never wrote is a clone's: it is watched like anybody's", async () => {
    const world = testWorld({ seed: 1 });
    const store = proven(world.node("a"));
    const lease = leaseOn(store, { takeover: "observe" });
    put(world, { instance: lease.instance, holder: "a", holderNonce: "the clone's own" });
    await acquired(world, lease);
    expect(world.nowMs).toBeGreaterThanOrEqual(WATCH);
    expect(lease.counters.snapshot()).toMatchObject({ orphansTaken: 0, takeoversByObservation: 1 });
  });

  it("an earlier acquisition that lands after a later one was sent is never adopted: it is taken with a new token (rule S4)", async () => {
    const world = testWorld({ seed: 1 });
    put(world, { state: "released", fencingToken: 5, version: 9 });
    const node = world.node("a");
    const store = proven(node);
    let first: (() => Promise<unknown>) | undefined;
    let firstNonce: string | undefined;
    let landed = false;
    store.taps.write = async (send, call) => {
      firstNonce ??= call.record?.nonce;
      first ??= send;
      if (call.record?.nonce === firstNonce) {
        await new Promise<void>((resolve) => void store.clock.setTimer(1_000, resolve));
        return unknown;
      }
      if (landed) return send();
      landed = true;
      await first();
      return unknown;
    };
    const { done } = contending(leaseOn(store));
    const tenancy = await world.until(done);
    expect(landed).toBe(true);
    expect(tenancy?.fencingToken).toBe(7);
    expect(tenancy?.isHeld()).toBe(true);
    expect(recordIn(world).fencingToken).toBe(7);
  });
});

describe("keeping the process alive (rule H8)", () => {
  /** The timers that are set, with whether each keeps the process alive. */
  function countingKept(node: TestNode): { readonly store: TappedStore; readonly waiting: Set<{ readonly kept: boolean }> } {
    const waiting = new Set<{ readonly kept: boolean }>();
    const store = tap(node.store, { verdict: () => Promise.resolve(goodVerdict) });
    const { clock } = node.store;
    const counting: TappedStore = {
      ...store,
      clock: {
        monotonicMs: () => clock.monotonicMs(),
        wallMs: () => clock.wallMs(),
        setTimer: (ms, fn, o) => {
          const entry = { kept: o?.keepAlive === true };
          waiting.add(entry);
          const handle = clock.setTimer(
            ms,
            () => {
              waiting.delete(entry);
              fn();
            },
            o,
          );
          return {
            cancel: () => {
              waiting.delete(entry);
              handle.cancel();
            },
          };
        },
      },
    };
    return { store: counting, waiting };
  }

  it("a waiting candidate and a holder do; one that was called off or has released leaves nothing", async () => {
    const world = testWorld({ seed: 1 });
    put(world);
    const { store, waiting } = countingKept(world.node("a"));
    const attempt = contending(leaseOn(store));
    await world.advance(1_000);
    expect([...waiting].some((t) => t.kept)).toBe(true);
    const tenancy = await world.until(attempt.done);
    await world.advance(1_000);
    expect([...waiting].filter((t) => t.kept).length).toBeGreaterThanOrEqual(1);
    await world.until(tenancy?.release() ?? Promise.reject(new Error("not acquired")));
    expect([...waiting]).toEqual([]);
  });
});
