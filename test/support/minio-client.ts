/**
 * The `minio` npm client as an independent second pair of eyes: it sets up buckets and looks at objects, or changes them, from outside our code.
 * Nothing of this package is involved, so a shared mistake can't hide.
 */
import { randomBytes } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { Client } from "minio";
import { whenFinished } from "./finish.ts";
import type { S3Server } from "./servers.ts";

export interface Peeked {
  readonly body: string;
  /** Without quotes, as the `minio` client gives it. */
  readonly etag: string;
  readonly lastModified: Date;
}

export interface OutsideClient {
  /** The client itself, for what the rest doesn't cover (versioning, policies). */
  readonly raw: Client;
  makeBucket(bucket: string): Promise<void>;
  /** The object as it is now; undefined if there is none. */
  peek(bucket: string, key: string): Promise<Peeked | undefined>;
  /** Overwrites without any condition, and gives the new ETag (without quotes). */
  put(bucket: string, key: string, body: string | Buffer): Promise<string>;
  remove(bucket: string, key: string): Promise<void>;
  /** All keys below a prefix, sorted. */
  list(bucket: string, prefix?: string): Promise<string[]>;
}

export function minioClient(server: Pick<S3Server, "endpoint" | "accessKeyId" | "secretAccessKey" | "region">): OutsideClient {
  const url = new URL(server.endpoint);
  const raw = new Client({
    endPoint: url.hostname,
    port: Number(url.port) || (url.protocol === "https:" ? 443 : 80),
    useSSL: url.protocol === "https:",
    accessKey: server.accessKeyId,
    secretKey: server.secretAccessKey,
    region: server.region,
    pathStyle: true,
  });
  return {
    raw,
    makeBucket: (bucket) => raw.makeBucket(bucket, server.region),
    async peek(bucket, key) {
      try {
        // One request for body and ETag: a HEAD beside the GET could see another version.
        const stream = await raw.getObject(bucket, key);
        const { headers } = stream as unknown as { headers: Record<string, string | undefined> };
        const body = await buffer(stream);
        return {
          body: body.toString("utf8"),
          etag: (headers["etag"] ?? "").replace(/^"|"$/g, ""),
          lastModified: new Date(headers["last-modified"] ?? Number.NaN),
        };
      } catch (error) {
        if ((error as { code?: string }).code === "NoSuchKey") return undefined;
        throw error;
      }
    },
    async put(bucket, key, body) {
      return (await raw.putObject(bucket, key, body)).etag;
    },
    remove: (bucket, key) => raw.removeObject(bucket, key),
    async list(bucket, prefix = "") {
      const keys: string[] = [];
      for await (const item of raw.listObjectsV2(bucket, prefix, true)) keys.push((item as { name: string }).name);
      return keys.sort();
    },
  };
}

export interface FreshBucket {
  readonly bucket: string;
  readonly outside: OutsideClient;
  /** `s3://bucket/prefix?endpoint=…&region=…`, as users write it. */
  readonly url: (prefix?: string) => string;
}

/** A bucket that nobody else uses. */
export async function freshBucket(server: S3Server): Promise<FreshBucket> {
  const outside = minioClient(server);
  const bucket = `s3-consensus-${randomBytes(8).toString("hex")}`;
  await outside.makeBucket(bucket);
  if (server.foreign) {
    whenFinished(async () => {
      await outside.raw.removeObjects(bucket, await outside.list(bucket));
      await outside.raw.removeBucket(bucket);
    });
  }
  const query = `endpoint=${encodeURIComponent(server.endpoint)}&region=${encodeURIComponent(server.region)}`;
  return { bucket, outside, url: (prefix = "") => `s3://${bucket}${prefix === "" ? "" : `/${prefix}`}?${query}` };
}

export interface TemporaryCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/** Credentials of MinIO's STS that may do what this policy says, and nothing else. */
export async function restrictedCredentials(server: S3Server, policy: object): Promise<TemporaryCredentials> {
  // Its types are only there for CommonJS.
  const path: string = "minio/dist/esm/AssumeRoleProvider.mjs";
  const { AssumeRoleProvider } = (await import(path)) as {
    AssumeRoleProvider: new (options: Record<string, string>) => {
      getCredentials(): Promise<{ readonly accessKey: string; readonly secretKey: string; readonly sessionToken: string }>;
    };
  };
  const { endpoint, accessKeyId: accessKey, secretAccessKey: secretKey } = server;
  const sts = new AssumeRoleProvider({ stsEndpoint: endpoint, accessKey, secretKey, policy: JSON.stringify(policy), action: "AssumeRole" });
  const { accessKey: accessKeyId, secretKey: secretAccessKey, sessionToken } = await sts.getCredentials();
  return { accessKeyId, secretAccessKey, sessionToken };
}
