import { type AnyConsensusError, type EndReason, LeaseLostError } from "../errors.ts";
import type { Held } from "../lease/held.ts";
import { LeaseFace } from "../lease/lease-face.ts";
import type { ReleaseFields } from "../lease/lease-object.ts";
import type { ReleaseOutcome, Tenancy } from "../lease/tenancy.ts";
import type { Emitter } from "../lease/wiring.ts";

/** One time of leadership, from election to demotion. */
export interface Term extends Held {
  /** The election's name. */
  readonly name: string;
}

/** The user's face of a tenancy. Belief and renewal live in `Tenancy`; this adds names, events, and the way to give it back. */
export class LeaderTerm extends LeaseFace implements Term {
  readonly name: string;
  readonly tenancy: Tenancy;
  readonly #emitter: Emitter;
  #asked: { readonly reason: EndReason; readonly fields: ReleaseFields } | undefined;
  #told = false;

  constructor(name: string, tenancy: Tenancy, emitter: Emitter) {
    super(tenancy);
    this.name = name;
    this.tenancy = tenancy;
    this.#emitter = emitter;
    void tenancy.ended.then((error) => {
      if (error instanceof LeaseLostError) emitter.emit({ type: "lost", lease: { key: this.key, fencingToken: this.fencingToken }, error });
    });
  }

  release(): Promise<ReleaseOutcome> {
    return this.giveBack(this.#asked?.reason ?? "released", this.#asked?.fields);
  }

  /** Tells the user, through the signal, to give it back; `fields` go into that release. It stays held and renewed meanwhile (rule H7). */
  askToRelease(reason: EndReason, fields: ReleaseFields): void {
    this.#asked ??= { reason, fields };
    this.tenancy.askToStop(reason);
  }

  /** The release with everything that only the manager may ask for. */
  async giveBack(reason: EndReason, fields?: ReleaseFields): Promise<ReleaseOutcome> {
    const outcome = await this.tenancy.release(reason, fields);
    if (outcome !== "already-released") this.#tellReleased(outcome);
    return outcome;
  }

  /** Belief is over, and the key is left to its ttl, because something of the term still runs. */
  leave(error: AnyConsensusError): void {
    this.#tellReleased("unknown", error);
  }

  /** Every "acquired" is followed by exactly one "lost" or "released". */
  #tellReleased(outcome: ReleaseOutcome, error?: AnyConsensusError): void {
    if (this.#told || this.tenancy.lost) return;
    this.#told = true;
    this.#emitter.emit({ type: "released", lease: { key: this.key, fencingToken: this.fencingToken }, outcome, error });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
