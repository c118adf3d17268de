import { deriveTiming, defaultPollMs, type LeaseTiming, MIN_TTL_MS } from "../lease/timing.ts";
import { MIN_OLDER_THAN_MS } from "../lease/pruning.ts";
import { drainFault, leaseMs, metadataFault, prefixFault, signalFault, WIRING_SPEC } from "../lease/face-options.ts";
import { defaultNode, type Wiring } from "../lease/wiring.ts";
import { aNumber, type Check, checkOptions, optionFaults, type OptionSpec, required, throwFaults, unknownNames } from "../options.ts";
import { memberKey } from "../record/keys.ts";
import type { Json } from "../record/record.ts";

export interface SessionOptions extends Wiring {
  /** How long the session keeps others out after its last renewal, in milliseconds. Default 15,000; 100 to 86,400,000. Below 5,000 it is for tests. */
  readonly ttlMs?: number | undefined;
  /** How long before `ttlMs` it stops believing. Default: 10 % of the ttl, at least 1,000 (a fifth of a ttl below 5,000). At least 10 %. */
  readonly marginMs?: number | undefined;
  /** Time limit of one request, in milliseconds. Default: at most 5,000, and so that two fit between a renewal and the deadline. */
  readonly requestTimeoutMs?: number | undefined;
  /** How long stopped work may take to settle, in milliseconds. Default 20,000 (platforms kill at 30,000). After it: WorkNotStoppedError. */
  readonly drainMs?: number | undefined;
  /** Ends the opening; once the session is open, its abort closes it, as `close()` does. */
  readonly signal?: AbortSignal | undefined;
  /** Below the store's prefix. Default `locks/`. All programs that share locks must agree on it. */
  readonly prefix?: string | undefined;
  /** Shown to everybody who looks at the member record: JSON, at most 2 KiB. Never put a secret here. */
  readonly metadata?: Json | undefined;
}

export interface PruneMembersOptions extends Pick<Wiring, "store" | "logger" | "onEvent"> {
  /** By the store's clock, in milliseconds: from 3,600,000. */
  readonly olderThanMs: number;
  /** Below the store's prefix. Default `locks/`. */
  readonly prefix?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SessionConfig {
  readonly node: string;
  readonly prefix: string;
  readonly timing: LeaseTiming;
  readonly pollMs: number;
  readonly drainMs: number;
  readonly metadata: Json | undefined;
}

const DEFAULTS = Object.freeze({ ttlMs: 15_000, drainMs: 20_000, prefix: "locks/" });

const SPEC: OptionSpec = {
  ...WIRING_SPEC,
  ttlMs: leaseMs(MIN_TTL_MS),
  marginMs: leaseMs(1),
  requestTimeoutMs: leaseMs(1),
  drainMs: drainFault,
  signal: signalFault,
  prefix: prefixFault,
  metadata: metadataFault,
};

/** @throws ConfigError with every fault at once. */
export function sessionConfig(given: SessionOptions): SessionConfig {
  const what = "Session.open(options)";
  throwFaults(what, optionFaults(given, SPEC));
  const { node = defaultNode(), ttlMs = DEFAULTS.ttlMs, drainMs = DEFAULTS.drainMs, prefix = DEFAULTS.prefix, metadata } = given;
  const { timing, faults } = deriveTiming({ ttlMs, marginMs: given.marginMs, requestTimeoutMs: given.requestTimeoutMs });
  throwFaults(what, faults);
  return { node, prefix, timing, pollMs: defaultPollMs(ttlMs), drainMs, metadata };
}

const PRUNE_SPEC: OptionSpec = {
  store: WIRING_SPEC["store"] as Check,
  logger: WIRING_SPEC["logger"] as Check,
  onEvent: WIRING_SPEC["onEvent"] as Check,
  olderThanMs: required(aNumber("milliseconds", MIN_OLDER_THAN_MS, Number.MAX_SAFE_INTEGER)),
  prefix: prefixFault,
  signal: signalFault,
};

/** @throws ConfigError with every fault at once. */
export function pruneConfig(given: PruneMembersOptions): PruneMembersOptions & { readonly space: string } {
  checkOptions("Session.prune(options)", given, PRUNE_SPEC);
  return { ...given, space: memberKey(given.prefix ?? DEFAULTS.prefix, "") };
}

const OF_MANAGER = ["name", "pollMs", "drainMs", "cooldownMs", "metadata", "parseMetadata"];

/** What `session.manager` takes: nothing that belongs to the session's own lease. */
export function checkSessionManager(given: unknown): void {
  const names = typeof given === "object" && given !== null ? Object.keys(given) : [];
  throwFaults("session.manager(options)", unknownNames(names, OF_MANAGER, "option"));
}

const OF_SCHEDULER = ["tasks", "gate", "drainMs", "concurrency", "spreadMs", "maxClockOffsetMs"];

/** What `session.scheduler` takes: nothing that belongs to the session's own lease. */
export function checkSessionScheduler(given: unknown): void {
  const names = typeof given === "object" && given !== null ? Object.keys(given) : [];
  throwFaults("session.scheduler(options)", unknownNames(names, OF_SCHEDULER, "option"));
}
