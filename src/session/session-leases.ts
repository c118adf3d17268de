import type { HolderInfo, LockHeldError, StoreUnavailableError } from "../errors.ts";
import { Counters } from "../lease/counters.ts";
import { inspectHolder } from "../lease/inspect.ts";
import { LeaseObject, type LeaseSettings } from "../lease/lease-object.ts";
import type { LeaseSource, Wait } from "../lease/lease-source.ts";
import { resume } from "../lease/resume.ts";
import { SessionTenancy } from "../lease/session-tenancy.ts";
import type { SessionTie } from "../lease/session-tie.ts";
import type { Tenancy, TenancyHooks, TimedVersion } from "../lease/tenancy.ts";
import { FIRST_POLL_MS, holdOnMs, longestHold } from "../lease/timing.ts";
import { Waiting } from "../lease/waiting.ts";
import type { HoldOptions } from "../locks/api.ts";
import type { OptionSpec } from "../options.ts";
import { leaseKey } from "../record/keys.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { SessionConfig } from "./options.ts";

/** Leases that a session carries: each lock is a record that names the session's tenancy, and is never renewed. */
export class SessionLeases implements LeaseSource<HoldOptions> {
  readonly store: ObjectStore;
  readonly node: string;
  readonly counters: Counters = new Counters();
  /** Whatever a lease of its own would have to say belongs to the session. */
  readonly spec: OptionSpec = {};
  readonly prefix: string;
  readonly ephemeral = false;
  readonly ephemeralPrefix: string;
  readonly #config: SessionConfig;
  readonly #tie: SessionTie;
  readonly #waiting = new Waiting();

  constructor(store: ObjectStore, tie: SessionTie, config: SessionConfig) {
    this.store = store;
    this.node = config.node;
    this.prefix = leaseKey(config.prefix, "locks", "");
    this.ephemeralPrefix = leaseKey(config.prefix, "ephemeral", "");
    this.#config = config;
    this.#tie = tie;
  }

  faults(): readonly string[] {
    return [];
  }

  keyOf(name: string): string {
    return leaseKey(this.#config.prefix, "locks", name);
  }

  ttlMs(): number {
    return this.#config.timing.ttlMs;
  }

  waitMs({ waitMs = 2 * this.ttlMs() }: HoldOptions, spentMs: number): number {
    return Math.max(0, waitMs - spentMs);
  }

  async acquire(name: string, options: HoldOptions, wait: Wait, hooks: TenancyHooks): Promise<Tenancy | LockHeldError> {
    const lease = new LeaseObject(this.#settings(name, options), { counters: this.counters });
    const taken = await this.#waiting.acquire(lease, wait, { askHolder: options.askHolder, hooks });
    return withLastWords(taken, options.minHoldMs);
  }

  async resume(name: string, from: TimedVersion, signal: AbortSignal | undefined, hooks: TenancyHooks): Promise<Tenancy | undefined> {
    const { lockDelayMs } = from.record;
    return await resume(new LeaseObject(this.#settings(name, { lockDelayMs }), { counters: this.counters }), from, signal, hooks);
  }

  refusal(name: string, waitedMs: number): LockHeldError | StoreUnavailableError {
    return this.#waiting.refusal(new LeaseObject(this.#settings(name, {})), waitedMs);
  }

  inspect(name: string, signal: AbortSignal | undefined): Promise<HolderInfo | undefined> {
    return inspectHolder(this.store, { key: this.keyOf(name), name }, signal);
  }

  #settings(name: string, options: HoldOptions): LeaseSettings {
    const { maxHoldMs, lockDelayMs, metadata } = options;
    const { timing, pollMs, drainMs } = this.#config;
    return {
      store: this.store,
      key: this.keyOf(name),
      name,
      node: this.node,
      timing,
      pollMs,
      firstPollMs: FIRST_POLL_MS,
      takeover: "auto",
      metadata,
      lockDelayMs,
      session: this.#tie,
      maxHold: longestHold(maxHoldMs, drainMs),
    };
  }
}

/** A minimum hold outlives a session that is closed: that lock says so itself (rule S16). */
function withLastWords(taken: Tenancy | LockHeldError, minHoldMs = 0): Tenancy | LockHeldError {
  if (taken instanceof SessionTenancy)
    taken.lastWords = () => {
      const holdForMs = holdOnMs(minHoldMs - taken.heldForMs);
      return holdForMs > 0 ? { holdForMs } : undefined;
    };
  return taken;
}
