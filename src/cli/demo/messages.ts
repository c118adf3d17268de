/** What a candidate's process is told at its start, and what it says. Times are `process.hrtime`, one clock for all processes of a machine. */

export interface CandidateSettings {
  /** The store's URL. */
  readonly store: string;
  readonly election: string;
  readonly node: string;
  readonly ttlMs: number;
  readonly pollMs: number;
}

export interface Requests {
  readonly get: number;
  readonly put: number;
}

export interface Status {
  readonly kind: "status";
  /** `undefined` while it follows. */
  readonly leads: { readonly token: number; readonly remainingMs: number } | undefined;
  /** Whom it takes for the leader, as last polled. */
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
  | { readonly kind: "demoted"; readonly token: number; readonly atNs: bigint; readonly lost: boolean; readonly reason: string }
  | { readonly kind: "failed"; readonly message: string };
