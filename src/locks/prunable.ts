/** Which record of an ephemeral lock may be deleted (rules P2, P4), and what is written over it first (rule P3). Pure. */
import { type Aged, MIN_OLDER_THAN_MS, type PruneBounds } from "../lease/pruning.ts";
import { CLOCK_RATE_ERROR } from "../lease/timing.ts";
import type { TimedRecord } from "../record/record.ts";

/**
 * How long a record stays closed that is to be deleted: the DELETE leaves within a minute, the store takes its signature for half an hour at most (a
 * quarter on either side of its own time), and four minutes are left to carry it out.
 */
export const CLOSED_MS: number = 35 * 60_000;
/** How long after the first send of the write that closes it the DELETE may leave. */
export const DELETE_WITHIN_MS = 60_000;
/** How far the store's time must be beyond the last token. */
const TOKEN_LEAD_MS = 60_000;

/** Released, long enough ago, open for everybody, and with nothing in it that this version does not know the meaning of. */
export function isPrunable<A extends Aged>(seen: A, { olderThanMs, skewMs }: PruneBounds): seen is A & { readonly record: TimedRecord } {
  const { record, dateMs, lastModifiedMs } = seen;
  if (dateMs === undefined || lastModifiedMs === undefined || record.state !== "released") return false;
  if (record.flag !== undefined || record.payload !== undefined || Object.keys(record.extra).length > 0) return false;
  const closedMs = Math.max(record.holdForMs ?? 0, record.lockDelayMs ?? 0, record.reserveMs ?? 0);
  const leastAgeMs = Math.max(olderThanMs, MIN_OLDER_THAN_MS, closedMs) + 1000 + skewMs;
  // Tokens that were given out faster than one a millisecond are ahead of the store's clock: the next first token would not be above them.
  const clockIsBeyond = record.fencingToken + TOKEN_LEAD_MS + 2 * skewMs <= dateMs;
  return dateMs - lastModifiedMs >= leastAgeMs && clockIsBeyond;
}

/** As it stands, but closed for everybody by rule C6, which every reader obeys. Readers' clocks may be fast. */
export function closedForDeletion(record: TimedRecord, nonce: string): TimedRecord {
  const holdForMs = Math.ceil(CLOSED_MS * (1 + CLOCK_RATE_ERROR));
  return { ...record, nonce, version: record.version + 1, holdForMs, reservedFor: undefined, reserveMs: undefined };
}
