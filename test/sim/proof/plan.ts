/**
 * A plan is everything that a run depends on besides the code: who takes part with which settings, and what goes wrong when. It is made before
 * the run, can be shrunk window by window, and is kept as a file that a person can read.
 */
import type { FaultWindow, Latency } from "../../../src/testing/sim/faults.ts";
import type { StoreProfile } from "../../../src/testing/sim/sim-s3.ts";

/** How a node's program uses the Manager. */
export type Style = "run" | "start" | "campaign";

export interface NodePlan {
  readonly name: string;
  /** What it calls itself, where that is not its name: two of one name are strangers all the same (rule H9). */
  readonly calledAs?: string | undefined;
  readonly style: Style;
  readonly ttlMs: number;
  readonly marginMs?: number | undefined;
  readonly pollMs?: number | undefined;
  readonly requestTimeoutMs?: number | undefined;
  readonly drainMs: number;
  readonly cooldownMs?: number | undefined;
  readonly takeover: "auto" | "observe" | "store-time";
  readonly rate: number;
  readonly wallOffsetMs: number;
  readonly timerEarlyMs: number;
  readonly onDone: "keep" | "release";
}

/** What callers of a lock may do with it, beside taking it and giving it back. */
export const LOCK_ACTIONS = [
  "with",
  "acquire",
  "try",
  "ask",
  "abandon",
  "hand-off",
  "force",
  "several",
  "slot",
  "permit",
  "one-shot",
  "reenter",
  "renew-and-release",
  "fenced",
] as const;
export type LockAction = (typeof LOCK_ACTIONS)[number];

/** Another face of the package on one node: `Locks`, a `Session` with its locks and perhaps an election, a `Scheduler`, or who deletes what is old. */
export interface FacePlan {
  readonly kind: "locks" | "session" | "scheduler" | "janitor";
  readonly node: string;
  /** Names of locks, or of tasks: shared by all faces of a world. */
  readonly keys: readonly string[];
  /** How many use it at once. */
  readonly callers: number;
  readonly actions: readonly LockAction[];
  readonly ttlMs: number;
  readonly marginMs?: number | undefined;
  readonly requestTimeoutMs?: number | undefined;
  readonly drainMs: number;
  readonly takeover?: "auto" | "observe" | "store-time" | undefined;
  readonly autoRenew?: boolean | undefined;
  readonly minHoldMs?: number | undefined;
  readonly lockDelayMs?: number | undefined;
  readonly maxHoldMs?: number | undefined;
  /** Locks: the keys are of those that may be deleted, and their names say so. */
  readonly ephemeral?: boolean | undefined;
  /** How long it rests at most between two calls, sessions or passes. Default: part of a ttl. */
  readonly restMs?: number | undefined;
  /** Sessions: the election that runs over it, if one does. */
  readonly election?: string | undefined;
  /** Schedulers: what each task is like, for all nodes. */
  readonly task?: TaskPlan | undefined;
  /** Schedulers: called as functions are, with `runDue`. */
  readonly functions?: boolean | undefined;
}

export interface TaskPlan {
  readonly everyMs: number;
  readonly retries: number;
  readonly retryDelayMs?: number | undefined;
  readonly timeoutMs?: number | undefined;
  readonly graceMs?: number | undefined;
  readonly missed?: "once" | "skip" | { readonly all: { readonly max: number; readonly windowMs: number } } | undefined;
  readonly overlap?: "skip" | "queue" | undefined;
}

export interface Plan {
  readonly format: 1;
  readonly seed: number;
  /** Which promise it broke when it was found, and what it showed. For people. */
  readonly found?: string | undefined;
  /** The elections, in each of which every node takes part. */
  readonly keys: readonly string[];
  readonly nodes: readonly NodePlan[];
  /** What else lives in this world. */
  readonly faces?: readonly FacePlan[] | undefined;
  readonly latency: Latency;
  readonly profile: Partial<StoreProfile>;
  /** Whether all clocks keep to a rate within 10 % and no machine is both frozen and set back: then at most one believes. */
  readonly boundedClocks: boolean;
  /** Faults happen until then; after it only what was on its way still lands. */
  readonly safetyMs: number;
  /** How late a message can be at most. */
  readonly latestMs: number;
  readonly windows: readonly FaultWindow[];
}

/** Faults of the user's program, of operators, and of the store's contents, beside those of `faults.ts`. */
export const PROGRAM_FAULTS = [
  "stop",
  "step-down",
  "handler-throws",
  "handler-rejects",
  "handler-hangs",
  "handler-returns",
  "handler-blocks",
  "demoted-hangs",
  "impatient",
] as const;
/** Operators' words to a holder, by conditional writes (rule O1). `x` says which key. */
export const FLAGS = ["flag-asked", "flag-step-down", "flag-revoke"] as const;
/**
 * - `stall-create`: stopped for `x` ms while the answer is on its way that an ephemeral key is not there.
 * - `stall-delete`: stopped for `x` ms while the answer is on its way that a key was closed for its deletion.
 */
export const STALLS = ["stall-create", "stall-delete"] as const;
/** An operator, or a restored backup, changes the record behind everybody's back: this is outside of what is promised, except for I4, I5, I8, I13. */
export const TAMPERING = ["erase", "roll-back", "garbage"] as const;

export function isTampered(plan: Plan): boolean {
  return plan.windows.some((w) => (TAMPERING as readonly string[]).includes(w.kind));
}

/** JSON with one face and one window on a line, the windows in the order of time. */
export function printPlan(plan: Plan): string {
  const { windows, faces = [], ...rest } = plan;
  const head = JSON.stringify(rest, null, 2).slice(0, -2);
  const list = (items: readonly object[]): string =>
    items.length === 0 ? "[]" : `[\n${items.map((i) => `    ${JSON.stringify(i)}`).join(",\n")}\n  ]`;
  return `${head},\n  "faces": ${list(faces)},\n  "windows": ${list([...windows].sort((a, b) => a.from - b.from))}\n}\n`;
}
