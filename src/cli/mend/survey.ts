/** A key as an operator has to see it before it is mended: what stands there, what stood there before, what is known from both. */
import { ConfigError, RecordError, messageOf } from "../../errors.ts";
import { readRecord } from "../../lease/operate.ts";
import { type Remains, remainsOf } from "../../lease/remains.ts";
import type { Standing } from "../../lease/mend.ts";
import type { LeaseRecord } from "../../record/record.ts";
import type { ObjectStore } from "../../store/object-store.ts";
import type { Earlier } from "../../store/s3-versions.ts";
import { cut, durationText, printable } from "../frame/output.ts";
import { decoded, EARLIER_LIMIT, earlierOf, recordText } from "../view/earlier.ts";

/** What is read, and kept, of an object that is no record. */
const MAX_FOREIGN_BYTES = 16 * 1024 * 1024;
const SHOWN_CHARACTERS = 160;

export interface Survey {
  readonly key: string;
  /** `undefined`: there is no object. */
  readonly standing: Standing | undefined;
  /** `undefined` where what stands there can't be read as a record; `fault` says why. */
  readonly record: LeaseRecord | undefined;
  readonly fault: RecordError | undefined;
  readonly earlier: Earlier;
  readonly remains: Remains;
  /** The longest that anybody may believe, as far as it is known: of the records, and of the sessions that they name. */
  readonly ttlMs: number | undefined;
}

/** @throws StoreAccessError, StoreUnavailableError; RecordError where a newer version has written it (rule R4); ConfigError for what is too large. */
export async function survey(store: ObjectStore, key: string, signal: AbortSignal): Promise<Survey> {
  const read = await store.get(key, { maxBytes: MAX_FOREIGN_BYTES, signal });
  signal.throwIfAborted();
  if (read.kind === "unavailable" || read.kind === "denied") throw read.error;
  if (read.kind === "too-large")
    throw new ConfigError(key, [`has ${read.size ?? "too many"} bytes: more than are kept here. Move it away by the means of your store`]);
  const standing = read.kind === "found" ? { etag: read.etag, body: read.body } : undefined;
  const { record, fault } = standing === undefined ? { record: undefined, fault: undefined } : decoded(key, standing.body);
  const earlier = await earlierOf(store, key, EARLIER_LIMIT, signal);
  const bodies = earlier.kind === "kept" ? earlier.versions.flatMap(({ body }) => body ?? []) : [];
  const remains = remainsOf(key, standing === undefined ? bodies : [standing.body, ...bodies]);
  if (fault?.kind === "newer") throw fault;
  if (remains.newer)
    throw new RecordError(
      `"${key}" was written by a newer version of this package: only that may mend it. Upgrade this program; it is left as it is`,
      { key, kind: "newer" },
    );
  const ttls = [remains.ttlMs, ...(await Promise.all(remains.sessions.map(({ member }) => ttlOf(store, member, signal))))];
  const known = ttls.filter((ms) => ms !== undefined);
  return { key, standing, record, fault, earlier, remains, ttlMs: known.length === 0 ? undefined : Math.max(...known) };
}

/** Of a session. @throws RecordError where its record is damaged itself: that is mended first. */
async function ttlOf(store: ObjectStore, member: string, signal: AbortSignal): Promise<number | undefined> {
  return (await readRecord(store, member, signal))?.record.ttlMs;
}

/** For people, line by line. */
export function surveyLines({ key, standing, record, fault, earlier, remains, ttlMs }: Survey): string[] {
  const what =
    standing === undefined
      ? `nothing stands at ${key}`
      : record === undefined
        ? `at ${key} stand ${standing.body.length} bytes that can't be used: ${messageOf(fault)}`
        : `at ${key} stands a sound record: ${recordText(record)}`;
  const text = record === undefined && standing !== undefined ? [`  it begins: ${beginning(standing.body)}`] : [];
  const known = [
    remains.fencingToken === undefined ? undefined : `fencing token ${remains.fencingToken}`,
    ttlMs === undefined ? undefined : `ttl ${durationText(ttlMs)}`,
    ...remains.sessions.map(({ member, token }) => `session ${member} (token ${token})`),
  ].filter((part) => part !== undefined);
  return [what, ...text, `  before: ${earlierText(earlier)}`, `  highest that is known: ${known.join(", ") || "nothing"}`].map(printable);
}

function earlierText(earlier: Earlier): string {
  if (earlier.kind === "none") return "the bucket keeps no earlier version";
  if (earlier.kind === "hidden") return `not known: ${earlier.reason}`;
  return `${earlier.versions.length}${earlier.more ? " and more" : ""} earlier versions`;
}

function beginning(body: Uint8Array): string {
  return body.length === 0 ? "(it is empty)" : cut(new TextDecoder().decode(body.subarray(0, 4 * SHOWN_CHARACTERS)), SHOWN_CHARACTERS);
}
