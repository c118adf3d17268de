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

/** Options of a lock that lives within one invocation: its longest hold is the time that is left. */
export type OneShotOptions = Omit<HoldOptions, "maxHoldMs">;

export type Attempt<T> = { readonly ran: true; readonly value: T } | { readonly ran: false; readonly held: LockHeldError };

/** Options of one try. */
export type Try<O> = Omit<O, "waitMs">;

/** The face of locks: `new Locks(…)`, `session.locks()` and `locks.oneShot(…)` have it. */
export interface LockApi<O extends HoldOptions = HoldOptions> {
  /**
   * Waits for the lock, runs the function with it, and gives it back when what the function returned has settled.
   * @throws LockHeldError after the wait; ReentrantLockError; LeaseLostError when the lock was lost while the function ran, also if it returned; the
   * reason of `signal`; WorkNotStoppedError when the work did not stop in time (the lock stays held until it does). The function's own error wins.
   */
  withLock<T>(key: string, fn: (lock: Lock) => Promise<T> | T): Promise<T>;
  withLock<T>(key: string, options: O | undefined, fn: (lock: Lock) => Promise<T> | T): Promise<T>;

  /** `withLock` that does not wait: a lock that is held is a value. @throws as `withLock`, and StoreUnavailableError where the store does not say. */
  tryWithLock<T>(key: string, fn: (lock: Lock) => Promise<T> | T): Promise<Attempt<T>>;
  tryWithLock<T>(key: string, options: Try<O> | undefined, fn: (lock: Lock) => Promise<T> | T): Promise<Attempt<T>>;

  /**
   * Several locks, acquired in sorted order so that two such calls never wait for each other, within one `waitMs`. When one can't be had, those
   * before it are given back. @throws as `withLock`.
   */
  withLocks<const K extends readonly string[], T>(
    keys: K,
    options: O | undefined,
    fn: (locks: { readonly [I in keyof K]: Lock }) => Promise<T> | T,
  ): Promise<T>;

  /**
   * Waits for the lock. It is held until it is released or lost, or the process ends.
   * @throws LockHeldError after the wait, ReentrantLockError, the reason of `signal`; RecordError, StoreUnavailableError, StoreUnsafeError, StoreAccessError.
   */
  acquire(key: string, options?: O): Promise<Lock>;

  /** The lock, or `undefined` where it is held: one request on a known key. @throws what `acquire` throws, but never LockHeldError. */
  tryAcquire(key: string, options?: Try<O>): Promise<Lock | undefined>;

  /**
   * Goes on holding what `handOff` gave the text of, by one PUT. Of two that resume one wins. It does not queue: nobody else can have that lock.
   * @throws NotHeldError when the lock was resumed, freed or taken meanwhile; ConfigError for another text; StoreUnavailableError, StoreAccessError.
   */
  resume(text: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<Lock>;

  /** Who holds it, by one GET. Never writes. @throws RecordError, StoreUnavailableError, StoreAccessError, the reason of `signal`. */
  inspect(key: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<HolderInfo | undefined>;

  /**
   * All that are held, in the order of their escaped names: LIST pages, and a GET for each record that changed since this process last saw it,
   * sixteen at a time. An object that is no record of this version is passed over: `onEvent` and the log hear of each (`unreadable`), and `inspect`
   * throws it. @throws StoreUnavailableError, StoreAccessError, the reason of `signal`.
   */
  list(options?: { readonly prefix?: string | undefined; readonly signal?: AbortSignal | undefined }): AsyncIterableIterator<HolderInfo>;

  /**
   * Frees a lock that another holds by this fencing token: asks the holder to stop, and frees it when it has obeyed or its time is over. `now` does
   * not wait: two may run until the holder's next renewal is refused.
   * @throws RecordError, StoreAccessError, StoreUnsafeError, StoreUnavailableError, the reason of `signal`.
   */
  forceRelease(
    key: string,
    options: { readonly token: number; readonly now?: boolean | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<ReleaseOutcome>;

  /**
   * Deletes the records of the ephemeral locks below the same prefix (`new Locks({ ephemeral: true })`) that were released at least `olderThanMs` ago by
   * the store's clock, from 3,600,000. Never one that is held, flagged, closed, damaged or newer. One LIST a thousand names, a GET for each that is
   * old enough, and a PUT and a DELETE for each that is deleted, sixteen at a time. Plain locks are never deleted: their tokens must live.
   * @returns how many it deleted.
   * @throws StoreUnavailableError, StoreAccessError (no right to delete), StoreUnsafeError (the store's times are unfit), the reason of `signal`: what
   * was deleted stays so, and a later call goes on.
   */
  prune(options: {
    readonly olderThanMs: number;
    readonly prefix?: string | undefined;
    readonly signal?: AbortSignal | undefined;
  }): Promise<number>;

  /**
   * One of `slots` numbered places, fixed while held and never had twice. Place i is the lock `key#i`. Waits like `acquire`.
   * @throws LockHeldError with all holders after the wait; what `acquire` throws.
   */
  slot(key: string, options: O & { readonly slots: number }): Promise<Slot>;

  /** `permits` may hold it at once, each with an identity and a token of its own. All who use it must agree on `permits`. No request. */
  semaphore(key: string, options: { readonly permits: number }): Semaphore<O>;

  /** Counters and histograms since this object was made: at every instant `acquired = released + lost + held`. */
  stats(): Stats;
}

export interface Semaphore<O extends HoldOptions = HoldOptions> {
  acquire(options?: O): Promise<Slot>;
  tryAcquire(options?: Try<O>): Promise<Slot | undefined>;
}

/** A function's invocation: how long it may still run. AWS Lambda's context fits as it is. */
export type Invocation = { getRemainingTimeInMillis(): number } | { readonly remainingMs: number };
