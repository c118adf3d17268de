/**
 * What a history is made of: requests as the store got them, beliefs as the nodes had them, writes as a fenced resource took them. All times are
 * milliseconds (with fractions) on one clock that never steps and that everything in the history shares.
 */

/** One request that reached the store once. A request that reached it twice (a resend, a duplicate on the way) is two attempts. */
export interface Attempt {
  readonly type: "attempt";
  readonly key: string;
  /** `overwrite` and `delete` are an outsider's unconditional writes: a restored backup, an operator's repair, a careless clean-up. */
  readonly kind: "read" | "create" | "replace" | "overwrite" | "delete";
  readonly outcome: AttemptOutcome;
  /** `If-Match` of a `replace`, `If-None-Match` of a `read`. */
  readonly condition?: string | undefined;
  /** ETag of what was written or found. */
  readonly etag?: string | undefined;
  /** Nonce of the record that was written or found: it names one write (rule R1). */
  readonly nonce?: string | undefined;
  readonly fencingToken?: number | undefined;
  readonly state?: "held" | "released" | undefined;
  /** The lease object that the record names. */
  readonly instance?: string | undefined;
  /** Who sent it, for people. */
  readonly client?: string | undefined;
  readonly status?: number | undefined;
  /** When the store may first have seen it. */
  readonly sentMs: number;
  /** When its answer was there; `undefined` if there never was one. */
  readonly answeredMs?: number | undefined;
  /** Where it stands in the file, for people. */
  readonly line?: number | undefined;
}

export type AttemptOutcome =
  /** A write was carried out. */
  | "applied"
  /** A write was refused because the object was not what its condition says. */
  | "refused"
  /** A write that may have been carried out at any time since it was sent, or not at all. */
  | "unknown"
  /** A read got an object. */
  | "found"
  /** A read was told that the object is still the one of its condition. */
  | "not-modified"
  /** There was no object: a read, or a `replace` that was answered 404. */
  | "absent"
  /** It says nothing: a failed read, or a write that was turned away before it was looked at. */
  | "nothing";

/** While this node believed that it holds this key. */
export interface Belief {
  readonly type: "belief";
  readonly key: string;
  readonly node: string;
  readonly fencingToken: number;
  readonly fromMs: number;
  /** The last moment at which it certainly still believed. */
  readonly toMs: number;
  readonly line?: number | undefined;
}

/** A write to a resource that remembers the largest token and refuses older ones, in the order in which the resource took them. */
export interface FencedWrite {
  readonly type: "fenced";
  readonly key: string;
  readonly node: string;
  readonly fencingToken: number;
  readonly accepted: boolean;
  readonly atMs: number;
  readonly line?: number | undefined;
}

export type HistoryLine = Attempt | Belief | FencedWrite;
