/** What is refused, with which words, and what written forms mean. */
import { describe, expect, it } from "vitest";
import { checkTimes } from "../../src/scheduler/ticks.ts";
import { faultsOf, open, ticksFrom } from "./ticks-harness.ts";

describe("every fault shows the field and its value", () => {
  it.each<[object, string]>([
    [{}, "cron is missing: expected cron, every or at"],
    [{ cron: "0 0 * * *", every: "1s" }, 'cron is "0 0 * * *" and every is "1s": expected one of them'],
    [{ cron: 7 }, 'cron is 7: expected a text such as "0 3 * * *"'],
    [{ cron: "" }, 'cron is "": expected 5 fields (minute, hour, day of month, month, day of week) or 6 (seconds first), got none'],
    [
      { cron: "* * * *" },
      'cron is "* * * *": expected 5 fields (minute, hour, day of month, month, day of week) or 6 (seconds first), got 4',
    ],
    [{ cron: "* * * * * * *" }, "or 6 (seconds first), got 7"],
    [{ cron: "1".repeat(600) }, "expected at most 512 characters, got 600"],
    [{ cron: "*/61 * * * *" }, 'cron is "*/61 * * * *": minute is "*/61": expected a step from 1 to 60'],
    [{ cron: "*/0 * * * *" }, 'minute is "*/0": expected a step from 1 to 60'],
    [{ cron: "60 * * * *" }, 'minute is "60": expected values from 0 to 59'],
    [{ cron: "61 0 0 * * *" }, 'second is "61": expected values from 0 to 59'],
    [{ cron: "0 25 * * *" }, 'hour is "25": expected values from 0 to 23'],
    [{ cron: "0 0 0 * *" }, 'day of month is "0": expected values from 1 to 31'],
    [{ cron: "0 0 32 * *" }, 'day of month is "32": expected values from 1 to 31'],
    [{ cron: "0 0 1 13 *" }, 'month is "13": expected values from 1 to 12, or jan to dec'],
    [{ cron: "0 0 * janfeb *" }, 'month is "janfeb": expected values from 1 to 12, or jan to dec'],
    [{ cron: "0 0 * * 8" }, 'day of week is "8": expected values from 0 to 7, or sun to sat'],
    [{ cron: "0 0 * * fry" }, 'day of week is "fry": expected values from 0 to 7, or sun to sat'],
    [{ cron: "0 0 * MON *" }, 'month is "MON": expected values from 1 to 12, or jan to dec'],
    [{ cron: "0 0 * * fri-mon" }, 'day of week is "fri-mon": expected a range that rises (0 to 7)'],
    [{ cron: "0 0 * * 5#6" }, 'day of week is "5#6": expected a week of the month from #1 to #5'],
    [{ cron: "0 0 * * 1,5#2" }, 'day of week is "1,5#2": expected a # alone in its field'],
    [{ cron: "5-1 * * * *" }, 'minute is "5-1": expected a range that rises (0 to 59)'],
    [{ cron: "1,,2 * * * *" }, 'minute is "1,,2": expected *, a value, a range (a-b)'],
    [{ cron: "-1 * * * *" }, 'minute is "-1": expected *, a value'],
    [{ cron: "? * * * *" }, 'minute is "?": expected *, a value'],
    [{ cron: "1.5 * * * *" }, 'minute is "1.5": expected *, a value'],
    [{ cron: "H(0-70) * * * *" }, 'minute is "H(0-70)": expected a rising range from 0 to 59 after H'],
    [{ cron: "H(1) * * * *" }, 'minute is "H(1)": expected H, H(0-59), either with a step /n'],
    [{ cron: "H/0 * * * *" }, 'minute is "H/0": expected a step from 1 to 60 after H'],
    [{ cron: "0 0 31 2 *" }, 'expected a day that comes: day of month "31" is in none of the months "2"'],
    [{ cron: "0 0 31 feb,4-6/2 ?" }, 'expected a day that comes: day of month "31" is in none of the months "feb,4-6/2"'],
    [{ cron: "@dayly" }, "did you mean @daily?"],
    [{ cron: "@reboot" }, 'cron is "@reboot": expected one of @yearly'],
    [
      { cron: "0 0 * * *", timeZone: "Europe/Berln" },
      'timeZone is "Europe/Berln": expected an IANA name such as Europe/Berlin; did you mean Europe/Berlin?',
    ],
    [{ cron: "0 0 * * *", timeZone: "new york" }, "did you mean America/New_York?"],
    [{ cron: "0 0 * * *", timeZone: "+05:30" }, 'timeZone is "+05:30": expected an IANA name'],
    [{ cron: "0 0 * * *", timeZone: "" }, 'timeZone is "": expected an IANA name'],
    [{ cron: "0 0 * * *", timeZone: 2 }, "timeZone is 2: expected an IANA name"],
    [{ cron: "0 0 * * *", clockChange: { gap: "before" } }, 'clockChange: gap is "before": expected one of "after", "skip"'],
    [{ cron: "0 0 * * *", clockChange: { repeats: "both" } }, 'clockChange: unknown option "repeats": did you mean "repeat"?'],
    [{ every: "500ms" }, 'every is "500ms": expected a duration with its unit, from 1s to 366d'],
    [{ every: "400d" }, 'every is "400d": expected a duration'],
    [{ every: 90 }, "every is 90: expected a duration with its unit"],
    [{ every: "90" }, 'every is "90": expected a duration with its unit'],
    [{ every: "1m", from: "noon" }, 'from is "noon": expected an instant since 1970 with Z or an offset'],
    [{ every: "1m", timeZone: "UTC" }, 'timeZone is "UTC": expected nothing beside every'],
    [{ at: "2027-02-30T00:00:00Z" }, 'at is "2027-02-30T00:00:00Z": expected an instant'],
    [{ at: "2027-03-14T02:30:00" }, 'at is "2027-03-14T02:30:00": expected an instant since 1970 with Z or an offset'],
    [{ at: [] }, "at is an array of 0: expected 1 to 1000 instants"],
    [{ at: ["2027-01-01T00:00Z", 7] }, "at is 7: expected an instant"],
    [{ at: new Date(Number.NaN) }, "at is an object: expected an instant"],
    [{ at: "2027-01-01T00:00Z", from: "2027-01-01T00:00Z" }, 'from is "2027-01-01T00:00Z": expected nothing beside at'],
  ])("%j", (given, words) => {
    expect(faultsOf(given).join("\n")).toContain(words);
  });

  it("all faults at once", () => {
    expect(faultsOf({ cron: "61 25 * * *", timeZone: "Mars/Base", clockChange: { gap: 1 }, from: 1 })).toEqual([
      "from is 1: expected nothing beside cron",
      'clockChange: gap is 1: expected one of "after", "skip"',
      expect.stringContaining('timeZone is "Mars/Base"'),
      expect.stringContaining('minute is "61"'),
      expect.stringContaining('hour is "25"'),
    ]);
  });
});

describe("what written forms mean", () => {
  it.each([
    ["@hourly", "0 0 * * * *"],
    ["@daily", "0 0 0 * * *"],
    ["@midnight", "0 0 0 * * *"],
    ["@Weekly", "0 0 0 * * 0"],
    ["@monthly", "0 0 0 1 * *"],
    ["@yearly", "0 0 0 1 1 *"],
    ["@annually", "0 0 0 1 1 *"],
    [" 5  4\t* jan,MAR-may Mon-Fri ", "0 5 4 * 1,3,4,5 1,2,3,4,5"],
    ["*/15 9-17/2 ? * ?", "0 0,15,30,45 9,11,13,15,17 * * *"],
    ["5/20 * * * *", "0 5,25,45 * * * *"],
    ["*/60 */24 * * *", "0 0 0 * * *"],
    ["0 0 * * fri-sun", "0 0 0 * * 0,5,6"],
    ["0 0 * * 1/2", "0 0 0 * * 1,3,5"],
    ["0 0 * * 7,0,sun,5", "0 0 0 * * 0,5"],
    ["7,5-8,*/30 3,1 * * *", "0 0,5,6,7,8,30 1,3 * * *"],
    ["0 0 L * *", "0 0 0 L * *"],
    ["0 0 15,l * *", "0 0 0 15,L * *"],
    ["0 0 * * friL", "0 0 0 * * 5L"],
    ["0 0 * * 7#2", "0 0 0 * * 0#2"],
    ["30 0 0 29 2 *", "30 0 0 29 2 *"],
  ])("%s", (cron, expression) => {
    expect(definitionOf({ cron })).toBe(
      JSON.stringify(["cron", expression, "UTC", ...(expression.split(" ")[2] === "*" || cron.includes("*/24") ? [] : ["after", "first"])]),
    );
  });

  it("H is a value by the task's name: the same everywhere, different between tasks, inside its bounds", () => {
    const minutes = new Set<string>();
    for (let i = 0; i < 200; i++) {
      const definition = definitionOf({ cron: "H H(8-17) * * *" }, `task-${i}`);
      expect(definitionOf({ cron: "h h(8-17) * * *" }, `task-${i}`)).toBe(definition);
      const [, minute = "", hour = ""] = /^\["cron","0 (\d+) (\d+) /.exec(definition) ?? [];
      expect(Number(hour)).toBeGreaterThanOrEqual(8);
      expect(Number(hour)).toBeLessThanOrEqual(17);
      minutes.add(minute);
    }
    expect(minutes.size).toBeGreaterThan(50);
    // What one version of the package makes of a name, every other one must.
    expect(definitionOf({ cron: "H H/6 H(1-28) * *" }, "report")).toBe('["cron","0 41 1,7,13,19 17 * *","UTC","after","first"]');
  });

  it("the zone's offset is part of an instant, and an instant counts once", async () => {
    const at = ["2027-03-14T02:30:00+05:30", "2027-03-13T21:00Z", new Date(Date.UTC(2027, 0, 1)), "2027-01-01 00:00:00.000Z"];
    expect(await ticksFrom({ at }, "2026-01-01T00:00:00Z", 9)).toEqual(["2027-01-01T00:00:00.000Z", "2027-03-13T21:00:00.000Z"]);
  });

  it("every is aligned to 1970, or begins at its own instant", async () => {
    expect(await ticksFrom({ every: "90s" }, "2027-01-01T00:00:01Z", 2)).toEqual(["2027-01-01T00:01:30.000Z", "2027-01-01T00:03:00.000Z"]);
    const later = { every: "1h", from: "2027-01-01T00:00:07Z" };
    expect(await ticksFrom(later, "2026-01-01T00:00:00Z", 2)).toEqual(["2027-01-01T00:00:07.000Z", "2027-01-01T01:00:07.000Z"]);
    const schedule = await open(later);
    expect(schedule.previous(Date.UTC(2027, 0, 1, 0, 0, 7))).toBeUndefined();
    expect(schedule.previous(Date.UTC(2027, 0, 1, 0, 0, 8))).toBe(Date.UTC(2027, 0, 1, 0, 0, 7));
  });

  it("of two restricted days one is enough; */2 restricts, * and ? do not", async () => {
    const days = async (cron: string): Promise<string[]> =>
      (await ticksFrom({ cron }, "2027-01-31T12:00:00Z", 5)).map((t) => t.slice(5, 10));
    expect(await days("0 0 13 * fri")).toEqual(["02-05", "02-12", "02-13", "02-19", "02-26"]);
    expect(await days("0 0 ? * fri")).toEqual(["02-05", "02-12", "02-19", "02-26", "03-05"]);
    expect(await days("0 0 13 * ?")).toEqual(["02-13", "03-13", "04-13", "05-13", "06-13"]);
    expect(await days("0 0 */15 * fri")).toEqual(["02-01", "02-05", "02-12", "02-16", "02-19"]);
  });

  it("says what is meant, for people", () => {
    const textOf = (given: object): string => {
      const checked = checkTimes(given, "task");
      return "text" in checked ? checked.text : "";
    };
    expect(textOf({ cron: "0 3 * * *", timeZone: "Europe/Berlin" })).toBe("0 3 * * * (Europe/Berlin)");
    expect(textOf({ every: "90s" })).toBe("every 90s");
    expect(textOf({ every: "1h", from: "2027-01-01T00:00Z" })).toBe("every 1h from 2027-01-01T00:00:00.000Z");
    expect(textOf({ at: ["2027-01-01T00:00Z", "2028-01-01T00:00Z"] })).toBe("at 2027-01-01T00:00:00.000Z and 1 more");
  });
});

function definitionOf(given: object, name = "task"): string {
  const checked = checkTimes(given, name);
  return "definition" in checked ? checked.definition : checked.faults.join("\n");
}
