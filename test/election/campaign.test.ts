import { describe, expect, it } from "vitest";
import { LockHeldError, StoreUnavailableError } from "../../src/errors.ts";
import { encodeRecord } from "../../src/record/codec.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { someRecord } from "../lease/records.ts";
import { contender, KEY, managerOn, pause, POLL, recordIn } from "./harness.ts";

describe("campaign", () => {
  it("`await using`: elected, renewed while the block runs, released when it is left", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    const manager = managerOn(a);
    const report = async (): Promise<number> => {
      await using term = await manager.campaign();
      expect(manager.current).toBe(term);
      expect(term).toMatchObject({ name: "x", key: KEY, holder: "a", fencingToken: 1 });
      await pause(a, 60_000);
      term.assertHeld();
      expect(term.heldForMs).toBeGreaterThanOrEqual(60_000);
      return term.fencingToken;
    };
    expect(await world.until(report())).toBe(1);
    expect(recordIn(world)).toMatchObject({ state: "released" });
    expect(manager.current).toBeUndefined();
    expect(a.timers + a.inFlight).toBe(0);
  });

  it("the block's own error comes out, whatever the release does", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    const manager = managerOn(a);
    const report = async (): Promise<void> => {
      await using term = await manager.campaign();
      void term;
      a.faults({ kind: "lose-request", times: Infinity });
      throw new Error("the block's own");
    };
    await expect(world.until(report())).rejects.toThrow("the block's own");
  });

  it("waits for the present leader to go", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    const term = managerOn(world.node("b")).campaign();
    await world.advance(60_000);
    one.stop.abort();
    expect((await world.until(term, POLL + 1_000)).fencingToken).toBe(2);
  });

  it("waitMs: LockHeldError says who leads, since when, and when to ask again", async () => {
    const world = testWorld({ seed: 1 });
    contender(world.node("a"));
    await world.advance(1_000);
    for (const waitMs of [0, 1, 3_000]) {
      const before = world.nowMs;
      const b = world.node(`b${waitMs}`);
      const error = await world.until(
        managerOn(b)
          .campaign({ waitMs })
          .catch((e: unknown) => e),
      );
      expect(error).toBeInstanceOf(LockHeldError);
      expect(error).toMatchObject({ key: KEY, holders: [{ holder: "a", fencingToken: 1 }], retryAfterMs: POLL });
      expect((error as Error).message).toMatch(/is led by a since .* \(fencing token 1\)/);
      expect(world.nowMs - before).toBeLessThan(waitMs + 100);
      expect(b.timers + b.inFlight).toBe(0);
      expect(b.store.stats()["put"] ?? 0).toBeLessThanOrEqual(1);
    }
  });

  it("waitMs outlives a dead holder where it is long enough", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    const term = managerOn(world.node("b")).campaign({ waitMs: 30_000 });
    await world.advance(100);
    one.node.crash();
    expect((await world.until(term)).fencingToken).toBe(2);
  });

  it("waitMs in an outage: what hindered, and not LockHeldError", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    a.faults({ kind: "error-500", times: Infinity });
    const error = await world.until(
      managerOn(a)
        .campaign({ waitMs: 3_000 })
        .catch((e: unknown) => e),
    );
    expect(error).toBeInstanceOf(StoreUnavailableError);
    expect((error as StoreUnavailableError).status).toBe(500);
    expect(a.timers + a.inFlight).toBe(0);
  });

  it("an aborted call rejects with the caller's reason, promptly, at any moment, and leaves nothing", async () => {
    for (let ms = 0; ms <= 60; ms += 2) {
      const world = testWorld({ seed: 1 });
      const a = world.node("a");
      const manager = managerOn(a);
      const stop = new AbortController();
      const campaign = manager.campaign({ signal: stop.signal }).then(
        (term) => term,
        (e: unknown) => e,
      );
      await world.advance(ms);
      stop.abort("enough");
      const outcome = await world.until(campaign);
      if (outcome !== "enough") {
        expect(outcome).toBe(manager.current);
        continue;
      }
      expect(manager.isLeader()).toBe(false);
      expect(a.timers + a.inFlight).toBe(0);
      await world.advance(1_000);
      if (world.keys().includes(KEY)) expect(recordIn(world).state).toBe("released");
      expect((await world.until(manager.campaign())).isHeld()).toBe(true);
    }
  });

  it("after it was elected, the caller's signal has no say any more", async () => {
    const world = testWorld({ seed: 1 });
    const stop = new AbortController();
    const term = await world.until(managerOn(world.node("a")).campaign({ signal: stop.signal }));
    stop.abort();
    await world.advance(60_000);
    expect([term.isHeld(), term.signal.aborted]).toEqual([true, false]);
  });

  it("a record that may not be touched ends it with RecordError", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, new TextEncoder().encode("hello"));
    await expect(world.until(managerOn(world.node("a")).campaign())).rejects.toMatchObject({ code: "RECORD", kind: "foreign" });
  });

  it("a second campaign while the first term is held is refused; after its release it wins with one request", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    const manager = managerOn(a);
    const term = await world.until(manager.campaign());
    await expect(manager.campaign()).rejects.toThrow(/already leads \(fencing token 1\)/);
    await world.until(term.release());
    const before = a.store.stats();
    await world.until(manager.campaign());
    expect((a.store.stats()["put"] ?? 0) - (before["put"] ?? 0)).toBe(1);
    expect(a.store.stats()["get"]).toBe(before["get"]);
  });

  it("a campaign begun while the last release is under way wins cleanly, whichever lands first", async () => {
    for (const kind of ["slow-request", "slow-reply"] as const) {
      const world = testWorld({ seed: 1 });
      const a = world.node("a");
      const manager = managerOn(a);
      const term = await world.until(manager.campaign());
      a.faults({ kind, on: "put", ms: 300 });
      const released = term.release();
      const next = await world.until(manager.campaign());
      expect(["released", "not-mine"]).toContain(await world.until(released));
      await world.advance(60_000);
      expect(next.isHeld()).toBe(true);
      expect(recordIn(world)).toMatchObject({ state: "held", fencingToken: next.fencingToken });
      expect(manager.stats()).toMatchObject({ acquired: 2, released: 1, lost: 0 });
    }
  });

  it("a term that is lost says so in every way", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    const manager = managerOn(a);
    const term = await world.until(manager.campaign());
    a.stepWallClock(60_000);
    expect([manager.current, manager.isLeader(), term.isHeld(), term.remainingMs]).toEqual([undefined, false, false, 0]);
    expect(() => term.assertHeld()).toThrow(/was lost/);
    expect(await world.until(term.release())).toBe("not-mine");
  });

  it("takes over a record of an unknown holder with a field of a later version, and keeps the field", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, encodeRecord(KEY, someRecord({ state: "released", fencingToken: 41, extra: { later: 1 } })));
    const term = await world.until(managerOn(world.node("a")).campaign());
    expect(term.fencingToken).toBe(42);
    expect(recordIn(world).extra).toEqual({ later: 1 });
  });
});
