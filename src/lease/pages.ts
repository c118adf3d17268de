import { fanOut } from "../clock/wait.ts";
import type { ListEntry, ObjectStore } from "../store/object-store.ts";

/** Beyond this many pages of a thousand keys something else than records lives there. */
const MAX_PAGES = 10_000;

export interface Page {
  readonly entries: readonly ListEntry[];
  /** The store's `Date` of the answer. */
  readonly dateMs: number | undefined;
}

/**
 * The objects whose keys begin with `prefix`, a page of at most a thousand at a time: one page is in memory.
 * @throws StoreUnavailableError, StoreAccessError, StoreUnsafeError; the reason of `signal`.
 */
export async function* pagesOf(store: ObjectStore, prefix: string, signal: AbortSignal | undefined): AsyncGenerator<Page, undefined> {
  let after: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    signal?.throwIfAborted();
    const listed = await store.list(prefix, { after, signal });
    signal?.throwIfAborted();
    if (listed.kind !== "page") throw listed.error;
    yield { entries: listed.entries, dateMs: listed.dateMs };
    if (listed.next === undefined) return;
    after = listed.next;
  }
}

/**
 * Does `work` for each, so many at a time, and waits for all that was begun. Each has a signal of its own that aborts with the caller's.
 * @throws the first error; nothing new is begun after it.
 */
export async function eachOf<T>(
  items: readonly T[],
  o: { readonly atOnce: number; readonly signal: AbortSignal | undefined },
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  let next = 0;
  const errors: unknown[] = [];
  const worker = async (signal: AbortSignal): Promise<void> => {
    while (next < items.length && errors.length === 0) {
      const item = items[next++] as T;
      try {
        await work(item, signal);
      } catch (error) {
        errors.push(error);
      }
    }
  };
  const { signals, undo } = fanOut(o.signal, Math.min(o.atOnce, items.length));
  try {
    await Promise.all(signals.map(worker));
  } finally {
    undo();
  }
  if (errors.length > 0) throw errors[0] as Error;
}
