/**
 * Deleting the records of ephemeral locks that nobody has held for long. A DELETE may land late, and several stores ignore its condition, so a record is
 * closed first by a CAS: while it is closed nobody acquires it, and longer than that a DELETE is not under way (rule P3).
 */
import { addMs, type Instant, readClocks } from "../clock/deadline.ts";
import { freshId } from "../clock/wait.ts";
import { Counters } from "../lease/counters.ts";
import { type Pruned, type PruneRun, pruneSpace, type PruneWork, type Seen } from "../lease/pruning.ts";
import { carryOut } from "../lease/write.ts";
import { WrittenNonces } from "../lease/written.ts";
import { escapedPrefix, unescapeName } from "../record/keys.ts";
import type { TimedRecord } from "../record/record.ts";
import { closedForDeletion, DELETE_WITHIN_MS, isPrunable } from "./prunable.ts";

const CLOSE_ATTEMPTS = 4;

/**
 * One LIST a thousand names; for each record that was not written for so long a GET, and where it is deleted a PUT and a DELETE.
 * @param prefix only names that begin with this.
 * @throws StoreUnavailableError, StoreAccessError, StoreUnsafeError (the store's times are unfit), the reason of the signal: what was deleted stays so.
 */
export async function prune(work: PruneWork, prefix: string): Promise<Pruned> {
  const wanted = (rest: string): boolean => unescapeName(rest)?.startsWith(prefix) === true;
  return await pruneSpace(work, { prefix: escapedPrefix(prefix), wanted }, async (seen, run, signal) => {
    if (!isPrunable(seen, run.bounds)) return;
    // Nothing is closed that could not be deleted then.
    const how = await run.mayDelete();
    signal.throwIfAborted();
    const closed = await closedOver(run, seen);
    if (closed !== undefined) await deleteClosed(run, seen.key, how === "by version" ? closed : { ...closed, etag: undefined });
  });
}

interface Closed {
  /** Left out where the store takes no condition on a DELETE. */
  readonly etag: string | undefined;
  readonly firstSentAt: Instant;
}

/** Closes it, by CAS on exactly the version that was judged. @returns `undefined` where it is not known to be applied. @throws StoreAccessError. */
async function closedOver(
  { store, requestTimeoutMs }: PruneRun,
  seen: Seen & { readonly record: TimedRecord },
): Promise<Closed | undefined> {
  const end = await carryOut(
    { store, key: seen.key, counters: new Counters(), written: new WrittenNonces(), requestTimeoutMs },
    { record: closedForDeletion(seen.record, freshId(store.random)), base: seen },
    {
      until: addMs(readClocks(store.clock), DELETE_WITHIN_MS / 2),
      forMs: DELETE_WITHIN_MS / 2,
      maxAttempts: CLOSE_ATTEMPTS,
      abortRequests: false,
      explainRefusal: false,
    },
  );
  if (end.kind === "denied") throw end.error;
  return end.kind === "applied" ? end : undefined;
}

/** One DELETE of what was closed, also after an abort: it would stay closed for nothing. */
async function deleteClosed({ store, requestTimeoutMs: timeoutMs, note }: PruneRun, key: string, closed: Closed): Promise<void> {
  const sendBy = addMs(closed.firstSentAt, DELETE_WITHIN_MS);
  const result = await store.remove(key, { ifMatch: closed.etag, timeoutMs, sendBy });
  if (result === "removed") return note("deleted");
  if (result === "refused") return;
  if (result.kind === "denied") throw result.error;
  // It is not sent a second time: the first may still land (rule P3).
  const now = await store.get(key, { maxBytes: 0, timeoutMs });
  note(now.kind === "absent" ? "deleted" : "open");
}
