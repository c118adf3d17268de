/** Deleting the member records of sessions that are over (rule S12). */
import { addMs, readClocks } from "../clock/deadline.ts";
import { freshId } from "../clock/wait.ts";
import { Counters } from "../lease/counters.ts";
import { endedMember } from "../lease/member.ts";
import {
  type Aged,
  MIN_OLDER_THAN_MS,
  type PruneBounds,
  type Pruned,
  type PruneRun,
  pruneSpace,
  type PruneWork,
  type Seen,
} from "../lease/pruning.ts";
import { storeAgeMs } from "../lease/timing.ts";
import { carryOut } from "../lease/write.ts";
import { WrittenNonces } from "../lease/written.ts";
import { MAX_RECORD_MS } from "../record/fields.ts";
import type { TimedRecord } from "../record/record.ts";

const ATTEMPTS = 2;

/**
 * What to do about a member record. An ended tenancy is a fact that its deletion does not change: ids are never used again, and a member that is
 * missing counts as ended (rules S10, S12). One that died without a word is ended first, by the store's time (rules C3, S6), and deleted by a later call.
 */
export function fateInPruning(seen: Aged, { olderThanMs, skewMs }: PruneBounds): "keep" | "end" | "delete" {
  const { record, dateMs, lastModifiedMs } = seen;
  if (dateMs === undefined || lastModifiedMs === undefined || record.session !== undefined) return "keep";
  const ageMs = dateMs - lastModifiedMs - 1000 - skewMs;
  if (ageMs < Math.max(olderThanMs, MIN_OLDER_THAN_MS)) return "keep";
  if (record.state === "held") return dateMs - lastModifiedMs >= storeAgeMs(record, skewMs) ? "end" : "keep";
  // The delays of its locks count from its end by another: they would begin again.
  return record.endedBy === "other" && ageMs < MAX_RECORD_MS ? "keep" : "delete";
}

/** One LIST a thousand members; a GET for each that is old enough, and a DELETE, or a PUT that ends it. */
export async function pruneMembers(work: PruneWork): Promise<Pruned> {
  return await pruneSpace(work, { prefix: "", wanted: (rest) => /^[\w-]{1,64}$/.test(rest) }, async (seen, run, signal) => {
    const fate = fateInPruning(seen, run.bounds);
    if (fate === "keep") return;
    const how = await run.mayDelete();
    signal.throwIfAborted();
    if (fate === "end") await end(run, seen as Seen & { readonly record: TimedRecord });
    else await remove(run, seen.key, how === "by version" ? seen.etag : undefined);
  });
}

/** By CAS on exactly the version that was judged: whoever lives on after all makes it fail. */
async function end({ store, requestTimeoutMs }: PruneRun, seen: Seen & { readonly record: TimedRecord }): Promise<void> {
  const forMs = ATTEMPTS * requestTimeoutMs;
  const outcome = await carryOut(
    { store, key: seen.key, counters: new Counters(), written: new WrittenNonces(), requestTimeoutMs },
    { record: endedMember(seen.record, freshId(store.random)), base: seen },
    { until: addMs(readClocks(store.clock), forMs), forMs, maxAttempts: ATTEMPTS, abortRequests: false, explainRefusal: false },
  );
  if (outcome.kind === "denied") throw outcome.error;
}

/** However late it lands, and whatever its condition is worth there, it hits the record of an ended tenancy, or nothing. */
async function remove({ store, requestTimeoutMs: timeoutMs, note }: PruneRun, key: string, ifMatch: string | undefined): Promise<void> {
  const result = await store.remove(key, { ifMatch, timeoutMs });
  if (result === "removed") note("deleted");
  else if (result !== "refused") {
    if (result.kind === "denied") throw result.error;
    note("open");
  }
}
