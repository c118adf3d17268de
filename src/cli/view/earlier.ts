/** What stood at a key before, as a reader sees it: where the bucket keeps it, and where it may be seen. */
import { toIso } from "../../clock/calendar.ts";
import { messageOf, RecordError } from "../../errors.ts";
import { decodeRecord, MAX_RECORD_BYTES } from "../../record/codec.ts";
import type { LeaseRecord } from "../../record/record.ts";
import type { ObjectStore } from "../../store/object-store.ts";
import { S3Store } from "../../store/s3-store.ts";
import { type Earlier, type EarlierVersion, earlierVersions } from "../../store/s3-versions.ts";
import { printable } from "../frame/output.ts";

/** What is looked at of a versioned key at most: each is a GET. */
export const EARLIER_LIMIT = 20;

/** Where the store is one that may keep earlier versions, they are asked for. Never writes. */
export async function earlierOf(store: ObjectStore, key: string, limit: number, signal: AbortSignal): Promise<Earlier> {
  if (!(store instanceof S3Store)) return { kind: "none" };
  return await earlierVersions(store, key, { limit, maxBytes: MAX_RECORD_BYTES, signal });
}

export function earlierLines(key: string, earlier: Earlier): string[] {
  switch (earlier.kind) {
    case "none":
      return ["before         the bucket keeps no earlier version"];
    case "hidden":
      return [printable(`before         not known: ${earlier.reason}`)];
    case "kept":
      return [
        ...earlier.versions.map((version) => printable(`before         ${lineOf(key, version)}`)),
        ...(earlier.more ? ["before         … and older ones"] : []),
      ];
  }
}

export function earlierJson(key: string, earlier: Earlier | undefined): object | null {
  if (earlier === undefined) return null;
  if (earlier.kind !== "kept") return { kept: false, reason: earlier.kind === "hidden" ? earlier.reason : null, versions: [], more: false };
  const versions = earlier.versions.map(({ id, lastModifiedMs, isDeletion, body }) => ({
    id,
    lastModified: lastModifiedMs === undefined ? null : toIso(lastModifiedMs),
    deleted: isDeletion,
    record: (body && decoded(key, body).record) ?? null,
  }));
  return { kept: true, reason: null, versions, more: earlier.more };
}

function lineOf(key: string, { id, lastModifiedMs, body, isDeletion }: EarlierVersion): string {
  const { record, fault } = body === undefined ? { record: undefined, fault: undefined } : decoded(key, body);
  const unread = fault === undefined ? "can't be read" : `no record: ${messageOf(fault)}`;
  const what = isDeletion ? "deleted" : record === undefined ? unread : recordText(record);
  return `${lastModifiedMs === undefined ? "?" : toIso(lastModifiedMs)}  ${what}  (${id})`;
}

export function recordText(record: LeaseRecord): string {
  const { state, holder, fencingToken, version } = record;
  return `${state === "held" ? "held by" : "released, last by"} ${holder}, fencing token ${fencingToken}, version ${version}`;
}

export function decoded(
  key: string,
  body: Uint8Array,
): { readonly record: LeaseRecord | undefined; readonly fault: RecordError | undefined } {
  try {
    return { record: decodeRecord(key, body), fault: undefined };
  } catch (e) {
    if (e instanceof RecordError) return { record: undefined, fault: e };
    throw e;
  }
}
