import {
  count,
  decodeFields,
  duration,
  type Fields,
  instant,
  oneOf,
  optional,
  recordFault,
  showField,
  text,
  unknownFields,
} from "./fields.ts";
import { type Flag, type Json, type LeaseRecord, RECORD_FORMAT } from "./record.ts";

/** The largest record that is read or written, in bytes. */
export const MAX_RECORD_BYTES: number = 64 * 1024;
/** The largest record without its payload, in bytes. */
export const MAX_LEAN_RECORD_BYTES: number = 8 * 1024;
/** The largest payload, in bytes of JSON: it fits beside whatever else a record may have. */
export const MAX_PAYLOAD_BYTES: number = MAX_RECORD_BYTES - MAX_LEAN_RECORD_BYTES;
/** The largest metadata, in bytes of JSON. */
export const MAX_METADATA_BYTES: number = 2 * 1024;
/** The longest node name, in bytes of UTF-8. */
export const MAX_NODE_BYTES = 256;

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
  "payload",
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
  const fault = sizeFault(bytes.length, record.payload);
  if (fault !== undefined) throw recordFault(key, "damaged", `would take ${fault}`);
  return bytes;
}

/** A record has little room of its own; what is more belongs to its payload. */
function sizeFault(bytes: number, payload: Json | undefined): string | undefined {
  if (bytes <= MAX_LEAN_RECORD_BYTES) return undefined;
  const payloadBytes = payload === undefined ? 0 : new TextEncoder().encode(JSON.stringify(payload)).length;
  if (payloadBytes > MAX_PAYLOAD_BYTES) return `${payloadBytes} bytes of payload; at most ${MAX_PAYLOAD_BYTES} are possible`;
  const leanBytes = bytes - payloadBytes;
  return leanBytes > MAX_LEAN_RECORD_BYTES
    ? `${leanBytes} bytes without its payload; a record has at most ${MAX_LEAN_RECORD_BYTES}`
    : undefined;
}

/** @throws RecordError that names what is wrong; the object is then never overwritten. */
export function decodeRecord(key: string, body: Uint8Array): LeaseRecord {
  const record = decodeFields(key, body, { formatField: "format", newest: RECORD_FORMAT, maxBytes: MAX_RECORD_BYTES }, readFields);
  const fault = sizeFault(body.length, record.payload);
  if (fault !== undefined) throw recordFault(key, "foreign", `has ${fault}`);
  return record;
}

function readFields(o: Fields): LeaseRecord {
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
    ...optional(o, "payload", () => o["payload"] as Json),
    ...optional(o, "endedBy", () => oneOf(o, "endedBy", ["self", "other"])),
    ...optional(o, "lockDelayMs", () => duration(o, "lockDelayMs", 0)),
    ...optional(o, "holdForMs", () => duration(o, "holdForMs", 0)),
    ...optional(o, "reservedFor", () => text(o, "reservedFor")),
    ...optional(o, "reserveMs", () => duration(o, "reserveMs", 0)),
    ...optional(o, "flag", () => flag(o["flag"])),
    extra: unknownFields(o, KNOWN),
  };
  return record;
}

function flag(value: unknown): Flag {
  if (typeof value !== "object" || value === null) throw new Error(`has flag ${showField(value)} where an object belongs`);
  const o = value as Fields;
  return {
    kind: oneOf(o, "kind", ["asked", "step-down", "revoke"]),
    ...optional(o, "to", () => text(o, "to")),
    ...optional(o, "by", () => text(o, "by")),
  };
}
