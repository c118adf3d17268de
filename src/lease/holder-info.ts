import { parseInstant, toDate } from "../clock/calendar.ts";
import type { HolderInfo } from "../errors.ts";
import type { Json, LeaseRecord } from "../record/record.ts";
import type { Sighting } from "./observations.ts";
import { storeAgeMs, watchMs } from "./timing.ts";

/** The skew that is assumed where nothing depends on it: readers never probe. */
const ASSUMED_SKEW_MS = 1000;

/** The present holder as a sighting tells it; `undefined` when it is released, or its holder is dead for certain. */
export function holderOf<M>(
  key: string,
  seen: Sighting | undefined,
  nowMs: number,
  parse: (value: Json | undefined) => M | undefined,
): HolderInfo<M> | undefined {
  if (seen?.record.state !== "held") return undefined;
  const watchLeftMs = watchMs(seen.record) - (nowMs - seen.sinceMs);
  const stampLeftMs =
    seen.dateMs === undefined || seen.lastModifiedMs === undefined
      ? Infinity
      : storeAgeMs(seen.record, ASSUMED_SKEW_MS) - (seen.dateMs - seen.lastModifiedMs);
  const freeInMs = Math.min(watchLeftMs, stampLeftMs);
  if (freeInMs <= 0) return undefined;
  return describeHolder(key, seen.record, freeInMs, parse);
}

export function describeHolder<M>(
  key: string,
  record: LeaseRecord,
  freeInMs: number | undefined,
  parse: (value: Json | undefined) => M | undefined,
): HolderInfo<M> {
  return {
    key,
    fencingToken: record.fencingToken,
    holder: record.holder,
    nonce: record.nonce,
    acquiredAt: toDate(parseInstant(record.acquiredAt) ?? 0),
    renewedAt: toDate(parseInstant(record.renewedAt) ?? 0),
    freeInMs,
    metadata: parse(record.metadata),
  };
}
