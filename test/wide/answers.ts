/** What a store answers to the requests that stores differ in, asked by the plain SDK: conditions that this package sends, and some that it never does. */
import {
  DeleteObjectCommand,
  GetObjectCommand,
  PutBucketVersioningCommand,
  type PutObjectCommandInput,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { expect } from "vitest";
import { freshBucket } from "../support/minio-client.ts";
import type { S3Server } from "../support/servers.ts";

/** The status of each answer. */
export interface Answers {
  readonly createExisting: number;
  readonly replaceStale: number;
  readonly replaceMissing: number;
  readonly replaceQuoted: number;
  readonly replaceUnquoted: number;
  /** `If-Match` with nothing after it, which must never overwrite. */
  readonly replaceEmpty: number;
  readonly notModified: number;
  readonly deleteStale: number;
  /** `Last-Modified` minus `Date` of a read right after a write, in seconds. */
  readonly lastModifiedAheadS: number;
}

export function clientOf({ endpoint, region, accessKeyId, secretAccessKey }: S3Server): S3Client {
  return new S3Client({ endpoint, region, credentials: { accessKeyId, secretAccessKey }, forcePathStyle: true, maxAttempts: 1 });
}

export async function answersOf(server: S3Server): Promise<Answers> {
  const client = clientOf(server);
  const { bucket } = await freshBucket(server);
  const put = async (Key: string, condition: Partial<PutObjectCommandInput>): Promise<{ status: number; etag: string }> => {
    const command = new PutObjectCommand({ Bucket: bucket, Key, Body: `${Math.random()}`, ...condition });
    // The SDK leaves out a header that is empty.
    if (condition.IfMatch === "") command.middlewareStack.add((next) => (args) => next(withEmptyIfMatch(args)), { step: "build" });
    return await client.send(command).then(({ $metadata, ETag }) => ({ status: $metadata.httpStatusCode ?? 0, etag: ETag ?? "" }), failed);
  };
  const first = await put("k", { IfNoneMatch: "*" });
  expect(first.status).toBe(200);
  const createExisting = await put("k", { IfNoneMatch: "*" });
  const quoted = await put("k", { IfMatch: first.etag });
  const now = await headersOf(client, bucket, "k");
  const unquoted = await put("k", { IfMatch: now.etag.replaceAll('"', "") });
  const replaceStale = await put("k", { IfMatch: first.etag });
  const replaceEmpty = await put("k", { IfMatch: "" });
  const current = await headersOf(client, bucket, "k");
  const same = await client.send(new GetObjectCommand({ Bucket: bucket, Key: "k", IfNoneMatch: current.etag })).then(() => 200, statusOf);
  const missing = await put("missing", { IfMatch: first.etag });
  const deleted = await client
    .send(new DeleteObjectCommand({ Bucket: bucket, Key: "k", IfMatch: first.etag }))
    .then(({ $metadata }) => $metadata.httpStatusCode ?? 0, statusOf);
  client.destroy();
  return {
    createExisting: createExisting.status,
    replaceStale: replaceStale.status,
    replaceMissing: missing.status,
    replaceQuoted: quoted.status,
    replaceUnquoted: unquoted.status,
    replaceEmpty: replaceEmpty.status,
    notModified: same,
    deleteStale: deleted,
    lastModifiedAheadS: current.lastModifiedAheadS,
  };
}

/** From now on the bucket keeps every version. */
export async function keepVersions(server: S3Server, bucket: string): Promise<void> {
  const client = clientOf(server);
  await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: "Enabled" } }));
  client.destroy();
}

function withEmptyIfMatch<T extends { request: unknown }>(args: T): T {
  (args.request as { headers: Record<string, string> }).headers["if-match"] = "";
  return args;
}

async function headersOf(client: S3Client, Bucket: string, Key: string): Promise<{ etag: string; lastModifiedAheadS: number }> {
  const command = new GetObjectCommand({ Bucket, Key });
  let dateMs = 0;
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      dateMs = Date.parse((result.response as { headers: Record<string, string> }).headers["date"] ?? "");
      return result;
    },
    { step: "deserialize" },
  );
  const answer = await client.send(command);
  await answer.Body?.transformToString();
  return { etag: answer.ETag ?? "", lastModifiedAheadS: ((answer.LastModified?.getTime() ?? Number.NaN) - dateMs) / 1000 };
}

const failed = (error: unknown): { status: number; etag: string } => ({ status: statusOf(error), etag: "" });

function statusOf(error: unknown): number {
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  if (status === undefined) throw error;
  return status;
}
