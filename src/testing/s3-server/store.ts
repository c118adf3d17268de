/** What the server does with a request that has reached it: access first, then the operation. */
import type { Clock } from "../../clock/clock.ts";
import { Bucket, type StoredObject } from "./buckets.ts";
import { BadBodyError, decodeBody, type DecodedBody } from "./chunked-body.ts";
import type { Plan } from "./fault-rules.ts";
import type { Folder } from "./folder.ts";
import { listObjects } from "./list-objects.ts";
import { accessDenied, deleteObject, getObject, putObject, type ObjectContext } from "./object-operations.ts";
import { areChunksSigned, checkSignature, tooSkewed, wrongSigningRegion, type Credentials } from "./sigv4.ts";
import { NO_BODY, type WireAnswer, type WireRequest } from "./wire.ts";
import { errorAnswer, textsOf, toXml, type XmlNode } from "./xml.ts";

export interface StoreOptions {
  /** Requests must be signed by these; `undefined`: nothing is checked. */
  readonly credentials: Credentials | undefined;
  readonly region: string;
  readonly clock: Clock;
  readonly folder?: Folder | undefined;
}

export class S3Store {
  readonly buckets: Map<string, Bucket> = new Map<string, Bucket>();
  readonly #options: StoreOptions;

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /** Empty, or with what the folder has kept of it. */
  newBucket(name: string): Bucket {
    return this.#options.folder?.bucket(name) ?? new Bucket(name);
  }

  /** @param signal aborts when the server closes. */
  async execute(request: WireRequest, plan: Plan, signal: AbortSignal): Promise<WireAnswer> {
    try {
      const decoded = decodeBody(request);
      return this.#checkAccess(request, decoded, plan) ?? (await this.#operate(request, decoded.body, plan, signal));
    } catch (e) {
      if (e instanceof BadBodyError) return errorAnswer({ status: 400, code: e.code, message: e.message, key: request.key });
      throw e;
    }
  }

  #checkAccess(request: WireRequest, decoded: DecodedBody, plan: Plan): WireAnswer | undefined {
    const { credentials, region, clock } = this.#options;
    if (plan.store.has("clock-skew")) return tooSkewed(request);
    if (credentials !== undefined) {
      const signed = checkSignature(request, credentials, { region, wallMs: clock.wallMs() });
      if ("status" in signed) return signed;
      const isSignedStream = (request.headers["x-amz-content-sha256"] ?? "").startsWith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
      if (isSignedStream && !areChunksSigned(signed, decoded.chunks)) {
        return errorAnswer({
          status: 403,
          code: "SignatureDoesNotMatch",
          message: "A chunk is not signed as it should be.",
          key: request.key,
        });
      }
    }
    const elsewhere = plan.store.get("wrong-region")?.fault;
    if (elsewhere?.kind === "wrong-region") {
      return elsewhere.status === 400 ? wrongSigningRegion(request, region, elsewhere.region) : redirect(request, elsewhere.region);
    }
    if (plan.store.has("deny")) return accessDenied(request);
    if (plan.store.has("deny-list") && request.operation === "ListObjects") return accessDenied(request);
    return undefined;
  }

  #operate(request: WireRequest, body: Buffer, plan: Plan, signal: AbortSignal): WireAnswer | Promise<WireAnswer> {
    const { operation } = request;
    if (operation === "ListBuckets") return this.#listBuckets();
    if (operation === "CreateBucket") return this.#createBucket(request);
    const bucket = this.buckets.get(request.bucket);
    if (bucket === undefined) return noSuchBucket(request);
    const context: ObjectContext = { request, bucket, body, ways: plan.store, clock: this.#options.clock, signal };
    switch (operation) {
      case "GetObject":
      case "HeadObject":
        return getObject(context);
      case "PutObject":
        return putObject(context);
      case "DeleteObject":
        return deleteObject(context);
      case "ListObjects":
        return listObjects(request, bucket, plan.store);
      case "DeleteObjects":
        return deleteMany(bucket, body);
      case "HeadBucket":
        return { status: 200, headers: [["x-amz-bucket-region", this.#options.region]], body: NO_BODY };
      case "DeleteBucket":
        return this.#deleteBucket(bucket);
      case "GetBucketLocation":
        return xmlAnswer("LocationConstraint", this.#options.region === "us-east-1" ? "" : this.#options.region);
      case "GetBucketVersioning":
        return xmlAnswer("VersioningConfiguration", []);
      case "Other":
        return notConfigured(request);
    }
  }

  #listBuckets(): WireAnswer {
    const buckets = [...this.buckets.keys()].sort().map((name): XmlNode => ["Bucket", [["Name", name]]]);
    return xmlAnswer("ListAllMyBucketsResult", [
      [
        "Owner",
        [
          ["ID", "owner"],
          ["DisplayName", "owner"],
        ],
      ],
      ["Buckets", buckets],
    ]);
  }

  #createBucket(request: WireRequest): WireAnswer {
    const { bucket } = request;
    if (!isBucketName(bucket))
      return errorAnswer({ status: 400, code: "InvalidBucketName", message: "The specified bucket is not valid.", bucket });
    if (this.buckets.has(bucket)) {
      const message = "Your previous request to create the named bucket succeeded and you already own it.";
      return errorAnswer({ status: 409, code: "BucketAlreadyOwnedByYou", message, bucket });
    }
    this.buckets.set(bucket, this.newBucket(bucket));
    return { status: 200, headers: [["Location", `/${bucket}`]], body: NO_BODY };
  }

  #deleteBucket(bucket: Bucket): WireAnswer {
    if (!bucket.isEmpty) {
      return errorAnswer({
        status: 409,
        code: "BucketNotEmpty",
        message: "The bucket you tried to delete is not empty",
        bucket: bucket.name,
      });
    }
    this.buckets.delete(bucket.name);
    return { status: 204, headers: [], body: NO_BODY };
  }
}

export function isBucketName(name: string): boolean {
  return /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes("..");
}

function deleteMany(bucket: Bucket, body: Buffer): WireAnswer {
  const xml = body.toString();
  const keys = textsOf(xml, "Key");
  if (keys.length === 0 || keys.length > 1_000) {
    return errorAnswer({
      status: 400,
      code: "MalformedXML",
      message: "The XML you provided was not well-formed: 1 to 1000 keys are allowed",
    });
  }
  for (const key of keys) bucket.set(key, undefined satisfies StoredObject | undefined);
  const isQuiet = textsOf(xml, "Quiet")[0] === "true";
  return xmlAnswer("DeleteResult", isQuiet ? [] : keys.map((key): XmlNode => ["Deleted", [["Key", key]]]));
}

function xmlAnswer(root: string, content: string | readonly XmlNode[]): WireAnswer {
  return { status: 200, headers: [["Content-Type", "application/xml"]], body: toXml(root, content) };
}

function noSuchBucket(request: WireRequest): WireAnswer {
  return errorAnswer({ status: 404, code: "NoSuchBucket", message: "The specified bucket does not exist", bucket: request.bucket });
}

function redirect(request: WireRequest, region: string): WireAnswer {
  const endpoint = `${request.bucket}.s3.${region}.amazonaws.com`;
  return errorAnswer({
    status: 301,
    code: "PermanentRedirect",
    message:
      "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.",
    bucket: request.bucket,
    more: [
      ["Endpoint", endpoint],
      ["Region", region],
    ],
    headers: [["x-amz-bucket-region", region]],
  });
}

/** What S3 says of the parts of a bucket that nobody has configured. */
const NOT_CONFIGURED: readonly (readonly [part: string, code: string, message: string])[] = [
  ["lifecycle", "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"],
  ["object-lock", "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket"],
  ["policy", "NoSuchBucketPolicy", "The bucket policy does not exist"],
  ["encryption", "ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found"],
];

function notConfigured(request: WireRequest): WireAnswer {
  const known = request.method === "GET" ? NOT_CONFIGURED.find(([part]) => request.query.has(part)) : undefined;
  if (known !== undefined) return errorAnswer({ status: 404, code: known[1], message: known[2], bucket: request.bucket });
  return errorAnswer({
    status: 501,
    code: "NotImplemented",
    message: `this server has no ${request.method} ${request.target.slice(0, 200)}`,
  });
}
