/**
 * The ticks of a cron expression in a zone. A zone's time is a row of segments of constant offset, and in each of them the naive calendar is
 * exact. What is left is a policy for the two odd days, the one of Vixie's cron:
 *
 * - A task whose hour field begins with `*` follows real time: every match in every segment, so both passes of a repeated hour, and nothing is
 *   invented for a gap.
 * - Any other task (a fixed hour) runs once on both days: what fell into a gap comes at the first instant after it (or is skipped), and of a
 *   repeated local time the first pass alone counts (or both do). Equal instants are one tick.
 */
import { toIso, toLocalText } from "../clock/calendar.ts";
import type { Segment, TimeZone } from "../clock/time-zone.ts";
import type { CronText } from "./cron-text.ts";
import type { NaiveCalendar } from "./naive-calendar.ts";
import type { OddMark, TickText, TickTimes } from "./tick-times.ts";

export interface CronPolicy {
  readonly everyHour: CronText["everyHour"];
  readonly gap: "after" | "skip";
  readonly repeat: "first" | "both";
}

const DAY_MS = 86_400_000;
/** The rarest expression ("the fifth Friday of February") comes within this time. */
const HORIZON_MS = 50 * 366 * DAY_MS;
/** The year 9000: far inside of what calendars can say. */
const LAST_MS = 221_845_392_000_000;

export class CronTicks implements TickTimes {
  readonly #calendar: NaiveCalendar;
  readonly #zone: TimeZone;
  readonly #movesOutOfGaps: boolean;
  readonly #firstPassOnly: boolean;

  constructor(calendar: NaiveCalendar, zone: TimeZone, policy: CronPolicy) {
    this.#calendar = calendar;
    this.#zone = zone;
    this.#movesOutOfGaps = !policy.everyHour && policy.gap === "after";
    this.#firstPassOnly = !policy.everyHour && policy.repeat === "first";
  }

  next(afterMs: number): number | undefined {
    const fromMs = Math.max(0, Math.floor(afterMs) + 1);
    const endMs = Math.min(fromMs + HORIZON_MS, LAST_MS);
    for (let at = fromMs; at < endMs;) {
      const segment = this.#zone.segmentAt(at);
      const tick = this.#firstIn(segment, at);
      if (tick !== undefined) return tick;
      at = segment.toMs;
    }
    return undefined;
  }

  previous(beforeMs: number): number | undefined {
    const lastMs = Math.min(Math.ceil(beforeMs) - 1, LAST_MS);
    for (let at = lastMs; at >= Math.max(0, lastMs - HORIZON_MS);) {
      const segment = this.#zone.segmentAt(at);
      const tick = this.#lastIn(segment, at);
      if (tick !== undefined) return tick < 0 ? undefined : tick;
      at = segment.fromMs - 1;
    }
    return undefined;
  }

  describe(tickMs: number): TickText {
    const { offsetMs } = this.#zone.segmentAt(tickMs);
    const localMs = tickMs + offsetMs;
    const around = this.#around(tickMs);
    return {
      utc: toIso(tickMs),
      local: `${toLocalText(localMs)} ${offsetText(offsetMs)}`,
      oddDay: changesOn(Math.floor(localMs / DAY_MS), around),
      mark: this.#markOf(tickMs, localMs, around),
    };
  }

  /** The first tick of a segment at or after an instant of it. */
  #firstIn(segment: Segment, atMs: number): number | undefined {
    if (atMs === segment.fromMs && this.#fellIntoGap(segment)) return atMs;
    const localMs = atMs + segment.offsetMs;
    const match = this.#calendar.next((this.#firstPassOnly ? Math.max(localMs, segment.shownMs) : localMs) - 1);
    const tick = match === undefined ? Number.POSITIVE_INFINITY : match - segment.offsetMs;
    return tick < segment.toMs ? tick : undefined;
  }

  /** The last tick of a segment at or before an instant of it. */
  #lastIn(segment: Segment, atMs: number): number | undefined {
    const match = this.#calendar.previous(atMs + segment.offsetMs + 1) ?? Number.NEGATIVE_INFINITY;
    const tick = match - segment.offsetMs;
    if (tick >= segment.fromMs && !(this.#firstPassOnly && match < segment.shownMs)) return tick;
    return this.#fellIntoGap(segment) ? segment.fromMs : undefined;
  }

  /** Whether the first instant of a segment is a tick on behalf of local times that were left out before it. */
  #fellIntoGap({ fromMs, offsetMs, shownMs }: Segment): boolean {
    if (!this.#movesOutOfGaps || shownMs >= fromMs + offsetMs) return false;
    const match = this.#calendar.next(shownMs - 1);
    return match !== undefined && match < fromMs + offsetMs;
  }

  #markOf(tickMs: number, localMs: number, around: readonly Segment[]): OddMark | undefined {
    const segment = this.#zone.segmentAt(tickMs);
    if (localMs < segment.shownMs) return "second-pass";
    if (around.some(({ fromMs, offsetMs }) => fromMs > tickMs && fromMs + offsetMs <= localMs)) return "first-pass";
    if (tickMs !== segment.fromMs || !this.#fellIntoGap(segment)) return undefined;
    return this.#calendar.next(localMs - 1) === localMs ? undefined : "moved-out-of-gap";
  }

  /** The segments of the days around an instant. */
  #around(ms: number): Segment[] {
    const segments: Segment[] = [];
    for (let at = ms - 2 * DAY_MS; at < ms + 2 * DAY_MS;) {
      const segment = this.#zone.segmentAt(at);
      segments.push(segment);
      at = segment.toMs;
    }
    return segments;
  }
}

/** Whether clocks are changed on a local day. */
function changesOn(day: number, segments: readonly Segment[]): boolean {
  return segments.some(({ fromMs, offsetMs }, i) => {
    const before = segments[i - 1]?.offsetMs ?? offsetMs;
    return before !== offsetMs && [fromMs - 1 + before, fromMs + offsetMs].some((localMs) => Math.floor(localMs / DAY_MS) === day);
  });
}

/** `+05:30`, `-04:00`. */
function offsetText(offsetMs: number): string {
  const minutes = Math.floor(Math.abs(offsetMs) / 60_000);
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${offsetMs < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}
