/**
 * What an answer means (rule W2), by status and S3 error code, never by the SDK's names. Pure. "Certain" is said only of answers that name a
 * request thrown out before it was worked on; MinIO's SlowDownWrite, for one, is a lost write quorum and says nothing.
 */
import { StoreAccessError, StoreUnavailableError, StoreUnsafeError, messageOf } from "../errors.ts";
import type { Denied, ReadResult, Unavailable, WriteResult } from "./object-store.ts";
import { adviceFor, adviceForFailure, chainOf, type About, type Chained } from "./s3-advice.ts";
import { BrokenAnswerError, headerTime, SentTooLateError, type WireAnswer } from "./s3-answer.ts";

/** The request's own limit passed. */
export class RequestTimeoutError extends Error {
  override readonly name = "RequestTimeoutError";
}

/** Codes of requests that were not begun, at whatever status: AWS, R2, KMS behind S3. */
const NOT_BEGUN = new Set([
  "SlowDown",
  "TooManyRequests",
  "TooManyRequestsException",
  "RequestLimitExceeded",
  "BandwidthLimitExceeded",
  "Throttling",
  "ThrottlingException",
  "ThrottledException",
  "RequestThrottled",
  "RequestThrottledException",
  "KMS.ThrottlingException",
]);
const CONFLICTS = new Set(["ConditionalRequestConflict", "OperationAborted"]);
export const EXPIRED: ReadonlySet<string> = new Set(["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"]);
export const CLOCK_SKEWED = "RequestTimeTooSkewed";
/** 4xx by status, but the request may be half done, and the next one may do better. */
const PASSING = new Set(["RequestTimeout", "IncompleteBody", "RequestTimeoutException", "InternalError", "ServiceUnavailable"]);

type Trouble =
  | { readonly kind: "denied"; readonly error: StoreAccessError | StoreUnsafeError }
  | { readonly kind: "busy"; readonly certain: boolean; readonly retryAfterMs: number | undefined; readonly error: StoreUnavailableError }
  | { readonly kind: "passing"; readonly error: StoreUnavailableError };

export function writeResultOf(answer: WireAnswer, about: About, conditional: "create" | "replace"): WriteResult {
  const { status, headers } = answer;
  const dateMs = headerTime(headers["date"]);
  if (status >= 200 && status < 300) {
    const etag = headers["etag"];
    if (etag !== undefined && etag !== "") return { kind: "applied", etag, dateMs };
    return { kind: "unknown", error: unavailable(answer, about, "answered a write without an ETag") };
  }
  if (status === 412) return { kind: "refused", status, dateMs };
  if (status === 404 && conditional === "replace" && isMissingKey(answer)) return { kind: "refused", status, dateMs };
  if (status === 405 || status === 501) {
    const error = new StoreUnsafeError(
      `${where(about)} does not take conditional writes (${codeOf(answer)}): nothing in this package works on such a store. ` +
        "See docs/stores.md for those that do",
      { step: "conditional-write-not-supported" },
    );
    return { kind: "denied", error };
  }
  const trouble = troubleOf(answer, about);
  return trouble.kind === "passing" ? { kind: "unknown", error: trouble.error } : trouble;
}

export function readResultOf(answer: WireAnswer, about: About): ReadResult {
  const { status, headers } = answer;
  const dateMs = headerTime(headers["date"]);
  if (status === 304) return { kind: "not-modified", dateMs };
  if (status === 404 && isMissingKey(answer)) return { kind: "absent", dateMs };
  if (status < 200 || status >= 300) return readTrouble(answer, about);
  const etag = headers["etag"];
  if (etag === undefined || etag === "") {
    return {
      kind: "unavailable",
      error: unavailable(answer, about, "answered a read without an ETag, so no condition could be built on it"),
    };
  }
  if (answer.tooLarge === true) {
    const size = Number(headers["content-length"] ?? Number.NaN);
    return { kind: "too-large", etag, size: Number.isFinite(size) ? size : undefined };
  }
  return { kind: "found", etag, body: answer.body ?? new Uint8Array(), lastModifiedMs: headerTime(headers["last-modified"]), dateMs };
}

/** What became of a DELETE, one that names a version or any; `undefined` where that is not said. */
export function removalOf({ status, code }: WireAnswer, isOfVersion: boolean): "removed" | "refused" | undefined {
  if (status >= 200 && status < 300) return "removed";
  const isGone = status === 404 && code !== "NoSuchBucket";
  if (isOfVersion) return isGone || status === 412 ? "refused" : undefined;
  return isGone ? "removed" : undefined;
}

/** Reads and removals that were answered with anything but what they asked for. */
export function readTrouble(answer: WireAnswer, about: About): Unavailable | Denied {
  const trouble = troubleOf(answer, about);
  return trouble.kind === "denied" ? trouble : { kind: "unavailable", error: trouble.error };
}

function troubleOf(answer: WireAnswer, about: About): Trouble {
  const { status } = answer;
  const code = answer.code ?? "";
  const retryAfterMs = retryAfter(answer);
  const busy = (certain: boolean): Trouble => ({ kind: "busy", certain, retryAfterMs, error: unavailable(answer, about, "is busy") });
  if (NOT_BEGUN.has(code)) return busy(true);
  if (EXPIRED.has(code) || (code === CLOCK_SKEWED && about.clockMayMend === true)) return busy(true);
  if (status === 409) return busy(CONFLICTS.has(code));
  if (status === 429 || status === 503) return busy(false);
  if ((status >= 500 && status !== 501) || status === 408 || PASSING.has(code))
    return { kind: "passing", error: unavailable(answer, about, "failed") };
  // A 400 that is no S3 error document is a proxy's: it may be about the connection, and it may come after the fact.
  if (status === 400 && answer.code === undefined && answer.region === undefined)
    return { kind: "passing", error: unavailable(answer, about, "failed") };
  // Answers to another question than was asked: a 2xx that is no object, a 304 or a missing key to a write.
  if (status < 300 || status === 304 || (status === 404 && isMissingKey(answer)))
    return { kind: "passing", error: unavailable(answer, about, "answered what was not asked") };
  return { kind: "denied", error: accessError(answer, about) };
}

export function accessError(answer: WireAnswer, about: About): StoreAccessError {
  const hint = adviceFor(answer, about);
  const said = answer.message === undefined || answer.message === "" ? "" : `, "${answer.message.slice(0, 200)}"`;
  return new StoreAccessError(
    `${where(about)} denied the ${about.op} of ${JSON.stringify(about.key)} (${codeOf(answer)}${said}): ${hint}`,
    { hint },
  );
}

/** What a failure without an answer means. `neverSent`: the connection was never there, so nothing can have been written. */
export function failureOf(
  error: unknown,
  about: About,
): Denied | { readonly kind: "failed"; readonly neverSent: boolean; readonly error: StoreUnavailableError } {
  if (error instanceof StoreUnsafeError) return { kind: "denied", error };
  const chained = (typeof error === "object" && error !== null ? error : {}) as Chained;
  const hint = adviceForFailure(chained);
  if (hint !== undefined)
    return { kind: "denied", error: new StoreAccessError(`${where(about)}: ${messageOf(error)}: ${hint}`, { hint, cause: error }) };
  const text = `${where(about)}: the ${about.op} of ${JSON.stringify(about.key)} got no answer (${failureText(error, chained)})`;
  const neverSent = error instanceof SentTooLateError || neverConnected(chained);
  return { kind: "failed", neverSent, error: new StoreUnavailableError(text, { cause: error }) };
}

function failureText(error: unknown, chained: Chained): string {
  if (error instanceof RequestTimeoutError || error instanceof BrokenAnswerError || error instanceof SentTooLateError) return error.message;
  const code = chainOf(chained).find((e) => e.code !== undefined)?.code;
  const message = messageOf(error);
  return [code, message]
    .filter((part, i, all) => part !== undefined && part !== "" && (i === 0 || !message.includes(all[0] ?? "\n") || i === 1))
    .join(": ");
}

/** Refused connections and names that do not resolve, at every address that was tried. */
function neverConnected(error: Chained): boolean {
  const leaves = chainOf(error).filter((e) => e.code !== undefined && e.errors === undefined);
  const never = /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/;
  return leaves.length > 0 && leaves.every((e) => never.test(e.code ?? "") && (e.syscall === "connect" || e.syscall === "getaddrinfo"));
}

/** A 404 that is about the key, and not about the bucket, nor a web server that is no S3 at all. */
function isMissingKey(answer: WireAnswer): boolean {
  if (answer.code !== undefined) return answer.code === "NoSuchKey" || answer.code === "NotFound" || answer.code === "NoSuchVersion";
  return !/html/i.test(answer.headers["content-type"] ?? "");
}

function retryAfter(answer: WireAnswer): number | undefined {
  const text = answer.headers["retry-after"];
  return text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) * 1000 : undefined;
}

function unavailable(answer: WireAnswer, about: About, what: string): StoreUnavailableError {
  const said = answer.message === undefined || answer.message === "" ? "" : `, "${answer.message.slice(0, 200)}"`;
  return new StoreUnavailableError(`${where(about)} ${what}: ${about.op} of ${JSON.stringify(about.key)} (${codeOf(answer)}${said})`, {
    status: answer.status,
  });
}

function codeOf(answer: WireAnswer): string {
  const id = answer.headers["x-amz-request-id"];
  return `${answer.status}${answer.code === undefined ? "" : ` ${answer.code}`}${id === undefined ? "" : `, request ${id.slice(0, 40)}`}`;
}

function where(about: About): string {
  return `the store s3://${about.bucket}${about.prefix === "" ? "" : `/${about.prefix.slice(0, -1)}`}`;
}
