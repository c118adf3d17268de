import type { Clock } from "../clock/clock.ts";
import { readClocks } from "../clock/deadline.ts";
import { ConfigError, type LockHeldError } from "../errors.ts";
import type { Wait } from "../lease/lease-source.ts";
import type { Tenancy, TenancyHooks } from "../lease/tenancy.ts";
import { MAX_TTL_MS } from "../lease/timing.ts";
import { type OptionSpec, show } from "../options.ts";
import type { TimedRecord } from "../record/record.ts";
import type { Invocation, LeaseOptions } from "./api.ts";
import { PlainLeases, type PlainOptions } from "./plain-leases.ts";

/** Below this nothing is begun: the platform ends the process before the lock could be given back. */
const LEAST_MS = 500;
/** The shortest ttl: below it a lease is for tests, and its margin shrinks. */
const LEAST_TTL_MS = 5_000;

/**
 * Leases for a function. Nothing is renewed, as timers don't run between calls: the ttl outlasts the time that the invocation has left. A holder that
 * was ended in its middle is recognised at the first look by the store's own time, whatever this machine's clock says (rule C3).
 */
export class OneShotLeases extends PlainLeases {
  override readonly spec: OptionSpec = {};
  readonly #remainingMs: () => number;

  constructor(o: ConstructorParameters<typeof PlainLeases>[0], invocation: Invocation) {
    super(o);
    this.#remainingMs = remaining(invocation, o.store.clock);
  }

  override faults(options: LeaseOptions): readonly string[] {
    return options.maxHoldMs === undefined
      ? []
      : [`maxHoldMs is ${show(options.maxHoldMs)}: expected none, the invocation's remaining time is the longest hold`];
  }

  /** Waiting costs money: who wants it says so. */
  override waitMs({ waitMs = 0 }: LeaseOptions, spentMs: number): number {
    // Nothing may be begun at the very end, nor will anybody hear of a refusal after it.
    return Math.max(0, Math.min(waitMs - spentMs, this.#remainingMs() - LEAST_MS)) || 0;
  }

  override async acquire(name: string, options: LeaseOptions, wait: Wait, hooks: TenancyHooks): Promise<Tenancy | LockHeldError> {
    return await super.acquire(name, { ...options, ...this.#ownOptions() }, wait, hooks);
  }

  /** What another step handed off lasts as long as this invocation, too, and no timer of it is left. */
  protected override resumedOptions({ lockDelayMs }: TimedRecord): PlainOptions {
    return { ...this.#ownOptions(), lockDelayMs };
  }

  /** @throws ConfigError when too little time is left. */
  #ownOptions(): PlainOptions {
    const leftMs = this.#remainingMs();
    if (!(leftMs >= LEAST_MS && leftMs <= MAX_TTL_MS / 2))
      throw new ConfigError("Locks.oneShot", [
        `the invocation has ${show(leftMs)} ms left: expected from ${LEAST_MS} to ${MAX_TTL_MS / 2}; raise the function's time limit, or begin earlier`,
      ]);
    // The margin is a tenth of the ttl, or a second: what is left after it is the invocation's time.
    const ttlMs = Math.max(LEAST_TTL_MS, Math.ceil(Math.max(leftMs / 0.9, leftMs + 1000)) + 1);
    // However long it is waited for, the invocation ends when it ends.
    const holdFrom = readClocks(this.store.clock);
    return { ttlMs, maxHoldMs: leftMs, holdFrom, autoRenew: false, keepAlive: false, takeover: "store-time" };
  }
}

function remaining(invocation: Invocation, clock: Clock): () => number {
  if (typeof invocation === "object" && invocation !== null) {
    if ("getRemainingTimeInMillis" in invocation && typeof invocation.getRemainingTimeInMillis === "function")
      return () => invocation.getRemainingTimeInMillis();
    if ("remainingMs" in invocation && typeof invocation.remainingMs === "number") {
      const { remainingMs } = invocation;
      const sinceMs = clock.monotonicMs();
      return () => remainingMs - (clock.monotonicMs() - sinceMs);
    }
  }
  throw new ConfigError("Locks.oneShot", [
    `the invocation is ${show(invocation)}: expected the context of the function (with getRemainingTimeInMillis), or { remainingMs }`,
  ]);
}
