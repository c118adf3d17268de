/** What a schedule answers. */

/** Why a tick of a cron expression is not at its plain local time, or shares it with another. */
export type OddMark = "moved-out-of-gap" | "first-pass" | "second-pass";

/** A tick for people to read. */
export interface TickText {
  /** ISO 8601. */
  readonly utc: string;
  /** What clocks in the task's zone show, with their offset: `2027-03-14 03:00:00 -04:00`. */
  readonly local: string;
  /** Clocks are changed on that local day. */
  readonly oddDay: boolean;
  readonly mark: OddMark | undefined;
}

/** A row of instants, each in milliseconds since 1970. */
export interface TickTimes {
  /** The first tick later than that. */
  next(afterMs: number): number | undefined;
  /** The last tick earlier than that. */
  previous(beforeMs: number): number | undefined;
  describe(tickMs: number): TickText;
}

export interface Schedule extends TickTimes {
  /** The ticks later than `afterMs` and not later than `upToMs`: the oldest `limit` of them, oldest first. */
  between(afterMs: number, upToMs: number, limit: number): readonly number[];
}
