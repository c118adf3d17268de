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
