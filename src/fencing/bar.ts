/** Who may write a fenced object: the pure decisions. */
import { ConfigError, type Fence, FencedOutError, RecordError } from "../errors.ts";
import type { Delivered } from "../lease/deliver.ts";
import { compareRecords, type Position } from "../record/record.ts";
import type { ReadResult } from "../store/object-store.ts";
import { type Content, decodePointer, MAX_BEFORE, MAX_POINTER_BYTES, type Pointer } from "./pointer.ts";

/** One version of the pointer, as the store has it. */
export interface Version {
  readonly etag: string;
  readonly pointer: Pointer;
}

/**
 * An equal token is the same tenancy, writing again; a lower one at the bar is an earlier tenancy, written over.
 * @throws FencedOutError when the bar is higher than `mine`; ConfigError when it stands under another lease's key.
 */
export function checkBar(name: string, seen: Pointer | undefined, mine: Fence): void {
  if (seen === undefined) return;
  if (seen.leaseKey !== mine.key)
    throw new ConfigError(`fenced object ${JSON.stringify(name)}`, [
      `it is fenced by the lease ${JSON.stringify(seen.leaseKey)}, and this write comes under the lease ${JSON.stringify(mine.key)}: tokens of two keys can't be compared. ` +
        `Write it under the one lease always, or use another object`,
    ]);
  if (seen.fencingToken <= mine.fencingToken) return;
  const theirs: Fence = { key: seen.leaseKey, fencingToken: seen.fencingToken };
  throw new FencedOutError(
    `fenced object ${JSON.stringify(name)}: fencing token ${mine.fencingToken} of ${JSON.stringify(mine.key)} is fenced out, ` +
      `token ${theirs.fencingToken} has written or opened it`,
    { mine, theirs },
  );
}

/** The pointer of the next write over `base`. The body before, if it was an object of its own, is kept one write longer. */
export function nextPointer(
  base: Pointer | undefined,
  by: { readonly fence: Fence; readonly nonce: string; readonly writtenAt: string },
  content: Content,
): Pointer {
  const replaced = base !== undefined && base.content.kind === "object" && base.content !== content ? base.content.name : undefined;
  return {
    leaseKey: by.fence.key,
    fencingToken: by.fence.fencingToken,
    version: (base?.version ?? 0) + 1,
    nonce: by.nonce,
    before: base === undefined ? [] : [base.nonce, ...base.before].slice(0, MAX_BEFORE),
    content,
    kept: base?.content === content ? base.kept : replaced,
    writtenAt: by.writtenAt,
    extra: base?.extra ?? {},
  };
}

/** What stands there instead of the write in question. */
export type Instead =
  /** It was applied, and others have written over it since. */
  | { readonly kind: "superseded" }
  | { readonly kind: "other"; readonly version: Version }
  /** A stale read, or, if it goes on, a pointer that was put back (rule W7). */
  | { readonly kind: "older"; readonly position: Position }
  | { readonly kind: "gone" }
  | { readonly kind: "unreadable"; readonly error: RecordError };

/**
 * What a read after a refusal says about the write `nonce` over `base` (rules W3, W6, W7). Pure. `highest`: the newest version that this process
 * knows of; an older one is a stale read.
 */
export function settlePointer(
  key: string,
  write: { readonly nonce: string; readonly base: Version | undefined; readonly highest: Position | undefined },
  read: Extract<ReadResult, { kind: "found" | "absent" | "too-large" }>,
): Delivered<Instead> {
  const { nonce, base } = write;
  // A create that was refused while there is nothing: the store is in doubt, and only a look that shows something settles it (rule W6).
  if (read.kind === "absent") return base === undefined ? { kind: "again" } : settled({ kind: "gone" });
  let version: Version;
  try {
    version = versionOf(key, read);
  } catch (error) {
    if (error instanceof RecordError) return settled({ kind: "unreadable", error });
    throw error;
  }
  const { pointer, etag } = version;
  if (pointer.nonce === nonce) return { kind: "mine", etag };
  if (pointer.before.includes(nonce)) return { kind: "settled", as: { kind: "superseded" }, applied: true };
  if (etag === base?.etag) return { kind: "again" };
  if (write.highest !== undefined && compareRecords(pointer, write.highest) < 0) return settled({ kind: "older", position: pointer });
  return settled({ kind: "other", version });
}

function settled(as: Instead): Delivered<Instead> {
  return { kind: "settled", as, applied: false };
}

/** @throws RecordError for what is no pointer that this version may touch. */
export function versionOf(key: string, read: Extract<ReadResult, { kind: "found" | "too-large" }>): Version {
  if (read.kind === "found") return { etag: read.etag, pointer: decodePointer(key, read.body) };
  throw new RecordError(
    `the object at "${key}" has ${read.size ?? "too many"} bytes; a pointer has at most ${MAX_POINTER_BYTES} (foreign record; it is left as it is)`,
    { key, kind: "foreign" },
  );
}
