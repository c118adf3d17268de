/**
 * The narrow store interface that everything else is written against: five calls, conditional writes only. Results are values; the only
 * classes of trouble are the ones in `ReadResult` and `WriteResult`, normalised here and nowhere else.
 */
import type { Clock, Random } from "../clock/clock.ts";
import type { Instant } from "../clock/deadline.ts";
import type { StoreAccessError, StoreUnavailableError, StoreUnsafeError } from "../errors.ts";

/** Counters, monotonically growing, by name. */
export type Stats = Readonly<Record<string, number>>;

/** A store as the user sees it: named once, passed everywhere. */
export interface Store {
  readonly url: string;
  /** Requests by kind since the store was made: `get`, `getNotModified`, `put`, `list`, `delete`, and failures. */
  stats(): Stats;
}

export interface RequestOptions {
  /** Gives up waiting. The request may still land: an aborted write is `unknown`. */
  readonly signal?: AbortSignal | undefined;
  /** Time limit of the request, in milliseconds. Default: the store's own. A write that ran into it is `unknown`. */
  readonly timeoutMs?: number | undefined;
  /**
   * The request is not sent after this, on either clock. It is looked at once more when the request is signed and about to leave: a process that was
   * stopped in between does not send, after hours, what was right before; and what has been signed, the store takes for half an hour at most.
   */
  readonly sendBy?: Instant | undefined;
}

/** The store's `Date` header, in milliseconds, cut to the second; `undefined` where it sent none. */
interface Dated {
  readonly dateMs: number | undefined;
}

export interface Found extends Dated {
  readonly kind: "found";
  readonly etag: string;
  readonly body: Uint8Array;
  /** `Last-Modified` of the same response, in milliseconds, cut to the second. */
  readonly lastModifiedMs: number | undefined;
}

/** Waiting may mend it. */
export interface Unavailable {
  readonly kind: "unavailable";
  readonly error: StoreUnavailableError;
}

/** Waiting can't mend it. Nothing was written. */
export interface Denied {
  readonly kind: "denied";
  readonly error: StoreAccessError | StoreUnsafeError;
}

export type ReadResult =
  | Found
  /** The ETag that was passed as `ifNoneMatch` is still the object's. */
  | ({ readonly kind: "not-modified" } & Dated)
  | ({ readonly kind: "absent" } & Dated)
  /** The object is larger than `maxBytes`; its body was not read. */
  | { readonly kind: "too-large"; readonly etag: string; readonly size: number | undefined }
  | Unavailable
  | Denied;

/** The outcome of one attempt of a conditional write (rule W2). */
export type WriteResult =
  /** 2xx: it is the store's state now. */
  | ({ readonly kind: "applied"; readonly etag: string } & Dated)
  /** 412, or 404 to an `If-Match`. An earlier attempt of the same write may have been applied all the same (rule W3). */
  | ({ readonly kind: "refused"; readonly status: 404 | 412 } & Dated)
  /** 409, 429, 503 and their like. `certain`: the store itself said that it was not applied; otherwise it is as good as unknown. */
  | { readonly kind: "busy"; readonly certain: boolean; readonly retryAfterMs: number | undefined; readonly error: StoreUnavailableError }
  /** Timeout, reset, abort, any other 5xx: it may have been applied, or may still be. */
  | { readonly kind: "unknown"; readonly error: StoreUnavailableError }
  | Denied;

export interface ListEntry {
  readonly key: string;
  readonly etag: string;
  readonly size: number;
  readonly lastModifiedMs: number | undefined;
}

export type ListResult =
  ({ readonly kind: "page"; readonly entries: readonly ListEntry[]; readonly next: string | undefined } & Dated) | Unavailable | Denied;

/** What the probe found out about the store, beyond that it is safe. */
export interface StoreVerdict {
  /** Whether takeover by the store's own time (rule C3) may be used: `Last-Modified` moves at every overwrite and agrees with `Date` (rule T4). */
  readonly storeTime: boolean;
  /** How far the store's own clocks may differ from one another, in milliseconds (the `s` of rule T1). */
  readonly skewMs: number;
  /** What a user should know but need not act on. */
  readonly remarks: readonly string[];
}

/**
 * Keys are relative to the store's prefix. An implementation never throws for what the store answers; it may throw a `ConsensusError` of code
 * `CONFIG` for a call that no store could carry out.
 */
export interface ObjectStore extends Store {
  readonly clock: Clock;
  readonly random: Random;

  /** Says before any request what would be wrong with a key below the store's prefix: its length, say. @throws ConfigError. */
  checkKey?(key: string): void;

  /** Does now what would eat the time of the next request: resolving credentials, dropping stale sockets. Never rejects; awaited before the clock reading of rule H1. */
  prepare(): Promise<void>;

  /**
   * Proves that conditions work, for this bucket (verdict, probe) and for this process's client and path (rule W9). Called before the first
   * write, beside the first read; a good answer is kept for the life of the store object, a bad one is not.
   * @throws StoreUnsafeError, StoreAccessError, StoreUnavailableError, or the reason of `signal`.
   */
  ensureSafe(options?: { readonly signal?: AbortSignal | undefined }): Promise<StoreVerdict>;

  /**
   * The verdict for those who only read, `undefined` where there is none: what is known here, else what another process left, by one GET and none
   * for a while after it found nothing. Never probes, never writes, and proves nothing for a write.
   * @throws the reason of `signal`.
   */
  knownVerdict?(options?: { readonly signal?: AbortSignal | undefined }): Promise<StoreVerdict | undefined>;

  get(
    key: string,
    options?: RequestOptions & { readonly ifNoneMatch?: string | undefined; readonly maxBytes?: number | undefined },
  ): Promise<ReadResult>;
  /** PUT `If-None-Match: *`. One attempt. Only after a read of one's own said "absent" (rule W6). */
  create(key: string, body: Uint8Array, options?: RequestOptions): Promise<WriteResult>;
  /** PUT `If-Match: etag`. One attempt. An empty ETag is refused before it is sent (rule W8). */
  replace(key: string, etag: string, body: Uint8Array, options?: RequestOptions): Promise<WriteResult>;
  list(
    prefix: string,
    options?: RequestOptions & { readonly after?: string | undefined; readonly limit?: number | undefined },
  ): Promise<ListResult>;
  /**
   * DELETE, for janitors only: no lease object is deleted in normal life (rule R3). With `ifMatch` it names the version that it is about:
   * "refused" where another stands there, or none. With that, or a `sendBy`, it is one attempt. Several stores ignore that condition, so nothing may rest on it (rule P3).
   */
  remove(
    key: string,
    options?: RequestOptions & { readonly ifMatch?: string | undefined },
  ): Promise<"removed" | "refused" | Unavailable | Denied>;
}

/** The store behind what a user passed; every store of this package is an `ObjectStore`. */
export function isObjectStore(value: unknown): value is ObjectStore {
  if (typeof value !== "object" || value === null) return false;
  const s = value as Partial<Record<keyof ObjectStore, unknown>>;
  return (
    typeof s.url === "string" &&
    (["get", "create", "replace", "list", "remove", "prepare", "ensureSafe", "stats"] as const).every((m) => typeof s[m] === "function") &&
    typeof s.clock === "object" &&
    typeof s.random === "object"
  );
}
