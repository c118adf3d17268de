import {
  count,
  decodeFields,
  duration,
  type Fields,
  instant,
  objectOf,
  oneOf,
  optional,
  recordFault,
  showField,
  text,
  unknownFields,
} from "./fields.ts";
import { memberFromPath, pathToMember } from "./keys.ts";
import { type Flag, type Json, type LeaseRecord, RECORD_FORMAT, type SessionRef, TIMED_FORMAT } from "./record.ts";

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
  "session",
]);

/** What a record that names a session has none of (rule S9): all of it belongs to records with a time of their own. */
const TIMED_ONLY = ["ttlMs", "marginMs", "expiresAt", "endedBy", "holdForMs", "reservedFor", "reserveMs", "flag"] as const;

/**
 * The bytes of a record. Its own fields come last, so that a kept unknown field can never shadow one of them.
 * @throws RecordError when unknown fields of a later version leave no room.
 */
export function encodeRecord(key: string, record: LeaseRecord): Uint8Array {
  const { extra, session, ...own } = record;
  // The older format wherever it can say all: versions from before sessions go on reading those records.
  const format = session === undefined ? TIMED_FORMAT : RECORD_FORMAT;
  const bytes = new TextEncoder().encode(JSON.stringify({ ...extra, format, ...own, session: session && sessionOut(key, session) }));
  const fault = sizeFault(bytes.length, record.payload);
  if (fault !== undefined) throw recordFault(key, "damaged", `would take ${fault}`, undefined, "");
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

function sessionOut(key: string, session: SessionRef): object {
  const member = pathToMember(key, session.member);
  if (member === undefined)
    throw recordFault(key, "damaged", `can't name the member "${session.member}", which has no place beside it`, undefined, "");
  return { ...session, member };
}

/** @throws RecordError that names what is wrong; the object is then never overwritten. */
export function decodeRecord(key: string, body: Uint8Array): LeaseRecord {
  const record = decodeFields(key, body, { formatField: "format", newest: RECORD_FORMAT, maxBytes: MAX_RECORD_BYTES }, (o) =>
    o["format"] === TIMED_FORMAT ? readTimed(o) : readSession(key, o),
  );
  const fault = sizeFault(body.length, record.payload);
  if (fault !== undefined) throw recordFault(key, "foreign", `has ${fault}`);
  return record;
}

function readTimed(o: Fields): LeaseRecord {
  if (o["session"] !== undefined) throw new Error(`names a session, which a record of format ${TIMED_FORMAT} can't`);
  const ttlMs = duration(o, "ttlMs", 1);
  const marginMs = o["marginMs"] === undefined ? 0 : duration(o, "marginMs", 0);
  if (marginMs >= ttlMs) throw new Error(`has marginMs ${marginMs}, which is not below its ttlMs ${ttlMs}`);
  return {
    state: oneOf(o, "state", ["held", "released"]),
    ...commonFields(o),
    ttlMs,
    marginMs,
    expiresAt: instant(o, "expiresAt"),
    ...optional(o, "endedBy", () => oneOf(o, "endedBy", ["self", "other"])),
    ...optional(o, "holdForMs", () => duration(o, "holdForMs", 0)),
    ...optional(o, "reservedFor", () => text(o, "reservedFor")),
    ...optional(o, "reserveMs", () => duration(o, "reserveMs", 0)),
    ...optional(o, "flag", () => flag(o)),
  };
}

/** Held is the only state that it can have: what is released has a time of its own again. */
function readSession(key: string, o: Fields): LeaseRecord {
  const state = oneOf(o, "state", ["held"]);
  const strange = TIMED_ONLY.find((name) => o[name] !== undefined);
  if (strange !== undefined) throw new Error(`names a session and has ${strange} as well`);
  const session = objectOf(o, "session");
  const path = text(session, "member");
  const member = memberFromPath(key, path);
  if (member === undefined) throw new Error(`names the member ${showField(path)}, where no member can be`);
  return { state, ...commonFields(o), session: { member, token: count(session, "token") } };
}

function commonFields(o: Fields): Omit<LeaseRecord, "state" | "session" | (typeof TIMED_ONLY)[number]> {
  const nonce = text(o, "nonce");
  return {
    holder: text(o, "holder"),
    instance: text(o, "instance"),
    nonce,
    holderNonce: o["holderNonce"] === undefined ? nonce : text(o, "holderNonce"),
    fencingToken: count(o, "fencingToken"),
    version: count(o, "version"),
    acquiredAt: instant(o, "acquiredAt"),
    renewedAt: instant(o, "renewedAt"),
    ...optional(o, "metadata", () => o["metadata"] as Json),
    ...optional(o, "payload", () => o["payload"] as Json),
    ...optional(o, "lockDelayMs", () => duration(o, "lockDelayMs", 0)),
    extra: unknownFields(o, KNOWN),
  };
}

function flag(record: Fields): Flag {
  const o = objectOf(record, "flag");
  return {
    kind: oneOf(o, "kind", ["asked", "step-down", "revoke"]),
    ...optional(o, "to", () => text(o, "to")),
    ...optional(o, "cooldownMs", () => duration(o, "cooldownMs", 0)),
    ...optional(o, "by", () => text(o, "by")),
    ...optional(o, "lock", () => {
      const lock = objectOf(o, "lock");
      return { key: text(lock, "key"), fencingToken: count(lock, "fencingToken") };
    }),
  };
}
