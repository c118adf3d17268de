/**
 * What operators do to a lease, a lock's or an election's, by its object's key (rules O1, O2). Everything goes by the fencing token that the
 * operator saw, and by CAS on the version that was looked at: whoever changed it meanwhile is not cut off by mistake.
 */
import { readClocks } from "../clock/deadline.ts";
import { sleep } from "../clock/wait.ts";
import { RecordError } from "../errors.ts";
import { MAX_RECORD_BYTES } from "../record/codec.ts";
import type { Flag, LeaseRecord, SessionRecord, TimedRecord } from "../record/record.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { endMember } from "./end-member.ts";
import { writeFlag, writeOver } from "./flag.ts";
import { judge } from "./judge.ts";
import { LeaseObject } from "./lease-object.ts";
import { isGone } from "./look.ts";
import { observationsOf, type Sighting } from "./observations.ts";
import type { ReleaseOutcome } from "./tenancy.ts";

export interface OperateOptions {
  readonly signal?: AbortSignal | undefined;
  /** Who says so, for people: stands in the flag. */
  readonly by?: string | undefined;
  /** The key is one that may be deleted. */
  readonly ephemeral?: boolean | undefined;
  /** How often it looks while it waits, in milliseconds. Default 1,000. */
  readonly pollMs?: number | undefined;
}

export const REQUEST_TIMEOUT_MS = 5_000;
export const POLL_MS = 1_000;
const CUT_ATTEMPTS = 10;

/**
 * The record as it stands, by one GET; `undefined` where there is none.
 * @throws RecordError for what is no record of this version; StoreUnavailableError, StoreAccessError; the reason of `signal`.
 */
export async function readRecord(store: ObjectStore, key: string, signal?: AbortSignal, mayBeGone = false): Promise<Sighting | undefined> {
  signal?.throwIfAborted();
  const view = observationsOf(store).view(key);
  const known = view.current?.lastModifiedMs === undefined ? undefined : view.current.etag;
  const askedAt = mayBeGone ? readClocks(store.clock) : undefined;
  const read = await store.get(key, { ifNoneMatch: known, maxBytes: MAX_RECORD_BYTES, signal });
  signal?.throwIfAborted();
  if (read.kind === "denied" || read.kind === "unavailable") throw read.error;
  const nowMs = store.clock.monotonicMs();
  if (isGone(view, read, nowMs, askedAt)) return undefined;
  const noted = view.note(read, nowMs);
  if (noted instanceof RecordError) throw noted;
  return view.current;
}

/**
 * Asks the holder of exactly this token for something (`step-down`, `revoke`): it hears within a renewal.
 * @returns "flagged"; "not-mine" where another holds it, or nobody; "busy" where another's flag waits to be read, or it was renewed just now.
 */
export async function flagHolder(
  store: ObjectStore,
  key: string,
  o: OperateOptions & { readonly token: number; readonly kind: Flag["kind"] } & Pick<Flag, "to" | "cooldownMs">,
): Promise<"flagged" | "not-mine" | "busy"> {
  const { kind, to, cooldownMs, by } = o;
  await store.ensureSafe({ signal: o.signal });
  const seen = await readRecord(store, key, o.signal);
  if (seen?.record.state !== "held" || seen.record.fencingToken !== o.token) return "not-mine";
  if (seen.record.session !== undefined) await readRecord(store, seen.record.session.member, o.signal);
  return (await writeFlag(store, key, seen, { kind, to, cooldownMs, by }, REQUEST_TIMEOUT_MS)) === undefined ? "busy" : "flagged";
}

/**
 * Frees what this token holds: asks the holder to stop, and frees it when it has obeyed or its time is over, seen unchanged for W or by the store's
 * times. A holder that does not obey is waited for as long as it lives, or until `signal`. `now` does not wait: **two may run** until the holder's
 * next renewal is refused.
 * @returns "released"; "already-released"; "not-mine" where another token stands there by now; "unknown".
 * @throws RecordError, StoreAccessError, StoreUnsafeError, StoreUnavailableError, the reason of `signal`.
 */
export async function forceRelease(
  store: ObjectStore,
  key: string,
  o: OperateOptions & { readonly token: number; readonly now?: boolean | undefined },
): Promise<ReleaseOutcome> {
  const verdict = await store.ensureSafe({ signal: o.signal });
  const timing = { ttlMs: 4 * REQUEST_TIMEOUT_MS, marginMs: 0, renewEveryMs: REQUEST_TIMEOUT_MS, requestTimeoutMs: REQUEST_TIMEOUT_MS };
  const operator = new LeaseObject({ store, key, node: o.by ?? "operator", timing, pollMs: o.pollMs ?? POLL_MS, takeover: "auto" });
  let asked = false;
  for (let cuts = 0; cuts < CUT_ATTEMPTS;) {
    const seen = await readRecord(store, key, o.signal, o.ephemeral);
    if (seen?.record.fencingToken !== o.token) return "not-mine";
    const { record } = seen;
    if (record.state === "released") return asked || cuts > 0 ? "released" : "already-released";
    const skewMs = verdict.storeTime ? verdict.skewMs : undefined;
    const mayFree =
      record.session === undefined
        ? o.now === true || isDead({ ...seen, record }, skewMs, store)
        : await endSession(operator, { ...seen, record }, skewMs, o);
    if (mayFree) {
      cuts++;
      const end = await writeOver(store, key, seen, freed(operator, record), REQUEST_TIMEOUT_MS);
      if (end.kind === "applied") return "released";
      if (end.kind === "denied") throw end.error;
      continue;
    }
    if (!asked) {
      const flag = { kind: "revoke", by: o.by } as const;
      asked = record.flag?.kind === "revoke" || (await writeFlag(store, key, seen, flag, REQUEST_TIMEOUT_MS)) !== undefined;
    }
    await sleep(store.clock, o.pollMs ?? POLL_MS, { signal: o.signal, keepAlive: true });
    o.signal?.throwIfAborted();
  }
  return "unknown";
}

/** Ended by another, so that a lock delay applies (rules C6, S16). Its token stays (rule R3). */
function freed(operator: LeaseObject, record: LeaseRecord): TimedRecord {
  const { holderNonce } = record;
  return { ...operator.release(record, {}), holderNonce, endedBy: "other", flag: undefined };
}

/**
 * A session's lock is not read again by its holder: written "released" alone, two would believe for as long as the session lives (rule S15). So its
 * member must be over: it is, or it is dead and ended here, or `now` ends it with all that it holds.
 */
async function endSession(
  operator: LeaseObject,
  seen: Sighting<SessionRecord>,
  storeSkewMs: number | undefined,
  o: OperateOptions & { readonly now?: boolean | undefined },
): Promise<boolean> {
  const { store } = operator.settings;
  const ref = seen.record.session;
  const member = await readRecord(store, ref.member, o.signal);
  const judged = judge({ ...seen, record: { ...seen.record, lockDelayMs: undefined } }, operator.judge(storeSkewMs), operator.nowMs());
  if (judged.kind === "untouchable") throw judged.error;
  if (judged.kind === "free") return true;
  const cut =
    o.now === true && member !== undefined && member.record.session === undefined ? { ...member, record: member.record } : undefined;
  const dead = judged.kind === "end" ? judged : cut && ({ kind: "end", ref, member: cut } as const);
  if (dead === undefined) return false;
  return await endMember(operator, dead, { signal: o.signal ?? new AbortController().signal, onTrouble() {} });
}

/** By the rules of a contender. A lock delay is no part of its time: it begins when the record is freed. */
function isDead(seen: Sighting<TimedRecord>, storeSkewMs: number | undefined, store: ObjectStore): boolean {
  const by = {
    node: "",
    isMyOrphan: () => false,
    takeover: "auto",
    storeSkewMs,
    pollMs: 1_000,
    memberOf: (ref: { readonly member: string }) => observationsOf(store).view(ref.member),
  } as const;
  return judge({ ...seen, record: { ...seen.record, lockDelayMs: undefined } }, by, store.clock.monotonicMs()).kind === "free";
}
