/** What S3 does with a request: the answers of AWS, row by row, and the ways in which other stores differ, where a fault asks for them. */
import { type Bucket, newObject, type StoredObject } from "./buckets.ts";
import { BadBodyError, decodeBody } from "./chunked-body.ts";
import type { StoreFaults } from "./fault-rules.ts";
import { listObjects } from "./list-objects.ts";
import { NO_BODY, type WireAnswer, type WireRequest } from "./wire.ts";
import { errorAnswer, textsOf, toXml } from "./xml.ts";

export interface Storage {
  readonly region: string;
  readonly buckets: Map<string, Bucket>;
  nowMs(): number;
  /** Lets so much time pass; rejects never. */
  pause(ms: number): Promise<void>;
  makeBucket(name: string): Bucket;
}

type Headers = (readonly [name: string, value: string])[];

const EMPTY = (status: number, headers: Headers = []): WireAnswer => ({ status, headers, body: NO_BODY });
const XML = (status: number, body: Buffer): WireAnswer => ({ status, headers: [["Content-Type", "application/xml"]], body });

export async function operate(storage: Storage, request: WireRequest, faults: StoreFaults): Promise<WireAnswer> {
  const refused = accessRefused(request, faults);
  if (refused !== undefined) return refused;
  const { bucket: name } = request;
  switch (request.operation) {
    case "ListBuckets":
      return XML(
        200,
        toXml("ListAllMyBucketsResult", [["Buckets", [...storage.buckets.keys()].map((b) => ["Bucket", [["Name", b]]] as const)]]),
      );
    case "CreateBucket":
      if (storage.buckets.has(name))
        return error(request, 409, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded.");
      storage.makeBucket(name);
      return EMPTY(200, [["Location", `/${name}`]]);
    case "Other":
      return error(request, 501, "NotImplemented", "A header or query you provided implies functionality that is not implemented.");
    default:
      // All others are about a bucket that has to exist.
      break;
  }
  const bucket = storage.buckets.get(name);
  if (bucket === undefined) return error(request, 404, "NoSuchBucket", "The specified bucket does not exist", [["BucketName", name]]);
  return onBucket(storage, bucket, request, faults);
}

async function onBucket(storage: Storage, bucket: Bucket, request: WireRequest, faults: StoreFaults): Promise<WireAnswer> {
  switch (request.operation) {
    case "HeadBucket":
      return EMPTY(200, [["x-amz-bucket-region", storage.region]]);
    case "DeleteBucket":
      if (!bucket.isEmpty) return error(request, 409, "BucketNotEmpty", "The bucket you tried to delete is not empty.");
      storage.buckets.delete(bucket.name);
      return EMPTY(204);
    case "GetBucketLocation":
      return XML(200, toXml("LocationConstraint", storage.region === "us-east-1" ? "" : storage.region));
    case "GetBucketVersioning":
      return XML(200, toXml("VersioningConfiguration", ""));
    case "ListObjects":
      if (faults.has("deny-list")) return denied(request);
      return listObjects(bucket, request);
    case "DeleteObjects": {
      const keys = textsOf(request.body.toString(), "Key").slice(0, 1000);
      for (const key of keys) bucket.set(key, undefined);
      return XML(
        200,
        toXml(
          "DeleteResult",
          keys.map((key) => ["Deleted", [["Key", key]]] as const),
        ),
      );
    }
    case "GetObject":
    case "HeadObject":
      return read(bucket, request, faults);
    case "PutObject":
      return put(storage, bucket, request, faults);
    default:
      return remove(bucket, request, faults);
  }
}

/** What a policy, a wrong region or a wrong clock refuses before anything is looked at. */
function accessRefused(request: WireRequest, faults: StoreFaults): WireAnswer | undefined {
  if (faults.has("deny")) return denied(request);
  if (faults.has("clock-skew"))
    return error(request, 403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.");
  const wrongRegion = faults.get("wrong-region")?.fault;
  if (wrongRegion?.kind !== "wrong-region") return undefined;
  const { region, status = 301 } = wrongRegion;
  const code = status === 301 ? "PermanentRedirect" : "AuthorizationHeaderMalformed";
  const message =
    status === 301
      ? "The bucket you are attempting to access must be addressed using the specified endpoint."
      : `The region is wrong; expecting '${region}'`;
  return errorAnswer({ status, code, message, more: [["Region", region]], headers: [["x-amz-bucket-region", region]] });
}

function read(bucket: Bucket, request: WireRequest, faults: StoreFaults): WireAnswer {
  const newest = bucket.get(request.key);
  const flipped =
    newest !== undefined && (faults.get("flip-reads")?.turn(request.key) ?? 0) % 2 === 1 ? bucket.older(request.key)[0] : undefined;
  const object = flipped ?? newest;
  if (object === undefined) return faults.has("deny-list") ? denied(request) : missing(request);
  const etag = spelled(object, faults);
  const base: Headers = [
    ["ETag", etag],
    ["Last-Modified", new Date(object.lastModifiedMs).toUTCString()],
  ];
  const { "if-match": ifMatch, "if-none-match": ifNoneMatch } = request.headers;
  if (ifMatch !== undefined && !matches(ifMatch, object, faults)) return precondition(request, "If-Match");
  if (ifNoneMatch !== undefined && !faults.has("ignore-if-none-match") && matches(ifNoneMatch, object, faults)) return EMPTY(304, base);
  const headers: Headers = [...base, ...object.headers, ["Accept-Ranges", "bytes"], ["Content-Length", String(object.body.length)]];
  return { status: 200, headers, body: object.body };
}

async function put(storage: Storage, bucket: Bucket, request: WireRequest, faults: StoreFaults): Promise<WireAnswer> {
  let body: Buffer;
  try {
    ({ body } = decodeBody(request));
  } catch (e) {
    if (e instanceof BadBodyError) return error(request, 400, e.code, e.message);
    throw e;
  }
  const refused = putRefused(bucket, request, faults);
  if (refused !== undefined) return refused;
  const gap = faults.get("check-then-write")?.fault;
  // Right one at a time, wrong in a race: everybody looks before anybody writes.
  if (gap?.kind === "check-then-write") await storage.pause(gap.gapMs ?? 5);
  const before = bucket.get(request.key);
  const object = newObject(body, lastModified(storage, request, before, faults), keptHeaders(request));
  bucket.set(request.key, object);
  return EMPTY(200, [["ETag", spelled(object, faults)]]);
}

function putRefused(bucket: Bucket, request: WireRequest, faults: StoreFaults): WireAnswer | undefined {
  const { "if-match": ifMatch, "if-none-match": ifNoneMatch } = request.headers;
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined;
  if (faults.has("conditions-not-implemented"))
    return error(request, 501, "NotImplemented", "A header you provided implies functionality that is not implemented.");
  // In doubt: the writing side of the store does not find what the reading side shows.
  const object = faults.has("in-doubt") ? undefined : bucket.get(request.key);
  if (ifNoneMatch !== undefined && !faults.has("ignore-if-none-match")) {
    if (ifNoneMatch.trim() !== "*") return error(request, 501, "NotImplemented", "Only If-None-Match: * is possible on a PUT.");
    if (object !== undefined) return precondition(request, "If-None-Match");
  }
  if (ifMatch === undefined || faults.has("ignore-if-match") || (ifMatch === "" && faults.has("ignore-empty-if-match"))) return undefined;
  if (object === undefined) {
    if (faults.has("if-match-creates")) return undefined;
    return faults.has("missing-is-412") ? precondition(request, "If-Match") : missing(request);
  }
  return matches(ifMatch, object, faults) ? undefined : precondition(request, "If-Match");
}

function remove(bucket: Bucket, request: WireRequest, faults: StoreFaults): WireAnswer {
  const object = bucket.get(request.key);
  const ifMatch = request.headers["if-match"];
  if (ifMatch !== undefined && !faults.has("unconditional-delete")) {
    if (object === undefined) return missing(request);
    if (!matches(ifMatch, object, faults)) return precondition(request, "If-Match");
  }
  bucket.set(request.key, undefined);
  return EMPTY(204);
}

function matches(condition: string, object: StoredObject, faults: StoreFaults): boolean {
  if (condition.trim() === "*") return true;
  return condition.split(",").some((given) => {
    const etag = given.trim();
    if (faults.has("unquoted-only")) return etag === object.etag;
    return etag.replace(/^"(.*)"$/, "$1") === object.etag;
  });
}

function spelled(object: StoredObject, faults: StoreFaults): string {
  return faults.has("bare-etags") ? object.etag : `"${object.etag}"`;
}

function lastModified(storage: Storage, request: WireRequest, before: StoredObject | undefined, faults: StoreFaults): number {
  if (before !== undefined && faults.has("last-modified-kept")) return before.lastModifiedMs;
  const signed = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(request.headers["x-amz-date"] ?? "");
  if (signed !== null && faults.has("last-modified-from-client")) {
    const [, y, mo, d, h, mi, s] = signed.map(Number);
    return Date.UTC(y ?? 0, (mo ?? 1) - 1, d, h, mi, s);
  }
  return storage.nowMs();
}

const KEPT = /^(?:content-type|content-encoding|content-disposition|content-language|cache-control|x-amz-meta-.+)$/;

function keptHeaders(request: WireRequest): Headers {
  return Object.entries(request.headers).flatMap(([name, value]): Headers => {
    if (value === undefined || !KEPT.test(name)) return [];
    const kept = name === "content-encoding" ? value.replace(/\s*aws-chunked\s*,?\s*/, "") : value;
    return kept === "" ? [] : [[name, kept]];
  });
}

function missing(request: WireRequest): WireAnswer {
  return error(request, 404, "NoSuchKey", "The specified key does not exist.");
}

function denied(request: WireRequest): WireAnswer {
  return error(request, 403, "AccessDenied", "Access Denied");
}

function precondition(request: WireRequest, condition: string): WireAnswer {
  return error(request, 412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", [
    ["Condition", condition],
  ]);
}

function error(
  request: WireRequest,
  status: number,
  code: string,
  message: string,
  more: readonly (readonly [string, string])[] = [],
): WireAnswer {
  return errorAnswer({ status, code, message, key: request.key, more });
}
