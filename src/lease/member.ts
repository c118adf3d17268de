/** What is known of the member that a session lock names (rules S1, S5 to S10, S16). This file is pure. */
import { toIso } from "../clock/calendar.ts";
import { RecordError } from "../errors.ts";
import type { SessionRecord, SessionRef, TimedRecord } from "../record/record.ts";
import { wayOut } from "../record/way-out.ts";
import { acceptance, type KeyView, type Sighting } from "./observations.ts";

/** What this process has seen of a member record. */
export type MemberView = Pick<KeyView, "key" | "current" | "absent" | "contradiction">;

export type MemberFate =
  /** Nothing is known yet, or only a version from before the one that the lock names: a stale read, until it persists. */
  | { readonly kind: "unknown" }
  | { readonly kind: "alive"; readonly seen: Sighting<TimedRecord> }
  /** A fact that never changes back: a larger token, or the same one released. */
  | { readonly kind: "ended"; readonly by: "self" | "other"; readonly seen: Sighting<TimedRecord> }
  /** There is no such record. Ids are never used twice, so it is ended; a CAS has to confirm that (rules S10, S12). */
  | { readonly kind: "missing" }
  /** What stands there can't be what the lock names: nothing is taken on the strength of it. */
  | { readonly kind: "strange"; readonly error: RecordError };

/** Always by id and token: the id alone says nothing about the tenancy that a lock names (rule S1). */
export function fateOf(view: MemberView, ref: SessionRef, nowMs: number, pollMs: number): MemberFate {
  const { current, contradiction } = view;
  const isGone = current === undefined ? view.absent : contradiction !== undefined && contradiction.sighting === undefined;
  if (current === undefined) return isGone ? { kind: "missing" } : { kind: "unknown" };
  const { record } = current;
  if (record.session !== undefined)
    return strange(view.key, "foreign", "names a session itself, which no member record does", wayOut(view.key, "repair"));
  const seen = { ...current, record };
  if (record.fencingToken > ref.token) return { kind: "ended", by: "other", seen };
  if (record.fencingToken === ref.token) {
    if (record.state === "released") return { kind: "ended", by: record.endedBy ?? "self", seen };
    return isGone ? { kind: "missing" } : { kind: "alive", seen };
  }
  // A stale read is mended by the next look; what stays is a member that was restored or replaced by hand (rule S10).
  if (nowMs - current.sinceMs < pollMs) return { kind: "unknown" };
  return strange(
    view.key,
    "regressed",
    `has fencing token ${record.fencingToken}, but a lock names ${ref.token} (token regression: restored or replaced by hand)`,
    wayOut(view.key, "accept-regression", acceptance(ref.token, record)),
  );
}

function strange(key: string, kind: "foreign" | "regressed", what: string, way: string): MemberFate {
  const error = new RecordError(`the member record at "${key}" ${what}. Locks that name it are left as they are${way}`, { key, kind });
  return { kind: "strange", error };
}

/** END: the tenancy is over in the store, for everybody, and its token stays (rules S5, S6). By another, so lock delays apply (rule S16). */
export function endedMember(member: TimedRecord, nonce: string): TimedRecord {
  return { ...member, state: "released", endedBy: "other", flag: undefined, nonce, holderNonce: nonce, version: member.version + 1 };
}

/**
 * What is created in the place of a member record that is missing, before a lock that names it is taken: if it was there after all, the create is
 * refused and nothing happened (rule S7). Afterwards nobody needs to wonder again.
 */
export function tombstone(lock: SessionRecord, view: Pick<KeyView, "highest">, nonce: string, nowWallMs: number): TimedRecord {
  const now = toIso(nowWallMs);
  const { token } = lock.session;
  return {
    state: "released",
    endedBy: "other",
    holder: lock.holder,
    instance: nonce,
    nonce,
    holderNonce: nonce,
    fencingToken: Math.max(token, view.highest?.fencingToken ?? 0),
    version: (view.highest?.version ?? 0) + 1,
    ttlMs: 1,
    marginMs: 0,
    acquiredAt: now,
    renewedAt: now,
    expiresAt: now,
    extra: {},
  };
}
