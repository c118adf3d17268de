/** What deleting old records of one space has in common, whatever they are: the walk, the reading, the count, and what it needs of the store. */
import { freshId } from "../clock/wait.ts";
import { RecordError, StoreUnavailableError, StoreUnsafeError } from "../errors.ts";
import { decodeRecord, MAX_RECORD_BYTES } from "../record/codec.ts";
import { recordFault } from "../record/fields.ts";
import type { LeaseRecord } from "../record/record.ts";
import type { ObjectStore, ReadResult } from "../store/object-store.ts";
import { REQUEST_TIMEOUT_MS } from "./operate.ts";
import { eachOf, pagesOf } from "./pages.ts";

/**
 * The least age of a release. What was sent before that record was made can't land after its deletion any more: a store takes a signed request for
 * half an hour at most (rule P2).
 */
export const MIN_OLDER_THAN_MS = 3_600_000;

const AT_ONCE = 16;
const PROGRESS_EVERY = 256;

export interface PruneWork {
  readonly store: ObjectStore;
  /** Keys that begin with this. */
  readonly space: string;
  readonly olderThanMs: number;
  readonly signal: AbortSignal | undefined;
  /** A record that is damaged, foreign or of a newer version: it is left as it is. */
  readonly onUnreadable: (error: RecordError) => void;
  /** After each page, and every few hundred records. */
  readonly onProgress?: ((so: Pruned) => void) | undefined;
}

/** So far, or in all. */
export interface Pruned {
  /** Records that were old enough by the listing, and read. */
  readonly looked: number;
  readonly deleted: number;
  /** Whose DELETE has no answer: a later call deletes what is left of them. */
  readonly open: number;
}

export interface PruneBounds {
  readonly olderThanMs: number;
  /** How far the store's clocks may differ from one another. */
  readonly skewMs: number;
}

/** A record, with both stamps of the answer that showed it, by the store's own clocks. */
export interface Aged {
  readonly record: LeaseRecord;
  readonly dateMs: number | undefined;
  readonly lastModifiedMs: number | undefined;
}

export interface Seen extends Aged {
  readonly key: string;
  readonly etag: string;
}

/** What the treatment of one record has at hand. */
export interface PruneRun {
  readonly store: ObjectStore;
  readonly bounds: PruneBounds;
  readonly requestTimeoutMs: number;
  /**
   * How a DELETE may be sent, proven before anything is changed that could not be deleted then: with the version that it is about, or without, where the
   * store does not take such a condition. @throws StoreAccessError, StoreUnavailableError.
   */
  readonly mayDelete: () => Promise<"by version" | "as it is">;
  readonly note: (what: "deleted" | "open") => void;
}

/**
 * Reads what was not written for `olderThanMs` by the listing, sixteen at a time, and has it treated.
 * @param wanted by the key's part after the space.
 * @throws StoreUnavailableError, StoreAccessError, StoreUnsafeError (the store's times are unfit), the reason of the signal: what was deleted stays so.
 */
export async function pruneSpace(
  work: PruneWork,
  listed: { readonly prefix: string; wanted(rest: string): boolean },
  treat: (seen: Seen, run: PruneRun, signal: AbortSignal) => Promise<void>,
): Promise<Pruned> {
  const { store, space, olderThanMs, signal, onProgress } = work;
  const so = { looked: 0, deleted: 0, open: 0 };
  const run = runOf(work, await boundsOf(work), so);
  try {
    for await (const { entries, dateMs } of pagesOf(store, space + listed.prefix, signal)) {
      const due = entries.filter(({ key, lastModifiedMs }) => {
        // What the listing shows only spares requests; the record itself decides.
        const isYoung = dateMs !== undefined && lastModifiedMs !== undefined && dateMs - lastModifiedMs < olderThanMs;
        return !isYoung && listed.wanted(key.slice(space.length));
      });
      await eachOf(due, { atOnce: AT_ONCE, signal }, async ({ key }, own) => {
        const seen = await seenAt(work, key, own);
        so.looked++;
        if (seen !== undefined) await treat(seen, run, own);
        if (so.looked % PROGRESS_EVERY === 0) onProgress?.({ ...so });
      });
      onProgress?.({ ...so });
    }
  } catch (e) {
    if (!(e instanceof StoreUnavailableError)) throw e;
    const { status } = e;
    throw new StoreUnavailableError(`${e.message}. ${so.deleted} were deleted before: call again for the rest`, { status, cause: e });
  }
  return so;
}

async function boundsOf({ store, olderThanMs, signal }: PruneWork): Promise<PruneBounds> {
  const { storeTime, skewMs } = await store.ensureSafe({ signal });
  if (storeTime) return { olderThanMs, skewMs };
  throw new StoreUnsafeError(`the times of ${store.url} were found unfit, so nothing can be pruned by them: its age is not known`, {
    step: "times of the store",
  });
}

function runOf({ store, space }: PruneWork, bounds: PruneBounds, so: { deleted: number; open: number }): PruneRun {
  let proven: ReturnType<PruneRun["mayDelete"]> | undefined;
  return {
    store,
    bounds,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    mayDelete: () => (proven ??= proveDelete(store, space)),
    note: (what) => void so[what]++,
  };
}

/** DELETE of an object that never was tells how deleting is allowed, and nothing is lost by it. */
async function proveDelete(store: ObjectStore, space: string): ReturnType<PruneRun["mayDelete"]> {
  const key = `${space}.prune-${freshId(store.random)}`;
  const named = await store.remove(key, { ifMatch: `"${freshId(store.random)}"`, timeoutMs: REQUEST_TIMEOUT_MS });
  if (typeof named === "string") return "by version";
  // Some stores have no word for it (501), and some have no right to it: the plain one tells.
  const plain = await store.remove(key, { timeoutMs: REQUEST_TIMEOUT_MS });
  if (typeof plain !== "string") throw plain.error;
  return named.kind === "denied" ? "as it is" : "by version";
}

async function seenAt({ store, onUnreadable }: PruneWork, key: string, signal: AbortSignal): Promise<Seen | undefined> {
  signal.throwIfAborted();
  const read = await store.get(key, { maxBytes: MAX_RECORD_BYTES, timeoutMs: REQUEST_TIMEOUT_MS, signal });
  signal.throwIfAborted();
  if (read.kind === "unavailable" || read.kind === "denied") throw read.error;
  try {
    return seenIn(key, read);
  } catch (e) {
    if (!(e instanceof RecordError)) throw e;
    onUnreadable(e);
    return undefined;
  }
}

/** @throws RecordError for what is no record that this version may touch. */
function seenIn(key: string, read: ReadResult): Seen | undefined {
  if (read.kind === "too-large") throw recordFault(key, "foreign", `has ${read.size ?? "too many"} bytes`);
  if (read.kind !== "found") return undefined;
  const { etag, dateMs, lastModifiedMs } = read;
  return { key, etag, dateMs, lastModifiedMs, record: decodeRecord(key, read.body) };
}
