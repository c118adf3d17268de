/** When a task is due: what users write, checked at the door, and the instants that it means. Pure: the present time plays no part here. */
import { exactInstant, toIso } from "../clock/calendar.ts";
import { timeZone, timeZoneNames } from "../clock/time-zone.ts";
import { type Check, nearestName, oneOf, optionFaults, parseDuration, show } from "../options.ts";
import { CronTicks } from "./cron-ticks.ts";
import { readCron } from "./cron-text.ts";
import { openNaiveCalendar } from "./naive-calendar.ts";
import { cronInWords } from "./words.ts";
import { everyTicks, instantTicks } from "./plain-ticks.ts";
import type { Schedule, TickTimes } from "./tick-times.ts";

/** What happens to a task with a fixed hour on the two days on which clocks are changed. A task whose hour field begins with `*` follows real time. */
export interface ClockChange {
  /** Of a local time that does not exist: run at the first instant after the gap, or not at all. Default `after`. */
  readonly gap?: "after" | "skip" | undefined;
  /** Of a local time that comes twice: run at the first, or at both. Default `first`. */
  readonly repeat?: "first" | "both" | undefined;
}

/** By the calendar. */
export interface CronTimes {
  /**
   * Five fields (minute, hour, day of month, month, day of week) or six (seconds first), with names, ranges, steps, lists, `L`, `5#2` and `H`
   * (a value that the task's name decides), or `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`. Where both days
   * are restricted (anything but `*`), one of them is enough.
   */
  readonly cron: string;
  /** An IANA name such as `Europe/Berlin`. Default `UTC`; never the zone of the machine, in which two nodes may differ. */
  readonly timeZone?: string | undefined;
  readonly clockChange?: ClockChange | undefined;
}

/** Evenly. */
export interface EveryTimes {
  /** A duration such as `90s`; `1s` to `366d`. */
  readonly every: string;
  /** The first tick, an instant with `Z` or an offset. Default: the Unix epoch, so that all nodes mean the same instants. */
  readonly from?: string | Date | undefined;
}

/** At named instants. */
export interface AtTimes {
  /** One instant, or up to 1,000, each with `Z` or an offset: `2027-03-14T02:30:00Z`. */
  readonly at: string | Date | readonly (string | Date)[];
}

export type Times = CronTimes | EveryTimes | AtTimes;

/** The names of all options that say when. */
export const TIMES_OPTIONS = ["cron", "timeZone", "clockChange", "every", "from", "at"] as const;

/** Times that passed the door. */
export interface CheckedTimes {
  /** Equal for what means the same instants: part of a task's definition hash. */
  readonly definition: string;
  /** For people: `0 3 * * * (Europe/Berlin)`, `every 90s`. */
  readonly text: string;
  /** The same in plain words, where there are simple ones: `every day at 03:00, Europe/Berlin`. */
  readonly words: string;
  /** The library behind cron expressions is loaded here, not by importing the package. */
  open(): Promise<Schedule>;
}

const MIN_EVERY_MS = 1_000;
const MAX_EVERY_MS = 366 * 86_400_000;
const MAX_INSTANTS = 1_000;

/**
 * Checks what a user wrote and says all its faults, each with the option and its value.
 * @param given only the options named in `TIMES_OPTIONS` are looked at.
 * @param seed decides what an `H` stands for: the task's name.
 */
export function checkTimes(given: object, seed: string): CheckedTimes | { readonly faults: readonly string[] } {
  const own = Object.fromEntries(TIMES_OPTIONS.map((name) => [name, Reflect.get(given, name) as unknown]));
  const kinds = (["cron", "every", "at"] as const).filter((name) => own[name] !== undefined);
  const [kind] = kinds;
  if (kind === undefined) return { faults: ["cron is missing: expected cron, every or at"] };
  if (kinds.length > 1) return { faults: [`${kinds.map((name) => `${name} is ${show(own[name])}`).join(" and ")}: expected one of them`] };
  const faults = TIMES_OPTIONS.filter((name) => own[name] !== undefined && !BELONGS[kind].includes(name)).map(
    (name) => `${name} is ${show(own[name])}: expected nothing beside ${kind}`,
  );
  const checked = KINDS[kind](own, seed);
  if ("faults" in checked) return { faults: [...faults, ...checked.faults] };
  return faults.length > 0 ? { faults } : checked;
}

type Checked = CheckedTimes | { readonly faults: readonly string[] };
type Given = Readonly<Record<string, unknown>>;

const BELONGS: Readonly<Record<"cron" | "every" | "at", readonly string[]>> = {
  cron: ["cron", "timeZone", "clockChange"],
  every: ["every", "from"],
  at: ["at"],
};

const KINDS: Readonly<Record<"cron" | "every" | "at", (given: Given, seed: string) => Checked>> = {
  cron: cronTimes,
  every: everyTimes,
  at: atTimes,
};

function cronTimes({ cron, timeZone: zoneName = "UTC", clockChange = {} }: Given, seed: string): Checked {
  const faults = optionFaults(clockChange, { gap: oneOf("after", "skip"), repeat: oneOf("first", "both") }).map((f) => `clockChange: ${f}`);
  const read = typeof cron === "string" ? readCron(cron, seed) : { faults: [`cron is ${show(cron)}: expected a text such as "0 3 * * *"`] };
  const zone = typeof zoneName === "string" ? timeZone(zoneName) : undefined;
  if (zone === undefined) faults.push(`timeZone is ${show(zoneName)}: expected ${zoneMeant(zoneName)}`);
  if ("faults" in read) faults.push(...read.faults);
  if (faults.length > 0 || "faults" in read || zone === undefined) return { faults };
  const { gap = "after", repeat = "first" } = clockChange as ClockChange;
  const { expression, everyHour } = read;
  return {
    definition: JSON.stringify(["cron", expression, zoneName, ...(everyHour ? [] : [gap, repeat])]),
    text: `${String(cron).trim()} (${String(zoneName)})`,
    words: cronInWords(String(cron), String(zoneName)) ?? `${String(cron).trim()} (${String(zoneName)})`,
    open: async () => schedule(new CronTicks(await openNaiveCalendar(expression), zone, { everyHour, gap, repeat })),
  };
}

function everyTimes({ every, from = "1970-01-01T00:00:00Z" }: Given): Checked {
  const everyMs = typeof every === "string" ? parseDuration(every) : undefined;
  const fromMs = exactInstant(from);
  const faults: string[] = [];
  if (everyMs === undefined || everyMs < MIN_EVERY_MS || everyMs > MAX_EVERY_MS)
    faults.push(`every is ${show(every)}: expected a duration with its unit, from 1s to 366d`);
  if (fromMs === undefined || fromMs < 0) faults.push(`from is ${show(from)}: expected ${AN_INSTANT}`);
  if (everyMs === undefined || fromMs === undefined || faults.length > 0) return { faults };
  return {
    definition: JSON.stringify(["every", everyMs, fromMs]),
    ...said(`every ${String(every)}${fromMs === 0 ? "" : ` from ${toIso(fromMs)}`}`),
    open: () => Promise.resolve(schedule(everyTicks(everyMs, fromMs))),
  };
}

const AN_INSTANT = 'an instant since 1970 with Z or an offset, such as "2027-03-14T02:30:00Z"';

function atTimes({ at }: Given): Checked {
  const list: readonly unknown[] = Array.isArray(at) ? at : [at];
  if (list.length < 1 || list.length > MAX_INSTANTS) return { faults: [`at is ${show(at)}: expected 1 to ${MAX_INSTANTS} instants`] };
  const isInstant: Check = (value) => ((exactInstant(value) ?? -1) < 0 ? AN_INSTANT : undefined);
  const faults = list.flatMap((value) => (isInstant(value) === undefined ? [] : [`at is ${show(value)}: expected ${AN_INSTANT}`]));
  if (faults.length > 0) return { faults };
  const instants = [...new Set(list.map((value) => exactInstant(value) ?? 0))].sort((a, b) => a - b);
  const last = instants.length - 1;
  return {
    definition: JSON.stringify(["at", ...instants]),
    ...said(`at ${toIso(instants[0] ?? 0)}${last === 0 ? "" : ` and ${last} more`}`),
    open: () => Promise.resolve(schedule(instantTicks(instants))),
  };
}

/** Where the text is plain words already. */
function said(text: string): Pick<CheckedTimes, "text" | "words"> {
  return { text, words: text };
}

function zoneMeant(given: unknown): string {
  const example = "an IANA name such as Europe/Berlin";
  if (typeof given !== "string") return example;
  const names = timeZoneNames();
  const city = (name: string): string => (name.split("/").at(-1) ?? "").toLowerCase();
  const nearest = names.find((name) => city(name) === city(given).replaceAll(" ", "_")) ?? nearestName(given, names);
  return `${example}${nearest === undefined ? "" : `; did you mean ${nearest}?`}`;
}

/** The newest answers are kept: what is true after one instant is true until that answer itself. */
function schedule(times: TickTimes): Schedule {
  let ahead: { readonly afterMs: number; readonly tick: number } | undefined;
  const next = (afterMs: number): number | undefined => {
    if (ahead !== undefined && ahead.afterMs <= afterMs && afterMs < ahead.tick) return ahead.tick;
    const tick = times.next(afterMs);
    if (tick !== undefined) ahead = { afterMs, tick };
    return tick;
  };
  return {
    next,
    previous: (beforeMs) => times.previous(beforeMs),
    describe: (tickMs) => times.describe(tickMs),
    between: (afterMs, upToMs, limit) => {
      const ticks: number[] = [];
      for (let tick = next(afterMs); tick !== undefined && tick <= upToMs && ticks.length < limit; tick = next(tick)) ticks.push(tick);
      return ticks;
    },
  };
}
