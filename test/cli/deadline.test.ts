/** When a command is told to end and when it is killed: pure, on two clocks. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decide, defaultGraceMs, hostDeadline, hostNow, type Watch } from "../../src/cli/child/deadline.ts";
import { statusOf } from "../../src/cli/child/outcome.ts";
import { constants } from "node:os";

const at = (monotonicMs: number, wallMs = monotonicMs + 1e12) => ({ monotonicMs, wallMs });
const watch = (more: Partial<Watch> = {}): Watch => ({ deadline: at(10_000), graceMs: 2_000, stopSince: undefined, ...more });

describe("a command's time", () => {
  it.each([
    ["far from the deadline it runs", {}, at(3_000), { kind: "run", inMs: 5_000 }],
    ["a grace before it is told to end", {}, at(8_000), { kind: "term", inMs: 2_000 }],
    ["at the deadline it is killed", {}, at(10_000), { kind: "kill" }],
    ["the wall clock alone is enough: a machine that was suspended", {}, at(3_000, 1e12 + 10_000), { kind: "kill" }],
    ["and so is the monotonic one: a wall clock that was set back", {}, at(10_000, 1e12), { kind: "kill" }],
    ["the nearer clock says when to look again", {}, at(3_000, 1e12 + 7_000), { kind: "run", inMs: 1_000 }],
    ["told to stop it has the grace", { stopSince: at(3_000) }, at(3_500), { kind: "term", inMs: 1_500 }],
    ["and no more", { stopSince: at(3_000) }, at(5_000), { kind: "kill" }],
    ["told to stop near the deadline it has what is left", { stopSince: at(9_000) }, at(9_500), { kind: "term", inMs: 500 }],
    ["without grace it is killed at once", { stopSince: at(3_000), graceMs: 0 }, at(3_000), { kind: "kill" }],
  ])("%s", (_, more, now, verdict) => {
    expect(decide(watch(more), now)).toEqual(verdict);
  });

  it("never ends after the deadline of either clock, and is never told to look later than that", () => {
    const instants = fc.record({ monotonicMs: fc.integer({ min: 0, max: 20_000 }), wallMs: fc.integer({ min: 0, max: 20_000 }) });
    fc.assert(
      fc.property(
        instants,
        instants,
        fc.option(instants, { nil: undefined }),
        fc.integer({ min: 0, max: 5_000 }),
        (deadline, now, stopSince, graceMs) => {
          const verdict = decide({ deadline, graceMs, stopSince }, now);
          const leftMs = Math.min(deadline.monotonicMs - now.monotonicMs, deadline.wallMs - now.wallMs);
          if (leftMs <= 0) expect(verdict.kind).toBe("kill");
          else if (verdict.kind !== "kill") {
            expect(verdict.inMs).toBeGreaterThan(0);
            expect(verdict.inMs).toBeLessThanOrEqual(leftMs);
          }
        },
      ),
    );
  });

  it("the deadline is an instant of the machine, not of a process, and no later than the lease's", () => {
    const before = hostNow();
    const deadline = hostDeadline({ remainingMs: 1_000 });
    const after = hostNow();
    expect(deadline.monotonicMs).toBeGreaterThanOrEqual(before.monotonicMs + 1_000);
    expect(deadline.monotonicMs).toBeLessThanOrEqual(after.monotonicMs + 1_000);
    expect(before.monotonicMs).toBeCloseTo(Number(process.hrtime.bigint()) / 1e6, -3);
  });

  it("the clocks are read before the lease is asked: a pause in between makes the deadline earlier, never later", () => {
    const before = hostNow();
    const slow = {
      get remainingMs() {
        const until = performance.now() + 50;
        while (performance.now() < until);
        return 1_000;
      },
    };
    const deadline = hostDeadline(slow);
    expect(deadline.monotonicMs).toBeLessThan(before.monotonicMs + 1_000 + 40);
    expect(deadline.wallMs).toBeLessThan(before.wallMs + 1_000 + 40);
  });

  it("the grace is five seconds, or a sixth of a short ttl", () => {
    expect([60_000, 30_000, 15_000, 3_000].map(defaultGraceMs)).toEqual([5_000, 5_000, 2_500, 500]);
  });
});

describe("the command's end as our status", () => {
  it.each([0, 1, 2, 42, 64, 75, 76, 255])("%d stays what it is", (code) => {
    expect(statusOf({ code, signal: null })).toBe(code);
  });

  it.each(Object.entries(constants.signals))("%s is 128 + %d", (signal, number) => {
    expect(statusOf({ code: null, signal: signal as NodeJS.Signals })).toBe(128 + number);
  });
});
