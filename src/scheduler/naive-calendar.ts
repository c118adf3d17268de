/**
 * Cron on a calendar without zones and without changes of the clock, which is what cron-parser does well. Around such a change its own answers
 * depend on where one asks from, so it never gets to know a zone: what is called local time here is counted in milliseconds as if it were UTC.
 *
 * The library (with luxon, 8 MB in memory) is loaded by the first schedule that needs it, and by no other import of the package.
 */
import { toDate } from "../clock/calendar.ts";
import { messageOf } from "../errors.ts";

export interface NaiveCalendar {
  /** The first match later than a local time, or `undefined` where none is found within the library's limit (centuries). */
  next(afterMs: number): number | undefined;
  /** The last match earlier than a local time. */
  previous(beforeMs: number): number | undefined;
}

/**
 * @param expression six fields that `readCron` wrote. Where both the day of month and the day of week are restricted (anything but `*`), a day
 * that matches one of them is enough.
 */
export async function openNaiveCalendar(expression: string): Promise<NaiveCalendar> {
  const { CronExpressionParser } = await import("cron-parser");
  const parsed = CronExpressionParser.parse(expression, { tz: "UTC", currentDate: toDate(0) });
  const from = (ms: number, step: "next" | "prev"): number | undefined => {
    parsed.reset(toDate(ms));
    try {
      return parsed[step]().getTime();
    } catch (error) {
      if (messageOf(error).includes("loop limit")) return undefined;
      throw error;
    }
  };
  return { next: (afterMs) => from(afterMs, "next"), previous: (beforeMs) => from(beforeMs, "prev") };
}
