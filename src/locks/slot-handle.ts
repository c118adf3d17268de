import type { LeaseSignal } from "../lease/lease-signal.ts";
import type { ReleaseOutcome } from "../lease/tenancy.ts";
import type { Lock, Slot } from "./api.ts";

/** A lock on one of several places, which knows its number. */
export class SlotHandle implements Slot {
  readonly index: number;
  readonly #lock: Lock;

  constructor(index: number, lock: Lock) {
    this.index = index;
    this.#lock = lock;
  }

  /** `gpu#3`: tokens of two places can't be compared. */
  get key(): string {
    return this.#lock.key;
  }

  get fencingToken(): number {
    return this.#lock.fencingToken;
  }

  get holder(): string {
    return this.#lock.holder;
  }

  get signal(): LeaseSignal {
    return this.#lock.signal;
  }

  get remainingMs(): number {
    return this.#lock.remainingMs;
  }

  get heldForMs(): number {
    return this.#lock.heldForMs;
  }

  isHeld(): boolean {
    return this.#lock.isHeld();
  }

  assertHeld(): void {
    this.#lock.assertHeld();
  }

  verify(options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    return this.#lock.verify(options);
  }

  release(): Promise<ReleaseOutcome> {
    return this.#lock.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
