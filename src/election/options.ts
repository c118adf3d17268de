import type { Takeover } from "../lease/judge.ts";
import { deriveTiming, defaultPollMs, type LeaseTiming, MAX_TTL_MS, MIN_TTL_MS } from "../lease/timing.ts";
import { defaultNode, type Wiring } from "../lease/wiring.ts";
import { MAX_METADATA_BYTES, MAX_NODE_BYTES } from "../record/codec.ts";
import { leaseKey, MAX_KEY_BYTES, nameFault } from "../record/keys.ts";
import type { Json } from "../record/record.ts";
import {
  aFunction,
  aNumber,
  anObject,
  type Check,
  checkOptions,
  oneOf,
  optionFaults,
  type OptionSpec,
  required,
  show,
  throwFaults,
} from "../options.ts";
import { isObjectStore } from "../store/object-store.ts";

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
const MAX_DRAIN_MS = 24 * 3_600_000;

const lease = (min: number): Check => aNumber("milliseconds", min, MAX_TTL_MS);
const SPEC: OptionSpec = {
  store: required((v) => (typeof v === "string" || isObjectStore(v) ? undefined : "a store (s3Store(…), memoryStore()) or its URL")),
  node: (v) => nameFault(v) ?? (byteLength(v as string) > MAX_NODE_BYTES ? `at most ${MAX_NODE_BYTES} bytes` : undefined),
  logger: anObject("an object with debug, info, warn and error", "debug", "info", "warn", "error"),
  onEvent: aFunction,
  name: required((v) => nameFault(v)),
  ttlMs: lease(MIN_TTL_MS),
  pollMs: lease(1),
  marginMs: lease(1),
  requestTimeoutMs: lease(1),
  drainMs: aNumber("milliseconds", 0, MAX_DRAIN_MS),
  cooldownMs: lease(0),
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
    ...(byteLength(key) > MAX_KEY_BYTES
      ? [`name gives a key of ${byteLength(key)} bytes (${show(key)}); S3 takes at most ${MAX_KEY_BYTES}. Use a shorter name`]
      : []),
  ]);
  return { name, node, key, timing, pollMs, drainMs, cooldownMs, takeover, metadata: given.metadata as Json | undefined };
}

/** The options of `stepDown`. */
export function checkStepDown(given: unknown): void {
  if (given !== undefined) checkOptions("Manager.stepDown", given, { cooldownMs: SPEC["cooldownMs"] as Check, to: SPEC["node"] as Check });
}

/** The options of `campaign`. */
export function checkCampaign(given: unknown): void {
  if (given !== undefined)
    checkOptions("Manager.campaign", given, { signal: signalFault, waitMs: aNumber("milliseconds", 0, Number.MAX_SAFE_INTEGER) });
}

/** The handlers and options of `run` and `start`. */
export function checkRun(handlers: unknown, given: unknown): void {
  checkOptions("Manager.run", handlers, { onElected: required(aFunction), onDemoted: aFunction, onLeaderChange: aFunction });
  if (given !== undefined) checkOptions("Manager.run", given, { signal: signalFault, onDone: oneOf("keep", "release", "stop") });
}

function signalFault(value: unknown): string | undefined {
  return anObject("an AbortSignal", "addEventListener", "removeEventListener", "throwIfAborted")(value);
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

function prefixFault(value: unknown): string | undefined {
  if (value === "") return undefined;
  const wellFormed =
    typeof value === "string" && nameFault(value) === undefined && value.endsWith("/") && !/^\/|\/\/|(^|\/)\.{1,2}\//.test(value);
  return wellFormed
    ? undefined
    : 'a text that ends in "/", without a leading or double "/", "." or ".." as a segment, or control characters';
}

function metadataFault(value: unknown): string | undefined {
  const fault = jsonFault(value, "metadata", 0);
  if (fault !== undefined) return `plain JSON (${fault})`;
  const bytes = byteLength(JSON.stringify(value));
  return bytes > MAX_METADATA_BYTES ? `at most ${MAX_METADATA_BYTES} bytes of JSON, not ${bytes}; publish a link to it instead` : undefined;
}

const MAX_DEPTH = 20;

/** Where a value is not what JSON can carry without changing it. */
function jsonFault(value: unknown, path: string, depth: number): string | undefined {
  if (depth > MAX_DEPTH) return `${path} is nested more than ${MAX_DEPTH} deep (or refers to itself)`;
  if (value === null || typeof value === "string" || typeof value === "boolean") return undefined;
  if (typeof value === "number") return Number.isFinite(value) ? undefined : `${path} is ${String(value)}, which JSON has no word for`;
  if (Array.isArray(value))
    return firstOf(
      value.map((v, i) => [`${path}[${i}]`, v] as const),
      depth,
    );
  if (typeof value === "object") {
    const proto: unknown = Object.getPrototypeOf(value);
    if (proto !== Object.prototype && proto !== null)
      return `${path} is a ${value.constructor.name}; use plain objects, arrays, texts, numbers, true, false and null`;
    return firstOf(
      Object.entries(value).map(([k, v]) => [`${path}.${k}`, v] as const),
      depth,
    );
  }
  return `${path} is ${typeof value === "undefined" ? "undefined" : `a ${typeof value}`}, which is not JSON`;
}

function firstOf(entries: readonly (readonly [string, unknown])[], depth: number): string | undefined {
  for (const [path, value] of entries) {
    const fault = jsonFault(value, path, depth + 1);
    if (fault !== undefined) return fault;
  }
  return undefined;
}
