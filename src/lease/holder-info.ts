import { parseInstant, toDate } from "../clock/calendar.ts";
import type { HolderInfo } from "../errors.ts";
import type { Json, LeaseRecord } from "../record/record.ts";
import type { ObjectStore, StoreVerdict } from "../store/object-store.ts";
import type { Sighting } from "./observations.ts";
import { storeAgeMs, watchMs } from "./timing.ts";

/**
 * The present holder as a sighting tells it; `undefined` when it is released, or its holder is dead for certain: by watching (rule C2), or by the
 * store's stamps where a verdict found them fit (rule C3).
 */
export function holderOf<M>(
  key: string,
  seen: Sighting | undefined,
  nowMs: number,
  parse: (value: Json | undefined) => M | undefined,
  verdict?: StoreVerdict,
): HolderInfo<M> | undefined {
  if (seen?.record.state !== "held") return undefined;
  const watchLeftMs = watchMs(seen.record) - (nowMs - seen.sinceMs);
  const stampsLeftMs = verdict?.storeTime === true ? leftByStampsMs(seen, verdict.skewMs) : Infinity;
  const freeInMs = Math.min(watchLeftMs, stampsLeftMs);
  if (freeInMs <= 0) return undefined;
  return describeHolder(key, seen.record, freeInMs, parse);
}

/**
 * What a reader, who never probes, needs to know of the store's times. Only stamps that call a holder dead are worth the request: they may be those
 * of a store whose times are unfit, and its holder alive.
 */
export async function verdictOn(
  seen: Sighting | undefined,
  store: ObjectStore,
  signal: AbortSignal | undefined,
): Promise<StoreVerdict | undefined> {
  if (seen?.record.state !== "held" || leftByStampsMs(seen, 0) > 0) return undefined;
  return await store.knownVerdict?.({ signal });
}

function leftByStampsMs({ record, dateMs, lastModifiedMs }: Sighting, skewMs: number): number {
  return dateMs === undefined || lastModifiedMs === undefined ? Infinity : storeAgeMs(record, skewMs) - (dateMs - lastModifiedMs);
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
