/** Every change of the clocks from 2024 to 2030 in the zones whose changes are oddest, against the oracle that walks each minute. */
import { describe, expect, it } from "vitest";
import { open } from "./ticks-harness.ts";
import { type OraclePolicy, oracleTicks, walk, Wall } from "./ticks-oracle.ts";

const HOUR = 3_600_000;

/** With how many changes each has from 2024 to 2030 at least, so that a zone without data can't pass. */
const ZONES: readonly (readonly [string, number])[] = [
  ["America/New_York", 14],
  ["Europe/Berlin", 14],
  ["Australia/Lord_Howe", 14],
  ["America/Havana", 14],
  ["Pacific/Chatham", 14],
  ["Africa/Cairo", 14],
  ["Asia/Beirut", 14],
  ["America/Santiago", 14],
  ["Africa/Casablanca", 14],
  ["Antarctica/Troll", 14],
  ["Asia/Gaza", 14],
  ["Asia/Kolkata", 0],
  ["Pacific/Apia", 0],
  ["UTC", 0],
];

/** Hours that gaps and repeats fall into somewhere (00:00 to 03:59), before and after them, fixed and wildcard. */
const FIXED = [
  "30 2 * * *",
  "0 0 * * *",
  "*/20 0-3 * * *",
  "15,45 0,1,2,3 * * *",
  "0 0-23 * * *",
  "59 23 * * *",
  "0 3 1-15 * 0",
  "30 0 * * 0,5,6",
];
const WILDCARD = ["0 * * * *", "45 */2 * * *", "*/30 *,3 * * 0"];
const POLICIES: readonly OraclePolicy[] = [
  { gap: "after", repeat: "first" },
  { gap: "skip", repeat: "both" },
  { gap: "after", repeat: "both" },
  { gap: "skip", repeat: "first" },
];

const FROM = Date.UTC(2024, 0, 1);
const TO = Date.UTC(2031, 0, 1);

describe.each(ZONES)("%s", (timeZone, least) => {
  const wall = new Wall(timeZone);
  const changes = wall.changes(FROM, TO);
  // A zone without changes is looked at in two arbitrary weeks.
  const around = changes.length > 0 ? changes : [Date.UTC(2026, 2, 29, 1), Date.UTC(2028, 1, 29, 12)];
  const windows = around.map((change) => walk(wall, change - 26 * HOUR, change + 26 * HOUR));

  it("has the changes that it should have", () => {
    expect(changes.length).toBeGreaterThanOrEqual(least);
  });

  it.each([...FIXED, ...WILDCARD])("%s ticks as the oracle says, wherever one asks from", async (cron) => {
    for (const [i, policy] of (WILDCARD.includes(cron) ? POLICIES.slice(1, 2) : POLICIES).entries()) {
      const schedule = await open({ cron, timeZone, clockChange: policy });
      for (const [j, minutes] of windows.entries()) {
        // The two usual policies at each change, the others at every third.
        if (i > 1 && j % 3 !== i - 2) continue;
        const [first, last] = [minutes[0]?.[0] ?? 0, minutes.at(-1)?.[0] ?? 0];
        const ticks = oracleTicks(cron, minutes, policy);
        const name = `${new Date(first).toISOString()} ${JSON.stringify(policy)}`;
        expect(schedule.between(first - 1, last, 10_000), name).toEqual(ticks);
        for (const at of instantsAround(around[j] ?? 0)) {
          const next = ticks.find((tick) => tick > at);
          const previous = ticks.findLast((tick) => tick < at);
          if (next !== undefined) expect(schedule.next(at), `next after ${new Date(at).toISOString()}`).toBe(next);
          if (previous !== undefined) expect(schedule.previous(at), `previous before ${new Date(at).toISOString()}`).toBe(previous);
        }
      }
    }
  });
});

/** In no order, so that no kept answer hides a wrong one. */
function instantsAround(change: number): number[] {
  return [0, 3.7, -1.2, 0.5, -5.1, -0.5, 1.3].map((hours) => change + Math.round(hours * HOUR)).concat(change - 1, change + 1);
}
