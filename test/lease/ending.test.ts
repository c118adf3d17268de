import { describe, expect, it } from "vitest";
import { LeaseEndedError } from "../../src/errors.ts";
import { encodeRecord, MAX_LEAN_RECORD_BYTES } from "../../src/record/codec.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { acquired, leaseOn, LIFE, noAnswer, operatorWrites, recordIn, tap } from "./harness.ts";
import { at, deadline, endOf, expectNear, holding } from "./holding.ts";
import { KEY, someRecord } from "./records.ts";

describe("release (rule H7)", () => {
  it("one PUT that keeps the token; belief is over before it is sent", async () => {
    const h = await holding();
    let heldWhenSent: boolean | undefined;
    h.store.taps.write = (send) => {
      heldWhenSent = h.tenancy.isHeld() || !h.tenancy.signal.aborted;
      return send();
    };
    expect(await h.world.until(h.tenancy.release())).toBe("released");
    expect(heldWhenSent).toBe(false);
    expect(h.store.sent()).toEqual(["replace"]);
    expect(recordIn(h.world)).toMatchObject({ state: "released", endedBy: "self", fencingToken: 1, version: 2 });
    expect(await h.tenancy.ended).toMatchObject({ code: "LEASE_ENDED", reason: "released" });
    expect(h.lease.counters.snapshot()).toMatchObject({ acquired: 1, released: 1, lost: 0 });
    expect(h.node.timers + h.node.inFlight).toBe(0);
  });

  it("never deletes (rule R3), and the next acquisition has a higher token (rule R2)", async () => {
    const h = await holding();
    await h.world.until(h.tenancy.release());
    const again = await acquired(h.world, h.lease);
    expect(again.tenancy.fencingToken).toBe(2);
    expect(recordIn(h.world)).toMatchObject({ fencingToken: 2, version: 3 });
    expect(h.node.store.stats()["delete"]).toBeUndefined();
  });

  it("a second call says so, and sends nothing", async () => {
    const h = await holding();
    const [one, two] = await h.world.until(Promise.all([h.tenancy.release(), h.tenancy.release()]));
    expect([one, two]).toEqual(["released", "already-released"]);
    expect(h.store.sent()).toEqual(["replace"]);
  });

  it("of a lost lease sends nothing", async () => {
    const h = await holding();
    h.node.faults({ kind: "lose-request", times: Infinity });
    await at(h, LIFE + 10);
    h.store.sent();
    expect(await h.world.until(h.tenancy.release())).toBe("not-mine");
    expect(h.store.sent()).toEqual([]);
  });

  it("a record that is not mine any more is not touched", async () => {
    const h = await holding();
    operatorWrites(h.world, { holder: "z", instance: "other", holderNonce: "o", fencingToken: 2 });
    const theirs = h.world.peek(KEY);
    expect(await h.world.until(h.tenancy.release())).toBe("not-mine");
    expect(h.world.peek(KEY)).toEqual(theirs);
    expect(await h.tenancy.ended).toBeInstanceOf(LeaseEndedError);
  });

  it("a lost reply is resolved: released", async () => {
    const h = await holding();
    h.node.faults({ kind: "lose-reply", on: "put" });
    expect(await h.world.until(h.tenancy.release())).toBe("released");
    expect(recordIn(h.world)).toMatchObject({ state: "released", version: 2 });
  });

  it("a renewal under way is overtaken by it, wherever it lands", async () => {
    for (const kind of ["slow-request", "slow-reply", "lose-reply"] as const) {
      const h = await holding();
      await at(h, 4_990);
      h.node.faults({ kind, on: "put", ms: 800 });
      await at(h, 5_100);
      expect(h.store.sent()).toEqual(["replace"]);
      expect(await h.world.until(h.tenancy.release()), kind).toBe("released");
      await h.world.advance(30_000);
      expect(recordIn(h.world), kind).toMatchObject({ state: "released", fencingToken: 1 });
    }
  });

  it("goes on from an operator's flag", async () => {
    const h = await holding();
    operatorWrites(h.world, { flag: { kind: "revoke" } });
    expect(await h.world.until(h.tenancy.release())).toBe("released");
    expect(recordIn(h.world)).toMatchObject({ state: "released" });
    expect(recordIn(h.world).flag).toBeUndefined();
  });

  it("into a black hole is `unknown`, in bounded time", async () => {
    const h = await holding();
    h.node.faults({ kind: "lose-request", times: Infinity });
    const before = h.world.nowMs;
    expect(await h.world.until(h.tenancy.release())).toBe("unknown");
    expect(h.world.nowMs - before).toBeLessThan(10_000);
    expect(h.node.timers + h.node.inFlight).toBe(0);
  });

  it("never rejects, even when the record has no room for it", async () => {
    const world = testWorld({ seed: 1 });
    const probe = someRecord({ extra: { x: "" }, state: "released", nonce: "0".repeat(32), instance: "0".repeat(32) });
    const room = MAX_LEAN_RECORD_BYTES - encodeRecord(KEY, probe).length;
    world.overwrite(KEY, encodeRecord(KEY, { ...probe, extra: { x: "x".repeat(room - 40) } }));
    const { tenancy } = await acquired(world, leaseOn(tap(world.node("a").store)));
    const fields = { reservedFor: "n".repeat(250), reserveMs: 1_000 };
    expect(await world.until(tenancy.release("stepped-down", fields))).toBe("unknown");
    expect(tenancy.isHeld()).toBe(false);
  });

  it("keeps what a later version put into the record (rule R4)", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, encodeRecord(KEY, someRecord({ state: "released", extra: { later: { a: [1] } } })));
    const { tenancy } = await acquired(world, leaseOn(tap(world.node("a").store)));
    expect(recordIn(world).extra).toEqual({ later: { a: [1] } });
    await world.advance(6_000);
    expect(recordIn(world).extra).toEqual({ later: { a: [1] } });
    await world.until(tenancy.release());
    expect(recordIn(world)).toMatchObject({ state: "released", extra: { later: { a: [1] } } });
  });
});

describe("what the record keeps for its face", () => {
  it("is written by the acquisition, the next renewal and the release, and stays where nobody writes another", async () => {
    const world = testWorld({ seed: 1 });
    const { tenancy } = await acquired(world, leaseOn(tap(world.node("a").store)), { payload: { step: 1 } });
    expect(recordIn(world).payload).toEqual({ step: 1 });
    tenancy.payload = { step: 2 };
    expect(recordIn(world).payload).toEqual({ step: 1 });
    await world.advance(6_000);
    expect(recordIn(world)).toMatchObject({ state: "held", payload: { step: 2 } });
    tenancy.payload = { step: 3 };
    await world.until(tenancy.release());
    expect(recordIn(world)).toMatchObject({ state: "released", payload: { step: 3 } });
    const next = await acquired(world, leaseOn(tap(world.node("b").store)));
    expect(recordIn(world)).toMatchObject({ state: "held", holder: "a", fencingToken: 2, payload: { step: 3 } });
    await world.until(next.tenancy.release());
    expect(recordIn(world).payload).toEqual({ step: 3 });
  });
});

describe("a lease that does not renew itself", () => {
  it("ends at its first deadline, by one write and one timer", async () => {
    const world = testWorld({ seed: 1 });
    const store = tap(world.node("a").store);
    const { tenancy } = await acquired(world, leaseOn(store, { renews: false }));
    store.sent();
    await world.advance(LIFE - 100);
    expect(tenancy.isHeld()).toBe(true);
    await world.advance(200);
    expect(tenancy.signal.reason).toMatchObject({ code: "LEASE_LOST", reason: "expired" });
    expect(store.sent()).toEqual([]);
    expect(world.node("a").timers).toBe(0);
  });
});

describe("asked to stop (rule H7)", () => {
  it("the signal aborts, and the lease stays held and renewed while the work goes on", async () => {
    const h = await holding();
    h.tenancy.askToStop("stopped");
    expect(h.tenancy.signal.aborted).toBe(true);
    expect(h.tenancy.signal.reason).toMatchObject({ code: "LEASE_ENDED", reason: "stopped" });
    await at(h, 60_000);
    expect(h.tenancy.isHeld()).toBe(true);
    expect(recordIn(h.world)).toMatchObject({ state: "held", version: 12 });
    expect(await h.world.until(h.tenancy.release("stopped"))).toBe("released");
  });

  it("how it ended is one object: what the signal says, and what `ended` and `assertHeld` say", async () => {
    const h = await holding();
    h.tenancy.askToStop("stepped-down");
    h.tenancy.endBelief("stopped");
    expect(await h.tenancy.ended).toBe(h.tenancy.signal.reason);
    expect(() => h.tenancy.assertHeld()).toThrow(h.tenancy.signal.reason);
  });

  it("lost while the work is stopping: that is what is told", async () => {
    const h = await holding();
    h.tenancy.askToStop("stopped");
    h.node.faults({ kind: "lose-request", times: Infinity });
    expect(await endOf(h)).toMatchObject({ code: "LEASE_LOST", reason: "expired" });
    expect(h.tenancy.signal.reason).toMatchObject({ code: "LEASE_ENDED" });
  });
});

describe("who hears of the end, and in which order (invariant I5)", () => {
  it("the signal's listeners first, then whoever awaits the end, each once", async () => {
    const h = await holding();
    const order: string[] = [];
    h.tenancy.signal.addEventListener("abort", () => order.push(`signal, held ${h.tenancy.isHeld()}`));
    void h.tenancy.ended.then(() => order.push("ended"));
    h.tenancy.endBelief("stopped");
    h.tenancy.endBelief("released");
    await h.world.advance(1);
    expect(order).toEqual(["signal, held false", "ended"]);
  });
});

describe("verify", () => {
  it("one GET that extends nothing", async () => {
    const h = await holding();
    await at(h, 4_000);
    const before = deadline(h);
    await h.world.until(h.tenancy.verify());
    expect(h.store.sent()).toEqual(["get"]);
    expectNear(deadline(h), before);
  });

  it("says when the store names another, and ends belief on the spot", async () => {
    const h = await holding();
    operatorWrites(h.world, { holder: "z", instance: "other", holderNonce: "o", fencingToken: 2 });
    await expect(h.world.until(h.tenancy.verify())).rejects.toMatchObject({ reason: "overtaken" });
    expect(h.tenancy.isHeld()).toBe(false);
  });

  it("a renewal that was applied and not yet answered is no loss, nor is a stale read or a flag", async () => {
    const h = await holding();
    await at(h, 4_990);
    h.node.faults({ kind: "slow-reply", on: "put", ms: 2_000 });
    await at(h, 5_500);
    expect(recordIn(h.world).version).toBe(2);
    await h.world.until(h.tenancy.verify());
    await at(h, 8_000);
    h.node.faults({ kind: "stale-read", on: "get" });
    await h.world.until(h.tenancy.verify());
    operatorWrites(h.world, { flag: { kind: "asked" } });
    await h.world.until(h.tenancy.verify());
    expect(h.tenancy.isHeld()).toBe(true);
  });

  it("a store that does not answer is no loss, and said so", async () => {
    const h = await holding();
    h.store.taps.read = () => Promise.resolve(noAnswer);
    await expect(h.world.until(h.tenancy.verify())).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(h.tenancy.isHeld()).toBe(true);
  });

  it("gives up with the reason of the signal that was passed", async () => {
    const h = await holding();
    const stop = new AbortController();
    h.node.faults({ kind: "lose-request", on: "get" });
    const asked = h.tenancy.verify({ signal: stop.signal });
    asked.catch(() => {});
    await h.world.advance(10);
    stop.abort("enough");
    await expect(h.world.until(asked)).rejects.toBe("enough");
    await expect(h.tenancy.verify({ signal: stop.signal })).rejects.toBe("enough");
  });

  it("of an ended lease asks nobody", async () => {
    const h = await holding();
    await h.world.until(h.tenancy.release());
    h.store.sent();
    await expect(h.tenancy.verify()).rejects.toMatchObject({ code: "LEASE_ENDED" });
    expect(h.store.sent()).toEqual([]);
  });

  it("a clock that ran out during the read is told before the read", async () => {
    const h = await holding();
    h.store.taps.read = async (send) => {
      const answer = await send();
      h.node.stepWallClock(60_000);
      return answer;
    };
    await expect(h.world.until(h.tenancy.verify())).rejects.toMatchObject({ reason: "frozen" });
  });
});
