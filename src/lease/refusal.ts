import { LockHeldError, StoreUnavailableError } from "../errors.ts";
import { describeHolder, memberOf } from "./holder-info.ts";
import { judge } from "./judge.ts";
import type { LeaseObject } from "./lease-object.ts";

/**
 * What a candidate is told that may not have the key, by the newest version seen. Where none was seen, the store did not say who holds it.
 * @param onlyWatching the store's times are unfit (rule T4), so that only watching tells a dead holder from a slow one.
 */
export function refusalOf(lease: LeaseObject, waitedMs: number, onlyWatching: boolean): LockHeldError | StoreUnavailableError {
  const { name, view, settings } = lease;
  const seen = view.current;
  const waited = `waited ${Math.round(waitedMs)} ms`;
  if (seen === undefined) return new StoreUnavailableError(`"${name}" could not be acquired, and who holds it is not known; ${waited}`);
  const judged = judge(seen, { ...lease.judge(undefined), takeover: "observe", isMyOrphan: () => false }, lease.nowMs());
  const freeInMs = judged.kind === "held" ? judged.freeInMs : 0;
  const member = memberOf(settings.store, seen)?.current?.record;
  const holder = describeHolder(name, seen.record, freeInMs, (metadata) => metadata, member?.renewedAt);
  const what =
    seen.record.state === "held"
      ? `is held by ${holder.holder} since ${seen.record.acquiredAt}`
      : `was released by ${holder.holder}, and stays closed for ${Math.round(freeInMs ?? 0)} ms`;
  const hint =
    onlyWatching && freeInMs !== undefined && waitedMs < freeInMs
      ? `. The times of this store are unfit to tell a dead holder at the first look: only a process that waits for ${Math.ceil(freeInMs)} ms can (waitMs)`
      : "";
  return new LockHeldError(`"${name}" ${what} (fencing token ${holder.fencingToken}); ${waited}${hint}`, {
    key: name,
    holders: [holder],
    retryAfterMs: Math.ceil(Math.min(settings.pollMs, Math.max(1, freeInMs ?? settings.pollMs))),
  });
}
