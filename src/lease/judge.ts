import type { RecordError } from "../errors.ts";
import type { LeaseRecord, SessionRecord, SessionRef, TimedRecord } from "../record/record.ts";
import { type MemberView, fateOf } from "./member.ts";
import type { Sighting } from "./observations.ts";
import { storeAgeMs, watchMs } from "./timing.ts";

/** Which evidence of a holder's death counts: unchanged while watched (rule C2), the store's own stamps (rule C3), or whichever tells first. */
export type Takeover = "auto" | "observe" | "store-time";

export interface Judge {
  /** My node name: a reservation may name it (rule C7). */
  readonly node: string;
  /** Whether a held record was written by this lease object in an attempt that is closed (rule C1). */
  readonly isMyOrphan: (record: LeaseRecord) => boolean;
  readonly takeover: Takeover;
  /** How far the store's clocks may differ, or `undefined` where its times are unfit (rule T4). */
  readonly storeSkewMs: number | undefined;
  /** What is known of the member that a session lock names. */
  readonly memberOf: (ref: SessionRef) => MemberView;
  /** How long an odd read of a member must persist before it counts (rule S10). */
  readonly pollMs: number;
}

type Evidence = "observation" | "store-time";

export type Judgement =
  /** It may be taken now, by a CAS on exactly this sighting's ETag. */
  | { readonly kind: "free"; readonly by: "released" | "orphan" | "session" | Evidence }
  /** By watching alone it is free in `freeInMs`; `undefined` where watching does not count. */
  | { readonly kind: "held"; readonly freeInMs: number | undefined }
  /** The member that it names is dead, and has to be ended in the store before the lock is taken (rule S7). */
  | { readonly kind: "end"; readonly ref: SessionRef; readonly member: Sighting<TimedRecord> | undefined }
  /** What stands in the member's place forbids to take it. */
  | { readonly kind: "untouchable"; readonly error: RecordError };

/** Rules C1 to C3, C6, C7 and S8 on one sighting. Pure: `nowMs` is on the same monotonic clock as `sinceMs`. */
export function judge(seen: Sighting, by: Judge, nowMs: number): Judgement {
  const { record } = seen;
  // An orphan with a lock delay is closed for its own process as for everybody (rule C6).
  if (record.state === "held" && (record.lockDelayMs ?? 0) === 0 && by.isMyOrphan(record)) return { kind: "free", by: "orphan" };
  // A lock that is held through a session has no age of its own (rule S9).
  if (record.session !== undefined) return judgeSession(record, by, nowMs);
  const closed = record.state === "held" ? closedWhileHeld(record, by) : closedAfterRelease(record, by);
  return judgeClosed(seen, closed, by, nowMs, "released");
}

/** A lock names exactly one tenancy, and that one's fate is the lock's. The evidence belongs to this version of the lock alone (rule S8). */
function judgeSession(record: SessionRecord, by: Judge, nowMs: number): Judgement {
  const ref = record.session;
  const fate = fateOf(by.memberOf(ref), ref, nowMs, by.pollMs);
  switch (fate.kind) {
    case "ended": {
      const delayMs = fate.by === "other" ? (record.lockDelayMs ?? 0) : 0;
      return judgeClosed(fate.seen, closedFor(delayMs, by), by, nowMs, "session");
    }
    case "alive": {
      const member = judgeClosed(fate.seen, closedWhileHeld(fate.seen.record, by), by, nowMs, "session");
      return member.kind === "free" ? { kind: "end", ref, member: fate.seen } : member;
    }
    case "missing":
      return { kind: "end", ref, member: undefined };
    case "strange":
      return { kind: "untouchable", error: fate.error };
    case "unknown":
      return { kind: "held", freeInMs: undefined };
  }
}

/** How long a record stays closed: unchanged under my eyes, or by the store's stamps. */
interface Closed {
  readonly watchMs: number;
  readonly ageMs: number | undefined;
}

function judgeClosed(
  seen: Sighting,
  closed: Closed | undefined,
  by: Judge,
  nowMs: number,
  open: "released" | "session",
): Extract<Judgement, { kind: "free" | "held" }> {
  if (closed === undefined) return { kind: "free", by: open };
  const watched = nowMs - seen.sinceMs;
  if (by.takeover !== "store-time" && watched >= closed.watchMs) return { kind: "free", by: "observation" };
  if (by.takeover !== "observe" && closed.ageMs !== undefined) {
    // Both stamps are the store's own, of responses that showed this very version; my clock has no say (rule C4).
    const age = seen.dateMs === undefined || seen.lastModifiedMs === undefined ? undefined : seen.dateMs - seen.lastModifiedMs;
    if (age !== undefined && age >= closed.ageMs) return { kind: "free", by: "store-time" };
  }
  return { kind: "held", freeInMs: by.takeover === "store-time" ? undefined : closed.watchMs - watched };
}

function closedWhileHeld(record: TimedRecord, by: Judge): Closed {
  // A death is an end by another: the record's lock delay comes on top (rule C6).
  const delay = record.lockDelayMs ?? 0;
  return { watchMs: watchMs(record) + delay, ageMs: by.storeSkewMs === undefined ? undefined : storeAgeMs(record, by.storeSkewMs) + delay };
}

function closedAfterRelease(record: TimedRecord, by: Judge): Closed | undefined {
  const delay = record.endedBy === "other" ? (record.lockDelayMs ?? 0) : 0;
  const reserve = record.reservedFor === undefined || record.reservedFor === by.node ? 0 : (record.reserveMs ?? 0);
  return closedFor(Math.max(record.holdForMs ?? 0, delay, reserve), by);
}

function closedFor(ms: number, by: Judge): Closed | undefined {
  if (ms === 0) return undefined;
  // Stamps are cut to the second and may differ by the skew; a late viewer waits longer, never shorter.
  return { watchMs: ms, ageMs: by.storeSkewMs === undefined ? undefined : ms + 1000 + by.storeSkewMs };
}
