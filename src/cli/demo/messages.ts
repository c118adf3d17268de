/** What a candidate's process is told at its start, and what it says. Times are `process.hrtime`, one clock for all processes of a machine. */
import type { EndReason, LossReason } from "../../errors.ts";

/** What the demo's processes fight for. */
export type Prize = "election" | "lock";

export interface CandidateSettings {
  /** The store's URL. */
  readonly store: string;
  /** Of the election, or of the lock. */
  readonly name: string;
  readonly node: string;
  readonly ttlMs: number;
  readonly pollMs: number;
  /** How long the holder of a lock keeps it. `undefined`: until it is told to end. An elected leader always stays. */
  readonly workMs?: number | undefined;
}

export interface Requests {
  readonly get: number;
  readonly put: number;
}

export interface Status {
  readonly kind: "status";
  readonly atNs: bigint;
  /** `undefined` while it follows, or waits. */
  readonly leads: { readonly token: number; readonly remainingMs: number } | undefined;
  /** Whom it takes for the leader or holder, as last looked. */
  readonly sees: string | undefined;
  readonly requests: Requests;
}

export type CandidateMessage =
  | Status
  | {
      readonly kind: "elected";
      readonly token: number;
      /** Before the first send of the write that won: no later than its belief began. */
      readonly fromNs: bigint;
      readonly atNs: bigint;
    }
  | {
      readonly kind: "demoted";
      readonly token: number;
      readonly atNs: bigint;
      readonly lost: boolean;
      readonly reason: string;
      readonly word: LossReason | EndReason;
    }
  | { readonly kind: "failed"; readonly message: string };
