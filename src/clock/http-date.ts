/** Milliseconds since 1970 of an HTTP or ISO date, or `undefined` where there is none or it can't be read. Reads no clock. */
export function parseTimeMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  return Number.isFinite(ms) ? ms : undefined;
}

/** The ISO form of an instant, for people. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
