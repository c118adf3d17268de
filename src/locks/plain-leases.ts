import type { Instant } from "../clock/deadline.ts";
import { type HolderInfo, LockHeldError, type StoreUnavailableError } from "../errors.ts";
import { Counters } from "../lease/counters.ts";
import { leaseMs } from "../lease/face-options.ts";
import { inspectHolder } from "../lease/inspect.ts";
import { LeaseObject, type LeaseSettings } from "../lease/lease-object.ts";
import type { LeaseSource, Wait } from "../lease/lease-source.ts";
import type { Tenancy, TenancyHooks, TimedVersion } from "../lease/tenancy.ts";
import { observationsOf } from "../lease/observations.ts";
import { resume } from "../lease/resume.ts";
import { defaultPollMs, deriveTiming, FIRST_POLL_MS, longestHold, MIN_TTL_MS } from "../lease/timing.ts";
import { Waiting } from "../lease/waiting.ts";
import { aBoolean, oneOf, type OptionSpec } from "../options.ts";
import { leaseKey } from "../record/keys.ts";
import type { TimedRecord } from "../record/record.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { LeaseOptions } from "./api.ts";
import { bareName, fullName } from "./names.ts";

export const DEFAULT_TTL_MS = 30_000;

export const PLAIN_SPEC: OptionSpec = {
  ttlMs: leaseMs(MIN_TTL_MS),
  autoRenew: aBoolean,
  takeover: oneOf("auto", "observe", "store-time"),
  keepAlive: aBoolean,
};

/** What its own kinds of leases add to a caller's options. */
export interface PlainOptions extends LeaseOptions {
  readonly marginMs?: number;
  /** What the longest hold counts from. Default: the acquisition. */
  readonly holdFrom?: Instant;
}

/** Leases that stand for themselves: each lock is a record with a ttl, renewed by its holder. */
export class PlainLeases implements LeaseSource<LeaseOptions> {
  readonly store: ObjectStore;
  readonly node: string;
  readonly counters: Counters = new Counters();
  readonly spec: OptionSpec = PLAIN_SPEC;
  readonly prefix: string;
  readonly ephemeral: boolean;
  readonly ephemeralPrefix: string;
  readonly #drainMs: number;
  readonly #storePrefix: string;
  readonly #waiting = new Waiting();

  constructor(o: {
    readonly store: ObjectStore;
    readonly node: string;
    readonly prefix: string;
    readonly drainMs: number;
    readonly ephemeral: boolean;
  }) {
    this.store = o.store;
    this.node = o.node;
    this.#drainMs = o.drainMs;
    this.#storePrefix = o.prefix;
    this.ephemeral = o.ephemeral;
    this.ephemeralPrefix = leaseKey(o.prefix, "ephemeral", "");
    this.prefix = this.keyOf("");
  }

  faults(options: LeaseOptions): readonly string[] {
    const ttlMs = options.ttlMs ?? DEFAULT_TTL_MS;
    const { maxHoldMs, autoRenew } = options;
    return autoRenew === false && maxHoldMs !== undefined && maxHoldMs > ttlMs
      ? [
          `maxHoldMs ${maxHoldMs} is above ttlMs ${ttlMs}, and autoRenew is false: the lock would be over before. Use a ttlMs of at least ${maxHoldMs}`,
        ]
      : [];
  }

  keyOf(name: string): string {
    return this.ephemeral ? leaseKey(this.#storePrefix, "ephemeral", bareName(name)) : leaseKey(this.#storePrefix, "locks", name);
  }

  ttlMs(options: LeaseOptions): number {
    return options.ttlMs ?? DEFAULT_TTL_MS;
  }

  waitMs(options: LeaseOptions, spentMs: number): number {
    return Math.max(0, (options.waitMs ?? 2 * this.ttlMs(options)) - spentMs);
  }

  async acquire(name: string, options: PlainOptions, wait: Wait, hooks: TenancyHooks): Promise<Tenancy | LockHeldError> {
    const settings = this.#settings(name, options);
    const view = observationsOf(this.store).view(settings.key);
    const lease = new LeaseObject(settings, { counters: this.counters, identity: view.leftBehind });
    view.leftBehind = undefined;
    let taken: Tenancy | LockHeldError | undefined;
    try {
      taken = await this.#waiting.acquire(lease, wait, { askHolder: options.askHolder, hooks });
      return taken;
    } finally {
      if (taken === undefined || taken instanceof LockHeldError) lease.leaveBehind();
    }
  }

  async resume(name: string, from: TimedVersion, signal: AbortSignal | undefined, hooks: TenancyHooks): Promise<Tenancy | undefined> {
    const settings = this.#settings(name, this.resumedOptions(from.record));
    return await resume(new LeaseObject(settings, { counters: this.counters }), from, signal, hooks);
  }

  /** What a lease that was handed off goes on with: its own times. */
  protected resumedOptions({ ttlMs, marginMs, lockDelayMs }: TimedRecord): PlainOptions {
    return { ttlMs, marginMs, lockDelayMs };
  }

  refusal(name: string, waitedMs: number): LockHeldError | StoreUnavailableError {
    return this.#waiting.refusal(new LeaseObject(this.#settings(name, {})), waitedMs);
  }

  inspect(name: string, signal: AbortSignal | undefined): Promise<HolderInfo | undefined> {
    return inspectHolder(this.store, { key: this.keyOf(name), name: fullName(this, name), ephemeral: this.ephemeral }, signal);
  }

  #settings(name: string, options: PlainOptions): LeaseSettings {
    const ttlMs = this.ttlMs(options);
    const { marginMs, holdFrom, maxHoldMs, autoRenew, keepAlive, lockDelayMs, metadata, takeover = "auto" } = options;
    return {
      store: this.store,
      key: this.keyOf(name),
      name: fullName(this, name),
      ephemeral: this.ephemeral,
      node: this.node,
      timing: deriveTiming({ ttlMs, marginMs }).timing,
      pollMs: defaultPollMs(ttlMs),
      firstPollMs: FIRST_POLL_MS,
      takeover,
      metadata,
      renews: autoRenew,
      keepAlive,
      lockDelayMs,
      maxHold: longestHold(maxHoldMs, this.#drainMs, holdFrom),
    };
  }
}
