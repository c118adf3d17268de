/** The checks of options that every face of a lease (election, locks, sessions, tasks) has in common. */
import { MAX_METADATA_BYTES, MAX_NODE_BYTES } from "../record/codec.ts";
import { MAX_KEY_BYTES, nameFault } from "../record/keys.ts";
import { aFunction, aNumber, anObject, type Check, type OptionSpec, required, show } from "../options.ts";
import { isObjectStore } from "../store/object-store.ts";
import { MAX_TTL_MS } from "./timing.ts";

/** A duration that a lease may have, from `min` milliseconds. */
export function leaseMs(min: number): Check {
  return aNumber("milliseconds", min, MAX_TTL_MS);
}

const MAX_DRAIN_MS = 24 * 3_600_000;
export const drainFault: Check = aNumber("milliseconds", 0, MAX_DRAIN_MS);

/** What stands in `Wiring`. */
export const WIRING_SPEC: OptionSpec = {
  store: required((v) => (typeof v === "string" || isObjectStore(v) ? undefined : "a store (s3Store(…), memoryStore()) or its URL")),
  node: nodeFault,
  logger: anObject("an object with debug, info, warn and error", "debug", "info", "warn", "error"),
  onEvent: aFunction,
};

export function nodeFault(v: unknown): string | undefined {
  return nameFault(v) ?? (byteLength(v as string) > MAX_NODE_BYTES ? `at most ${MAX_NODE_BYTES} bytes` : undefined);
}

/** What is wrong with the key that the option `option` gives. */
export function keyFaults(option: string, key: string): readonly string[] {
  const bytes = byteLength(key);
  return bytes > MAX_KEY_BYTES
    ? [`${option} gives a key of ${bytes} bytes (${show(key)}); S3 takes at most ${MAX_KEY_BYTES}. Use a shorter ${option}`]
    : [];
}

export function signalFault(value: unknown): string | undefined {
  return anObject("an AbortSignal", "addEventListener", "removeEventListener", "throwIfAborted")(value);
}

export function prefixFault(value: unknown): string | undefined {
  if (value === "") return undefined;
  const wellFormed =
    typeof value === "string" && nameFault(value) === undefined && value.endsWith("/") && !/^\/|\/\/|(^|\/)\.{1,2}\//.test(value);
  return wellFormed
    ? undefined
    : 'a text that ends in "/", without a leading or double "/", "." or ".." as a segment, or control characters';
}

export function metadataFault(value: unknown): string | undefined {
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

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
