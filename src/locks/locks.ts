import { defaultNode, Emitter, type Wiring } from "../lease/wiring.ts";
import { openStore } from "../store/open-store.ts";
import type { Invocation, LeaseOptions, LockApi, OneShotOptions } from "./api.ts";
import { LockFace } from "./face.ts";
import { OneShotLeases } from "./one-shot.ts";
import { checkLocks } from "./options.ts";
import { PLAIN_SPEC, PlainLeases } from "./plain-leases.ts";

export interface LocksOptions extends Wiring {
  /** Options that a call does not name. */
  readonly defaults?: Omit<LeaseOptions, "signal"> | undefined;
  /** How long stopped work may take to settle, in milliseconds. Default 20,000 (platforms kill at 30,000). After it: WorkNotStoppedError. */
  readonly drainMs?: number | undefined;
  /** Below the store's prefix. Default `locks/`. All programs that share locks must agree on it. */
  readonly prefix?: string | undefined;
  /**
   * Its keys may be deleted while nobody holds them, by `prune`: for names by the million. Their first fencing token is the store's time in
   * milliseconds. `x` of ephemeral locks is called `ephemeral:x` and is another lock than plain `x`: all programs that share locks must agree on it.
   * Refused with StoreUnsafeError where the store's times are unfit. Default false.
   */
  readonly ephemeral?: boolean | undefined;
}

const DEFAULTS = Object.freeze({ drainMs: 20_000, prefix: "locks/" });

/**
 * Locks by name. Guarantee: while clock *rates* are wrong by at most 10 %, at most one caller anywhere believes that it holds a key, and fencing
 * tokens grow with every acquisition. Assumption: the store keeps its conditions, which is probed. Not promised: that nothing happens between a check
 * and its effect; hand the fencing token to whatever you write to.
 *
 * Not reentrant. The callers of one process queue in order, over all `Locks` of one store object, and cost the store nothing while they queue.
 */
export class Locks extends LockFace<LeaseOptions> {
  readonly #place: ConstructorParameters<typeof PlainLeases>[0];
  readonly #emitter: Emitter;
  readonly #defaults: Omit<LeaseOptions, "signal">;

  /** @throws ConfigError with every fault of the options at once. */
  constructor(options: LocksOptions) {
    checkLocks(options, PLAIN_SPEC);
    const { node = defaultNode(), drainMs = DEFAULTS.drainMs, prefix = DEFAULTS.prefix, ephemeral = false, defaults = {} } = options;
    const place = { store: openStore(options.store), node, prefix, drainMs, ephemeral };
    const emitter = new Emitter(options);
    super({ source: new PlainLeases(place), emitter, drainMs, defaults });
    this.#place = place;
    this.#emitter = emitter;
    this.#defaults = defaults;
  }

  /**
   * Locks for one invocation of a function (AWS Lambda's context, or the milliseconds that are left). The lease outlasts the invocation, nothing is
   * renewed, nothing waits unless `waitMs` says so, no timer keeps the process, and the signal aborts in time. A holder that was ended in its middle is
   * recognised at the first request by the store's time: its calls throw StoreUnsafeError where that is unfit.
   * @throws ConfigError when the invocation is none, or (from its calls) has less than half a second left.
   */
  oneShot(invocation: Invocation): LockApi<OneShotOptions> {
    const { metadata, lockDelayMs, minHoldMs, askHolder, onAsked } = this.#defaults;
    return new LockFace<OneShotOptions>({
      source: new OneShotLeases(this.#place, invocation),
      emitter: this.#emitter,
      drainMs: this.#place.drainMs,
      defaults: { metadata, lockDelayMs, minHoldMs, askHolder, onAsked },
    });
  }
}
