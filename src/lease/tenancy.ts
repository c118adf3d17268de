import type { AnyConsensusError, EndReason, LeaseEndedError, LeaseLostError } from "../errors.ts";
import type { Flag, Json, LeaseRecord, TimedRecord } from "../record/record.ts";
import type { ReleaseFields } from "./lease-object.ts";
import type { Lease } from "./held.ts";

export type ReleaseOutcome = "released" | "already-released" | "not-mine" | "unknown";

/** What a tenancy tells its owner. Called from its loop: an implementation only takes note, it never runs user code (rule H6). */
export interface TenancyHooks {
  renewalFailed(error: AnyConsensusError, remainingMs: number): void;
  flagged(flag: Flag): void;
  /** The session that it was held through has given it back while it closed: nobody else tells how that ended. */
  givenBack?(outcome: ReleaseOutcome): void;
}

/** One version of a record that has a time of its own. */
export interface TimedVersion {
  readonly etag: string;
  readonly record: TimedRecord;
}

/**
 * One acquisition, from the applied write to its end, as the faces of a lease see it: with a time of its own (`TimedTenancy`), or held through a
 * session (`SessionTenancy`). It ends once, and never revives (rule H3).
 */
export interface Tenancy extends Lease {
  /** Resolves when belief ends, with what ended it. */
  readonly ended: Promise<LeaseLostError | LeaseEndedError>;
  readonly lost: boolean;
  /** What ended belief, once something has. */
  readonly over: LeaseLostError | LeaseEndedError | undefined;
  /** The newest version of the record that is known to be this tenancy's. */
  readonly record: LeaseRecord;
  /** The renewal that is failing now, if one is. */
  readonly trouble: AnyConsensusError | undefined;
  /** What the record keeps for its face: the next renewal, where there is one, or the release writes it. */
  payload: Json | undefined;
  /** Milliseconds since the newest write that is known to be applied, and that belief rests on, was first sent. */
  readonly unconfirmedForMs: number;
  /** Both clocks, now. Finding the deadline past ends the tenancy on the spot (rules H2, H3). */
  isHeld(): boolean;
  /** Tells the work to stop: the signal aborts, the lease stays held and renewed meanwhile (rule H7). */
  askToStop(reason: EndReason): void;
  /** Belief ends here and now, before any release is sent (rule H7). Without effect on an ended tenancy. */
  endBelief(reason: EndReason): void;
  /**
   * Renews it now. Where a renewal is under way already, that one counts; where a longest hold is covered, none is needed; what is held through a
   * session has nothing to renew.
   * @throws LeaseLostError, LeaseEndedError; StoreUnavailableError or StoreAccessError when it is not known to be applied: it is held on, as before.
   */
  renew(): Promise<void>;
  /**
   * Belief ends, renewals stop, and one last write keeps the key closed, with a ttl of its own, for whoever goes on from exactly that version (O4).
   * @throws LeaseLostError, LeaseEndedError; StoreUnavailableError when it is not known to be applied. Then nobody goes on, and the ttl decides.
   */
  handOff(): Promise<TimedVersion>;
  /** Work runs under it from now on, until the returned function is called: a session that closes waits for that (rule H7). */
  work?(): () => void;
  /** Ends belief and frees the key with one conditional PUT. Never rejects; a second call says so. */
  release(reason?: EndReason, fields?: ReleaseFields): Promise<ReleaseOutcome>;
}
