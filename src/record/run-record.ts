/** What is told of one run of a task: by a scheduler's history, its status and its events. */
import type { Json } from "./record.ts";

export type RunState =
  /** Claimed, and its lease is alive. */
  | "running"
  | "succeeded"
  /** Its function threw. */
  | "failed"
  /** Its time ran out. Without `endedAt` its function still runs, and its lease is kept. */
  | "timed-out"
  /** Stopped by an operator, or by the end of its process. */
  | "cancelled"
  /** Its process died, or lost its lease. */
  | "abandoned"
  /** Ticks that were due while a run was under way, or while the task was paused. */
  | "skipped"
  /** Ticks that nobody ran in time. */
  | "missed";

export interface RunRecord {
  readonly task: string;
  /** `tick`: by the schedule. `trigger`: by hand; it consumes no tick. */
  readonly kind: "tick" | "trigger";
  /** The tick's own instant, whenever it ran. Of several skipped or missed ticks the first. */
  readonly scheduledAt: Date;
  readonly state: RunState;
  /** The node that ran it, for people. Of skipped and missed ticks the one that found out. */
  readonly holder: string;
  /** 1 for the first. */
  readonly attempt: number;
  readonly fencingToken: number;
  /** Times of the store, as its node estimated them. */
  readonly startedAt: Date;
  readonly endedAt: Date | undefined;
  /** What it threw, or why it was given up: at most 500 characters. */
  readonly error: string | undefined;
  /** What its function returned: at most 1 KiB of JSON. */
  readonly value: Json | undefined;
  /** What its function said last, as of its last renewal. */
  readonly progress: { readonly text: string; readonly fraction: number | undefined } | undefined;
  /** How many ticks an entry of skipped or missed ticks stands for, or how many were missed when it ran for them; 0 otherwise. */
  readonly missed: number;
}

/** What happened to a run. */
export type TaskEventKind = "claimed" | "succeeded" | "failed" | "timed-out" | "cancelled" | "abandoned" | "skipped" | "missed";
