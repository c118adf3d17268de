/** What can still be known of a key whose record can't be used as it stands: from it, and from what stood there before. Pure. */
import { RecordError } from "../errors.ts";
import { decodeRecord } from "../record/codec.ts";
import { MAX_RECORD_MS } from "../record/fields.ts";
import { memberFromPath } from "../record/keys.ts";
import { type LeaseRecord, RECORD_FORMAT, type SessionRef } from "../record/record.ts";

export interface Remains {
  /** The highest fencing token that anything names. */
  readonly fencingToken: number | undefined;
  readonly version: number | undefined;
  /** The longest ttl that anything names, in milliseconds: so long may somebody believe. */
  readonly ttlMs: number | undefined;
  /** Through whom it may be held: whoever the newest that is legible names, and whoever had the highest token. */
  readonly sessions: readonly SessionRef[];
  /** Of those that can be read as a whole, the one with the highest token and version. */
  readonly record: LeaseRecord | undefined;
  /** Something there was written in a format of a newer version, which alone may mend it (rule R4). */
  readonly newer: boolean;
}

interface Part {
  readonly record?: LeaseRecord | undefined;
  readonly state?: string | undefined;
  readonly fencingToken?: number | undefined;
  readonly version?: number | undefined;
  readonly ttlMs?: number | undefined;
  readonly session?: SessionRef | undefined;
  readonly newer: boolean;
}

/** @param bodies the newest first. */
export function remainsOf(key: string, bodies: readonly Uint8Array[]): Remains {
  const parts = bodies.map((body) => partOf(key, body));
  const byPosition = parts.toSorted((a, b) => (b.fencingToken ?? 0) - (a.fencingToken ?? 0) || (b.version ?? 0) - (a.version ?? 0));
  const highest = (field: "fencingToken" | "version" | "ttlMs"): number | undefined => {
    const known = parts.flatMap((part) => part[field] ?? []);
    return known.length === 0 ? undefined : Math.max(...known);
  };
  const sessions = [parts.find(({ state }) => state !== undefined), byPosition[0]].flatMap((part) => part?.session ?? []);
  return {
    fencingToken: highest("fencingToken"),
    version: highest("version"),
    ttlMs: highest("ttlMs"),
    sessions: sessions.filter((s, i) => sessions.findIndex((other) => other.member === s.member && other.token === s.token) === i),
    record: byPosition.find((part) => part.record !== undefined)?.record,
    newer: parts.some((part) => part.newer),
  };
}

function partOf(key: string, body: Uint8Array): Part {
  try {
    const record = decodeRecord(key, body);
    const { state, fencingToken, version, ttlMs, session } = record;
    return { record, state, fencingToken, version, ttlMs, session, newer: false };
  } catch (e) {
    if (!(e instanceof RecordError)) throw e;
    return legible(key, new TextDecoder().decode(body), e.kind === "newer");
  }
}

/**
 * Of a record that is torn or was changed by hand, whatever fields are still whole. A number counts only where something follows it: of one that was
 * cut in the middle nobody knows the rest.
 */
function legible(key: string, text: string, newer: boolean): Part {
  const number = (name: string, max: number): number | undefined => {
    const found = [...text.matchAll(new RegExp(`"${name}"\\s*:\\s*(\\d{1,16})\\s*[,}\\]]`, "g"))].map(([, digits]) => Number(digits));
    const sound = found.filter((n) => n > 0 && n <= max);
    return sound.length === 0 ? undefined : Math.max(...sound);
  };
  const [, path = "", token = ""] = /"session"\s*:\s*\{\s*"member"\s*:\s*"([^"]*)"\s*,\s*"token"\s*:\s*(\d{1,15})\s*\}/.exec(text) ?? [];
  const member = memberFromPath(key, path);
  return {
    state: /"state"\s*:\s*"(held|released)"/.exec(text)?.[1],
    fencingToken: number("fencingToken", MAX_TOKEN),
    version: number("version", MAX_TOKEN),
    ttlMs: number("ttlMs", MAX_RECORD_MS),
    session: member === undefined ? undefined : { member, token: Number(token) },
    newer: newer || (number("format", MAX_TOKEN) ?? 0) > RECORD_FORMAT,
  };
}

/** The highest token that a record may have and still be followed by another, exactly. */
export const MAX_TOKEN: number = Number.MAX_SAFE_INTEGER - 2;
