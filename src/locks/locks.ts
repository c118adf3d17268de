import { defaultNode, Emitter, type Wiring } from "../lease/wiring.ts";
import { openStore } from "../store/open-store.ts";
import type { LeaseOptions } from "./api.ts";
import { LockFace } from "./face.ts";
import { checkLocks } from "./options.ts";
import { PLAIN_SPEC, PlainLeases } from "./plain-leases.ts";

export interface LocksOptions extends Wiring {
  /** Options that a call does not name. */
  readonly defaults?: Omit<LeaseOptions, "signal"> | undefined;
  /** How long stopped work may take to settle, in milliseconds. Default 20,000 (platforms kill at 30,000). After it: WorkNotStoppedError. */
  readonly drainMs?: number | undefined;
  /** Below the store's prefix. Default `locks/`. All programs that share locks must agree on it. */
  readonly prefix?: string | undefined;
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
  /** @throws ConfigError with every fault of the options at once. */
  constructor(options: LocksOptions) {
    checkLocks(options, PLAIN_SPEC);
    const { node = defaultNode(), drainMs = DEFAULTS.drainMs, prefix = DEFAULTS.prefix } = options;
    const source = new PlainLeases({ store: openStore(options.store), node, prefix, drainMs });
    super({ source, emitter: new Emitter(options), drainMs, defaults: options.defaults ?? {} });
  }
}
