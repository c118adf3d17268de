/** What the codecs of all records share: the bytes as a JSON object of a known format, its fields one by one, and the words for what is wrong. */
import { parseInstant } from "../clock/calendar.ts";
import { messageOf, RecordError, type RecordFault } from "../errors.ts";
import { wayOut } from "./way-out.ts";

/** The longest time that a record may name. A longer one is damage: it would close the key for ever. */
export const MAX_RECORD_MS: number = 7 * 24 * 3_600_000;

export interface RecordKind {
  /** The field with the format's number. Each kind of record has one of its own name, so that none is taken for another. */
  readonly formatField: string;
  /** The newest format that this version of the package touches (rule R4). */
  readonly newest: number;
  readonly maxBytes: number;
}

export type Fields = Readonly<Record<string, unknown>>;

/** @throws RecordError that names what is wrong; the object is then never overwritten. */
export function decodeFields<T>(key: string, body: Uint8Array, kind: RecordKind, read: (fields: Fields) => T): T {
  if (body.length > kind.maxBytes) throw recordFault(key, "foreign", `has ${body.length} bytes; a record has at most ${kind.maxBytes}`);
  const object = parseObject(key, body, kind.formatField);
  const format = object[kind.formatField];
  if (format === undefined) throw recordFault(key, "foreign", `is JSON without a "${kind.formatField}" field`);
  if (typeof format !== "number" || !Number.isInteger(format) || format < 1)
    throw recordFault(key, "foreign", `has ${kind.formatField} ${JSON.stringify(format)}, which no version of this package writes`);
  if (format > kind.newest)
    throw recordFault(
      key,
      "newer",
      `has ${kind.formatField} ${format}; this version of the package knows ${kind.newest}. Upgrade this program before it takes part here`,
    );
  try {
    return read(object);
  } catch (e) {
    throw recordFault(key, "damaged", messageOf(e), e);
  }
}

function parseObject(key: string, body: Uint8Array, formatField: string): Fields {
  let decoded: string;
  try {
    decoded = new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch (e) {
    throw recordFault(key, "foreign", "is not UTF-8 text", e);
  }
  let value: unknown;
  try {
    value = JSON.parse(decoded);
  } catch (e) {
    // A record that was cut off still begins like one.
    const looksOurs = /^\s*\{/.test(decoded) && decoded.includes(`"${formatField}"`);
    throw recordFault(key, looksOurs ? "damaged" : "foreign", decoded === "" ? "is empty" : "is not JSON", e);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw recordFault(key, "foreign", "is JSON, but not an object");
  return value as Fields;
}

/** @param way what to do about it. What a newer version wrote is for a newer version to mend. */
export function recordFault(
  key: string,
  kind: RecordFault,
  what: string,
  cause?: unknown,
  way: string = kind === "newer" ? "" : wayOut(key, "repair"),
): RecordError {
  return new RecordError(`the object at "${key}" ${what} (${kind} record; it is left as it is)${way}`, { key, kind, cause });
}

/** Fields of a later version of the format, to be kept through every rewrite (rule R4). */
export function unknownFields(fields: Fields, known: ReadonlySet<string>): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !known.has(name)));
}

export function optional<N extends string, T>(o: Fields, name: N, read: () => T): { readonly [K in N]?: T } {
  return (o[name] === undefined ? {} : { [name]: read() }) as { readonly [K in N]?: T };
}

export function text(o: Fields, name: string): string {
  const value = o[name];
  if (typeof value !== "string") throw new Error(`has ${name} ${showField(value)} where a text belongs`);
  return value;
}

export function objectOf(o: Fields, name: string): Fields {
  const value = o[name];
  if (typeof value !== "object" || value === null) throw new Error(`has ${name} ${showField(value)} where an object belongs`);
  return value as Fields;
}

export function instant(o: Fields, name: string): string {
  const value = text(o, name);
  if (parseInstant(value) === undefined) throw new Error(`has ${name} ${showField(value)} where a date belongs`);
  return value;
}

export function oneOf<const T extends string>(o: Fields, name: string, allowed: readonly T[]): T {
  const value = o[name];
  const found = allowed.find((a) => a === value);
  if (found === undefined) throw new Error(`has ${name} ${showField(value)}; known are ${allowed.join(", ")}`);
  return found;
}

export function count(o: Fields, name: string, min = 1): number {
  const value = o[name];
  // One below the largest safe integer, so that the next one is still exact.
  if (typeof value !== "number" || !Number.isSafeInteger(value + 1) || !Number.isInteger(value) || value < min)
    throw new Error(`has ${name} ${showField(value)} where a whole number from ${min} belongs`);
  return value;
}

export function duration(o: Fields, name: string, min: number): number {
  const value = o[name];
  if (typeof value !== "number" || !Number.isFinite(value) || value < min || value > MAX_RECORD_MS)
    throw new Error(`has ${name} ${showField(value)} where milliseconds from ${min} to ${MAX_RECORD_MS} belong`);
  return value;
}

export function showField(value: unknown): string {
  return (JSON.stringify(value) ?? "undefined").slice(0, 60);
}
