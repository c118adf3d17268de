import { describe, expect, it } from "vitest";
import { StoreUnsafeError } from "../../src/errors.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { acquired, goodVerdict, contending, leaseOn, operatorWrites, proven, put, recordIn, tap, WATCH, when } from "./harness.ts";

describe("dead by observation (rule C2)", () => {
  it("taken at the moment that W is over, by a CAS on exactly the ETag that was watched, without another look", async () => {
    const world = testWorld({ seed: 1 });
    put(world);
    const store = proven(world.node("a"));
    const { done, lease } = contending(leaseOn(store, { takeover: "observe" }));
    const first = await when(world, () => lease.view.current !== undefined);
    const etag = lease.view.current?.etag;
    await world.until(done);
    const cas = store.calls.at(-1);
    expect(cas).toMatchObject({ kind: "replace", etag, record: { fencingToken: 2 } });
    expect((cas?.sentMs ?? 0) - first).toBeGreaterThanOrEqual(WATCH - 1);
    expect((cas?.sentMs ?? 0) - first).toBeLessThan(WATCH + 20);
    expect(store.calls.slice(0, -1).every((c) => c.kind === "get")).toBe(true);
    expect(lease.counters.snapshot()).toMatchObject({ takeoversByObservation: 1, takeoversByStoreTime: 0 });
  });

  it("counts from after the reply of the first read that showed it, however slow that was", async () => {
    const world = testWorld({ seed: 1 });
    put(world);
    const node = world.node("a");
    node.faults({ kind: "slow-reply", on: "get", ms: 3_000 });
    const store = proven(node);
    const { done } = contending(leaseOn(store, { takeover: "observe" }));
    await world.until(done);
    const [look, cas] = [store.calls[0], store.calls.at(-1)];
    expect(look?.answer?.kind).toBe("found");
    expect((cas?.sentMs ?? 0) - (look?.sentMs ?? 0)).toBeGreaterThanOrEqual(WATCH + 3_000);
  });

  it("a renewal begins the watch anew; the timed ETag is what the CAS names, not one that was read just before", async () => {
    const world = testWorld({ seed: 1 });
    put(world);
    const store = proven(world.node("a"));
    const { done } = contending(leaseOn(store, { takeover: "observe" }));
    await world.advance(14_000);
    operatorWrites(world, {});
    const renewed = world.nowMs;
    await world.until(done);
    expect(world.nowMs - renewed).toBeGreaterThanOrEqual(WATCH);
  });

  it("a holder that renews just before the moment keeps it: the CAS is refused, and nothing was overwritten", async () => {
    const world = testWorld({ seed: 1 });
    put(world);
    const store = proven(world.node("a"));
    const { done, lease } = contending(leaseOn(store, { takeover: "observe" }));
    const first = await when(world, () => lease.view.current !== undefined);
    // Between its last look and its CAS.
    await world.advance(first + WATCH - 30 - world.nowMs);
    const renewed = operatorWrites(world, {});
    await world.advance(2_000);
    expect(recordIn(world)).toEqual(renewed);
    expect(store.calls.filter((c) => c.kind === "replace").map((c) => c.answer?.kind)).toEqual(["refused"]);
    await world.until(done);
    expect(recordIn(world).version).toBe(renewed.version + 1);
  });

  it("a watch outlives a call: the next one goes on with it", async () => {
    const world = testWorld({ seed: 1 });
    put(world);
    const store = proven(world.node("a"));
    const one = contending(leaseOn(store, { takeover: "observe" }));
    await world.advance(10_000);
    one.stop.abort();
    await world.advance(1);
    const two = contending(leaseOn(store, { takeover: "observe" }));
    await world.until(two.done);
    expect(world.nowMs).toBeLessThan(WATCH + 100);
  });

  it("stale reads of older versions do not begin it anew (rule W7)", async () => {
    const world = testWorld({ seed: 1 });
    put(world);
    operatorWrites(world, {});
    const node = world.node("a");
    const store = proven(node);
    const { done, lease } = contending(leaseOn(store, { takeover: "observe" }));
    await when(world, () => lease.view.current !== undefined);
    node.faults({ kind: "stale-read", on: "get", times: Infinity });
    await world.until(done);
    expect(world.nowMs).toBeLessThan(WATCH + 100);
    expect(lease.counters.snapshot().staleReads).toBeGreaterThan(0);
  });
});

describe("dead by the store's time (rules C3, T1 to T4)", () => {
  it("a process that has just started recognises a dead holder at its first look: no wait", async () => {
    const world = testWorld({ seed: 1 });
    put(world);
    await world.advance(60_000);
    const store = proven(world.node("a"));
    const { lease } = await acquired(world, leaseOn(store));
    expect(store.sent()).toEqual(["get", "replace"]);
    expect(lease.counters.snapshot()).toMatchObject({ takeoversByStoreTime: 1 });
  });

  it("does not take from a living one, whatever the nodes' own clocks say (rule C4)", async () => {
    for (const wallOffsetMs of [-86_400_000, 86_400_000]) {
      const world = testWorld({ seed: 1 });
      const holder = await acquired(world, leaseOn(proven(world.node("h"))));
      const store = proven(world.node("a", { wallOffsetMs }));
      contending(leaseOn(store));
      await world.advance(300_000);
      expect(holder.tenancy.isHeld()).toBe(true);
      expect(store.calls.every((c) => c.kind === "get")).toBe(true);
    }
  });

  it("is off where the probe found the times unfit: then it is watched for W", async () => {
    const world = testWorld({ seed: 1 });
    put(world);
    await world.advance(60_000);
    const store = tap(world.node("a").store, { verdict: () => Promise.resolve({ ...goodVerdict, storeTime: false }) });
    const { lease } = await acquired(world, leaseOn(store));
    expect(world.nowMs).toBeGreaterThan(60_000 + WATCH - 1);
    expect(lease.counters.snapshot()).toMatchObject({ takeoversByStoreTime: 0, takeoversByObservation: 1 });
  });

  it("`store-time` on a store with unfit times is refused, not waited for without end", async () => {
    const world = testWorld({ seed: 1 });
    put(world);
    const store = tap(world.node("a").store, { verdict: () => Promise.resolve({ ...goodVerdict, storeTime: false }) });
    const { done } = contending(leaseOn(store, { takeover: "store-time" }));
    await expect(world.until(done)).rejects.toBeInstanceOf(StoreUnsafeError);
  });

  it("`store-time` takes again what another of this process gave up", async () => {
    const world = testWorld({ seed: 1 });
    const store = proven(world.node("a"));
    const one = await acquired(world, leaseOn(store));
    one.tenancy.endBelief("stopped");
    const { done } = contending(leaseOn(store, { takeover: "store-time" }));
    await world.until(done, 60_000);
    expect(recordIn(world).fencingToken).toBe(2);
  });

  it("the skew of the probe's verdict counts", async () => {
    const times: number[] = [];
    for (const skewMs of [0, 9_000]) {
      const world = testWorld({ seed: 1, profile: { skewMs: 0 } });
      put(world);
      const store = tap(world.node("a").store, { verdict: () => Promise.resolve({ ...goodVerdict, skewMs }) });
      await acquired(world, leaseOn(store, { takeover: "store-time", pollMs: 100 }));
      times.push(world.nowMs);
    }
    expect(times[0]).toBeGreaterThanOrEqual(16_000);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(8_000);
  });
});
