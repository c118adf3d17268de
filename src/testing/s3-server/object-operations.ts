/** GET, HEAD, PUT and DELETE of one object. Each decides and acts in one go, so that conditions are atomic, unless a fault wants otherwise. */
import { parseInstant, toDate } from "../../clock/calendar.ts";
import type { Clock } from "../../clock/clock.ts";
import { sleep } from "../../clock/wait.ts";
import { newObject, type Bucket, type StoredObject } from "./buckets.ts";
import { checkDelete, checkPut, checkRead, noSuchKey } from "./conditions.ts";
import type { StoreFaults } from "./fault-rules.ts";
import { dateOf } from "./sigv4.ts";
import { NO_BODY, type WireAnswer, type WireRequest } from "./wire.ts";
import { errorAnswer } from "./xml.ts";

export interface ObjectContext {
  readonly request: WireRequest;
  readonly bucket: Bucket;
  /** The body without its chunks. */
  readonly body: Buffer;
  readonly ways: StoreFaults;
  readonly clock: Clock;
  /** Aborts when the server closes. */
  readonly signal: AbortSignal;
}

export function httpDate(ms: number): string {
  return toDate(ms).toUTCString();
}

export function accessDenied(request: WireRequest): WireAnswer {
  return errorAnswer({ status: 403, code: "AccessDenied", message: "Access Denied", key: request.key });
}

export function getObject({ request, bucket, ways }: ObjectContext): WireAnswer {
  const object = visible(request.key, bucket, ways);
  if (object === undefined) return ways.has("deny-list") ? accessDenied(request) : noSuchKey(request);
  const verdict = checkRead(request, object, ways);
  const tag: readonly [string, string] = ["ETag", sentTag(object, ways)];
  const modified: readonly [string, string] = ["Last-Modified", httpDate(object.lastModifiedMs)];
  if (verdict === "not-modified") return { status: 304, headers: [tag, modified], body: NO_BODY };
  if (verdict !== undefined) return verdict;
  const headers = [tag, modified, ["Accept-Ranges", "bytes"] as const, ...object.headers];
  const range = rangeOf(request.headers["range"], object.body.length);
  if (range === "unsatisfiable") {
    return errorAnswer({ status: 416, code: "InvalidRange", message: "The requested range is not satisfiable", key: request.key });
  }
  if (range === undefined) return { status: 200, headers: [...headers, ["Content-Length", String(object.body.length)]], body: object.body };
  const part = object.body.subarray(range.from, range.to + 1);
  headers.push(["Content-Range", `bytes ${range.from}-${range.to}/${object.body.length}`], ["Content-Length", String(part.length)]);
  return { status: 206, headers, body: part };
}

/** What reads see: the newest version, or under "flip-reads" the one before it every other time. */
function visible(key: string, bucket: Bucket, ways: StoreFaults): StoredObject | undefined {
  const current = bucket.get(key);
  const flip = ways.get("flip-reads");
  if (flip === undefined || flip.turn(key) % 2 === 0) return current;
  return bucket.older(key)[0] ?? current;
}

export async function putObject(context: ObjectContext): Promise<WireAnswer> {
  const { request, bucket, ways, clock, signal, body } = context;
  const { key } = request;
  if (Buffer.byteLength(key) > 1_024) return errorAnswer({ status: 400, code: "KeyTooLongError", message: "Your key is too long", key });
  const refusal = checkPut(request, ways.has("in-doubt") ? undefined : bucket.get(key), ways);
  if (refusal !== undefined) return refusal;
  const careless = ways.get("check-then-write")?.fault;
  if (careless?.kind === "check-then-write" && !(await sleep(clock, careless.gapMs ?? 5, { signal }))) {
    return errorAnswer({ status: 503, code: "ServiceUnavailable", message: "the server is closing", key });
  }
  const racing = ways.get("race-loser-500")?.fault;
  if (racing?.kind === "race-loser-500") {
    const lost = await aloneAt(bucket, key, () => sleep(clock, racing.gapMs ?? 5, { signal }));
    if (lost) return errorAnswer({ status: 500, code: "UnknownError", message: "UnknownError", key });
  }
  const object = newObject(body, modifiedMs(context), keptHeaders(request));
  bucket.set(key, object);
  return { status: 200, headers: [["ETag", sentTag(object, ways)]], body: NO_BODY };
}

const underWay = new WeakMap<Bucket, Set<string>>();

/** Nobody else writes the key while `wait` lasts. True where somebody else was there first. */
async function aloneAt(bucket: Bucket, key: string, wait: () => Promise<unknown>): Promise<boolean> {
  const keys = underWay.get(bucket) ?? new Set();
  underWay.set(bucket, keys);
  if (keys.has(key)) return true;
  keys.add(key);
  await wait();
  keys.delete(key);
  return false;
}

export function deleteObject({ request, bucket, ways }: ObjectContext): WireAnswer {
  const refusal = checkDelete(request, bucket.get(request.key), ways);
  if (refusal !== undefined) return refusal;
  bucket.set(request.key, undefined);
  return { status: 204, headers: [], body: NO_BODY };
}

export function sentTag(object: StoredObject, ways: StoreFaults): string {
  return ways.has("bare-etags") ? object.etag : `"${object.etag}"`;
}

function modifiedMs({ request, bucket, ways, clock }: ObjectContext): number {
  const previous = bucket.get(request.key);
  if (ways.has("last-modified-kept") && previous !== undefined) return previous.lastModifiedMs;
  if (ways.has("last-modified-from-client")) {
    const said = dateOf(request.headers["x-amz-date"] ?? "") ?? parseInstant(request.headers["date"] ?? "");
    if (said !== undefined) return said;
  }
  return clock.wallMs();
}

const KEPT = /^(?:content-type|cache-control|content-disposition|content-encoding|content-language|expires|x-amz-meta-.*)$/;

function keptHeaders(request: WireRequest): readonly (readonly [string, string])[] {
  const kept: [string, string][] = [];
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined || !KEPT.test(name)) continue;
    const text = name === "content-encoding" ? value.replace(/\s*\baws-chunked\b\s*,?\s*/g, "").replace(/,\s*$/, "") : value;
    if (text !== "") kept.push([name, text]);
  }
  if (request.headers["content-type"] === undefined) kept.push(["content-type", "binary/octet-stream"]);
  return kept;
}

/** One range of bytes, as S3 allows. What it can't read it takes for none, as HTTP says. */
function rangeOf(header: string | undefined, size: number): { readonly from: number; readonly to: number } | "unsatisfiable" | undefined {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  if (first === "") return Number(last) === 0 || size === 0 ? "unsatisfiable" : { from: Math.max(0, size - Number(last)), to: size - 1 };
  const from = Number(first);
  const to = last === "" ? size - 1 : Math.min(size - 1, Number(last));
  if (last !== "" && Number(last) < from) return undefined;
  return from >= size ? "unsatisfiable" : { from, to };
}
