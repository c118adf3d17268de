/** Rows of "When things go wrong" in docs/locks.md. That a denied renewal is no loss is shown in test/lease/tenancy. */
import { describe, expect, it } from "vitest";
import { Locks } from "../../src/locks/locks.ts";
import { tap } from "../lease/harness.ts";
import { bench, errorOf, held, LIFE, overwrite, recordIn, refusalOf, types, WATCH, when } from "./harness.ts";

describe("when things go wrong", () => {
  it("the store can't be reached: acquire waits on and says so; a held lock is lost at its deadline, not before", async () => {
    const b = bench();
    const c = b.other("b");
    const lock = await held(b.world, b.locks.acquire("k"));
    for (const n of [b, c]) n.node.faults({ kind: "lose-request", times: Infinity });
    expect((await errorOf(b.world, c.locks.acquire("k", { waitMs: 8_000 }))).code).toBe("STORE_UNAVAILABLE");
    expect(lock.isHeld()).toBe(true);
    await when(b.world, () => !lock.isHeld(), 60_000, 1);
    expect(b.world.nowMs).toBeLessThan(LIFE + 100);
    expect(b.world.nowMs).toBeGreaterThan(LIFE - 100);
    expect(types(b.events)).toContain("renewal-failed");
    await b.world.advance(1);
    expect(types(b.events)).toContain("lost expired");
    expect(c.node.inFlight).toBe(0);
  });

  it("each renewal that fails is logged with what is left of the lease", async () => {
    const said: string[] = [];
    const logger = { debug() {}, info() {}, error() {}, warn: (_: object, message = "") => void said.push(message) };
    const b = bench().other("b", { logger });
    const lock = await held(b.world, b.locks.acquire("k"));
    b.node.faults({ kind: "lose-request", times: Infinity });
    await when(b.world, () => !lock.isHeld(), 60_000, 1);
    const left = said.map((message) => Number(/^renewal failed, ([\d.]+) s of the lease are left: ./.exec(message)?.[1]));
    expect(left.length).toBeGreaterThan(1);
    // Less each time, from the first renewal's failure on until nothing is left.
    expect(left).toEqual(left.toSorted((x, y) => y - x));
    expect(left[0]).toBeLessThan(LIFE / 1000);
  });

  it("the outage ends before the deadline: the next attempt renews it", async () => {
    const b = bench();
    const lock = await held(b.world, b.locks.acquire("k"));
    const over = b.node.faults({ kind: "lose-request", times: Infinity });
    await b.world.advance(22_000);
    over();
    await b.world.advance(100_000);
    expect(lock.isHeld()).toBe(true);
  });

  it("the record is damaged or replaced under a holder: it loses it, and what is there stays", async () => {
    const b = bench();
    await held(b.world, b.locks.acquire("k"));
    b.world.overwrite("locks/locks/k", new TextEncoder().encode("{}"));
    await b.world.advance(11_000);
    expect(types(b.events)).toContain("lost replaced");
    expect(new TextDecoder().decode(b.world.peek("locks/locks/k"))).toBe("{}");
  });

  it("two programs with different ttl: each record is judged by its own", async () => {
    const b = bench(1, { defaults: { ttlMs: 120_000 } });
    const c = b.other("b", { defaults: { ttlMs: 6_000 } });
    await held(b.world, b.locks.acquire("k"));
    b.node.crash();
    await refusalOf(b.world, c.locks.acquire("k", { waitMs: 100_000 }));
    expect((await held(b.world, c.locks.acquire("k", { waitMs: 60_000 }))).fencingToken).toBe(2);
    expect(b.world.nowMs).toBeGreaterThan(120_000);
    expect(b.world.nowMs).toBeLessThan(140_000);
  });

  it.each(["freeze", "pause"] as const)(
    "the machine is stopped (%s): lost at the first look after it, and the next holder is untouched",
    async (how) => {
      const b = bench();
      const c = b.other("b");
      const lock = await held(b.world, b.locks.acquire("k"));
      b.node[how](60_000);
      const next = await held(b.world, c.locks.acquire("k", { waitMs: 59_000 }));
      await b.world.advance(60_001 - b.world.nowMs);
      expect(lock.signal.aborted).toBe(true);
      expect((await errorOf(b.world, lock.renew())).code).toBe("LEASE_LOST");
      expect(await b.world.until(lock.release())).toBe("not-mine");
      expect(recordIn(b.world, "k")).toMatchObject({ holder: "b", fencingToken: 2, state: "held" });
      expect(next.isHeld()).toBe(true);
    },
  );

  it("the wall clock steps forward past the ttl: lost; back: nothing", async () => {
    const b = bench();
    const lock = await held(b.world, b.locks.acquire("k"));
    b.node.stepWallClock(-600_000);
    await b.world.advance(100_000);
    expect(lock.isHeld()).toBe(true);
    b.node.stepWallClock(600_000);
    expect(lock.isHeld()).toBe(false);
  });

  it("the answer to a release is lost: unknown, and this process takes it again at once when it did not arrive", async () => {
    const b = bench();
    const lock = await held(b.world, b.locks.acquire("k"));
    const over = b.node.faults({ kind: "lose-request", on: "put", times: Infinity });
    expect(await b.world.until(lock.release())).toBe("unknown");
    over();
    const again = await held(b.world, b.locks.tryAcquire("k"));
    expect(again.fencingToken).toBe(2);
    expect(b.locks.stats()).toMatchObject({ orphansTaken: 1, held: 1 });
  });

  it("a renewal under way at the release does not bring it back", async () => {
    const b = bench();
    const lock = await held(b.world, b.locks.acquire("k"));
    b.node.faults({ kind: "late", on: "put", times: 1, ms: 3_000 });
    await b.world.advance(11_000);
    await b.world.until(lock.release());
    await b.world.advance(10_000);
    expect(recordIn(b.world, "k").state).toBe("released");
  });

  it("given up while its acquisition is under way: nothing stays held longer than a ttl, and this process can have it at once", async () => {
    const b = bench();
    await b.world.until(b.locks.withLock("k", () => {}));
    b.node.faults({ kind: "late", on: "put", times: 1, ms: 7_000 });
    const stop = new AbortController();
    const call = b.locks.acquire("k", { signal: stop.signal });
    await b.world.advance(100);
    stop.abort(new Error("given up"));
    expect((await errorOf(b.world, call)).message).toBe("given up");
    await b.world.advance(20_000);
    const startMs = b.world.nowMs;
    await held(b.world, b.locks.acquire("k"));
    expect(b.world.nowMs - startMs).toBeLessThan(1_000);
    expect(b.locks.stats()).toMatchObject({ held: 1 });
  });

  it("the store's times are unfit: a short try says how long one must wait, and one that waits so long has it", async () => {
    const b = bench();
    const c = b.other("b");
    const store = tap(c.node.store, { verdict: () => Promise.resolve({ storeTime: false, skewMs: 1_000, remarks: [] }) });
    const locks = new Locks({ store, node: "b" });
    await held(b.world, b.locks.acquire("k"));
    b.node.crash();
    await b.world.advance(200_000);
    expect((await refusalOf(b.world, locks.acquire("k", { waitMs: 0 }))).message).toMatch(
      /times of this store are unfit.*waits for \d+ ms/,
    );
    const startMs = b.world.nowMs;
    await held(b.world, locks.acquire("k"));
    expect(b.world.nowMs - startMs).toBeLessThan(WATCH + 100);
  });

  it("a flag on the record is obeyed, and the operator's word is not a loss", async () => {
    const b = bench();
    const lock = await held(b.world, b.locks.acquire("k"));
    overwrite(b.world, "k", { flag: { kind: "revoke" } });
    await b.world.advance(11_000);
    expect(lock.signal.aborted).toBe(true);
    expect(lock.isHeld()).toBe(true);
    expect(await b.world.until(lock.release())).toBe("released");
  });
});
