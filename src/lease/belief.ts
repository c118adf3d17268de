import { type EndReason, type Fence, LeaseEndedError, LeaseLostError, type LossReason } from "../errors.ts";
import type { Counters } from "./counters.ts";
import { type LeaseSignal, leaseSignal } from "./lease-signal.ts";
import type { Settlement } from "./settle.ts";

/** A read that shows something else than this tenancy. */
export type Contrary = Extract<Settlement, { kind: "other" | "gone" | "unreadable" }>;

/**
 * That a holder believes in one acquisition. It begins held, ends once, and never revives (rule H3); who counts the time is its tenancy's
 * business.
 */
export class Belief {
  readonly signal: LeaseSignal;
  /** Resolves when belief ends, with what ended it. */
  readonly ended: Promise<LeaseLostError | LeaseEndedError>;
  readonly #fence: Fence;
  readonly #counters: Counters;
  readonly #controller = new AbortController();
  #asked = false;
  /** What it was asked to stop with. */
  #stopping: LeaseEndedError | undefined;
  #over: LeaseLostError | LeaseEndedError | undefined;
  #resolveEnded!: (e: LeaseLostError | LeaseEndedError) => void;

  /** @param look runs before each look at the signal, and ends the belief whose time is over (rule H5). */
  constructor(fence: Fence, counters: Counters, look: () => void) {
    this.#fence = fence;
    this.#counters = counters;
    this.signal = leaseSignal(this.#controller, look);
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
  }

  /** What ended it. */
  get over(): LeaseLostError | LeaseEndedError | undefined {
    return this.#over;
  }

  /** Whether it was asked to stop, or is over. Looks at no clock. */
  get asked(): boolean {
    return this.#asked;
  }

  /** The signal aborts; belief goes on (rule H7). */
  askToStop(reason: EndReason): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#stopping = this.#endedError(reason);
    this.#controller.abort(this.#stopping);
  }

  /** Somebody here wants it to end. Who was asked to stop before hears of that one end, by whichever way it asks. */
  endBy(reason: EndReason): void {
    // Not read from the signal: that looks at the clock, and it may be a look that got here.
    this.end(this.#stopping ?? this.#endedError(reason));
  }

  end(error: LeaseLostError | LeaseEndedError): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    this.#counters.add(error instanceof LeaseLostError ? "lost" : "released");
    // The signal first, then everybody who awaits the end (invariant I5).
    if (!this.#asked) this.#controller.abort(error);
    this.#asked = true;
    this.#resolveEnded(error);
  }

  lost(reason: LossReason, detail: string, cause?: unknown): LeaseLostError {
    const { key, fencingToken } = this.#fence;
    return new LeaseLostError(`lease "${key}" (fencing token ${fencingToken}) was lost: ${detail}`, { key, reason, cause });
  }

  /** What a record that is not this tenancy's any more means for it. */
  lossOf(seen: Contrary): LeaseLostError {
    switch (seen.kind) {
      case "gone":
        return this.lost("deleted", "its record was deleted");
      case "unreadable":
        return this.lost("replaced", `its record was replaced: ${seen.error.message}`, seen.error);
      case "other":
        if (seen.record.fencingToken > this.#fence.fencingToken) {
          // Only broken clocks let this happen while ours say that we hold; this is counted in production too (invariant I7).
          this.#counters.add("overtakenWhileValid");
          return this.lost("overtaken", `${seen.record.holder} acquired it with fencing token ${seen.record.fencingToken}`);
        }
        return this.lost(
          "replaced",
          `its record was changed by another (${seen.record.state}, holder ${seen.record.holder}, fencing token ${seen.record.fencingToken})`,
        );
    }
  }

  #endedError(reason: EndReason): LeaseEndedError {
    const { key, fencingToken } = this.#fence;
    return new LeaseEndedError(`lease "${key}" (fencing token ${fencingToken}) ended: ${reason}`, { key, reason });
  }
}
