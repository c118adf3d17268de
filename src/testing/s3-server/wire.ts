/** A request and an answer as values: what the fault rules select by, and what the S3 operations and the proxy work on. */
import type { IncomingMessage } from "node:http";

export type S3Operation =
  | "GetObject"
  | "HeadObject"
  | "PutObject"
  | "DeleteObject"
  | "ListObjects"
  | "DeleteObjects"
  | "CreateBucket"
  | "HeadBucket"
  | "DeleteBucket"
  | "ListBuckets"
  | "GetBucketLocation"
  | "GetBucketVersioning"
  /** Everything that this server does not know. */
  | "Other";

export interface WireRequest {
  readonly method: string;
  /** Path and query as they came, byte for byte. */
  readonly target: string;
  readonly operation: S3Operation;
  /** Empty for requests that name none. */
  readonly bucket: string;
  /** Empty for requests on a bucket. */
  readonly key: string;
  readonly query: URLSearchParams;
  /** Names in lower case; of a header that came twice, both values joined by ", ". */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Name, value, name, value, as they came. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

export interface WireAnswer {
  readonly status: number;
  readonly statusText?: string | undefined;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

export const NO_BODY: Buffer = Buffer.alloc(0);

/** Percent signs in a path that are not followed by two digits; S3 answers 400 InvalidURI. */
export class BadTargetError extends Error {
  override readonly name = "BadTargetError";
}

/** Reads method, path, query and host. Buckets are in the path, or in front of a host that ends in ".localhost". */
export function parseRequest(message: IncomingMessage, body: Buffer): WireRequest {
  const method = message.method ?? "GET";
  const target = message.url ?? "/";
  const cut = target.indexOf("?");
  const path = decodePath(cut < 0 ? target : target.slice(0, cut));
  const query = new URLSearchParams(cut < 0 ? "" : target.slice(cut + 1));
  const host = /^([^:.]+)\.localhost(?::\d+)?$/i.exec(message.headers.host ?? "")?.[1];
  const slash = path.indexOf("/", 1);
  const bucket = host ?? (slash < 0 ? path.slice(1) : path.slice(1, slash));
  const key = host !== undefined ? path.slice(1) : slash < 0 ? "" : path.slice(slash + 1);
  const headers = joined(message.rawHeaders);
  return {
    method,
    target,
    operation: operationOf(method, bucket, key, query, headers),
    bucket,
    key,
    query,
    headers,
    rawHeaders: message.rawHeaders,
    body,
  };
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new BadTargetError(`not a path: ${path.slice(0, 200)}`);
  }
}

function joined(rawHeaders: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? "").toLowerCase();
    const value = rawHeaders[i + 1] ?? "";
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  return headers;
}

/** The parts of objects and buckets that have their own operations; a request for one that we don't know must not be taken for a plain one. */
const SUBRESOURCES =
  /^(?:accelerate|acl|analytics|attributes|cors|delete|encryption|intelligent-tiering|inventory|legal-hold|lifecycle|location|logging|metrics|notification|object-lock|ownershipControls|partNumber|policy|policyStatus|publicAccessBlock|replication|requestPayment|restore|retention|select|tagging|torrent|uploadId|uploads|versionId|versioning|versions|website)$/;

function operationOf(
  method: string,
  bucket: string,
  key: string,
  query: URLSearchParams,
  headers: Readonly<Record<string, string | undefined>>,
): S3Operation {
  const part = [...query.keys()].find((name) => SUBRESOURCES.test(name));
  if (bucket === "") return method === "GET" ? "ListBuckets" : "Other";
  if (key !== "") {
    if (part !== undefined || headers["x-amz-copy-source"] !== undefined) return "Other";
    return OBJECT_OPERATIONS.get(method) ?? "Other";
  }
  if (method === "GET" && part === "location") return "GetBucketLocation";
  if (method === "GET" && part === "versioning") return "GetBucketVersioning";
  if (method === "POST" && part === "delete") return "DeleteObjects";
  if (part !== undefined) return "Other";
  return BUCKET_OPERATIONS.get(method) ?? "Other";
}

const OBJECT_OPERATIONS: ReadonlyMap<string, S3Operation> = new Map([
  ["GET", "GetObject"],
  ["HEAD", "HeadObject"],
  ["PUT", "PutObject"],
  ["DELETE", "DeleteObject"],
]);
const BUCKET_OPERATIONS: ReadonlyMap<string, S3Operation> = new Map([
  ["GET", "ListObjects"],
  ["HEAD", "HeadBucket"],
  ["PUT", "CreateBucket"],
  ["DELETE", "DeleteBucket"],
]);

/** The request without one of its headers: what a proxy that strips conditions hands on. */
export function withoutHeaders(request: WireRequest, names: readonly string[]): WireRequest {
  if (names.length === 0) return request;
  const gone = new Set(names.map((name) => name.toLowerCase()));
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !gone.has(name)));
  const rawHeaders: string[] = [];
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i] ?? "";
    if (!gone.has(name.toLowerCase())) rawHeaders.push(name, request.rawHeaders[i + 1] ?? "");
  }
  return { ...request, headers, rawHeaders };
}
