import type { AnyConsensusError, EndReason, LeaseEndedError, LeaseLostError } from "../errors.ts";
import type { Flag, Json, LeaseRecord } from "../record/record.ts";
import type { ReleaseFields } from "./lease-object.ts";
import type { LeaseSignal } from "./lease-signal.ts";

export type ReleaseOutcome = "released" | "already-released" | "not-mine" | "unknown";

/** What a tenancy tells its owner. Called from its loop: an implementation only takes note, it never runs user code (rule H6). */
export interface TenancyHooks {
  renewalFailed(error: AnyConsensusError, remainingMs: number): void;
  flagged(flag: Flag): void;
}

/**
 * One acquisition, from the applied write to its end, as the faces of a lease see it: with a time of its own (`TimedTenancy`), or held through a
 * session (`SessionTenancy`). It ends once, and never revives (rule H3).
 */
export interface Tenancy {
  readonly key: string;
  readonly fencingToken: number;
  readonly signal: LeaseSignal;
  /** Resolves when belief ends, with what ended it. */
  readonly ended: Promise<LeaseLostError | LeaseEndedError>;
  readonly lost: boolean;
  /** The newest version of the record that is known to be this tenancy's. */
  readonly record: LeaseRecord;
  /** The renewal that is failing now, if one is. */
  readonly trouble: AnyConsensusError | undefined;
  /** What the record keeps for its face: the next renewal, where there is one, or the release writes it. */
  payload: Json | undefined;
  readonly remainingMs: number;
  readonly heldForMs: number;
  /** Milliseconds since the newest write that is known to be applied, and that belief rests on, was first sent. */
  readonly unconfirmedForMs: number;
  /** Both clocks, now. Finding the deadline past ends the tenancy on the spot (rules H2, H3). */
  isHeld(): boolean;
  /** @throws LeaseLostError or LeaseEndedError when it is not held any more. */
  assertHeld(): void;
  /**
   * One GET: whether the store still names this tenancy. Extends nothing.
   * @throws LeaseLostError, LeaseEndedError; StoreUnavailableError or StoreAccessError when the store did not say; the reason of `signal`.
   */
  verify(signal?: AbortSignal): Promise<void>;
  /** Tells the work to stop: the signal aborts, the lease stays held and renewed meanwhile (rule H7). */
  askToStop(reason: EndReason): void;
  /** Belief ends here and now, before any release is sent (rule H7). Without effect on an ended tenancy. */
  endBelief(reason: EndReason): void;
  /** Ends belief and frees the key with one conditional PUT. Never rejects; a second call says so. */
  release(reason?: EndReason, fields?: ReleaseFields): Promise<ReleaseOutcome>;
}
