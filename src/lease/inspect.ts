import { type HolderInfo, RecordError } from "../errors.ts";
import { MAX_RECORD_BYTES } from "../record/codec.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { holderOf, verdictOn } from "./holder-info.ts";
import { observationsOf } from "./observations.ts";

/**
 * The present holder, by one GET. Never writes, never probes.
 * @throws RecordError, StoreUnavailableError, StoreAccessError, StoreUnsafeError; the reason of `signal`.
 */
export async function inspectHolder(
  store: ObjectStore,
  of: { readonly key: string; readonly name: string },
  signal: AbortSignal | undefined,
): Promise<HolderInfo | undefined> {
  signal?.throwIfAborted();
  const view = observationsOf(store).view(of.key);
  const read = await store.get(of.key, { ifNoneMatch: view.current?.etag, maxBytes: MAX_RECORD_BYTES, signal });
  signal?.throwIfAborted();
  if (read.kind === "denied" || read.kind === "unavailable") throw read.error;
  const noted = view.note(read, store.clock.monotonicMs());
  if (noted instanceof RecordError) throw noted;
  const verdict = await verdictOn(view.current, store, signal);
  return holderOf(of.name, view.current, store.clock.monotonicMs(), (metadata) => metadata, verdict);
}
