import { describe, expect, it } from "vitest";
import { bench, errorOf, held, pause, recordIn, refusalOf, requestsOf, types } from "./harness.ts";

describe("the requests of a lock", () => {
  it("first use in a process: GET, PUT, PUT, and the proof of rule W9 beside them", async () => {
    const b = bench();
    // The simulated store's verdict costs no GET; the write that must be refused is the third PUT.
    expect(await requestsOf(b, () => b.locks.withLock("k", () => {}))).toEqual({ get: 1, put: 3 });
  });

  it("the first cycle on a key is GET, PUT, PUT; each later one two PUTs", async () => {
    const b = bench();
    await b.world.until(b.locks.withLock("warm", () => {}));
    expect(await requestsOf(b, () => b.locks.withLock("k", () => {}))).toEqual({ get: 1, put: 2 });
    for (let i = 0; i < 20; i++) expect(await requestsOf(b, () => b.locks.withLock("k", () => {}))).toEqual({ put: 2 });
    expect(recordIn(b.world, "k")).toMatchObject({ state: "released", fencingToken: 21, endedBy: "self" });
  });

  it("a try on a key that another holds is one GET, and the answer a value that says who", async () => {
    const b = bench();
    const c = b.other("b");
    await held(b.world, b.locks.acquire("k", { metadata: { pipeline: 871 } }));
    await c.world.until(c.locks.tryAcquire("other"));
    expect(await requestsOf(c, () => c.locks.tryAcquire("k"))).toEqual({ get: 1 });
    const before = c.node.store.stats()["get"] ?? 0;
    const attempt = await b.world.until(c.locks.tryWithLock("k", () => 1));
    expect((c.node.store.stats()["get"] ?? 0) - before).toBe(1);
    expect(attempt.ran).toBe(false);
    if (attempt.ran) return;
    expect(attempt.held).toMatchObject({ key: "k", code: "LOCK_HELD" });
    expect(attempt.held.holders[0]).toMatchObject({ key: "k", holder: "a", fencingToken: 1, metadata: { pipeline: 871 } });
    expect(attempt.held.retryAfterMs).toBeGreaterThan(0);
    expect(attempt.held.message).toMatch(/is held by a since 2026-01-01T.*fencing token 1/);
  });

  it("a try that takes a holder for dead, by what it saw long ago, looks once it is refused, and has the lock where it is free by then", async () => {
    const b = bench();
    const c = b.other("b", { defaults: { ttlMs: 2_000 } });
    await b.world.until(b.locks.withLock("warm", () => {}));
    const lock = await held(b.world, c.locks.acquire("k"));
    expect(await requestsOf(b, () => b.locks.tryAcquire("k"))).toEqual({ get: 1 });
    await b.world.advance(5_000);
    await b.world.until(lock.release());
    expect(await requestsOf(b, async () => expect((await b.locks.tryAcquire("k"))?.fencingToken).toBe(2))).toEqual({ get: 1, put: 2 });
    const again = await held(b.world, b.locks.tryAcquire("other"));
    await b.world.until(again.release());
    // And where it is held by another, who renewed it, that is the answer.
    const theirs = await held(b.world, c.locks.acquire("held"));
    expect(await b.world.until(b.locks.tryAcquire("held"))).toBeUndefined();
    await b.world.advance(5_000);
    expect(await requestsOf(b, async () => expect(await b.locks.tryAcquire("held")).toBeUndefined())).toEqual({ get: 1, put: 1 });
    expect(theirs.isHeld()).toBe(true);
  });

  it("of many tries at once on a key that nobody had yet one has it, and the others are told by whom it is held", async () => {
    const b = bench();
    await b.world.until(b.locks.withLock("warm", () => {}));
    for (const locks of [b.locks, b.locks.oneShot({ remainingMs: 60_000 })]) {
      const key = `new ${locks === b.locks}`;
      const work = (): Promise<boolean> => pause(b.node, 1_000);
      const attempts = await b.world.until(Promise.all(Array.from({ length: 20 }, () => locks.tryWithLock(key, work))));
      expect(attempts.filter((attempt) => attempt.ran)).toHaveLength(1);
      for (const attempt of attempts) if (!attempt.ran) expect(attempt.held.message).toMatch(/is held by a since/);
    }
    expect(await requestsOf(b, () => Promise.all([1, 2, 3].map(() => b.locks.tryAcquire("k"))))).toEqual({ get: 1, put: 1 });
  });

  it("a try on a key that this process holds asks nobody", async () => {
    const b = bench();
    await held(b.world, b.locks.acquire("k"));
    expect(await requestsOf(b, () => b.locks.tryAcquire("k"))).toEqual({});
  });

  it("renewals are one PUT each third of the ttl, and none is made for what is released", async () => {
    const b = bench();
    const lock = await held(b.world, b.locks.acquire("k"));
    const before = b.node.store.stats()["put"] ?? 0;
    await b.world.advance(100_500);
    expect((b.node.store.stats()["put"] ?? 0) - before).toBe(10);
    expect(await requestsOf(b, () => lock.release())).toEqual({ put: 1 });
    await b.world.advance(100_000);
    expect(b.node.timers + b.node.inFlight).toBe(0);
  });

  it("renew, verify and inspect are one request each", async () => {
    const b = bench();
    const lock = await held(b.world, b.locks.acquire("k"));
    await b.world.advance(5_000);
    expect(lock.remainingMs).toBeLessThan(22_100);
    expect(await requestsOf(b, () => lock.renew())).toEqual({ put: 1 });
    expect(lock.remainingMs).toBeGreaterThan(26_900);
    expect(await requestsOf(b, () => lock.verify())).toEqual({ get: 1 });
    expect(await requestsOf(b, () => b.locks.inspect("k"))).toEqual({ get: 1 });
    await b.world.until(lock.release());
    expect(await b.world.until(b.locks.inspect("k"))).toBeUndefined();
  });

  it("two hundred callers of one process cost what one after the other costs", async () => {
    const b = bench();
    const order: number[] = [];
    const calls = Array.from({ length: 200 }, (_, i) => b.locks.withLock("k", { waitMs: 600_000 }, () => void order.push(i)));
    await b.world.until(Promise.all(calls));
    expect(order).toEqual([...order].sort((x, y) => x - y));
    expect(b.node.store.stats()).toMatchObject({ get: 1, put: 1 + 2 * 200 });
    expect(b.node.timers).toBe(0);
  });

  it("what is wrong with a call is said at the door, all of it, before any request", async () => {
    const b = bench();
    const bad = { ttlms: 5, waitMs: -1, metadata: new Map() } as never;
    const error = await errorOf(b.world, b.locks.acquire("", bad));
    expect(error.code).toBe("CONFIG");
    expect(error.message).toMatch(/key is "": expected not empty[\s\S]*"ttlms": did you mean "ttlMs"[\s\S]*metadata[\s\S]*waitMs is -1/);
    expect((await errorOf(b.world, b.locks.tryAcquire("k", { waitMs: 5 } as never))).message).toContain("waitMs");
    expect((await errorOf(b.world, b.locks.withLock("k", undefined as never))).code).toBe("CONFIG");
    expect((await errorOf(b.world, b.locks.acquire("k", { ttlMs: 1_000, autoRenew: false, maxHoldMs: 2_000 }))).message).toContain(
      "maxHoldMs 2000",
    );
    expect((await errorOf(b.world, b.locks.acquire("x".repeat(1_025)))).code).toBe("CONFIG");
    expect(b.node.store.stats()).toEqual({});
  });

  it("acquire waits for waitMs and then says who holds it", async () => {
    const b = bench();
    const c = b.other("b");
    await held(b.world, b.locks.acquire("k"));
    const startMs = b.world.nowMs;
    const error = await refusalOf(b.world, c.locks.acquire("k", { waitMs: 7_000 }));
    expect(b.world.nowMs - startMs).toBeGreaterThanOrEqual(7_000);
    expect(b.world.nowMs - startMs).toBeLessThan(7_100);
    expect(error.message).toContain("waited 70");
    expect(c.locks.stats()).toMatchObject({ refused: 1, acquired: 0 });
    expect(types(c.events)).toEqual([]);
    expect(c.node.timers + c.node.inFlight).toBe(0);
  });
});
