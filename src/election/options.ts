import { drainFault, keyFaults, leaseMs, metadataFault, nodeFault, prefixFault, signalFault, WIRING_SPEC } from "../lease/face-options.ts";
import type { Takeover } from "../lease/judge.ts";
import { deriveTiming, defaultPollMs, type LeaseTiming, MIN_TTL_MS } from "../lease/timing.ts";
import { defaultNode, type Wiring } from "../lease/wiring.ts";
import { leaseKey, nameFault } from "../record/keys.ts";
import type { Json } from "../record/record.ts";
import {
  aFunction,
  aNumber,
  checkHandlers,
  checkOptions,
  oneOf,
  optionFaults,
  type OptionSpec,
  required,
  throwFaults,
} from "../options.ts";

export interface ManagerOptions<M> {
  /** The election's name: any Unicode, with `/` and spaces, but no control characters. Its key is at most 1,024 bytes with all prefixes. */
  readonly name: string;
  /** How long a leader keeps others out after its last renewal, in milliseconds. Default 15,000; 100 to 86,400,000. Below 5,000 it is for tests. */
  readonly ttlMs?: number | undefined;
  /** How often a follower looks, in milliseconds: one GET each time. Default: ttl/3, at most 5,000; not above `ttlMs`. */
  readonly pollMs?: number | undefined;
  /** How long before `ttlMs` a leader stops believing. Default: 10 % of the ttl, at least 1,000 (a fifth of a ttl below 5,000). At least 10 %. */
  readonly marginMs?: number | undefined;
  /** Time limit of one request, in milliseconds. Default: at most 5,000, and so that two fit between a renewal and the deadline. */
  readonly requestTimeoutMs?: number | undefined;
  /** How long stopped work may take to settle, in milliseconds. Default 20,000 (platforms kill at 30,000). After it: WorkNotStoppedError. */
  readonly drainMs?: number | undefined;
  /** How long this node stays out after it gave leadership back, in milliseconds. Default: two polls. */
  readonly cooldownMs?: number | undefined;
  /** Which evidence of a leader's death counts. Default `auto`: watching, or the store's own time, whichever tells first. */
  readonly takeover?: Takeover | undefined;
  /** Below the store's prefix. Default `locks/`. All nodes of an election must agree on it. */
  readonly prefix?: string | undefined;
  /** Shown to everybody who asks who leads: JSON, at most 2 KiB. Never put a secret here. */
  readonly metadata?: M | undefined;
  /** Checks what other nodes published. What it throws is reported, and that leader's metadata is `undefined`. Default: taken as it is. */
  readonly parseMetadata?: ((value: unknown) => M) | undefined;
}

/** What the options mean, with everything that was left out filled in. */
export interface ManagerConfig {
  readonly name: string;
  readonly node: string;
  readonly key: string;
  readonly timing: LeaseTiming;
  readonly pollMs: number;
  readonly drainMs: number;
  readonly cooldownMs: number;
  readonly takeover: Takeover;
  readonly metadata: Json | undefined;
}

const DEFAULTS = Object.freeze({ ttlMs: 15_000, drainMs: 20_000, prefix: "locks/", takeover: "auto" });

const SPEC: OptionSpec = {
  ...WIRING_SPEC,
  name: required((v) => nameFault(v)),
  ttlMs: leaseMs(MIN_TTL_MS),
  pollMs: leaseMs(1),
  marginMs: leaseMs(1),
  requestTimeoutMs: leaseMs(1),
  drainMs: drainFault,
  cooldownMs: leaseMs(0),
  takeover: oneOf("auto", "observe", "store-time"),
  prefix: prefixFault,
  metadata: metadataFault,
  parseMetadata: aFunction,
};

/** @throws ConfigError with every fault at once: the option, its value, and what would be right. */
export function managerConfig(given: Wiring & ManagerOptions<unknown>): ManagerConfig {
  const what = "new Manager(options)";
  // Relations make sense between values that are right each for itself.
  throwFaults(what, optionFaults(given, SPEC));
  const {
    name,
    node = defaultNode(),
    prefix = DEFAULTS.prefix,
    ttlMs = DEFAULTS.ttlMs,
    drainMs = DEFAULTS.drainMs,
    takeover = "auto",
  } = given;
  const { pollMs = defaultPollMs(ttlMs), cooldownMs = 2 * pollMs } = given;
  const { timing, faults } = deriveTiming({ ttlMs, marginMs: given.marginMs, requestTimeoutMs: given.requestTimeoutMs });
  const key = leaseKey(prefix, "elections", name);
  throwFaults(what, [
    ...faults,
    ...(pollMs > ttlMs
      ? [`pollMs ${pollMs} is above ttlMs ${ttlMs}: a dead leader would go unseen for more than its ttl. Use a pollMs of at most ${ttlMs}`]
      : []),
    ...keyFaults("name", key),
  ]);
  return { name, node, key, timing, pollMs, drainMs, cooldownMs, takeover, metadata: given.metadata as Json | undefined };
}

/** The options of `stepDown`. */
export function checkStepDown(given: unknown): void {
  if (given !== undefined) checkOptions("Manager.stepDown", given, { cooldownMs: leaseMs(0), to: nodeFault });
}

/** The options of `campaign`. */
export function checkCampaign(given: unknown): void {
  if (given !== undefined)
    checkOptions("Manager.campaign", given, { signal: signalFault, waitMs: aNumber("milliseconds", 0, Number.MAX_SAFE_INTEGER) });
}

/** The handlers and options of `run` and `start`. */
export function checkRun(handlers: unknown, given: unknown): void {
  checkHandlers("Manager.run", handlers, { onElected: required(aFunction), onDemoted: aFunction, onLeaderChange: aFunction });
  if (given !== undefined) checkOptions("Manager.run", given, { signal: signalFault, onDone: oneOf("keep", "release", "stop") });
}
