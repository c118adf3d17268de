/**
 * The lease record: one object, changed only by conditional PUT. Times of day in it are for people; no decision is made from them (rule C4).
 */
import type { Json } from "../errors.ts";

export type { Json } from "../errors.ts";

/** The newest format that this version reads and writes (rule R4). Only a record that names a session needs it. */
export const RECORD_FORMAT = 2;
/** What a record without a session is written in, so that versions from before sessions go on reading it. */
export const TIMED_FORMAT = 1;

/** An operator's word to the holder, written over a held record without changing anything else (rule O1). */
export interface Flag {
  readonly kind: "asked" | "step-down" | "revoke";
  /** With `step-down`: the node name that is to follow. */
  readonly to?: string | undefined;
  /** With `step-down`: how long the leader is to stay out afterwards, in milliseconds. Without: as long as it would by itself. */
  readonly cooldownMs?: number | undefined;
  /** Who wrote it, for people. */
  readonly by?: string | undefined;
  /** On the record of a session's member: which of its locks is meant, by key and fencing token (rule S15). Without: the session itself. */
  readonly lock?: { readonly key: string; readonly fencingToken: number } | undefined;
}

/** One tenancy of a member: its id alone never means anything, because the same member may come back (rule S1). */
export interface SessionRef {
  /** Key of the member record. */
  readonly member: string;
  /** The fencing token of that tenancy. */
  readonly token: number;
}

interface CommonFields {
  /** The holder's node name, for people: it decides nothing (rule H9). */
  readonly holder: string;
  /** Random id of the lease object that acquired it. */
  readonly instance: string;
  /** Fresh for every write: it says whose write this version is, and keeps equal bodies apart (rule R1). */
  readonly nonce: string;
  /** The nonce of the holder's own last write; an operator's flag keeps it (rule H4). */
  readonly holderNonce: string;
  /** Grows by one at every acquisition, by whomever; renewals and releases keep it (rule R2). */
  readonly fencingToken: number;
  /** Grows at every write. */
  readonly version: number;
  /** ISO 8601, for people. */
  readonly acquiredAt: string;
  readonly renewedAt: string;
  readonly metadata?: Json | undefined;
  /**
   * What the face of this lease keeps in its record, held or not: opaque here. It stays through renewals, releases and takeovers, until a holder
   * writes another.
   */
  readonly payload?: Json | undefined;
  /** How long it stays closed after a tenancy that its holder did not end itself (rule C6). */
  readonly lockDelayMs?: number | undefined;
  /** Fields of a later version of this format: kept through every rewrite (rule R4). */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** A record with a time of its own: a lease that is renewed, and everything that is released. */
export interface TimedRecord extends CommonFields {
  readonly state: "held" | "released";
  readonly ttlMs: number;
  /** How long before `ttlMs` its holder stops believing. */
  readonly marginMs: number;
  /** ISO 8601, for people. */
  readonly expiresAt: string;
  /** With `released`: whether the tenancy was ended by its holder or by another (rule C6). */
  readonly endedBy?: "self" | "other" | undefined;
  /** With `released`: how long it stays closed all the same (rule C6). */
  readonly holdForMs?: number | undefined;
  /** With `released`: the node that may take it at once; the others wait for `reserveMs` (rule C7). */
  readonly reservedFor?: string | undefined;
  readonly reserveMs?: number | undefined;
  readonly flag?: Flag | undefined;
  readonly session?: undefined;
}

/**
 * A lock that is held exactly as long as the tenancy that it names. It has no time of its own and is never judged by its age (rule S9); whoever
 * wants a word with its holder flags the member record (rule S15).
 */
export interface SessionRecord extends CommonFields {
  readonly state: "held";
  readonly session: SessionRef;
  readonly ttlMs?: undefined;
  readonly marginMs?: undefined;
  readonly expiresAt?: undefined;
  readonly endedBy?: undefined;
  readonly holdForMs?: undefined;
  readonly reservedFor?: undefined;
  readonly reserveMs?: undefined;
  readonly flag?: undefined;
}

export type LeaseRecord = TimedRecord | SessionRecord;

/** The order of a key's records is by token and version, not by when they were seen: reads may be stale (rule W7). Negative: `a` is older. */
export function compareRecords(a: Position, b: Position): number {
  return a.fencingToken - b.fencingToken || a.version - b.version;
}

/** A place in a key's history. */
export interface Position {
  readonly fencingToken: number;
  readonly version: number;
}
