import { LeaseLostError, type LeaseEndedError } from "../errors.ts";
import type { EndReason } from "../errors.ts";
import type { ReleaseFields } from "../lease/lease-object.ts";
import type { ReleaseOutcome, Tenancy } from "../lease/tenancy.ts";
import { LeaseFace } from "../lease/lease-face.ts";
import { holdOnMs } from "../lease/timing.ts";
import type { Emitter } from "../lease/wiring.ts";
import type { Lock } from "./api.ts";
import { handOffText } from "./hand-off.ts";
import type { Turn } from "./local-queue.ts";
import type { LockStats } from "./stats.ts";

export interface HandleContext {
  readonly emitter: Emitter;
  readonly stats: LockStats;
  /** The place in the local queue; `undefined` for one that was resumed past the queue. */
  readonly turn: Turn | undefined;
  readonly minHoldMs: number | undefined;
}

/** The user's face of a lease. Belief and renewal live in the lease; this adds events, counts, the text of a hand-off, and leaves the local queue. */
export class LockHandle extends LeaseFace implements Lock {
  readonly lease: Tenancy;
  /** The callers of this process behind it wait for it, and for nothing else. */
  blocksQueue: boolean;
  readonly #context: HandleContext;
  #told = false;

  constructor(lease: Tenancy, waitedMs: number, context: HandleContext) {
    super(lease);
    this.lease = lease;
    this.blocksQueue = context.turn !== undefined;
    this.#context = context;
    const { emitter, stats } = context;
    emitter.emit({ type: "acquired", lease: this.#fence, waitedMs });
    stats.acquired(lease, waitedMs);
    void lease.ended.then((error) => this.#ended(error));
  }

  get #fence(): { readonly key: string; readonly fencingToken: number } {
    return { key: this.key, fencingToken: this.fencingToken };
  }

  renew(): Promise<void> {
    return this.lease.renew();
  }

  /** After being asked to stop, the release says so, whoever calls it. */
  async release(): Promise<ReleaseOutcome> {
    return await this.giveBack("released");
  }

  async giveBack(reason: EndReason): Promise<ReleaseOutcome> {
    const outcome = await this.lease.release(reason, this.#fields());
    if (outcome !== "already-released") this.#tellReleased(outcome);
    this.#leaveQueue();
    return outcome;
  }

  /** Its session has given it back. Who releases it afterwards does so in vain, and tells nothing. */
  givenBack(outcome: ReleaseOutcome): void {
    this.#tellReleased(outcome);
    this.#leaveQueue();
  }

  async handOff(): Promise<string> {
    let outcome: ReleaseOutcome = "unknown";
    const held = this.isHeld();
    try {
      const version = await this.lease.handOff();
      outcome = "not-mine";
      return handOffText(this.key, version);
    } finally {
      if (held) this.#tellReleased(outcome);
      this.#leaveQueue();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** A minimum hold goes on after the release, for everybody (rule C6). */
  #fields(): ReleaseFields {
    const holdForMs = holdOnMs((this.#context.minHoldMs ?? 0) - this.heldForMs);
    return holdForMs > 0 ? { holdForMs } : {};
  }

  #ended(error: LeaseLostError | LeaseEndedError): void {
    const { emitter, stats } = this.#context;
    const lost = error instanceof LeaseLostError ? error : undefined;
    stats.ended(this.lease);
    if (lost !== undefined) emitter.emit({ type: "lost", lease: this.#fence, error: lost });
    else if (error.reason === "max-hold") this.#tellReleased("unknown", error);
    else return;
    // Nobody here will free it: the next of this process may ask the store.
    this.#leaveQueue();
  }

  #leaveQueue(): void {
    this.blocksQueue = false;
    this.#context.turn?.leave();
  }

  /** Every "acquired" is followed by exactly one "lost" or "released". */
  #tellReleased(outcome: ReleaseOutcome, error?: LeaseEndedError): void {
    if (this.#told || this.lease.over instanceof LeaseLostError) return;
    this.#told = true;
    this.#context.emitter.emit({ type: "released", lease: this.#fence, outcome, error });
  }
}
