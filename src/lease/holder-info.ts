import { parseInstant, toDate } from "../clock/calendar.ts";
import type { HolderInfo } from "../errors.ts";
import type { Json, LeaseRecord, TimedRecord } from "../record/record.ts";
import type { ObjectStore, StoreVerdict } from "../store/object-store.ts";
import { fateOf, type MemberView } from "./member.ts";
import { observationsOf, type Sighting } from "./observations.ts";
import { storeAgeMs, watchMs } from "./timing.ts";

/**
 * The present holder as a sighting tells it; `undefined` when it is released, or its holder is dead for certain: by watching (rule C2), or by the
 * store's stamps where a verdict found them fit (rule C3). A lock that names a session is held as long as the member, of which `member` tells.
 */
export function holderOf<M>(
  key: string,
  seen: Sighting | undefined,
  nowMs: number,
  parse: (value: Json | undefined) => M | undefined,
  verdict?: StoreVerdict,
  member?: MemberView,
): HolderInfo<M> | undefined {
  if (seen?.record.state !== "held") return undefined;
  const bound = boundOf(seen, member, nowMs);
  if (bound === "over") return undefined;
  if (bound === undefined) return describeHolder(key, seen.record, undefined, parse);
  const watchLeftMs = watchMs(bound.record) - (nowMs - bound.sinceMs);
  const stampsLeftMs = verdict?.storeTime === true ? leftByStampsMs(bound, verdict.skewMs) : Infinity;
  const freeInMs = Math.min(watchLeftMs, stampsLeftMs);
  if (freeInMs <= 0) return undefined;
  return describeHolder(key, seen.record, freeInMs, parse, bound.record.renewedAt);
}

/** The record that bounds a held one: itself, or its session's member; "over" where that is ended, `undefined` where it is not known. */
function boundOf(seen: Sighting, member: MemberView | undefined, nowMs: number): Sighting<TimedRecord> | "over" | undefined {
  const { record } = seen;
  if (record.session === undefined) return { ...seen, record };
  const fate = member && fateOf(member, record.session, nowMs, 0);
  if (fate?.kind === "alive") return fate.seen;
  return fate?.kind === "ended" || fate?.kind === "missing" ? "over" : undefined;
}

/** What this process knows of the member that a sighting names, if it names one. */
export function memberOf(store: ObjectStore, seen: Sighting | undefined): MemberView | undefined {
  const ref = seen?.record.session;
  return ref && observationsOf(store).view(ref.member);
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
  const bound = seen?.record.state === "held" ? boundOf(seen, memberOf(store, seen), store.clock.monotonicMs()) : undefined;
  if (bound === undefined || bound === "over" || leftByStampsMs(bound, 0) > 0) return undefined;
  return await store.knownVerdict?.({ signal });
}

function leftByStampsMs({ record, dateMs, lastModifiedMs }: Sighting<TimedRecord>, skewMs: number): number {
  return dateMs === undefined || lastModifiedMs === undefined ? Infinity : storeAgeMs(record, skewMs) - (dateMs - lastModifiedMs);
}

/** @param renewedAt of the member, where the record names one: its own never changes. */
export function describeHolder<M>(
  key: string,
  record: LeaseRecord,
  freeInMs: number | undefined,
  parse: (value: Json | undefined) => M | undefined,
  renewedAt: string = record.renewedAt,
): HolderInfo<M> {
  return {
    key,
    fencingToken: record.fencingToken,
    holder: record.holder,
    nonce: record.nonce,
    acquiredAt: toDate(parseInstant(record.acquiredAt) ?? 0),
    renewedAt: toDate(parseInstant(renewedAt) ?? 0),
    freeInMs,
    metadata: parse(record.metadata),
  };
}
