/**
 * Where the leases of a face come from. The face of locks (queue, waiting, work, events, counts) is written against this interface alone, so
 * that it stands over leases with a ttl of their own and over those that a session carries.
 */
import type { HolderInfo, LockHeldError, StoreUnavailableError } from "../errors.ts";
import type { OptionSpec } from "../options.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { Counters } from "./counters.ts";
import type { Tenancy, TenancyHooks, TimedVersion } from "./tenancy.ts";

export interface Wait {
  readonly signal: AbortSignal;
  /** When to give up, on the monotonic clock; now or earlier: one try. */
  readonly untilMs: number;
  /** Somebody holds it, or the store does not answer: called at the first of such news, and maybe again. */
  onNews(): void;
}

export interface LeaseSource<O> {
  readonly store: ObjectStore;
  readonly node: string;
  /** What all leases of this source count. */
  readonly counters: Counters;
  /** The options that it takes beside those of every lock, and what is wrong with their relations (after each was right for itself). */
  readonly spec: OptionSpec;
  faults(options: O): readonly string[];
  /** The object of a name, as a caller or a handle spells it. */
  keyOf(name: string): string;
  /** Whether its keys may be deleted while nobody holds them (rules P1 to P4). They have a space of their own, and names that say so. */
  readonly ephemeral: boolean;
  /** The space of its names, as `list` wants it: keys that begin with this, the rest is an escaped name. */
  readonly prefix: string;
  /** The space of the ephemeral locks beside it: what `prune` is about, whoever calls it. */
  readonly ephemeralPrefix: string;
  /** The ttl of what it gives, in milliseconds: the pace of those who look at many keys follows from it. */
  ttlMs(options: O): number;
  /** How much longer a call waits that has waited so long: as its options say, or else long enough to outlive a dead holder. */
  waitMs(options: O, spentMs: number): number;
  /**
   * Waits for the key and takes it. Of the callers in one process only one at a time asks for a key.
   * @returns who holds it, when the wait is over.
   * @throws the reason of the signal; StoreUnavailableError when that is all that is known at the end; RecordError, StoreUnsafeError, StoreAccessError.
   */
  acquire(name: string, options: O, wait: Wait, hooks: TenancyHooks): Promise<Tenancy | LockHeldError>;
  /** Goes on from a version that was handed off: that version or none (rule O4). `undefined`: another did, or it was freed. */
  resume(name: string, from: TimedVersion, signal: AbortSignal | undefined, hooks: TenancyHooks): Promise<Tenancy | undefined>;
  /** What a caller is told who was refused without having asked the store. */
  refusal(name: string, waitedMs: number): LockHeldError | StoreUnavailableError;
  /** The present holder, by one GET. */
  inspect(name: string, signal: AbortSignal | undefined): Promise<HolderInfo | undefined>;
}
