import type { Lease } from "./held.ts";
import type { LeaseSignal } from "./lease-signal.ts";

/** What every face of a lease says alike: as the one below says it. */
export class LeaseFace implements Lease {
  readonly #below: Lease;

  constructor(below: Lease) {
    this.#below = below;
  }

  get key(): string {
    return this.#below.key;
  }

  get fencingToken(): number {
    return this.#below.fencingToken;
  }

  get holder(): string {
    return this.#below.holder;
  }

  get signal(): LeaseSignal {
    return this.#below.signal;
  }

  get remainingMs(): number {
    return this.#below.remainingMs;
  }

  get heldForMs(): number {
    return this.#below.heldForMs;
  }

  isHeld(): boolean {
    return this.#below.isHeld();
  }

  assertHeld(): void {
    this.#below.assertHeld();
  }

  verify(o?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    return this.#below.verify(o);
  }
}
