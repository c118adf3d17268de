import { RecordError, type StoreUnavailableError } from "../errors.ts";
import { MAX_RECORD_BYTES } from "../record/codec.ts";
import type { ReadResult } from "../store/object-store.ts";
import type { LeaseObject } from "./lease-object.ts";
import { fateOf } from "./member.ts";
import { type KeyView, observationsOf } from "./observations.ts";

/**
 * One look at a key: its record, and where that names a session, the record of its member too, unless it is known to be ended (rule S8).
 * @returns what hindered it, if something that waiting may mend did.
 * @throws StoreAccessError, StoreUnsafeError, the reason of `signal`.
 */
export async function look(lease: LeaseObject, signal: AbortSignal | undefined): Promise<StoreUnavailableError | RecordError | undefined> {
  const { view } = lease;
  const trouble = await read(lease, view, signal);
  const { current } = view;
  const ref = current?.record.session;
  if (trouble !== undefined || current === undefined || ref === undefined || lease.judge(undefined).isMyOrphan(current.record))
    return trouble;
  const member = observationsOf(lease.settings.store).view(ref.member);
  return fateOf(member, ref, lease.nowMs(), lease.settings.pollMs).kind === "ended" ? undefined : await read(lease, member, signal);
}

async function read(
  lease: LeaseObject,
  view: KeyView,
  signal: AbortSignal | undefined,
): Promise<StoreUnavailableError | RecordError | undefined> {
  const { store, timing, takeover } = lease.settings;
  const answer: ReadResult = await store.get(view.key, {
    // A version that was learnt by writing it has no Last-Modified yet, and a 304 would never tell it (rule C3).
    ifNoneMatch: takeover === "observe" || view.current?.lastModifiedMs !== undefined ? view.current?.etag : undefined,
    maxBytes: MAX_RECORD_BYTES,
    timeoutMs: timing.requestTimeoutMs,
    signal,
  });
  signal?.throwIfAborted();
  if (answer.kind === "denied") throw answer.error;
  if (answer.kind === "unavailable") return answer.error;
  const noted = view.note(answer, lease.nowMs());
  if (noted === "stale") lease.counters.add("staleReads");
  return noted instanceof RecordError ? noted : undefined;
}
