import { LeaseFace } from "../lease/lease-face.ts";
import type { ReleaseOutcome } from "../lease/tenancy.ts";
import type { Lock, Slot } from "./api.ts";

/** A lock on one of several places, which knows its number. Its key (`gpu#3`) has one, too: tokens of two places can't be compared. */
export class SlotHandle extends LeaseFace implements Slot {
  readonly index: number;
  readonly #lock: Lock;

  constructor(index: number, lock: Lock) {
    super(lock);
    this.index = index;
    this.#lock = lock;
  }

  release(): Promise<ReleaseOutcome> {
    return this.#lock.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
