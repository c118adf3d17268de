/**
 * The pointer record of a fenced object: whose token stands at the bar, and what the body is. Every write of it is a CAS, and every write of it
 * changes its bytes, because it has a fresh nonce: equal bodies alone would have equal ETags, and an old holder's CAS would go through (rule R1).
 */
import { type Fields, count, decodeFields, instant, optional, recordFault, text, unknownFields } from "../record/fields.ts";
import { fromBase64, toBase64 } from "./base64.ts";

/** The format this version writes, and the newest that it touches (rule R4). */
export const POINTER_FORMAT = 1;
/** Bodies up to this size stand in the pointer itself; larger ones in an object beside it. */
export const MAX_INLINE_BYTES: number = 64 * 1024;
/** The largest body: it is sent in one piece and held in memory. */
export const MAX_BODY_BYTES: number = 64 * 1024 * 1024;
/** An inline body takes a third more as base64, and fields of a later version have room, too. */
export const MAX_POINTER_BYTES: number = 128 * 1024;
/** How many earlier writes a pointer names. */
export const MAX_BEFORE = 8;

export type Content =
  /** Opened, and never written. */
  | { readonly kind: "none" }
  | { readonly kind: "inline"; readonly body: Uint8Array }
  /** An immutable object of its own, named by token and nonce. */
  | { readonly kind: "object"; readonly name: string; readonly bytes: number };

export interface Pointer {
  /** The key of the lease whose tokens count here. It never changes: tokens of two keys can't be compared. */
  readonly leaseKey: string;
  /** The bar: the newest token that wrote or opened. Lower ones are refused for ever. */
  readonly fencingToken: number;
  /** Grows at every write. */
  readonly version: number;
  /** Fresh for every write: it says whose write this version is (rule W3), and makes its bytes differ from all others (rule R1). */
  readonly nonce: string;
  /** The nonces of the writes before, newest first: a writer whose reply was lost finds here that its write was applied, and written over since. */
  readonly before: readonly string[];
  readonly content: Content;
  /** The large body before this one, kept for those who are reading it yet. */
  readonly kept?: string | undefined;
  /** ISO 8601, for people. */
  readonly writtenAt: string;
  /** Fields of a later version of this format: kept through every rewrite (rule R4). */
  readonly extra: Fields;
}

const FORMAT_FIELD = "fencedFormat";
const KNOWN = new Set([
  FORMAT_FIELD,
  "leaseKey",
  "fencingToken",
  "version",
  "nonce",
  "before",
  "inline",
  "object",
  "bytes",
  "kept",
  "writtenAt",
]);

/** @throws RecordError when unknown fields of a later version leave no room. */
export function encodePointer(key: string, pointer: Pointer): Uint8Array {
  const { extra, content, ...own } = pointer;
  const placed =
    content.kind === "inline"
      ? { inline: toBase64(content.body) }
      : content.kind === "object"
        ? { object: content.name, bytes: content.bytes }
        : {};
  // Its own fields come last, so that a kept unknown field can never shadow one of them.
  const bytes = new TextEncoder().encode(JSON.stringify({ ...extra, [FORMAT_FIELD]: POINTER_FORMAT, ...own, ...placed }));
  if (bytes.length > MAX_POINTER_BYTES)
    throw recordFault(
      key,
      "damaged",
      `would take ${bytes.length} bytes with the fields that it already has, and ${MAX_POINTER_BYTES} is the limit`,
    );
  return bytes;
}

/** @throws RecordError that names what is wrong; the object is then never overwritten. */
export function decodePointer(key: string, body: Uint8Array): Pointer {
  return decodeFields(key, body, { formatField: FORMAT_FIELD, newest: POINTER_FORMAT, maxBytes: MAX_POINTER_BYTES }, (o) => ({
    leaseKey: text(o, "leaseKey"),
    fencingToken: count(o, "fencingToken"),
    version: count(o, "version"),
    nonce: text(o, "nonce"),
    before: nonces(o),
    content: contentOf(o),
    ...optional(o, "kept", () => bodyName(o, "kept")),
    writtenAt: instant(o, "writtenAt"),
    extra: unknownFields(o, KNOWN),
  }));
}

function contentOf(o: Fields): Content {
  if (o["inline"] !== undefined && o["object"] !== undefined) throw new Error("has two bodies, inline and as an object");
  if (o["inline"] !== undefined) return { kind: "inline", body: fromBase64(text(o, "inline")) };
  if (o["object"] !== undefined) return { kind: "object", name: bodyName(o, "object"), bytes: count(o, "bytes") };
  return { kind: "none" };
}

function nonces(o: Fields): readonly string[] {
  const value = o["before"];
  if (!Array.isArray(value) || value.length > MAX_BEFORE || !value.every((n): n is string => typeof n === "string"))
    throw new Error(`has a "before" where at most ${MAX_BEFORE} nonces belong`);
  return value;
}

/** Whatever a damaged pointer says, it names no other key than one of this object's bodies. */
function bodyName(o: Fields, name: string): string {
  const value = text(o, name);
  if (tokenOfBody(value) === undefined)
    throw new Error(`has ${name} ${JSON.stringify(value).slice(0, 60)} where the name of a body belongs`);
  return value;
}

/** The large bodies that are not to be deleted while this pointer stands. */
export function namedBodies({ content, kept }: Pointer): ReadonlySet<string> {
  return new Set([content.kind === "object" ? content.name : undefined, kept].filter((name) => name !== undefined));
}

/** The token under which a body was written; `undefined` for a name that no body has. */
export function tokenOfBody(name: string): number | undefined {
  const [, token] = /^([1-9]\d{0,15})-[0-9a-f]{32}$/.exec(name) ?? [];
  return token === undefined || !Number.isSafeInteger(Number(token)) ? undefined : Number(token);
}
