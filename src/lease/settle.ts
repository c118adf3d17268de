import { RecordError } from "../errors.ts";
import { decodeRecord } from "../record/codec.ts";
import { compareRecords, type LeaseRecord } from "../record/record.ts";
import { wayOut } from "../record/way-out.ts";
import type { ReadResult } from "../store/object-store.ts";

/** One logical write: what it was conditioned on and what it puts there. Every attempt of it is the same bytes (rule W3). */
export interface LogicalWrite<R extends LeaseRecord = LeaseRecord> {
  readonly record: R;
  /** The version that it replaces; `undefined` for a create. */
  readonly base: { readonly etag: string; readonly record: LeaseRecord } | undefined;
}

/** What a read, made after this write was refused, says about it. */
export type Settlement<R extends LeaseRecord = LeaseRecord> =
  /** It was applied: its nonce stands there; or it was a release, and stands below what another wrote over it without acquiring (rule S14). */
  | { readonly kind: "mine"; readonly etag: string }
  /**
   * My tenancy goes on, but this version is not the one I know: an operator's flag on top, or a write of mine that I had given up on.
   * `applied`: the write in question is below it, as `holderNonce` says (rule H4).
   */
  | { readonly kind: "still-mine"; readonly etag: string; readonly record: R; readonly applied: boolean }
  /** Somebody else's record stands there; the write can never be applied any more, because its base is gone for good. */
  | { readonly kind: "other"; readonly etag: string; readonly record: LeaseRecord }
  | { readonly kind: "gone" }
  | { readonly kind: "unreadable"; readonly error: RecordError }
  /** Nothing is settled: a stale read, or a refusal that the record does not explain (rules W6, W7). Look again. */
  | { readonly kind: "again"; readonly older?: LeaseRecord };

/**
 * Pure. `written`: all nonces of this lease object whose fate was once open; a record whose `holderNonce` is none of them was not written by
 * this object's tenancy, whatever instance it names (a clone of this process could name the same one, rule H9).
 */
export function settle<R extends LeaseRecord>(
  key: string,
  write: LogicalWrite<R>,
  read: Extract<ReadResult, { kind: "found" | "absent" | "too-large" }>,
  written: { has(nonce: string): boolean },
): Settlement<R> {
  if (read.kind === "absent") return write.base === undefined ? { kind: "again" } : { kind: "gone" };
  if (read.kind === "too-large")
    return {
      kind: "unreadable",
      error: new RecordError(`the object at "${key}" is larger than any record${wayOut(key, "repair")}`, { key, kind: "foreign" }),
    };
  let seen: LeaseRecord;
  try {
    seen = decodeRecord(key, read.body);
  } catch (e) {
    if (e instanceof RecordError) return { kind: "unreadable", error: e };
    throw e;
  }
  const { etag } = read;
  const isBelow = seen.state === "released" && write.record.state === "released" && seen.holderNonce === write.record.nonce;
  if (seen.nonce === write.record.nonce || isBelow) return { kind: "mine", etag };
  if (write.base !== undefined) {
    // The very version that the refused write named, or an older one: the read is stale, or the store is in doubt about the key.
    if (etag === write.base.etag) return { kind: "again" };
    if (compareRecords(seen, write.base.record) < 0) return { kind: "again", older: seen };
  }
  const { instance, fencingToken } = write.record;
  const mine = seen.state === "held" && seen.instance === instance && seen.fencingToken === fencingToken && written.has(seen.holderNonce);
  // Whatever this object wrote in one tenancy is of one kind.
  if (mine) return { kind: "still-mine", etag, record: seen as R, applied: seen.holderNonce === write.record.nonce };
  return { kind: "other", etag, record: seen };
}
