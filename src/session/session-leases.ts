import { type HolderInfo, type LockHeldError, RecordError, StoreUnavailableError } from "../errors.ts";
import { contend } from "../lease/contend.ts";
import { Counters } from "../lease/counters.ts";
import { inspectHolder } from "../lease/inspect.ts";
import { LeaseObject, type LeaseSettings } from "../lease/lease-object.ts";
import type { LeaseSource, Wait } from "../lease/lease-source.ts";
import { refusalOf } from "../lease/refusal.ts";
import { resume } from "../lease/resume.ts";
import { SessionTenancy } from "../lease/session-tenancy.ts";
import type { SessionTie } from "../lease/session-tie.ts";
import type { Tenancy, TenancyHooks, TimedVersion } from "../lease/tenancy.ts";
import { CLOCK_RATE_ERROR } from "../lease/timing.ts";
import type { HoldOptions } from "../locks/api.ts";
import type { OptionSpec } from "../options.ts";
import { MAX_RECORD_MS } from "../record/fields.ts";
import { leaseKey } from "../record/keys.ts";
import type { ObjectStore, StoreVerdict } from "../store/object-store.ts";
import type { SessionConfig } from "./options.ts";

/** Waiting begins with short waits: most locks are held for a moment. They double up to a poll. */
const FIRST_POLL_MS = 200;

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
  #verdict: StoreVerdict | undefined;

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

  defaultWaitMs(): number {
    return 2 * this.#config.timing.ttlMs;
  }

  async acquire(name: string, options: HoldOptions, wait: Wait, hooks: TenancyHooks): Promise<Tenancy | LockHeldError> {
    const startMs = this.store.clock.monotonicMs();
    const lease = new LeaseObject(this.#settings(name, options), { counters: this.counters });
    let hindrance: StoreUnavailableError | undefined;
    const tenancy = await contend(lease, {
      signal: wait.signal,
      untilMs: wait.untilMs,
      askHolder: options.askHolder,
      hooks,
      onLook: (_, verdict) => {
        this.#verdict = verdict;
        hindrance = undefined;
        wait.onNews();
      },
      onTrouble: (error) => {
        if (error instanceof RecordError) throw error;
        hindrance = error;
        wait.onNews();
      },
    });
    if (tenancy !== undefined) return withLastWords(tenancy, options.minHoldMs);
    const refusal = hindrance ?? this.#refusal(lease, this.store.clock.monotonicMs() - startMs);
    if (refusal instanceof StoreUnavailableError) throw refusal;
    return refusal;
  }

  async resume(name: string, from: TimedVersion, signal: AbortSignal | undefined, hooks: TenancyHooks): Promise<Tenancy | undefined> {
    const { lockDelayMs } = from.record;
    return await resume(new LeaseObject(this.#settings(name, { lockDelayMs }), { counters: this.counters }), from, signal, hooks);
  }

  refusal(name: string, waitedMs: number): LockHeldError | StoreUnavailableError {
    return this.#refusal(new LeaseObject(this.#settings(name, {})), waitedMs);
  }

  inspect(name: string, signal: AbortSignal | undefined): Promise<HolderInfo | undefined> {
    return inspectHolder(this.store, { key: this.keyOf(name), name }, signal);
  }

  #refusal(lease: LeaseObject, waitedMs: number): LockHeldError | StoreUnavailableError {
    return refusalOf(lease, waitedMs, this.#verdict?.storeTime === false);
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
      maxHold: maxHoldMs === undefined ? undefined : { ms: maxHoldMs, graceMs: Math.min(drainMs, maxHoldMs / 10) },
    };
  }
}

/** A minimum hold outlives a session that is closed: that lock says so itself (rule S16). Viewers' clocks may be fast. */
function withLastWords(tenancy: Tenancy, minHoldMs = 0): Tenancy {
  if (tenancy instanceof SessionTenancy)
    tenancy.lastWords = () => {
      const leftMs = minHoldMs - tenancy.heldForMs;
      return leftMs > 0 ? { holdForMs: Math.min(MAX_RECORD_MS, Math.ceil(leftMs * (1 + CLOCK_RATE_ERROR))) } : undefined;
    };
  return tenancy;
}
