/** Times of day, for people to read. No decision is made from them (rule C4). */

export function toIso(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

/** The instant that an ISO 8601 text or an HTTP date names, in milliseconds since 1970; `undefined` where it names none. */
export function parseInstant(text: string): number | undefined {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

export function toDate(wallMs: number): Date {
  return new Date(wallMs);
}

/** Date and time of day as a clock shows them, without a zone: `2027-03-14 02:30:00`. `localMs` is counted as if it were UTC. */
export function toLocalText(localMs: number): string {
  return new Date(localMs).toISOString().slice(0, 19).replace("T", " ");
}

/** The instant of a `Date`, or of a text `2027-03-14T02:30:00Z` (seconds and fractions may be left out, an offset may stand for `Z`); `undefined` otherwise. */
export function exactInstant(value: unknown): number | undefined {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.getTime();
  if (typeof value !== "string") return undefined;
  const [, local, seconds = ":00", fraction = ".0", zone] =
    /^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d)(:\d\d)?(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.exec(value) ?? [];
  if (local === undefined) return undefined;
  const asUtc = `${local.replace(" ", "T")}${seconds}${fraction.slice(0, 4).padEnd(4, "0")}Z`;
  // JavaScript reads February 30 as March 2: what does not come out as it went in was no date.
  const localMs = parseInstant(asUtc);
  if (localMs === undefined || toIso(localMs) !== asUtc) return undefined;
  return parseInstant(asUtc.replace("Z", zone ?? "Z"));
}
