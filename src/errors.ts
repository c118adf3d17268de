/**
 * Every error that this package throws on purpose: one base class, a closed union by `code`, plain data, and `cause`.
 *
 * `ConsensusError.is(e)` holds across copies of the package in one process (a bundler or two versions in a tree), because it looks at a
 * registered symbol and not at the prototype chain.
 */

const BRAND = Symbol.for("s3-consensus.error");

/** Why a lease was lost without anybody here having asked for it. */
export type LossReason = "expired" | "overtaken" | "deleted" | "replaced" | "token-regression" | "frozen";

/** Why a lease ended because somebody here asked for it. */
export type EndReason = "released" | "stopped" | "stepped-down" | "timed-out" | "max-hold" | "handed-off" | "cancelled";

/** What is the matter with an object that should hold a record. `regressed`: its fencing token is lower than one already seen (rule H10). */
export type RecordFault = "foreign" | "newer" | "damaged" | "regressed";

/** What may stand in `metadata`. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [k: string]: Json };

/** What fences: the number of one acquisition of one key. Tokens of two keys can't be compared. */
export interface Fence {
  readonly key: string;
  readonly fencingToken: number;
}

interface Cause {
  readonly cause?: unknown;
}

export class ConsensusError<C extends string = string> extends Error {
  readonly code: C;

  constructor(code: C, message: string, options?: Cause) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.name = new.target.name;
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** True for an error of this package, whichever copy of the package made it. */
  static is(e: unknown): e is AnyConsensusError {
    return typeof e === "object" && e !== null && Reflect.get(e, BRAND) === true;
  }
}

/** A wrong option or a call in the wrong state. The message lists every fault, with the option, its value and what would be right. */
export class ConfigError extends ConsensusError<"CONFIG"> {
  readonly faults: readonly string[];

  constructor(what: string, faults: readonly string[], options?: Cause) {
    const text =
      faults.length === 1 ? `${what}: ${faults[0] ?? ""}` : `${what}: ${faults.length} faults\n${faults.map((f) => `  - ${f}`).join("\n")}`;
    super("CONFIG", text, options);
    this.faults = faults;
  }
}

/** Who holds a lease, as its record says. The dates are for people: no decision is made from them. */
export interface HolderInfo<M = Json> extends Fence {
  /** The holder's node name, for people. */
  readonly holder: string;
  readonly nonce: string;
  readonly acquiredAt: Date;
  /** By the holder's clock; of what is held through a session, when that was renewed. */
  readonly renewedAt: Date;
  /** Milliseconds until another may take it if nobody renews it; `undefined` where the store told no time. */
  readonly freeInMs: number | undefined;
  readonly metadata: M | undefined;
}

/** Somebody else holds it. A value in `try…` calls; thrown by calls whose wait ran out. */
export class LockHeldError extends ConsensusError<"LOCK_HELD"> {
  readonly key: string;
  readonly holders: readonly [HolderInfo, ...HolderInfo[]];
  /** When another look is worth its request, in milliseconds. */
  readonly retryAfterMs: number;

  constructor(
    message: string,
    data: { readonly key: string; readonly holders: readonly [HolderInfo, ...HolderInfo[]]; readonly retryAfterMs: number },
  ) {
    super("LOCK_HELD", message);
    this.key = data.key;
    this.holders = data.holders;
    this.retryAfterMs = data.retryAfterMs;
  }
}

/** The lock is wanted again inside the function that holds it: that would wait for itself. */
export class ReentrantLockError extends ConsensusError<"REENTRANT"> {
  readonly key: string;

  constructor(message: string, data: { readonly key: string }) {
    super("REENTRANT", message);
    this.key = data.key;
  }
}

/** The lease ended without anybody here having asked for it. */
export class LeaseLostError extends ConsensusError<"LEASE_LOST"> {
  readonly key: string;
  readonly reason: LossReason;

  constructor(message: string, data: { readonly key: string; readonly reason: LossReason } & Cause) {
    super("LEASE_LOST", message, data);
    this.key = data.key;
    this.reason = data.reason;
  }
}

/** The lease ended because somebody here asked for it. */
export class LeaseEndedError extends ConsensusError<"LEASE_ENDED"> {
  readonly key: string;
  readonly reason: EndReason;

  constructor(message: string, data: { readonly key: string; readonly reason: EndReason } & Cause) {
    super("LEASE_ENDED", message, data);
    this.key = data.key;
    this.reason = data.reason;
  }
}

/** Work that was told to stop had not settled when `drainMs` passed. The lease stays held until it does (rule H7). */
export class WorkNotStoppedError extends ConsensusError<"WORK_NOT_STOPPED"> {
  readonly key: string;
  readonly waitedMs: number;

  constructor(message: string, data: { readonly key: string; readonly waitedMs: number } & Cause) {
    super("WORK_NOT_STOPPED", message, data);
    this.key = data.key;
    this.waitedMs = data.waitedMs;
  }
}

/** The call needs a lease that is not held here. */
export class NotHeldError extends ConsensusError<"NOT_HELD"> {
  readonly key: string;

  constructor(message: string, data: { readonly key: string } & Cause) {
    super("NOT_HELD", message, data);
    this.key = data.key;
  }
}

/** A newer token has written the object, or has opened it: whoever still works under `mine` has lost its lease. Nothing was written. */
export class FencedOutError extends ConsensusError<"FENCED_OUT"> {
  readonly mine: Fence;
  readonly theirs: Fence;

  constructor(message: string, data: { readonly mine: Fence; readonly theirs: Fence }) {
    super("FENCED_OUT", message);
    this.mine = data.mine;
    this.theirs = data.theirs;
  }
}

/** The store ignores, or does not receive, the conditions that everything here rests on. `step` names what showed it. */
export class StoreUnsafeError extends ConsensusError<"STORE_UNSAFE"> {
  readonly step: string;

  constructor(message: string, data: { readonly step: string } & Cause) {
    super("STORE_UNSAFE", message, data);
    this.step = data.step;
  }
}

/** Wrong bucket, permission, region, credentials or clock: what waiting can't mend. `hint` says what to change. */
export class StoreAccessError extends ConsensusError<"STORE_ACCESS"> {
  readonly hint: string;

  constructor(message: string, data: { readonly hint: string } & Cause) {
    super("STORE_ACCESS", message, data);
    this.hint = data.hint;
  }
}

/** The store could not be reached, answered too late, or asked us to slow down. Waiting may mend it. */
export class StoreUnavailableError extends ConsensusError<"STORE_UNAVAILABLE"> {
  /** The HTTP status, where there was an answer. */
  readonly status: number | undefined;

  constructor(message: string, data: { readonly status?: number | undefined } & Cause = {}) {
    super("STORE_UNAVAILABLE", message, data);
    this.status = data.status;
  }
}

/** The object at a record's key is not a record that this version may touch. It is never overwritten. */
export class RecordError extends ConsensusError<"RECORD"> {
  readonly key: string;
  readonly kind: RecordFault;

  constructor(message: string, data: { readonly key: string; readonly kind: RecordFault } & Cause) {
    super("RECORD", message, data);
    this.key = data.key;
    this.kind = data.kind;
  }
}

export type AnyConsensusError =
  | ConfigError
  | LockHeldError
  | ReentrantLockError
  | LeaseLostError
  | LeaseEndedError
  | WorkNotStoppedError
  | NotHeldError
  | FencedOutError
  | StoreUnsafeError
  | StoreAccessError
  | StoreUnavailableError
  | RecordError;

/** The readable part of anything that was thrown. */
export function messageOf(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}
