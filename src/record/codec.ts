import { parseInstant } from "../clock/calendar.ts";
import { messageOf, RecordError, type RecordFault } from "../errors.ts";
import { type Flag, type Json, type LeaseRecord, RECORD_FORMAT } from "./record.ts";

/** The largest record that is read or written, in bytes. */
export const MAX_RECORD_BYTES: number = 8 * 1024;
/** The largest metadata, in bytes of JSON. */
export const MAX_METADATA_BYTES: number = 2 * 1024;
/** The longest node name, in bytes of UTF-8. */
export const MAX_NODE_BYTES = 256;
/** The longest time that a record may name. A longer one is damage: it would close the key for ever. */
export const MAX_RECORD_MS: number = 7 * 24 * 3_600_000;

const KNOWN = new Set([
  "format",
  "state",
  "holder",
  "instance",
  "nonce",
  "holderNonce",
  "fencingToken",
  "version",
  "ttlMs",
  "marginMs",
  "acquiredAt",
  "renewedAt",
  "expiresAt",
  "metadata",
  "endedBy",
  "lockDelayMs",
  "holdForMs",
  "reservedFor",
  "reserveMs",
  "flag",
]);

/**
 * The bytes of a record. Its own fields come last, so that a kept unknown field can never shadow one of them.
 * @throws RecordError when unknown fields of a later version leave no room.
 */
export function encodeRecord(key: string, record: LeaseRecord): Uint8Array {
  const { extra, ...own } = record;
  const bytes = new TextEncoder().encode(JSON.stringify({ ...extra, format: RECORD_FORMAT, ...own }));
  if (bytes.length > MAX_RECORD_BYTES)
    throw fault(
      key,
      "damaged",
      `would take ${bytes.length} bytes with the fields that it already has, and ${MAX_RECORD_BYTES} is the limit`,
    );
  return bytes;
}

/** @throws RecordError that names what is wrong; the object is then never overwritten. */
export function decodeRecord(key: string, body: Uint8Array): LeaseRecord {
  if (body.length > MAX_RECORD_BYTES) throw fault(key, "foreign", `has ${body.length} bytes; a record has at most ${MAX_RECORD_BYTES}`);
  const object = parseObject(key, body);
  const format = object["format"];
  if (format === undefined) throw fault(key, "foreign", `is JSON without a "format" field`);
  if (typeof format !== "number" || !Number.isInteger(format) || format < 1)
    throw fault(key, "foreign", `has format ${JSON.stringify(format)}, which no version of this package writes`);
  if (format > RECORD_FORMAT)
    throw fault(
      key,
      "newer",
      `has format ${format}; this version of the package knows ${RECORD_FORMAT}. Upgrade this program before it takes part here`,
    );
  try {
    return readFields(object);
  } catch (e) {
    throw fault(key, "damaged", messageOf(e), e);
  }
}

function parseObject(key: string, body: Uint8Array): Record<string, unknown> {
  let decoded: string;
  try {
    decoded = new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch (e) {
    throw fault(key, "foreign", "is not UTF-8 text", e);
  }
  let value: unknown;
  try {
    value = JSON.parse(decoded);
  } catch (e) {
    // A record that was cut off still begins like one.
    const looksOurs = /^\s*\{/.test(decoded) && decoded.includes('"format"');
    throw fault(key, looksOurs ? "damaged" : "foreign", decoded === "" ? "is empty" : "is not JSON", e);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw fault(key, "foreign", "is JSON, but not an object");
  return value as Record<string, unknown>;
}

function readFields(o: Record<string, unknown>): LeaseRecord {
  const nonce = text(o, "nonce");
  const ttlMs = duration(o, "ttlMs", 1);
  const marginMs = o["marginMs"] === undefined ? 0 : duration(o, "marginMs", 0);
  if (marginMs >= ttlMs) throw new Error(`has marginMs ${marginMs}, which is not below its ttlMs ${ttlMs}`);
  const record: LeaseRecord = {
    state: oneOf(o, "state", ["held", "released"]),
    holder: text(o, "holder"),
    instance: text(o, "instance"),
    nonce,
    holderNonce: o["holderNonce"] === undefined ? nonce : text(o, "holderNonce"),
    fencingToken: count(o, "fencingToken"),
    version: count(o, "version"),
    ttlMs,
    marginMs,
    acquiredAt: instant(o, "acquiredAt"),
    renewedAt: instant(o, "renewedAt"),
    expiresAt: instant(o, "expiresAt"),
    ...optional(o, "metadata", () => o["metadata"] as Json),
    ...optional(o, "endedBy", () => oneOf(o, "endedBy", ["self", "other"])),
    ...optional(o, "lockDelayMs", () => duration(o, "lockDelayMs", 0)),
    ...optional(o, "holdForMs", () => duration(o, "holdForMs", 0)),
    ...optional(o, "reservedFor", () => text(o, "reservedFor")),
    ...optional(o, "reserveMs", () => duration(o, "reserveMs", 0)),
    ...optional(o, "flag", () => flag(o["flag"])),
    extra: Object.fromEntries(Object.entries(o).filter(([name]) => !KNOWN.has(name))),
  };
  return record;
}

function optional<N extends string, T>(o: Record<string, unknown>, name: N, read: () => T): { readonly [K in N]?: T } {
  return (o[name] === undefined ? {} : { [name]: read() }) as { readonly [K in N]?: T };
}

function text(o: Record<string, unknown>, name: string): string {
  const value = o[name];
  if (typeof value !== "string") throw new Error(`has ${name} ${show(value)} where a text belongs`);
  return value;
}

function instant(o: Record<string, unknown>, name: string): string {
  const value = text(o, name);
  if (parseInstant(value) === undefined) throw new Error(`has ${name} ${show(value)} where a date belongs`);
  return value;
}

function oneOf<const T extends string>(o: Record<string, unknown>, name: string, allowed: readonly T[]): T {
  const value = o[name];
  const found = allowed.find((a) => a === value);
  if (found === undefined) throw new Error(`has ${name} ${show(value)}; known are ${allowed.join(", ")}`);
  return found;
}

function count(o: Record<string, unknown>, name: string): number {
  const value = o[name];
  // One below the largest safe integer, so that the next one is still exact.
  if (typeof value !== "number" || !Number.isSafeInteger(value + 1) || !Number.isInteger(value) || value < 1)
    throw new Error(`has ${name} ${show(value)} where a whole number from 1 belongs`);
  return value;
}

function duration(o: Record<string, unknown>, name: string, min: number): number {
  const value = o[name];
  if (typeof value !== "number" || !Number.isFinite(value) || value < min || value > MAX_RECORD_MS)
    throw new Error(`has ${name} ${show(value)} where milliseconds from ${min} to ${MAX_RECORD_MS} belong`);
  return value;
}

function flag(value: unknown): Flag {
  if (typeof value !== "object" || value === null) throw new Error(`has flag ${show(value)} where an object belongs`);
  const o = value as Record<string, unknown>;
  return {
    kind: oneOf(o, "kind", ["asked", "step-down", "revoke"]),
    ...optional(o, "to", () => text(o, "to")),
    ...optional(o, "by", () => text(o, "by")),
  };
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? "undefined").slice(0, 60);
}

function fault(key: string, kind: RecordFault, what: string, cause?: unknown): RecordError {
  return new RecordError(`the object at "${key}" ${what} (${kind} record; it is left as it is)`, { key, kind, cause });
}
