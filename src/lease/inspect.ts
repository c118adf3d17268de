import { readClocks } from "../clock/deadline.ts";
import { type HolderInfo, RecordError } from "../errors.ts";
import { MAX_RECORD_BYTES } from "../record/codec.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { holderOf, verdictOn } from "./holder-info.ts";
import { isGone, isKnown } from "./look.ts";
import { type KeyView, observationsOf } from "./observations.ts";

/**
 * The present holder, by one GET; by two where the lock is held through a session. Never writes, never probes.
 * @throws RecordError, StoreUnavailableError, StoreAccessError, StoreUnsafeError; the reason of `signal`.
 */
export async function inspectHolder(
  store: ObjectStore,
  of: { readonly key: string; readonly name: string; readonly ephemeral?: boolean | undefined },
  signal: AbortSignal | undefined,
): Promise<HolderInfo | undefined> {
  signal?.throwIfAborted();
  const startMs = store.clock.monotonicMs();
  const views = observationsOf(store);
  const view = views.view(of.key);
  await readInto(store, view, signal, of.ephemeral);
  const ref = view.current?.record.session;
  const member = ref && views.view(ref.member);
  if (ref !== undefined && member !== undefined && !isKnown(member, ref, store.clock.monotonicMs(), startMs))
    await readInto(store, member, signal);
  const verdict = await verdictOn(view.current, store, signal);
  return holderOf(of.name, view.current, store.clock.monotonicMs(), (metadata) => metadata, verdict, member);
}

/** One conditional read, taken into the view. @throws RecordError, StoreUnavailableError, StoreAccessError, StoreUnsafeError; the reason of `signal`. */
export async function readInto(store: ObjectStore, view: KeyView, signal: AbortSignal | undefined, mayBeGone = false): Promise<void> {
  const askedAt = mayBeGone ? readClocks(store.clock) : undefined;
  const read = await store.get(view.key, { ifNoneMatch: view.current?.etag, maxBytes: MAX_RECORD_BYTES, signal });
  signal?.throwIfAborted();
  if (read.kind === "denied" || read.kind === "unavailable") throw read.error;
  const nowMs = store.clock.monotonicMs();
  if (isGone(view, read, nowMs, askedAt)) return;
  const noted = view.note(read, nowMs);
  if (noted instanceof RecordError) throw noted;
}
