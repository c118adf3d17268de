/** What holds for every expression, and croner's answers where its policy is ours: away from changes of the clocks. */
import { Cron } from "croner";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { open } from "./ticks-harness.ts";

const DAY = 86_400_000;

const field = (min: number, max: number): fc.Arbitrary<string> => {
  const value = fc.integer({ min, max });
  const range = fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
  const step = fc.integer({ min: 1, max: max - min + 1 }).map((n) => `*/${n}`);
  const item = fc.oneof(value.map(String), range, step);
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant("*") },
    { weight: 3, arbitrary: fc.array(item, { minLength: 1, maxLength: 3 }).map((all) => all.join(",")) },
  );
};

/** Days up to 28, so that every month has them; a step in a day field would be a matter of taste between the two. */
const day = fc.oneof(fc.constant("*"), fc.integer({ min: 1, max: 28 }).map(String), fc.constant("1,15,L"));
const weekday = fc.oneof(fc.constant("*"), fc.integer({ min: 0, max: 7 }).map(String), fc.constant("MON-FRI"), fc.constant("2,6"));
const cron = fc.tuple(field(0, 59), field(0, 59), field(0, 23), day, field(1, 12), weekday).map((fields) => fields.join(" "));
const instant = fc.integer({ min: Date.UTC(2024, 0, 1), max: Date.UTC(2030, 11, 31) });
const zone = fc.constantFrom("UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca");

describe("for every expression, zone and policy", () => {
  const policy = fc.record({ gap: fc.constantFrom("after", "skip"), repeat: fc.constantFrom("first", "both") });

  it("ticks rise; an answer is true from the tick before it on; previous undoes next; between leaves none out", async () => {
    await fc.assert(
      fc.asyncProperty(
        cron,
        zone,
        policy,
        instant,
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (expression, timeZone, clockChange, from, part) => {
          const times = { cron: expression, timeZone, clockChange };
          const schedule = await open(times);
          const ticks = schedule.between(from, Number.POSITIVE_INFINITY, 4);
          expect(ticks).toHaveLength(4);
          for (const [i, tick] of ticks.entries()) {
            const before = ticks[i - 1] ?? from;
            expect(tick).toBeGreaterThan(before);
            const fresh = await open(times);
            expect(fresh.next(before + Math.floor((tick - 1 - before) * part))).toBe(tick);
            expect(fresh.next(tick - 1)).toBe(tick);
            if (i > 0) expect([schedule.previous(tick), schedule.previous(before + 1)]).toEqual([before, before]);
          }
          const last = ticks[3] ?? 0;
          expect([schedule.between(from, last, 9), schedule.between(from, last - 1, 9), schedule.between(from, last, 2)]).toEqual([
            ticks,
            ticks.slice(0, 3),
            ticks.slice(0, 2),
          ]);
        },
      ),
      { numRuns: 150, seed: 20_270_314 },
    );
  });

  it("croner says the same", async () => {
    await fc.assert(
      fc.asyncProperty(cron, zone, instant, async (expression, timeZone, from) => {
        const schedule = await open({ cron: expression, timeZone });
        const theirs = new Cron(expression, { timezone: timeZone, paused: true }).nextRun(new Date(from))?.getTime();
        const ours = schedule.next(from);
        if (ours === undefined || [from, ours].some((at) => schedule.describe(at).oddDay)) return;
        expect(ours).toBe(theirs);
      }),
      { numRuns: 300, seed: 20_271_107 },
    );
  });
});

describe("at the edges", () => {
  it("the rarest day of all is found: a fifth Thursday of February, across 2100", async () => {
    const schedule = await open({ cron: "0 0 * 2 4#5" });
    expect(schedule.between(Date.UTC(2081, 0, 1), Number.POSITIVE_INFINITY, 1)).toEqual([Date.UTC(2120, 1, 29)]);
  });

  it("the week's and the month's last days", async () => {
    const days = async (expression: string): Promise<number[]> =>
      (await open({ cron: expression })).between(Date.UTC(2028, 0, 1), Date.UTC(2028, 4, 1), 9).map((ms) => new Date(ms).getUTCDate());
    expect(await days("0 12 L * *")).toEqual([31, 29, 31, 30]);
    expect(await days("0 12 * * friL")).toEqual([28, 25, 31, 28]);
    expect(await days("0 12 * * 1#2")).toEqual([10, 14, 13, 10]);
    expect(await days("0 12 29 2 *")).toEqual([29]);
  });

  it("before 1970 there is nothing; named instants run out", async () => {
    const schedule = await open({ cron: "@daily" });
    expect([schedule.next(-5 * DAY), schedule.previous(1), schedule.previous(0)]).toEqual([0, 0, undefined]);
    const once = await open({ at: "2027-01-01T00:00Z" });
    const at = Date.UTC(2027, 0, 1);
    expect([once.next(at - 1), once.next(at), once.previous(at), once.previous(at + 1)]).toEqual([at, undefined, undefined, at]);
  });

  it("seconds, and instants that are none", async () => {
    const schedule = await open({ cron: "*/10 * * * * *" });
    expect([schedule.next(9_999), schedule.next(10_000), schedule.next(10_000.5), schedule.previous(10_000.5)]).toEqual([
      10_000, 20_000, 20_000, 10_000,
    ]);
    expect([schedule.next(Number.POSITIVE_INFINITY), schedule.next(Number.NaN), schedule.previous(Number.NaN)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
