/** The two odd days by example, and the answers that cron-parser gets wrong by itself. */
import { describe, expect, it } from "vitest";
import { open, ticksFrom } from "./ticks-harness.ts";

describe("a fixed hour", () => {
  const spring = { cron: "30 2 * * *", timeZone: "America/New_York" };
  const autumn = { cron: "30 1 * * *", timeZone: "America/New_York" };

  it("that falls into the gap runs at the first instant after it", async () => {
    expect(await ticksFrom(spring, "2027-03-13T12:00:00Z", 2)).toEqual(["2027-03-14T07:00:00.000Z", "2027-03-15T06:30:00.000Z"]);
  });

  it("or is skipped", async () => {
    const skipped = { ...spring, clockChange: { gap: "skip" } };
    expect(await ticksFrom(skipped, "2027-03-13T12:00:00Z", 1)).toEqual(["2027-03-15T06:30:00.000Z"]);
  });

  it("several that fall into it, and one that is due at its end, are one tick", async () => {
    const many = { cron: "*/10 2,3 * * *", timeZone: "America/New_York" };
    expect(await ticksFrom(many, "2027-03-13T12:00:00Z", 2)).toEqual(["2027-03-14T07:00:00.000Z", "2027-03-14T07:10:00.000Z"]);
  });

  it("that comes twice runs at the first pass", async () => {
    expect(await ticksFrom(autumn, "2027-11-06T12:00:00Z", 2)).toEqual(["2027-11-07T05:30:00.000Z", "2027-11-08T06:30:00.000Z"]);
  });

  it("or at both", async () => {
    const both = { ...autumn, clockChange: { repeat: "both" } };
    expect(await ticksFrom(both, "2027-11-06T12:00:00Z", 2)).toEqual(["2027-11-07T05:30:00.000Z", "2027-11-07T06:30:00.000Z"]);
  });

  it.each(["0 0-23 * * *", "0 1-3 * * *", "0 1,2 * * *"])("is anything but a field that begins with *: %s", async (cron) => {
    const ticks = await ticksFrom({ cron, timeZone: "America/New_York" }, "2027-11-07T04:59:59Z", 2);
    expect(ticks).toEqual(["2027-11-07T05:00:00.000Z", "2027-11-07T07:00:00.000Z"]);
  });

  it("in a day that a whole country left out", async () => {
    const apia = { cron: "0 9 * * *", timeZone: "Pacific/Apia" };
    const after = ["2011-12-30T10:00:00.000Z", "2011-12-30T19:00:00.000Z", "2011-12-31T19:00:00.000Z"];
    expect(await ticksFrom(apia, "2011-12-29T19:00:00Z", 3)).toEqual(after);
  });
});

describe("a wildcard hour", () => {
  it("follows real time through both passes", async () => {
    const hourly = { cron: "0 * * * *", timeZone: "America/New_York" };
    const ticks = await ticksFrom(hourly, "2027-11-07T04:30:00Z", 3);
    expect(ticks).toEqual(["2027-11-07T05:00:00.000Z", "2027-11-07T06:00:00.000Z", "2027-11-07T07:00:00.000Z"]);
  });

  it("gets nothing invented for a gap", async () => {
    const stepped = { cron: "30 */2 * * *", timeZone: "America/New_York" };
    expect(await ticksFrom(stepped, "2027-03-14T05:00:00Z", 2)).toEqual(["2027-03-14T05:30:00.000Z", "2027-03-14T08:30:00.000Z"]);
  });

  it("where clocks move by half an hour", async () => {
    const lordHowe = { cron: "15 * * * *", timeZone: "Australia/Lord_Howe" };
    const ticks = await ticksFrom(lordHowe, "2027-04-03T13:20:00Z", 4);
    expect(ticks.map((tick) => tick.slice(11, 16))).toEqual(["14:15", "15:45", "16:45", "17:45"]);
    const half = await ticksFrom({ cron: "45 * * * *", timeZone: "Australia/Lord_Howe" }, "2027-04-03T13:20:00Z", 3);
    expect(half.map((tick) => tick.slice(11, 16))).toEqual(["13:45", "14:45", "15:15"]);
  });
});

describe("what is shown of a tick", () => {
  it("marks odd days, both passes and what was moved", async () => {
    const shown = async (cron: string, timeZone: string, after: string, count: number): Promise<string[]> => {
      const schedule = await open({ cron, timeZone, clockChange: { repeat: "both" } });
      const ticks = schedule.between(Date.parse(after), Number.POSITIVE_INFINITY, count).map((tick) => schedule.describe(tick));
      return ticks.map(({ utc, local, oddDay, mark }) => [utc.slice(0, 16), local, oddDay ? "odd day" : "", mark ?? ""].join("|"));
    };
    expect(await shown("30 2 * * *", "America/New_York", "2027-03-12T12:00:00Z", 3)).toEqual([
      "2027-03-13T07:30|2027-03-13 02:30:00 -05:00||",
      "2027-03-14T07:00|2027-03-14 03:00:00 -04:00|odd day|moved-out-of-gap",
      "2027-03-15T06:30|2027-03-15 02:30:00 -04:00||",
    ]);
    expect(await shown("30 1,22 * * *", "America/New_York", "2027-11-06T12:00:00Z", 4)).toEqual([
      "2027-11-07T02:30|2027-11-06 22:30:00 -04:00||",
      "2027-11-07T05:30|2027-11-07 01:30:00 -04:00|odd day|first-pass",
      "2027-11-07T06:30|2027-11-07 01:30:00 -05:00|odd day|second-pass",
      "2027-11-08T03:30|2027-11-07 22:30:00 -05:00|odd day|",
    ]);
    // 03:00 is a match of its own, beside the one that was moved there.
    expect(await shown("0 2,3 * * *", "America/New_York", "2027-03-14T06:00:00Z", 1)).toEqual([
      "2027-03-14T07:00|2027-03-14 03:00:00 -04:00|odd day|",
    ]);
    // Havana puts its clocks back from 01:00 to 00:00, so that the repeated hour is the day's first.
    expect(await shown("0 0 * * *", "America/Havana", "2027-11-06T12:00:00Z", 2)).toEqual([
      "2027-11-07T04:00|2027-11-07 00:00:00 -04:00|odd day|first-pass",
      "2027-11-07T05:00|2027-11-07 00:00:00 -05:00|odd day|second-pass",
    ]);
    expect(await shown("0 12 * * *", "Asia/Kolkata", "2027-01-01T00:00:00Z", 1)).toEqual(["2027-01-01T06:30|2027-01-01 12:00:00 +05:30||"]);
  });
});

describe("answers do not depend on where one asks from (cron-parser's do)", () => {
  it("autumn in New York: asked before, between and after the passes", async () => {
    const schedule = await open({ cron: "30 1 * * *", timeZone: "America/New_York" });
    const next = (from: string): string => new Date(schedule.next(Date.parse(from)) ?? 0).toISOString();
    expect(next("2027-11-07T04:00:00Z")).toBe("2027-11-07T05:30:00.000Z");
    expect(next("2027-11-07T05:30:00Z")).toBe("2027-11-08T06:30:00.000Z");
    expect(next("2027-11-07T06:00:00Z")).toBe("2027-11-08T06:30:00.000Z");
  });
});
