/** What goes to the store and what comes back, before anybody says what it means. */
import { parseInstant } from "../clock/calendar.ts";
import type { Instant } from "../clock/deadline.ts";

export interface WireRequest {
  readonly op: "get" | "put" | "list" | "delete" | "setting";
  /** The whole key, or the prefix of a list. */
  readonly key: string;
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
  readonly body?: Uint8Array | undefined;
  readonly maxBytes?: number | undefined;
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
  /** Not sent after this. */
  readonly sendBy?: Instant | undefined;
  /** A `list` of all versions, the newest of each key first; a `get` of that one. */
  readonly versions?: boolean | undefined;
  readonly versionId?: string | undefined;
  /** Which one a `setting` asks for. */
  readonly setting?: BucketSetting | undefined;
}

/** What a bucket is set to, beside its objects. Only `doctor` asks. */
export type BucketSetting = "versioning" | "lifecycle" | "object-lock";

export interface ListedObject {
  readonly key: string;
  readonly etag: string;
  readonly size: number;
  readonly lastModifiedMs: number | undefined;
  /** In a list of versions. */
  readonly versionId?: string | undefined;
  readonly isLatest?: boolean | undefined;
  readonly isDeletion?: boolean | undefined;
}

/** What the store answered, whatever it was. */
export interface WireAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** `<Code>` and `<Message>` of an S3 error, and its `<Region>`. */
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  readonly region?: string | undefined;
  /** The object, where a GET was answered 200 and it was not larger than `maxBytes`. */
  readonly body?: Uint8Array | undefined;
  readonly tooLarge?: boolean | undefined;
  /** What the SDK made of the answer to a `setting`. */
  readonly value?: unknown;
  readonly listing?: { readonly objects: readonly ListedObject[]; readonly truncated: boolean } | undefined;
}

/** The answer stopped before its end, or was not what the headers promised. */
export class BrokenAnswerError extends Error {
  override readonly name = "BrokenAnswerError";
}

/** The time passed until which a request was to be sent: it was not. */
export class SentTooLateError extends Error {
  override readonly name = "SentTooLateError";
}

/** The time that a header names, in milliseconds. */
export function headerTime(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseInstant(text);
}
