/** What clocks on the wall show, from this machine's time-zone data (`Intl`). Pure but for that data: the present time plays no part. */

/** A stretch of time in which a zone's clocks run evenly. */
export interface Segment {
  /** The first instant of it. */
  readonly fromMs: number;
  /** The first instant after it. */
  readonly toMs: number;
  /** Local time minus UTC. */
  readonly offsetMs: number;
  /**
   * The local time that clocks had come to before it. What lies below comes a second time in this segment; what lies between it and the
   * segment's own beginning never comes (the gap).
   */
  readonly shownMs: number;
}

const DAY_MS = 86_400_000;

/** Segments are sought, kept and cut in blocks of this length. */
const BLOCK_MS = 366 * DAY_MS;

/** No clock ever went back by more: what a block must know of the time before it. */
const LEAD_MS = 2 * DAY_MS;

const MAX_BLOCKS = 64;
const MAX_ZONES = 128;

export class TimeZone {
  readonly #format: Intl.DateTimeFormat;
  readonly #blocks = new Map<number, readonly Segment[]>();

  /** @throws RangeError where there is no such zone. */
  constructor(name: string) {
    const part = "numeric";
    this.#format = new Intl.DateTimeFormat("en-US", {
      ...{ timeZone: name, calendar: "iso8601", numberingSystem: "latn", hourCycle: "h23" },
      ...{ year: part, month: part, day: part, hour: part, minute: part, second: part },
    });
  }

  /** The segment in which an instant lies. A long one is cut at the borders of blocks: there the neighbours have the same offset. */
  segmentAt(ms: number): Segment {
    const block = Math.floor(ms / BLOCK_MS);
    let segments = this.#blocks.get(block);
    if (segments === undefined) {
      segments = this.#segmentsOf(block * BLOCK_MS);
      const [oldest] = this.#blocks.keys();
      if (this.#blocks.size >= MAX_BLOCKS && oldest !== undefined) this.#blocks.delete(oldest);
      this.#blocks.set(block, segments);
    }
    const found = segments.find(({ toMs }) => ms < toMs);
    if (found === undefined) throw new RangeError(`no time zone knows the instant ${ms}`);
    return found;
  }

  #segmentsOf(blockMs: number): Segment[] {
    const endMs = blockMs + BLOCK_MS;
    const segments: Segment[] = [];
    let fromMs = blockMs - LEAD_MS;
    let offsetMs = this.#offsetAt(fromMs);
    let shownMs = fromMs + offsetMs;
    while (fromMs < endMs) {
      const toMs = this.#firstOther(fromMs, offsetMs, fromMs < blockMs ? blockMs : endMs);
      if (fromMs >= blockMs) segments.push({ fromMs, toMs, offsetMs, shownMs });
      shownMs = Math.max(shownMs, toMs + offsetMs);
      fromMs = toMs;
      offsetMs = this.#offsetAt(fromMs);
    }
    return segments;
  }

  /** The first instant after `fromMs` with another offset, or `limitMs`. Steps of a day: no zone ever changed twice within one and came back. */
  #firstOther(fromMs: number, offsetMs: number, limitMs: number): number {
    for (let same = fromMs; same < limitMs; same += DAY_MS) {
      let other = Math.min(same + DAY_MS, limitMs);
      if (this.#offsetAt(other) === offsetMs) continue;
      let low = same;
      while (other - low > 1) {
        const middle = Math.floor((low + other) / 2);
        if (this.#offsetAt(middle) === offsetMs) low = middle;
        else other = middle;
      }
      return other;
    }
    return limitMs;
  }

  #offsetAt(ms: number): number {
    const at = new Map<string, number>();
    for (const { type, value } of this.#format.formatToParts(ms)) at.set(type, Number(value));
    const part = (name: string): number => at.get(name) ?? Number.NaN;
    const localMs = Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"), part("second"));
    return localMs - Math.floor(ms / 1000) * 1000;
  }
}

const ZONES = new Map<string, TimeZone>();

/** The zone of that IANA name (`Europe/Berlin`, `UTC`), or `undefined`. Fixed offsets such as `+05:30` are not names: not every runtime knows them. */
export function timeZone(name: string): TimeZone | undefined {
  const known = ZONES.get(name);
  if (known !== undefined) return known;
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(name)) return undefined;
  try {
    const zone = new TimeZone(name);
    const [oldest] = ZONES.keys();
    if (ZONES.size >= MAX_ZONES && oldest !== undefined) ZONES.delete(oldest);
    ZONES.set(name, zone);
    return zone;
  } catch {
    return undefined;
  }
}

export function timeZoneNames(): readonly string[] {
  return ["UTC", ...Intl.supportedValuesOf("timeZone")];
}
