/**
 * The lease record: one object, changed only by conditional PUT. Times of day in it are for people; no decision is made from them (rule C4).
 */

/** What may stand in `metadata`. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [k: string]: Json };

/** The format this version writes, and the newest that it touches (rule R4). */
export const RECORD_FORMAT = 1;

/** An operator's word to the holder, written over a held record without changing anything else (rule O1). */
export interface Flag {
  readonly kind: "asked" | "step-down" | "revoke";
  /** With `step-down`: the node name that is to follow. */
  readonly to?: string | undefined;
  /** Who wrote it, for people. */
  readonly by?: string | undefined;
}

export interface LeaseRecord {
  readonly state: "held" | "released";
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
  readonly ttlMs: number;
  /** How long before `ttlMs` its holder stops believing. */
  readonly marginMs: number;
  /** ISO 8601, for people. */
  readonly acquiredAt: string;
  readonly renewedAt: string;
  readonly expiresAt: string;
  readonly metadata?: Json | undefined;
  /**
   * What the face of this lease keeps in its record, held or not: opaque here. It stays through renewals, releases and takeovers, until a holder
   * writes another.
   */
  readonly payload?: Json | undefined;
  /** With `released`: whether the tenancy was ended by its holder or by another (rule C6). */
  readonly endedBy?: "self" | "other" | undefined;
  /** How long it stays closed after a tenancy that its holder did not end itself (rule C6). */
  readonly lockDelayMs?: number | undefined;
  /** With `released`: how long it stays closed all the same (rule C6). */
  readonly holdForMs?: number | undefined;
  /** With `released`: the node that may take it at once; the others wait for `reserveMs` (rule C7). */
  readonly reservedFor?: string | undefined;
  readonly reserveMs?: number | undefined;
  readonly flag?: Flag | undefined;
  /** Fields of a later version of this format: kept through every rewrite (rule R4). */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** The order of a key's records is by token and version, not by when they were seen: reads may be stale (rule W7). Negative: `a` is older. */
export function compareRecords(a: Position, b: Position): number {
  return a.fencingToken - b.fencingToken || a.version - b.version;
}

/** A place in a key's history. */
export interface Position {
  readonly fencingToken: number;
  readonly version: number;
}
