import { describe, expect, it } from "vitest";
import { ConfigError, StoreUnsafeError } from "../../src/errors.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { Locks } from "../../src/locks/locks.ts";
import type { Held } from "../../src/lease/held.ts";
import { bench, delta, errorOf, recordIn } from "./harness.ts";

const INVOCATION = { remainingMs: 60_000 };

describe("a lock for one invocation", () => {
  it("lasts as long as the invocation, and aborts its work before; nothing is renewed", async () => {
    const { world, node, locks } = bench();
    const lock = await world.until(locks.oneShot(INVOCATION).acquire("hourly"));
    expect(recordIn(world, "hourly").ttlMs).toBeGreaterThan(60_000 / 0.9);
    const before = node.store.stats();
    await world.advance(53_000);
    expect([lock.isHeld(), lock.signal.aborted]).toEqual([true, false]);
    await world.advance(3_000);
    expect([lock.isHeld(), lock.signal.aborted]).toEqual([true, true]);
    expect(lock.signal.reason).toMatchObject({ code: "LEASE_ENDED", reason: "max-hold" });
    await world.advance(5_000);
    expect(lock.isHeld()).toBe(false);
    expect(delta(node.store.stats(), before)).toEqual({});
  });

  it("leaves no timer behind when it was given back", async () => {
    const { world, node, locks } = bench();
    expect(await world.until(locks.oneShot(INVOCATION).tryWithLock("hourly", () => 7))).toEqual({ ran: true, value: 7 });
    await world.advance(10);
    expect([node.timers, node.inFlight]).toEqual([0, 0]);
  });

  it("takes Lambda's context, and reads the remaining time at each call", async () => {
    const { world, locks } = bench();
    let left = 100_000;
    const shot = locks.oneShot({ getRemainingTimeInMillis: () => left });
    const first = await world.until(shot.acquire("a"));
    left = 20_000;
    const second = await world.until(shot.acquire("b"));
    expect(first.remainingMs).toBeGreaterThan(90_000);
    expect(second.remainingMs).toBeLessThanOrEqual(20_000);
    expect(recordIn(world, "b").ttlMs).toBeLessThan(recordIn(world, "a").ttlMs);
  });

  it("counts its remaining milliseconds down", async () => {
    const { world, locks } = bench();
    const shot = locks.oneShot({ remainingMs: 10_000 });
    await world.advance(4_000);
    expect((await world.until(shot.acquire("a"))).remainingMs).toBeLessThanOrEqual(6_000);
    await world.advance(6_000);
    await expect(world.until(shot.acquire("b"))).rejects.toBeInstanceOf(ConfigError);
  });

  it("a fresh process recognises a crashed holder at its first look, whatever its own clock says, and not before it is dead", async () => {
    const world = testWorld({ seed: 3 });
    const a = world.node("a");
    const holder = new Locks({ store: a.store, node: "a" });
    await world.until(holder.oneShot({ remainingMs: 30_000 }).acquire("hourly"));
    a.crash();
    for (const [name, stepMs] of [
      ["b", 3_600_000],
      ["c", -3_600_000],
    ] as const) {
      const early = world.node(`early-${name}`);
      early.stepWallClock(stepMs);
      const attempt = await world.until(
        new Locks({ store: early.store, node: name }).oneShot(INVOCATION).tryWithLock("hourly", () => "ran"),
      );
      expect(attempt.ran).toBe(false);
    }
    await world.advance(40_000);
    const late = world.node("late");
    late.stepWallClock(3_600_000);
    const attempt = await world.until(
      new Locks({ store: late.store, node: "d" }).oneShot(INVOCATION).tryWithLock("hourly", (l) => l.fencingToken),
    );
    expect(attempt).toEqual({ ran: true, value: 2 });
  });

  it("does not wait unless it is told to", async () => {
    const { world, locks, other } = bench();
    await world.until(locks.acquire("hourly"));
    const startMs = world.nowMs;
    await expect(world.until(other("b").locks.oneShot(INVOCATION).acquire("hourly"))).rejects.toMatchObject({ code: "LOCK_HELD" });
    expect(world.nowMs - startMs).toBeLessThan(1_000);
  });

  it("goes on with what another step handed off for as long as the invocation lasts, and renews nothing", async () => {
    const { world, locks, other } = bench();
    const text = await world.until((await world.until(locks.acquire("build"))).handOff());
    const b = other("b");
    const lock = await world.until(b.locks.oneShot({ remainingMs: 40_000 }).resume(text));
    expect(lock.fencingToken).toBe(2);
    expect(recordIn(world, "build").ttlMs).toBeGreaterThan(40_000 / 0.9);
    const before = b.node.store.stats();
    await world.advance(41_000);
    expect([lock.isHeld(), lock.signal.reason]).toMatchObject([false, { reason: "max-hold" }]);
    expect(delta(b.node.store.stats(), before)).toEqual({});
    expect([b.node.timers, b.node.inFlight]).toEqual([0, 0]);
  });

  it("what it waited for lasts no longer than the invocation, and no call waits until that is at its end", async () => {
    const { world, locks, other } = bench();
    const b = other("b");
    for (const call of ["acquire", "slot", "queue"] as const) {
      const first = call === "queue" ? b.locks : locks;
      const theirs: Held = await world.until<Held>(call === "slot" ? first.slot(call, { slots: 1 }) : first.acquire(call));
      const acquire = (): Promise<Held> => {
        const shot = b.locks.oneShot({ remainingMs: 20_000 });
        return call === "slot" ? shot.slot(call, { slots: 1, waitMs: 600_000 }) : shot.acquire(call, { waitMs: 600_000 });
      };
      let startMs = world.nowMs;
      expect(await errorOf(world, acquire())).toMatchObject({ code: "LOCK_HELD" });
      expect(world.nowMs - startMs).toBeLessThan(20_000);
      startMs = world.nowMs;
      const waiting = acquire();
      await world.advance(12_000);
      await world.until(theirs.release());
      const lock = await world.until(waiting);
      expect(lock.remainingMs).toBeLessThanOrEqual(20_000 - (world.nowMs - startMs));
      await world.advance(20_000);
      expect(lock.signal.reason).toMatchObject({ code: "LEASE_ENDED", reason: "max-hold" });
    }
  });

  it("several locks are waited for as long as the invocation lasts, one after the other", async () => {
    const { world, locks, other } = bench();
    const [x, y] = [await world.until(locks.acquire("x")), await world.until(locks.acquire("y"))];
    const both = other("b")
      .locks.oneShot({ remainingMs: 30_000 })
      .withLocks(["x", "y"], { waitMs: 600_000 }, (held) => held.map((lock) => lock.remainingMs));
    await world.advance(12_000);
    await world.until(x.release());
    await world.advance(12_000);
    await world.until(y.release());
    expect((await world.until(both)).every((ms) => ms <= 6_000)).toBe(true);
  });

  it("is refused on a store whose times are unfit", async () => {
    const world = testWorld({ seed: 4, profile: { storeTime: false } });
    const node = world.node("a");
    const refused = new Locks({ store: node.store })
      .oneShot(INVOCATION)
      .tryAcquire("hourly")
      .catch((e: unknown) => e);
    expect(await world.until(refused)).toBeInstanceOf(StoreUnsafeError);
  });

  it.each([undefined, null, 5, {}, { remainingMs: "1" }])("refuses %s as an invocation", (invocation) => {
    const { locks } = bench();
    expect(() => locks.oneShot(invocation as never)).toThrow(ConfigError);
  });

  it.each([Number.NaN, -1, 0, 499, 86_400_000])("refuses an invocation with %s ms left, before any request", async (remainingMs) => {
    const { world, locks, node } = bench();
    await expect(world.until(locks.oneShot({ remainingMs }).tryAcquire("x"))).rejects.toThrow("ms left");
    expect(delta(node.store.stats(), {})).toEqual({});
  });

  it("refuses maxHoldMs: the invocation says it", async () => {
    const { world, locks } = bench();
    await expect(world.until(locks.oneShot(INVOCATION).tryAcquire("x", { maxHoldMs: 5 } as never))).rejects.toThrow("maxHoldMs");
  });
});
