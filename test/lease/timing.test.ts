import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CLOCK_RATE_ERROR,
  defaultMarginMs,
  defaultPollMs,
  deriveTiming,
  driftMarginMs,
  lifetimeMs,
  MAX_TTL_MS,
  MIN_TTL_MS,
  storeAgeMs,
  watchMs,
} from "../../src/lease/timing.ts";

const rho = CLOCK_RATE_ERROR;
const ttlMs = fc.oneof(fc.integer({ min: MIN_TTL_MS, max: 60_000 }), fc.double({ min: MIN_TTL_MS, max: MAX_TTL_MS, noNaN: true }));

/** Every timing that is accepted, whatever was configured. */
const accepted = fc
  .record({
    ttlMs,
    marginPart: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
    timeoutPart: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
  })
  .map((o) =>
    deriveTiming({
      ttlMs: o.ttlMs,
      marginMs: o.marginPart === undefined ? undefined : o.marginPart * o.ttlMs,
      requestTimeoutMs: o.timeoutPart === undefined ? undefined : o.timeoutPart * o.ttlMs,
    }),
  )
  .filter(({ faults }) => faults.length === 0)
  .map(({ timing }) => timing);

describe("timing relations", () => {
  it("a ttl is from a tenth of a second to a day", () => {
    expect([MIN_TTL_MS, MAX_TTL_MS]).toEqual([100, 86_400_000]);
  });

  it("no two clocks within the drift bound overlap: W >= L(1+rho)/(1-rho), for every timing that is accepted", () => {
    fc.assert(
      fc.property(accepted, (t) => {
        expect(watchMs(t)).toBeGreaterThanOrEqual((lifetimeMs(t) * (1 + rho)) / (1 - rho));
        // The slowest holder's belief, in true time, ends before the fastest observer's wait does.
        expect(lifetimeMs(t) / (1 - rho)).toBeLessThanOrEqual(watchMs(t) / (1 + rho) + 1e-6);
      }),
    );
  });

  it("also for records that this version would not write itself", () => {
    fc.assert(
      fc.property(ttlMs, fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), (ttl, part) => {
        const t = { ttlMs: ttl, marginMs: ttl * part };
        expect(watchMs(t)).toBeGreaterThanOrEqual((lifetimeMs(t) * (1 + rho)) / (1 - rho));
        expect(watchMs(t)).toBeGreaterThanOrEqual(ttl);
        expect(driftMarginMs(t)).toBe(watchMs(t) - ttl);
      }),
    );
  });

  it("rule T1: X >= (ttl - margin)/(1-rho) + 1 s + s, and hardly more", () => {
    fc.assert(
      fc.property(accepted, fc.integer({ min: 0, max: 10_000 }), (t, skewMs) => {
        const bound = lifetimeMs(t) / (1 - rho) + 1_000 + skewMs;
        expect(storeAgeMs(t, skewMs)).toBeGreaterThanOrEqual(bound);
        expect(storeAgeMs(t, skewMs)).toBeLessThan(bound + 1.001);
      }),
    );
  });

  it("two whole requests fit between a renewal and the deadline, or one where the user chose longer ones", () => {
    fc.assert(
      fc.property(accepted, (t) => {
        expect(t.renewEveryMs).toBeLessThanOrEqual(t.ttlMs / 3);
        expect(t.requestTimeoutMs + t.marginMs).toBeLessThan(t.ttlMs - t.renewEveryMs);
        expect(t.marginMs).toBeGreaterThanOrEqual(t.ttlMs / 10);
      }),
    );
    fc.assert(
      fc.property(ttlMs, (ttl) => {
        const { timing, faults } = deriveTiming({ ttlMs: ttl });
        expect(faults).toEqual([]);
        expect(2 * timing.requestTimeoutMs).toBeLessThan(ttl - timing.renewEveryMs - timing.marginMs);
        expect(timing.requestTimeoutMs).toBeGreaterThanOrEqual(1);
        expect(defaultPollMs(ttl)).toBeLessThanOrEqual(ttl / 3);
      }),
    );
  });

  it.each([
    [{ ttlMs: 15_000, marginMs: 1_499 }, "marginMs 1499 is below a tenth of ttlMs 15000", "at least 1500"],
    [{ ttlMs: 15_000, marginMs: 10_000 }, "marginMs 10000 leaves no time", "ttlMs 15000"],
    [{ ttlMs: 15_000, requestTimeoutMs: 8_500 }, "requestTimeoutMs 8500", "ttlMs 15000"],
    [{ ttlMs: 15_000, marginMs: 5_000, requestTimeoutMs: 5_000 }, "marginMs 5000", "requestTimeoutMs below 5000"],
  ])("%j is refused in words that name both options and their values", (options, ...words) => {
    const { faults } = deriveTiming(options);
    expect(faults).toHaveLength(1);
    for (const word of words) expect(faults[0]).toContain(word);
  });

  it("takes the very bounds that its messages name", () => {
    expect(deriveTiming({ ttlMs: 15_000, marginMs: 1_500 }).faults).toEqual([]);
    expect(deriveTiming({ ttlMs: 15_000, requestTimeoutMs: 8_499 }).faults).toEqual([]);
    expect(deriveTiming({ ttlMs: 15_000, marginMs: 5_000, requestTimeoutMs: 4_999 }).faults).toEqual([]);
  });

  it("the defaults are what the documentation says", () => {
    expect(deriveTiming({ ttlMs: 15_000 }).timing).toEqual({
      ttlMs: 15_000,
      marginMs: 1_500,
      renewEveryMs: 5_000,
      requestTimeoutMs: 3_825,
    });
    expect(defaultMarginMs(5_000)).toBe(1_000);
    expect(defaultMarginMs(3_000)).toBe(600);
    expect(defaultPollMs(15_000)).toBe(5_000);
    expect(defaultPollMs(3_000)).toBe(1_000);
    expect(watchMs({ ttlMs: 15_000, marginMs: 1_500 })).toBe(16_500);
    expect(watchMs({ ttlMs: 15_000, marginMs: 0 })).toBe(18_334);
    expect(storeAgeMs({ ttlMs: 15_000, marginMs: 1_500 }, 1_000)).toBe(17_000);
  });
});
