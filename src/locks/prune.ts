/**
 * Deleting the records of ephemeral locks that nobody has held for long. A DELETE may land late, and several stores ignore its condition, so a record is
 * closed first by a CAS: while it is closed nobody acquires it, and longer than that a DELETE is not under way (rule P3).
 */
import { addMs, readClocks } from "../clock/deadline.ts";
import { freshId } from "../clock/wait.ts";
import { RecordError, StoreUnavailableError, StoreUnsafeError } from "../errors.ts";
import { Counters } from "../lease/counters.ts";
import { eachOf, pagesOf } from "../lease/pages.ts";
import { carryOut } from "../lease/write.ts";
import { WrittenNonces } from "../lease/written.ts";
import { decodeRecord, MAX_RECORD_BYTES } from "../record/codec.ts";
import { recordFault } from "../record/fields.ts";
import { escapedPrefix, unescapeName } from "../record/keys.ts";
import type { ObjectStore, ReadResult } from "../store/object-store.ts";
import { type Aged, closedForDeletion, DELETE_WITHIN_MS, isPrunable, type PruneBounds } from "./prunable.ts";

const AT_ONCE = 16;
const REQUEST_TIMEOUT_MS = 5_000;
const CLOSE_ATTEMPTS = 4;

export interface PruneWork {
  readonly store: ObjectStore;
  /** Of the space of ephemeral locks: keys that begin with this, the rest is an escaped name. */
  readonly space: string;
  /** Only names that begin with this. */
  readonly prefix: string;
  readonly olderThanMs: number;
  readonly signal: AbortSignal | undefined;
  /** A record that is damaged, foreign or of a newer version: it was left as it is. */
  readonly onUnreadable: (error: RecordError) => void;
  /** After each page, and every few hundred records. */
  readonly onProgress?: ((so: Pruned) => void) | undefined;
}

/** So far, or in all. */
export interface Pruned {
  /** Records that were old enough by the listing, and read. */
  readonly looked: number;
  readonly deleted: number;
  /** Whose DELETE has no answer: they are closed for a while, and a later call deletes what is left of them. */
  readonly open: number;
}

const PROGRESS_EVERY = 256;

/**
 * One LIST a thousand names; for each record that was not written for so long a GET, and where it is deleted a PUT and a DELETE.
 * @throws StoreUnavailableError, StoreAccessError, StoreUnsafeError (the store's times are unfit), the reason of `signal`: what was deleted stays so.
 */
export async function prune(work: PruneWork): Promise<Pruned> {
  const run = new PruneRun(work, await boundsOf(work));
  try {
    for await (const { entries, dateMs } of pagesOf(work.store, work.space + escapedPrefix(work.prefix), work.signal)) {
      const due = entries.filter(({ key, lastModifiedMs }) => {
        const name = unescapeName(key.slice(work.space.length));
        // What the listing shows only spares requests; the record itself decides.
        const isYoung = dateMs !== undefined && lastModifiedMs !== undefined && dateMs - lastModifiedMs < work.olderThanMs;
        return name?.startsWith(work.prefix) === true && !isYoung;
      });
      await eachOf(due, { atOnce: AT_ONCE, signal: work.signal }, ({ key }, signal) => run.one(key, signal));
      work.onProgress?.(run.so);
    }
  } catch (e) {
    if (!(e instanceof StoreUnavailableError)) throw e;
    const { status } = e;
    throw new StoreUnavailableError(`${e.message}. ${run.so.deleted} were deleted before: call again for the rest`, { status, cause: e });
  }
  return run.so;
}

async function boundsOf({ store, olderThanMs, signal }: PruneWork): Promise<PruneBounds> {
  const { storeTime, skewMs } = await store.ensureSafe({ signal });
  if (storeTime) return { olderThanMs, skewMs };
  throw new StoreUnsafeError(`the times of ${store.url} were found unfit, so nothing can be pruned by them: its age is not known`, {
    step: "times of the store",
  });
}

class PruneRun {
  readonly #work: PruneWork;
  readonly #bounds: PruneBounds;
  #looked = 0;
  #deleted = 0;
  #open = 0;
  #mayDelete: Promise<void> | undefined;

  constructor(work: PruneWork, bounds: PruneBounds) {
    this.#work = work;
    this.#bounds = bounds;
  }

  get so(): Pruned {
    return { looked: this.#looked, deleted: this.#deleted, open: this.#open };
  }

  async one(key: string, signal: AbortSignal): Promise<void> {
    const { store, onUnreadable, onProgress } = this.#work;
    signal.throwIfAborted();
    const read = await store.get(key, { maxBytes: MAX_RECORD_BYTES, timeoutMs: REQUEST_TIMEOUT_MS, signal });
    signal.throwIfAborted();
    if (read.kind === "unavailable" || read.kind === "denied") throw read.error;
    this.#looked++;
    if (this.#looked % PROGRESS_EVERY === 0) onProgress?.(this.so);
    let seen: Seen | undefined;
    try {
      seen = seenIn(key, read);
    } catch (e) {
      if (!(e instanceof RecordError)) throw e;
      return onUnreadable(e);
    }
    if (seen !== undefined && isPrunable(seen, this.#bounds)) await this.#delete(key, seen, signal);
  }

  async #delete(key: string, seen: Parameters<typeof closedOver>[1], signal: AbortSignal): Promise<void> {
    const { store } = this.#work;
    // Nothing is closed that could not be deleted then.
    await (this.#mayDelete ??= this.#proveDelete());
    signal.throwIfAborted();
    const closed = await closedOver(store, seen, key);
    if (closed === undefined) return;
    const sendBy = addMs(closed.firstSentAt, DELETE_WITHIN_MS);
    const result = await store.remove(key, { ifMatch: closed.etag, timeoutMs: REQUEST_TIMEOUT_MS, sendBy });
    if (result === "removed") this.#deleted++;
    else if (result !== "refused") {
      if (result.kind === "denied") throw result.error;
      // It is not sent a second time: the first may still land (rule P3).
      const now = await store.get(key, { maxBytes: 0, timeoutMs: REQUEST_TIMEOUT_MS });
      if (now.kind === "absent") this.#deleted++;
      else this.#open++;
    }
  }

  /** DELETE of an object that never was tells whether deleting is allowed. @throws StoreAccessError, StoreUnavailableError. */
  async #proveDelete(): Promise<void> {
    const { store, space } = this.#work;
    const result = await store.remove(`${space}.prune-${freshId(store.random)}`, { timeoutMs: REQUEST_TIMEOUT_MS });
    if (typeof result !== "string") throw result.error;
  }
}

interface Seen extends Aged {
  readonly etag: string;
}

/** @throws RecordError for what is no record that this version may touch. */
function seenIn(key: string, read: ReadResult): Seen | undefined {
  if (read.kind === "too-large") throw recordFault(key, "foreign", `has ${read.size ?? "too many"} bytes`);
  if (read.kind !== "found") return undefined;
  const { etag, dateMs, lastModifiedMs } = read;
  return { etag, dateMs, lastModifiedMs, record: decodeRecord(key, read.body) };
}

/** Closes it, by CAS on exactly the version that was judged. @returns `undefined` where it is not known to be applied. @throws StoreAccessError. */
async function closedOver(
  store: ObjectStore,
  seen: Seen & { readonly record: Parameters<typeof closedForDeletion>[0] },
  key: string,
): Promise<{ readonly etag: string; readonly firstSentAt: ReturnType<typeof readClocks> } | undefined> {
  const end = await carryOut(
    { store, key, counters: new Counters(), written: new WrittenNonces(), requestTimeoutMs: REQUEST_TIMEOUT_MS },
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
