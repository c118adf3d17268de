import { type Instant, readClocks } from "../clock/deadline.ts";
import { RecordError, type StoreUnavailableError } from "../errors.ts";
import { MAX_RECORD_BYTES } from "../record/codec.ts";
import type { SessionRef } from "../record/record.ts";
import type { ReadResult } from "../store/object-store.ts";
import type { LeaseObject } from "./lease-object.ts";
import { fateOf } from "./member.ts";
import { type KeyView, observationsOf } from "./observations.ts";

/**
 * One look at a key: its record, and where that names a session, the record of its member too, unless it is known to be ended (rule S8).
 * @param memberSinceMs a look at that member by another call is as good if it was made since then.
 * @returns what hindered it, if something that waiting may mend did.
 * @throws StoreAccessError, StoreUnsafeError, the reason of `signal`.
 */
export async function look(
  lease: LeaseObject,
  signal: AbortSignal | undefined,
  memberSinceMs: number = Infinity,
): Promise<StoreUnavailableError | RecordError | undefined> {
  const { view } = lease;
  const trouble = await read(lease, view, signal);
  const { current } = view;
  const ref = current?.record.session;
  if (trouble !== undefined || current === undefined || ref === undefined || lease.judge(undefined).isMyOrphan(current.record))
    return trouble;
  const member = observationsOf(lease.settings.store).view(ref.member);
  return isKnown(member, ref, lease.nowMs(), memberSinceMs) ? undefined : await read(lease, member, signal);
}

/**
 * Takes in a read that found nothing at a key that may be deleted: that is news, and no contradiction.
 * @param askedAt before the read was sent; given for such a key alone.
 */
export function isGone(view: KeyView, read: ReadResult, nowMs: number, askedAt: Instant | undefined): boolean {
  return askedAt !== undefined && read.kind === "absent" && view.noteAbsence({ dateMs: read.dateMs, askedAt }, nowMs);
}

/**
 * Whether a look at a member can be spared: it is ended, which never changes back, or another of this process has seen it alive since then. A thousand
 * locks of one session are told by one look.
 */
export function isKnown(member: KeyView, ref: SessionRef, nowMs: number, sinceMs: number): boolean {
  const fate = fateOf(member, ref, nowMs, 0);
  if (fate.kind !== "alive") return fate.kind === "ended";
  return member.notedAtMs >= sinceMs && (member.refused?.atMs ?? -Infinity) < member.notedAtMs;
}

async function read(
  lease: LeaseObject,
  view: KeyView,
  signal: AbortSignal | undefined,
): Promise<StoreUnavailableError | RecordError | undefined> {
  const { store, timing, takeover } = lease.settings;
  const mayBeGone = lease.settings.ephemeral === true && view.key === lease.settings.key;
  const askedAt = mayBeGone ? readClocks(store.clock) : undefined;
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
  if (isGone(view, answer, lease.nowMs(), askedAt)) return undefined;
  const noted = view.note(answer, lease.nowMs());
  if (noted === "stale") lease.counters.add("staleReads");
  return noted instanceof RecordError ? noted : undefined;
}
