/** What a user has in hand of anything that is held. */
import type { Fence } from "../errors.ts";
import type { LeaseSignal } from "./lease-signal.ts";
import type { ReleaseOutcome } from "./tenancy.ts";

/** Whatever is held: a term of leadership, a lock, a task's run. */
export interface Lease extends Fence {
  /** Aborts once, with a typed reason: lost, or asked to end. */
  readonly signal: LeaseSignal;
  /** The node name that holds it: this one's. */
  readonly holder: string;
  /** Milliseconds until this process stops believing if nothing is renewed; 0 when it is not held. */
  readonly remainingMs: number;
  readonly heldForMs: number;
  /** Synchronous look at both clocks, before each protected action. @throws LeaseLostError, LeaseEndedError. */
  assertHeld(): void;
  isHeld(): boolean;
  /** One GET: does the store still say so? It extends nothing. @throws LeaseLostError, LeaseEndedError, StoreUnavailableError, StoreAccessError. */
  verify(o?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}

export interface Held extends Lease, AsyncDisposable {
  /** Gives it back with one PUT. Never rejects. */
  release(): Promise<ReleaseOutcome>;
}
