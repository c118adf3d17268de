/**
 * Ticks found the slow way, by code that shares nothing with ours: walk real time minute by minute, ask `Intl` what the clocks show, and apply
 * the policy to what was seen. Also the changes of a zone's clocks.
 */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

export interface OraclePolicy {
  readonly gap: "after" | "skip";
  readonly repeat: "first" | "both";
}

export class Wall {
  readonly #format: Intl.DateTimeFormat;

  constructor(zone: string) {
    this.#format = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
  }

  /** What the clocks show, counted as if it were UTC. */
  localAt(ms: number): number {
    return Date.parse(`${this.#format.format(ms).replace(" ", "T")}Z`);
  }

  /** The minutes at which the clocks are changed. */
  changes(fromMs: number, toMs: number): number[] {
    const found: number[] = [];
    const offset = (ms: number): number => this.localAt(ms) - ms;
    for (let at = fromMs; at < toMs; at += 12 * HOUR) {
      if (offset(at) === offset(at + 12 * HOUR)) continue;
      let minute = at;
      while (offset(minute) === offset(at)) minute += MINUTE;
      found.push(minute);
    }
    return found;
  }
}

/** Real time and local time of each minute. */
export function walk(wall: Wall, fromMs: number, toMs: number): (readonly [number, number])[] {
  const minutes: (readonly [number, number])[] = [];
  for (let at = fromMs; at < toMs; at += MINUTE) minutes.push([at, wall.localAt(at)]);
  return minutes;
}

/** The ticks of five fields in minutes that were walked; the first minutes should lie well before a change. */
export function oracleTicks(cron: string, minutes: readonly (readonly [number, number])[], policy: OraclePolicy): number[] {
  const matches = matcher(cron);
  const realTime = cron.split(" ")[1]?.startsWith("*") === true;
  const seen = new Set<number>();
  const ticks: number[] = [];
  let highest = minutes[0]?.[1] ?? 0;
  for (const [at, local] of minutes) {
    let due = matches(local) && (realTime || policy.repeat === "both" || !seen.has(local));
    if (!realTime && policy.gap === "after")
      for (let missing = highest + MINUTE; missing < local; missing += MINUTE) due ||= matches(missing);
    if (due) ticks.push(at);
    seen.add(local);
    highest = Math.max(highest, local);
  }
  return ticks;
}

function matcher(cron: string): (localMs: number) => boolean {
  const [minute = "", hour = "", day = "", month = "", weekday = ""] = cron.split(" ");
  const has = (field: string, value: number, max: number, min = 0): boolean =>
    field.split(",").some((part) => {
      const [range = "", step = "1"] = part.split("/");
      const [from = min, to = part.includes("/") ? max : from] = range === "*" ? [min, max] : range.split("-").map(Number);
      return value >= from && value <= to && (value - from) % Number(step) === 0;
    });
  return (localMs) => {
    const at = new Date(localMs);
    const byDay = has(day, at.getUTCDate(), 31, 1);
    const byWeekday = has(weekday, at.getUTCDay(), 6);
    return (
      has(minute, at.getUTCMinutes(), 59) &&
      has(hour, at.getUTCHours(), 23) &&
      has(month, at.getUTCMonth() + 1, 12, 1) &&
      (day !== "*" && weekday !== "*" ? byDay || byWeekday : byDay && byWeekday)
    );
  };
}
