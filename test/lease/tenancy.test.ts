import { describe, expect, it } from "vitest";
import { LeaseLostError } from "../../src/errors.ts";
import { encodeRecord, MAX_RECORD_BYTES } from "../../src/record/codec.ts";
import type { Tenancy } from "../../src/lease/tenancy.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { acquired, contending, deniedWrite, leaseOn, LIFE, missing, operatorWrites, recordIn, tap, unknown, when } from "./harness.ts";
import { at, deadline, endOf, expectNear, holding } from "./holding.ts";
import { jsonBody, KEY, someRecord } from "./records.ts";

describe("the deadline (rule H1)", () => {
  it("counts from before the first send, however late the reply", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    node.faults({ kind: "slow-reply", on: "put", times: 9, ms: 3_000 });
    const store = tap(node.store, { verdict: () => Promise.resolve({ storeTime: true, skewMs: 1_000, remarks: [] }) });
    const { tenancy } = await acquired(world, leaseOn(store));
    const sent = store.calls.find((c) => c.kind === "create")?.sentMs ?? 0;
    expect(node.clock.monotonicMs() - sent).toBeGreaterThan(3_000);
    expectNear(node.clock.monotonicMs() - sent + tenancy.remainingMs, LIFE);
  });

  it("a renewal counts from before its first send, too", async () => {
    const h = await holding();
    h.node.faults({ kind: "slow-reply", on: "put", ms: 2_000 });
    await at(h, 8_000);
    const sent = (h.store.calls.at(-1)?.sentMs ?? 0) - h.sentMs;
    expectNear(sent, 5_000);
    expectNear(deadline(h), sent + LIFE);
  });

  it.each(["lose-request", "lose-reply"] as const)(
    "a retried renewal (%s) counts from its first send, not from the retry",
    async (kind) => {
      const h = await holding();
      h.node.faults({ kind, on: "put" });
      await at(h, 9_900);
      const [first, second] = h.store.calls.slice(-3).filter((c) => c.kind === "replace");
      expect((second?.sentMs ?? 0) - (first?.sentMs ?? 0)).toBeGreaterThan(3_000);
      expect(second?.record?.nonce).toBe(first?.record?.nonce);
      expectNear(deadline(h), (first?.sentMs ?? 0) - h.sentMs + LIFE);
    },
  );

  it("a renewal that is not known to be applied extends nothing", async () => {
    const h = await holding();
    h.node.faults({ kind: "lose-reply", on: "put", times: Infinity });
    h.node.faults({ kind: "lose-reply", on: "get", times: Infinity });
    await at(h, 13_000);
    expect(recordIn(h.world).version).toBe(2);
    expectNear(deadline(h), LIFE);
    expect((await endOf(h)).reason).toBe("expired");
  });
});

describe("both clocks decide (rule H2)", () => {
  it("the wall clock past the deadline ends it at the next look", async () => {
    const h = await holding();
    h.node.stepWallClock(LIFE + 1);
    expect(h.tenancy.isHeld()).toBe(false);
    expect(await endOf(h)).toMatchObject({ code: "LEASE_LOST", reason: "frozen" });
    expect(h.lease.counters.snapshot()).toMatchObject({ lost: 1, clockAnomalies: 1 });
  });

  it("the monotonic clock past the deadline ends it, wherever the wall clock went", async () => {
    const h = await holding();
    h.node.faults({ kind: "lose-request", times: Infinity });
    h.node.stepWallClock(-3_600_000);
    await at(h, LIFE - 5);
    expect(h.tenancy.isHeld()).toBe(true);
    await at(h, LIFE + 2);
    expect(h.tenancy.isHeld()).toBe(false);
  });

  it("nobody has to look: a step of the wall clock is found out at the next renewal at the latest", async () => {
    const h = await holding();
    h.node.stepWallClock(600_000);
    await at(h, 5_010);
    expect(h.tenancy.signal.aborted).toBe(true);
    expect(h.store.sent()).toEqual([]);
  });

  it("a step that leaves time is counted and no more", async () => {
    const h = await holding();
    h.node.stepWallClock(4_000);
    await at(h, 60_000);
    expect(h.tenancy.isHeld()).toBe(true);
    expect(h.lease.counters.snapshot()).toMatchObject({ lost: 0, clockAnomalies: 1 });
    h.node.stepWallClock(-600_000);
    await at(h, 120_000);
    expect(h.tenancy.isHeld()).toBe(true);
    expect(h.lease.counters.snapshot()).toMatchObject({ lost: 0, clockAnomalies: 2 });
  });
});

describe("the end at the deadline (rule H3)", () => {
  it("a timer ends it while a request hangs: signal with its reason, once", async () => {
    const h = await holding();
    let aborts = 0;
    h.tenancy.signal.addEventListener("abort", () => aborts++);
    h.store.taps.write = () => new Promise(() => {});
    await at(h, LIFE - 5);
    expect(aborts).toBe(0);
    await at(h, LIFE + 5);
    expect(aborts).toBe(1);
    expect(h.tenancy.signal.reason).toMatchObject({ code: "LEASE_LOST", reason: "expired", key: KEY });
    await at(h, 100_000);
    expect(aborts).toBe(1);
    expect(h.lease.counters.snapshot()).toMatchObject({ acquired: 1, lost: 1, released: 0 });
  });

  it("not a renewal's interval later: the deadline has a timer of its own", async () => {
    const h = await holding();
    h.node.faults({ kind: "lose-request", times: Infinity });
    const began = h.world.nowMs - (h.node.clock.monotonicMs() - h.sentMs);
    const ended = await when(h.world, () => h.tenancy.lost, 60_000);
    expect(ended - began).toBeGreaterThanOrEqual(LIFE - 2);
    expect(ended - began).toBeLessThan(LIFE + 20);
  });

  it("the clock comes before the answer: a renewal answered while the process was stopped past its deadline counts for nothing", async () => {
    const h = await holding();
    await at(h, 4_999);
    h.node.faults({ kind: "slow-reply", on: "put", ms: 1_000 });
    await at(h, 5_100);
    expect(h.store.sent()).toEqual(["replace"]);
    // Applied in the store long before; the answer waits and runs first, before the timer that is due.
    h.node.pause(9_000, "answers-first");
    await at(h, 14_100 + 10);
    expect(recordIn(h.world).version).toBe(2);
    expect(h.tenancy.isHeld()).toBe(false);
    expect(h.lease.counters.snapshot()).toMatchObject({ renewals: 0, lost: 1 });
  });

  it("an ended tenancy never revives, even if its renewal was applied after all", async () => {
    const h = await holding();
    h.node.faults({ kind: "lose-request", times: Infinity });
    await at(h, 13_000);
    // The last attempt lands late, while nobody else has come.
    h.node.faults({ kind: "late", on: "put", ms: 3_000, times: Infinity });
    await when(h.world, () => h.tenancy.lost);
    for (let i = 0; i < 60; i++) {
      await h.world.advance(500);
      expect(h.tenancy.isHeld()).toBe(false);
      expect(h.tenancy.remainingMs).toBe(0);
      expect(() => h.tenancy.assertHeld()).toThrow(LeaseLostError);
    }
    expect(recordIn(h.world).fencingToken).toBe(1);
  });

  it("nothing is left behind: no timer, no request", async () => {
    const h = await holding();
    h.node.faults({ kind: "lose-request", times: Infinity });
    await at(h, LIFE + 10);
    expect(h.node.timers + h.node.inFlight).toBe(0);
  });
});

describe("the first look after a stop (rule H5)", () => {
  it.each(["freeze", "pause"] as const)("%s: every way to ask says no, before any timer has run", async (kind) => {
    for (const ask of [
      (t: Tenancy) => !t.signal.aborted,
      (t: Tenancy) => t.isHeld(),
      (t: Tenancy) => t.remainingMs > 0,
      (t: Tenancy) => {
        try {
          t.assertHeld();
          return true;
        } catch (e) {
          expect(e).toMatchObject({ code: "LEASE_LOST", reason: "frozen" });
          return false;
        }
      },
      (t: Tenancy) => {
        try {
          t.signal.throwIfAborted();
          return true;
        } catch (e) {
          expect(e).toMatchObject({ code: "LEASE_LOST", reason: "frozen" });
          return false;
        }
      },
    ]) {
      const h = await holding();
      await at(h, 1_000);
      expect(ask(h.tenancy)).toBe(true);
      h.node[kind](40_000);
      // Woken, and nothing of its own has run yet.
      await at(h, kind === "freeze" ? 1_000 : 40_999.9);
      await h.world.advance(kind === "freeze" ? 39_999.9 : 0);
      expect(ask(h.tenancy)).toBe(false);
    }
  });

  it("the loss names what happened, and is counted once", async () => {
    const h = await holding();
    h.node.freeze(40_000);
    await h.world.advance(41_000);
    expect(h.tenancy.isHeld()).toBe(false);
    expect((await endOf(h)).message).toMatch(/suspended/);
    expect(h.lease.counters.snapshot()).toMatchObject({ lost: 1, clockAnomalies: 1, overtakenWhileValid: 0 });
  });

  it("a short stop costs nothing", async () => {
    const h = await holding();
    await at(h, 1_000);
    h.node.freeze(5_000);
    await h.world.advance(60_000);
    expect(h.tenancy.isHeld()).toBe(true);
  });
});

describe("renewals (rule H4)", () => {
  it("a hundred cost a hundred PUTs and nothing else, each a third of the ttl after the one before", async () => {
    const h = await holding();
    await at(h, 100 * 5_000 + 2_500);
    expect(h.store.sent()).toEqual(Array.from({ length: 100 }, () => "replace"));
    expect(h.lease.counters.snapshot()).toMatchObject({ renewals: 100, renewalsFailed: 0, resolvedMine: 0 });
    const record = recordIn(h.world);
    expect(record).toMatchObject({ fencingToken: 1, version: 101, state: "held" });
    expect(new Set(h.store.calls.map((c) => c.record?.nonce)).size).toBe(h.store.calls.length);
  });

  it("an outage is outlived up to the deadline, at a pace", async () => {
    const h = await holding();
    const back = h.node.faults({ kind: "error-500", times: Infinity });
    await at(h, 12_500);
    expect(h.tenancy.isHeld()).toBe(true);
    expect(h.tenancy.trouble).toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(h.failures.length).toBeGreaterThan(3);
    expect(h.store.sent().length).toBeLessThan(60);
    back();
    await at(h, 60_000);
    expect(h.tenancy.isHeld()).toBe(true);
    expect(h.tenancy.trouble).toBeUndefined();
    expect(h.tenancy.fencingToken).toBe(1);
  });

  it("what the store denies is told and tried again until the deadline", async () => {
    const h = await holding();
    h.store.taps.write = () => Promise.resolve(deniedWrite);
    await at(h, 10_000);
    expect(h.failures[0]?.error.code).toBe("STORE_ACCESS");
    h.store.taps.write = undefined;
    await at(h, 60_000);
    expect(h.tenancy.isHeld()).toBe(true);
  });

  it("a holder that was denied for long still knows its own record under a flag", async () => {
    const world = testWorld({ seed: 1 });
    const store = tap(world.node("a").store);
    const timing = { ttlMs: 600_000, marginMs: 60_000, renewEveryMs: 200_000, requestTimeoutMs: 5_000 };
    const { tenancy, flags } = await acquired(world, leaseOn(store, { timing }));
    store.taps.write = () => Promise.resolve(deniedWrite);
    await world.advance(400_000);
    expect(store.calls.length).toBeGreaterThan(100);
    operatorWrites(world, { flag: { kind: "asked" } });
    store.taps.write = undefined;
    await world.advance(60_000);
    expect(tenancy.isHeld()).toBe(true);
    expect(flags).toEqual([{ kind: "asked" }]);
  });

  it("the request that hangs is given up in time for another", async () => {
    const h = await holding();
    h.node.faults({ kind: "lose-request", on: "put", times: 1 });
    await at(h, 9_500);
    expect(h.store.sent().length).toBeGreaterThanOrEqual(2);
    expect(deadline(h)).toBeGreaterThan(LIFE + 4_000);
  });
});

describe("a refusal that is not mine", () => {
  it("overtaken: ends at once, with the other's name and token, and is counted for invariant I7", async () => {
    const h = await holding();
    operatorWrites(h.world, { holder: "z", instance: "other", holderNonce: "o", fencingToken: 2 });
    await at(h, 5_100);
    const end = await endOf(h);
    expect(end).toMatchObject({ code: "LEASE_LOST", reason: "overtaken" });
    expect(end.message).toContain("z acquired it with fencing token 2");
    expect(h.lease.counters.snapshot()).toMatchObject({ overtakenWhileValid: 1, lost: 1 });
  });

  it.each([
    ["deleted", undefined],
    ["replaced", jsonBody({ hello: "world" })],
    ["replaced", jsonBody({ format: 3 })],
    ["replaced", new TextEncoder().encode("x".repeat(MAX_RECORD_BYTES + 1))],
    ["replaced", encodeRecord(KEY, someRecord({ state: "released", fencingToken: 1, version: 9 }))],
  ])("%s: ends at once, and what is there is left alone", async (reason, body) => {
    const h = await holding();
    h.world.overwrite(KEY, body);
    await at(h, 5_200);
    expect(await endOf(h)).toMatchObject({ code: "LEASE_LOST", reason });
    await h.world.advance(60_000);
    expect(h.world.peek(KEY)).toEqual(body);
  });

  it("rolled back to an older version: unresolved until the deadline, then lost; nothing is overwritten (rule W7)", async () => {
    const h = await holding();
    await at(h, 11_000);
    const older = h.world.peek(KEY);
    await at(h, 16_000);
    h.world.overwrite(KEY, older);
    await at(h, 21_000);
    expect(h.tenancy.isHeld()).toBe(true);
    await at(h, 15_000 + LIFE + 100);
    expect(await endOf(h)).toMatchObject({ code: "LEASE_LOST", reason: "expired" });
    expect(h.world.peek(KEY)).toEqual(older);
    expect(h.lease.counters.snapshot().staleReads).toBeGreaterThan(0);
  });

  it("rolled back to a lower token: the same, and the loss says so (rule H10)", async () => {
    const h = await holding();
    h.world.overwrite(KEY, encodeRecord(KEY, someRecord({ state: "released", fencingToken: 1, version: 1 })));
    const again = await acquired(h.world, leaseOn(tap(h.world.node("b").store)));
    await h.world.advance(1_000);
    h.world.overwrite(KEY, encodeRecord(KEY, someRecord({ state: "released", fencingToken: 1, version: 1 })));
    await h.world.advance(LIFE - 1_100);
    expect(again.tenancy.isHeld()).toBe(true);
    expect(await h.world.until(again.tenancy.ended)).toMatchObject({ code: "LEASE_LOST", reason: "token-regression" });
    expect(recordIn(h.world)).toMatchObject({ fencingToken: 1, version: 1 });
  });

  it("404 to the right ETag while reads show the record: held until the deadline, and never created anew (rule W6)", async () => {
    const h = await holding();
    h.store.taps.write = () => Promise.resolve(missing);
    await at(h, LIFE - 50);
    expect(h.tenancy.isHeld()).toBe(true);
    await at(h, LIFE + 50);
    expect(h.tenancy.isHeld()).toBe(false);
    expect(h.store.sent().filter((k) => k === "create")).toEqual([]);
  });
});

describe("an operator's flag (rules O1, H4)", () => {
  it("is no loss: the tenancy goes on from the new ETag, hears of it once, and takes it away with its next renewal", async () => {
    const h = await holding();
    await at(h, 6_000);
    operatorWrites(h.world, { flag: { kind: "step-down", to: "b" } });
    await at(h, 10_500);
    expect(h.flags).toEqual([{ kind: "step-down", to: "b" }]);
    expect(h.store.sent()).toEqual(["replace", "replace", "get", "replace"]);
    expect(recordIn(h.world)).toMatchObject({ fencingToken: 1, state: "held" });
    expect(recordIn(h.world).flag).toBeUndefined();
    await at(h, 60_000);
    expect(h.flags).toHaveLength(1);
    expect(h.tenancy.isHeld()).toBe(true);
  });

  it("a flag over a renewal that was lost extends nothing: the deadline counts from the write that is proven", async () => {
    const h = await holding();
    // The renewal at 5 s never arrives; the flag lies over the acquisition.
    h.node.faults({ kind: "lose-request", on: "put" });
    await at(h, 6_000);
    operatorWrites(h.world, { flag: { kind: "asked" } });
    // After the look that shows the flag nothing is answered any more.
    h.store.taps.read = async (send) => {
      const answer = await send();
      h.store.taps.write = () => Promise.resolve(unknown);
      return answer;
    };
    await at(h, 12_000);
    expect(h.flags).toHaveLength(1);
    expectNear(deadline(h), LIFE);
    await at(h, LIFE + 5);
    expect(h.tenancy.lost).toBe(true);
  });

  it("a flag over a renewal whose reply was lost proves that renewal: the deadline counts from its first send", async () => {
    const h = await holding();
    h.node.faults({ kind: "lose-reply", on: "put" });
    await at(h, 6_000);
    operatorWrites(h.world, { flag: { kind: "asked" } });
    h.store.taps.read = async (send) => {
      const answer = await send();
      h.store.taps.write = () => Promise.resolve(unknown);
      return answer;
    };
    await at(h, 12_000);
    const renewal = h.store.calls.find((c) => c.sentMs > h.sentMs + 1_000)?.sentMs ?? 0;
    expectNear(deadline(h), renewal - h.sentMs + LIFE);
    expect(h.lease.counters.snapshot()).toMatchObject({ resolvedMine: 1 });
  });

  it("my instance and token with a nonce that I never wrote is a clone of me, and a loss (rules H4, H9)", async () => {
    const h = await holding();
    operatorWrites(h.world, { holderNonce: "the clone's own" });
    await at(h, 5_200);
    expect(await endOf(h)).toMatchObject({ reason: "replaced" });
  });

  it("a flag that is there before the acquisition is known to be applied is heard, too", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const store = tap(node.store, { verdict: () => Promise.resolve({ storeTime: true, skewMs: 1_000, remarks: [] }) });
    node.faults({ kind: "lose-reply", on: "put" });
    const attempt = contending(leaseOn(store));
    await when(world, () => world.peek(KEY) !== undefined);
    operatorWrites(world, { flag: { kind: "revoke" } });
    const tenancy = await world.until(attempt.done);
    expect(tenancy?.isHeld()).toBe(true);
    await world.advance(10);
    expect(attempt.flags).toEqual([{ kind: "revoke" }]);
  });
});
