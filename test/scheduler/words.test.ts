import { describe, expect, it } from "vitest";
import { checkTimes } from "../../src/scheduler/ticks.ts";
import { cronInWords } from "../../src/scheduler/words.ts";

describe("a schedule in words", () => {
  it.each([
    ["0 3 * * *", "every day at 03:00, Europe/Berlin"],
    ["@daily", "every day at 00:00, Europe/Berlin"],
    ["30 17 * * 1-5", "from Monday to Friday at 17:30, Europe/Berlin"],
    ["5 9 * * sun", "every Sunday at 09:05, Europe/Berlin"],
    ["0 0 * * 7", "every Sunday at 00:00, Europe/Berlin"],
    ["0 8 * * mon,wed,fri", "every Monday, Wednesday and Friday at 08:00, Europe/Berlin"],
    ["0 8 * * sat-sun", "from Saturday to Sunday at 08:00, Europe/Berlin"],
    ["0 8 * * 7,sun,0", "every Sunday at 08:00, Europe/Berlin"],
    ["0 8 31 * *", "on day 31 of each month that has one at 08:00, Europe/Berlin"],
    ["@monthly", "on day 1 of each month at 00:00, Europe/Berlin"],
    ["* * * * *", "every minute"],
    ["*/15 * * * *", "every 15 minutes"],
    ["@hourly", "every hour"],
    ["7 * * * *", "every hour, 7 minutes past"],
  ])("%s: %s", (cron, words) => {
    expect(cronInWords(cron, "Europe/Berlin")).toBe(words);
    const checked = checkTimes({ cron, timeZone: "Europe/Berlin" }, "job");
    expect("words" in checked && checked.words).toBe(words);
  });

  it.each([
    "*/7 * * * *",
    "0 3 1 * 1",
    "H 3 * * *",
    "0 0 3 * * *",
    "0 3 * 6 *",
    "0 */2 * * *",
    "0 1,2 * * *",
    "0 3 L * *",
    "0 3 * * 5#2",
    "0 3 * * 0-7",
    "0 3 * * mon-mon",
    "@yearly",
  ])("%s has no simple words: it stays as it is written", (cron) => {
    expect(cronInWords(cron, "UTC")).toBeUndefined();
    const checked = checkTimes({ cron }, "job");
    expect("words" in checked && checked.words).toBe(`${cron} (UTC)`);
  });

  it("of what is no cron expression its own text", () => {
    const every = checkTimes({ every: "90s" }, "job");
    expect("words" in every && every.words).toBe("every 90s");
  });
});
