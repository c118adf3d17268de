import { describe, expect, it } from "vitest";
import { ConfigError, LockHeldError, StoreUnavailableError } from "../../src/errors.ts";
import type { Slot } from "../../src/locks/api.ts";
import { Session } from "../../src/session/session.ts";
import { bench, delta, overwrite, POLL, recordIn, TTL, WATCH } from "./harness.ts";

describe("slots", () => {
  it("are numbered, never had twice, and each has a token of its own", async () => {
    const { world, locks, other } = bench();
    const b = other("b").locks;
    const mine: Slot[] = [];
    for (let i = 0; i < 4; i++) mine.push(await world.until((i % 2 === 0 ? locks : b).slot("worker", { slots: 4 })));
    expect(mine.map((s) => s.index).sort((x, y) => x - y)).toEqual([0, 1, 2, 3]);
    expect(new Set(mine.map((s) => s.key)).size).toBe(4);
    expect(mine.every((s) => s.fencingToken === 1 && s.isHeld())).toBe(true);
    const refused = await world.until(b.slot("worker", { slots: 4, waitMs: 0 })).catch((e: unknown) => e);
    expect(refused).toBeInstanceOf(LockHeldError);
    expect((refused as LockHeldError).holders.map((h) => h.key).sort()).toEqual(mine.map((s) => s.key).sort());
    await world.advance(3 * TTL);
    expect(mine.every((s) => s.isHeld())).toBe(true);
    await world.until(Promise.all(mine.map((s) => s.release())));
  });

  it("a place that is given back is had again, with a higher token", async () => {
    const { world, locks, other } = bench();
    const b = other("b").locks;
    const [first] = [await world.until(locks.slot("worker", { slots: 1 }))];
    const next = b.slot("worker", { slots: 1 });
    await world.advance(2 * POLL);
    expect(await world.until(first.release())).toBe("released");
    const second = await world.until(next);
    expect([second.index, second.fencingToken]).toEqual([0, 2]);
  });

  it("a crash frees its permit after its time, no sooner", async () => {
    const { world, node, locks, other } = bench();
    const b = other("b").locks;
    const gpu = locks.semaphore("gpu", { permits: 2 });
    const held = [await world.until(gpu.acquire({ takeover: "observe" })), await world.until(gpu.acquire({ takeover: "observe" }))];
    expect(held.map((s) => s.index).sort((x, y) => x - y)).toEqual([0, 1]);
    const next = b.semaphore("gpu", { permits: 2 }).acquire({ takeover: "observe", waitMs: 10 * TTL });
    await world.advance(3 * POLL);
    node.crash();
    const diedMs = world.nowMs;
    const slot = await world.until(next);
    expect(world.nowMs - diedMs).toBeGreaterThan(TTL - TTL / 3);
    expect(world.nowMs - diedMs).toBeLessThan(WATCH + 3 * POLL);
    expect(slot.fencingToken).toBe(2);
  });

  it("finding one that was never used costs one LIST, one GET and one PUT among 64; the same again costs one PUT", async () => {
    const { world, locks, node } = bench();
    await world.until(locks.tryAcquire("warm"));
    const before = node.store.stats();
    const gpu = locks.semaphore("gpu", { permits: 64 });
    const slot = await world.until(gpu.acquire());
    expect(delta(node.store.stats(), before)).toEqual({ get: 1, put: 1, list: 1 });
    await world.until(slot.release());
    const again = node.store.stats();
    expect((await world.until(gpu.acquire())).index).toBe(slot.index);
    expect(delta(node.store.stats(), again)).toEqual({ put: 1 });
  });

  it("finds the one of 64 that was given back, among those that others hold", async () => {
    const { world, locks, other } = bench();
    const held: Slot[] = [];
    for (let i = 0; i < 64; i++) held.push(await world.until(locks.slot("w", { slots: 64 })));
    const free = held[17];
    await world.until(free?.release() ?? Promise.resolve("unknown"));
    const b = other("b");
    const slot = await world.until(b.locks.semaphore("w", { permits: 64 }).tryAcquire());
    expect(slot?.index).toBe(free?.index);
    expect(await world.until(b.locks.semaphore("w", { permits: 64 }).tryAcquire())).toBeUndefined();
  });

  it("waiters cost a bounded number of requests, however many places there are", async () => {
    const { world, locks, other } = bench();
    for (let i = 0; i < 64; i++) await world.until(locks.slot("w", { slots: 64 }));
    const b = other("b");
    const waits = Array.from({ length: 10 }, () => b.locks.slot("w", { slots: 64, waitMs: 60_000 }).catch((e: unknown) => e));
    await world.advance(10_000);
    const before = b.node.store.stats();
    await world.advance(40_000);
    const made = delta(b.node.store.stats(), before);
    // Only one of the ten searches: a LIST a poll, and at most four looks at what was renewed a moment ago.
    expect(made["list"]).toBeLessThanOrEqual(40_000 / (POLL / 2));
    expect(made["get"]).toBeLessThanOrEqual(4 * (made["list"] ?? 0));
    expect(made["put"]).toBeUndefined();
    await world.advance(30_000);
    for (const refused of await Promise.all(waits)) expect(refused).toBeInstanceOf(LockHeldError);
  });

  it("a place with a damaged record is passed over, and never overwritten", async () => {
    const { world, locks, other } = bench();
    const one = await world.until(locks.slot("w", { slots: 1 }));
    await world.until(one.release());
    overwrite(world, "w%230", {});
    world.overwrite("locks/locks/w%230", new TextEncoder().encode("{"));
    const two = await world.until(locks.slot("w", { slots: 2 }));
    expect(two.index).toBe(1);
    expect(new TextDecoder().decode(world.peek("locks/locks/w%230"))).toBe("{");
    expect(await world.until(other("b").locks.semaphore("w", { permits: 2 }).tryAcquire())).toBeUndefined();
  });

  it("the places of a longer name are none of this one's", async () => {
    const { world, locks, node } = bench();
    await world.until(locks.slot("w#0", { slots: 1 }));
    const before = node.store.stats();
    expect((await world.until(locks.slot("w", { slots: 1 }))).key).toBe("w#0");
    expect(delta(node.store.stats(), before)).toEqual({ get: 1, put: 1, list: 1 });
  });

  it("is a lock under its own name, too: it can be inspected", async () => {
    const { world, locks } = bench();
    const slot = await world.until(locks.slot("w", { slots: 3, metadata: { job: 7 } }));
    expect(await world.until(locks.inspect(slot.key))).toMatchObject({ key: slot.key, fencingToken: 1, metadata: { job: 7 } });
    expect(recordIn(world, `w%23${slot.index}`).state).toBe("held");
  });

  it.each([0, 1001, 1.5, Number.NaN, "3"])("refuses %s places, by name", async (slots) => {
    const { locks } = bench();
    await expect(locks.slot("w", { slots: slots as number })).rejects.toBeInstanceOf(ConfigError);
    expect(() => locks.semaphore("w", { permits: slots as number })).toThrow("permits");
  });

  it("a wait that is aborted rejects with the caller's reason, and leaves nothing behind", async () => {
    const { world, locks, other } = bench();
    const mine = await world.until(locks.slot("w", { slots: 1 }));
    const b = other("b");
    const stop = new AbortController();
    const waiting = b.locks.slot("w", { slots: 1, signal: stop.signal }).catch((e: unknown) => e);
    await world.advance(POLL);
    stop.abort(new Error("enough"));
    expect(await world.until(waiting)).toEqual(new Error("enough"));
    await world.until(mine.release());
    await world.advance(POLL);
    expect([b.node.timers, b.node.inFlight]).toEqual([0, 0]);
    expect(recordIn(world, "w%230").state).toBe("released");
  });

  it("a search that fails has no request under way any more", async () => {
    const { world, locks, other } = bench();
    const b = other("b");
    for (let i = 0; i < 3; i++) await world.until(locks.slot("worker", { slots: 3 }));
    // The first look fails at once, the others take their time.
    b.node.faults({ kind: "reset", on: "get", times: 1 });
    b.node.faults({ kind: "slow-reply", on: "get", times: Infinity, ms: 3_000 });
    const refused = await world.until(b.locks.slot("worker", { slots: 3, waitMs: 0 })).catch((e: unknown) => e);
    expect(refused).toBeInstanceOf(Error);
    expect(b.node.inFlight).toBe(0);
  });

  it("an outage while it waits is outlived, as by who waits for one key", async () => {
    const { world, locks, other } = bench();
    const mine = await world.until(locks.slot("worker", { slots: 1 }));
    const b = other("b");
    const waiting = b.locks.slot("worker", { slots: 1 });
    await world.advance(POLL);
    const mend = b.node.faults({ kind: "reset", on: "list", times: Infinity });
    await world.advance(2 * POLL);
    mend();
    await world.until(mine.release());
    expect((await world.until(waiting)).fencingToken).toBe(2);
  });

  it("an outage that lasts until the wait is over is the answer, at that moment", async () => {
    const { world, node, locks } = bench();
    await world.until(locks.tryAcquire("warm"));
    node.faults({ kind: "reset", on: "list", times: Infinity });
    const startMs = world.nowMs;
    const error = await world.until(locks.slot("worker", { slots: 1, waitMs: 20_000 })).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(StoreUnavailableError);
    expect(world.nowMs - startMs).toBeGreaterThanOrEqual(20_000);
  });

  it("a try is answered at once while another caller of this process waits for a place", async () => {
    const { world, locks, other } = bench();
    await world.until(locks.slot("gpu", { slots: 2 }));
    await world.until(locks.slot("gpu", { slots: 2 }));
    const b = other("b");
    const gpu = b.locks.semaphore("gpu", { permits: 2 });
    const waiting = gpu.acquire({ waitMs: 60_000 }).catch((e: unknown) => e);
    await world.advance(POLL);
    const startMs = world.nowMs;
    expect(await world.until(gpu.tryAcquire())).toBeUndefined();
    expect(world.nowMs - startMs).toBe(0);
    expect(await world.until(waiting)).toBeInstanceOf(LockHeldError);
  });

  it("a wait within an invocation is paced like any other", async () => {
    const { world, locks, other } = bench();
    await world.until(locks.slot("worker", { slots: 1 }));
    const b = other("b");
    const before = b.node.store.stats();
    const waiting = b.locks.oneShot({ remainingMs: 60_000 }).slot("worker", { slots: 1, waitMs: 30_000 });
    const refused = await world.until(waiting).catch((e: unknown) => e);
    expect(refused).toBeInstanceOf(LockHeldError);
    expect((refused as LockHeldError).retryAfterMs).toBe(POLL);
    expect(delta(b.node.store.stats(), before)["list"]).toBeLessThan(20);
  });

  it("a fresh process finds the one of 64 that nobody has renewed for long among its first looks", async () => {
    const { world, locks, other } = bench();
    const held: Slot[] = [];
    for (let i = 0; i < 64; i++) held.push(await world.until(locks.slot("w", { slots: 64 })));
    const free = held[17];
    await world.until(free?.release() ?? Promise.resolve("unknown"));
    await world.advance(TTL);
    const b = other("b");
    await world.until(b.locks.tryAcquire("warm"));
    const before = b.node.store.stats();
    expect((await world.until(b.locks.slot("w", { slots: 64 }))).index).toBe(free?.index);
    const made = delta(b.node.store.stats(), before);
    expect(made).toMatchObject({ list: 1, put: 1 });
    expect(made["get"]).toBeLessThanOrEqual(8);
  });

  it("places that a session holds are looked at by its member alone, and are free in the poll after it closed", async () => {
    const { world, node, other } = bench();
    const session = await world.until(Session.open({ store: node.store, node: "a" }));
    for (let i = 0; i < 16; i++) await world.until(session.locks().slot("w", { slots: 16 }));
    const b = other("b");
    const waiting = b.locks.slot("w", { slots: 16, waitMs: 600_000 });
    await world.advance(60_000);
    const before = b.node.store.stats();
    await world.advance(60_000);
    const made = delta(b.node.store.stats(), before);
    expect(made["get"]).toBeLessThanOrEqual(made["list"] ?? 0);
    await world.until(session.close());
    const closedMs = world.nowMs;
    expect((await world.until(waiting)).fencingToken).toBe(2);
    expect(world.nowMs - closedMs).toBeLessThan(POLL + 1_000);
  });

  it("a session's place that was first seen a moment ago is free in the poll after it closed, too", async () => {
    const { world, node, other } = bench();
    const session = await world.until(Session.open({ store: node.store, node: "a" }));
    await world.until(session.locks().slot("w", { slots: 1 }));
    const waiting = other("b").locks.slot("w", { slots: 1 });
    await world.advance(1_000);
    await world.until(session.close());
    const closedMs = world.nowMs;
    expect((await world.until(waiting)).fencingToken).toBe(2);
    expect(world.nowMs - closedMs).toBeLessThan(POLL + 1_000);
  });

  it("a call is counted once, with all of its wait, however many places it tries", async () => {
    const { world, locks, other } = bench();
    const mine = await world.until(locks.slot("w", { slots: 2 }));
    await world.until(locks.slot("w", { slots: 2 }));
    const b = other("b");
    expect(await world.until(b.locks.semaphore("w", { permits: 2 }).tryAcquire())).toBeUndefined();
    expect(b.locks.stats()).toMatchObject({ acquired: 0, refused: 1 });
    const waiting = b.locks.slot("w", { slots: 2, waitMs: 60_000 });
    await world.advance(20_000);
    await world.until(mine.release());
    await world.until(waiting);
    const { acquired, refused, waitMs_sum: waitedMs = 0 } = b.locks.stats();
    expect([acquired, refused]).toEqual([1, 1]);
    expect(waitedMs).toBeGreaterThanOrEqual(20_000);
    expect(b.events.find((e) => e.type === "acquired")?.waitedMs).toBe(waitedMs);
  });
});
