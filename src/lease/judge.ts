import type { LeaseRecord } from "../record/record.ts";
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
}

export type Judgement =
  /** It may be taken now, by a CAS on exactly this sighting's ETag. */
  | { readonly kind: "free"; readonly by: "released" | "orphan" | "observation" | "store-time" }
  /** By watching alone it is free in `freeInMs`; `undefined` where watching does not count. */
  | { readonly kind: "held"; readonly freeInMs: number | undefined };

/** Rules C1 to C3, C6 and C7 on one sighting. Pure: `nowMs` is on the same monotonic clock as `sinceMs`. */
export function judge(seen: Sighting, by: Judge, nowMs: number): Judgement {
  const { record } = seen;
  if (record.state === "held" && by.isMyOrphan(record)) return { kind: "free", by: "orphan" };
  const closed = record.state === "held" ? closedWhileHeld(record, by) : closedAfterRelease(record, by);
  if (closed === undefined) return { kind: "free", by: "released" };
  const watched = nowMs - seen.sinceMs;
  if (by.takeover !== "store-time" && watched >= closed.watchMs) return { kind: "free", by: "observation" };
  if (by.takeover !== "observe" && closed.ageMs !== undefined) {
    // Both stamps are the store's own, of responses that showed this very version; my clock has no say (rule C4).
    const age = seen.dateMs === undefined || seen.lastModifiedMs === undefined ? undefined : seen.dateMs - seen.lastModifiedMs;
    if (age !== undefined && age >= closed.ageMs) return { kind: "free", by: "store-time" };
  }
  return { kind: "held", freeInMs: by.takeover === "store-time" ? undefined : closed.watchMs - watched };
}

/** How long a record stays closed: unchanged under my eyes, or by the store's stamps. */
interface Closed {
  readonly watchMs: number;
  readonly ageMs: number | undefined;
}

function closedWhileHeld(record: LeaseRecord, by: Judge): Closed {
  // A death is an end by another: the record's lock delay comes on top (rule C6).
  const delay = record.lockDelayMs ?? 0;
  return { watchMs: watchMs(record) + delay, ageMs: by.storeSkewMs === undefined ? undefined : storeAgeMs(record, by.storeSkewMs) + delay };
}

function closedAfterRelease(record: LeaseRecord, by: Judge): Closed | undefined {
  const delay = record.endedBy === "other" ? (record.lockDelayMs ?? 0) : 0;
  const reserve = record.reservedFor === undefined || record.reservedFor === by.node ? 0 : (record.reserveMs ?? 0);
  const ms = Math.max(record.holdForMs ?? 0, delay, reserve);
  if (ms === 0) return undefined;
  // Stamps are cut to the second and may differ by the skew; a late viewer waits longer, never shorter.
  return { watchMs: ms, ageMs: by.storeSkewMs === undefined ? undefined : ms + 1000 + by.storeSkewMs };
}
