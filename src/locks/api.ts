/** What users of locks write against. The same face stands over plain leases (`Locks`) and over a session's (`session.locks()`). */
import type { HolderInfo, LockHeldError } from "../errors.ts";
import type { Held } from "../lease/held.ts";
import type { Takeover } from "../lease/judge.ts";
import type { ReleaseOutcome } from "../lease/tenancy.ts";
import type { Json } from "../record/record.ts";
import type { Stats } from "../store/object-store.ts";

/** One lock, held. */
export interface Lock extends Held {
  /** Renews it now with one PUT, whether or not it renews itself. @throws LeaseLostError, LeaseEndedError, StoreUnavailableError, StoreAccessError. */
  renew(): Promise<void>;
  /**
   * Belief ends here, the lock stays closed for its ttl, and whoever `resume`s with the returned text goes on holding it.
   * @throws LeaseLostError, LeaseEndedError; StoreUnavailableError when it is not known to be applied: then there is no text, and the ttl decides.
   */
  handOff(): Promise<string>;
}

/** A numbered place among `slots`, fixed while held. */
export interface Slot extends Held {
  /** 0 … slots − 1. */
  readonly index: number;
}

export interface HoldOptions {
  /** How long to wait for it, in milliseconds. Default: twice the ttl, which outlives a dead holder. 0: one try. */
  readonly waitMs?: number | undefined;
  /** Ends the waiting; in `withLock` it also stops the work. The call rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Shown to everybody who is refused: JSON, at most 2 KiB. Never put a secret here. */
  readonly metadata?: Json | undefined;
  /** The longest time it is held, in milliseconds: the signal aborts before, and nothing is renewed beyond. Default: no limit. */
  readonly maxHoldMs?: number | undefined;
  /** How long the key stays closed from the acquisition on, even if it is released before, in milliseconds. `release` does not wait for it. Default 0. */
  readonly minHoldMs?: number | undefined;
  /** How long the key stays closed after a tenancy that its holder did not end itself, in milliseconds. Default 0. */
  readonly lockDelayMs?: number | undefined;
  /** Tells the holder that somebody waits: its `onAsked` is called within a renewal. Default false. */
  readonly askHolder?: boolean | undefined;
  /** Called when somebody waits for it with `askHolder`. It may release, or ignore it. */
  readonly onAsked?: (() => void) | undefined;
}

export interface LeaseOptions extends HoldOptions {
  /** How long a write keeps others out, in milliseconds. Default 30,000; 100 to 86,400,000. Below 5,000 it is for tests. */
  readonly ttlMs?: number | undefined;
  /** Renews it every third of the ttl until it is released or the process ends. Default true. */
  readonly autoRenew?: boolean | undefined;
  /** Which evidence of a holder's death counts. Default `auto`: watching, or the store's own time, whichever tells first. */
  readonly takeover?: Takeover | undefined;
  /** Keeps the process alive while it is held. Default true. */
  readonly keepAlive?: boolean | undefined;
}

export type Attempt<T> = { readonly ran: true; readonly value: T } | { readonly ran: false; readonly held: LockHeldError };

/** Options of one try. */
export type Try<O> = Omit<O, "waitMs">;

export interface LockApi<O extends HoldOptions = HoldOptions> {
  withLock<T>(key: string, fn: (lock: Lock) => Promise<T> | T): Promise<T>;
  withLock<T>(key: string, options: O | undefined, fn: (lock: Lock) => Promise<T> | T): Promise<T>;
  tryWithLock<T>(key: string, fn: (lock: Lock) => Promise<T> | T): Promise<Attempt<T>>;
  tryWithLock<T>(key: string, options: Try<O> | undefined, fn: (lock: Lock) => Promise<T> | T): Promise<Attempt<T>>;
  withLocks<const K extends readonly string[], T>(
    keys: K,
    options: O | undefined,
    fn: (locks: { readonly [I in keyof K]: Lock }) => Promise<T> | T,
  ): Promise<T>;
  acquire(key: string, options?: O): Promise<Lock>;
  tryAcquire(key: string, options?: Try<O>): Promise<Lock | undefined>;
  resume(text: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<Lock>;
  inspect(key: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<HolderInfo | undefined>;
  list(options?: { readonly prefix?: string | undefined; readonly signal?: AbortSignal | undefined }): AsyncIterableIterator<HolderInfo>;
  forceRelease(
    key: string,
    options: { readonly token: number; readonly now?: boolean | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<ReleaseOutcome>;
  prune(options: {
    readonly olderThanMs: number;
    readonly prefix?: string | undefined;
    readonly signal?: AbortSignal | undefined;
  }): Promise<number>;
  slot(key: string, options: O & { readonly slots: number }): Promise<Slot>;
  semaphore(key: string, options: { readonly permits: number }): Semaphore<O>;
  stats(): Stats;
}

export interface Semaphore<O extends HoldOptions = HoldOptions> {
  acquire(options?: O): Promise<Slot>;
  tryAcquire(options?: Try<O>): Promise<Slot | undefined>;
}

/** A function's invocation: how long it may still run. AWS Lambda's context fits as it is. */
export type Invocation = { getRemainingTimeInMillis(): number } | { readonly remainingMs: number };
