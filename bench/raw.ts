/** The bare SDK on a server's URL: what a lease, a lock or a fenced object is measured against. */
import { GetObjectCommand, NoSuchKey, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";

export type Condition = { readonly IfNoneMatch: "*" } | { readonly IfMatch: string | undefined };

export interface Raw {
  /** A conditional PUT; @returns the ETag. */
  put(key: string, body: string | Uint8Array, condition: Condition): Promise<string | undefined>;
  /** A GET with its body; @returns the number of bytes, `undefined` where there is nothing. */
  get(key: string): Promise<number | undefined>;
  close(): void;
}

export function rawOn(serverUrl: string): Raw {
  const url = new URL(serverUrl);
  const endpoint = url.searchParams.get("endpoint") ?? undefined;
  const client = new S3Client({
    region: url.searchParams.get("region") ?? "us-east-1",
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle: endpoint !== undefined,
    maxAttempts: 1,
    requestChecksumCalculation: "WHEN_REQUIRED",
  });
  const place = (key: string): { Bucket: string; Key: string } => ({ Bucket: url.host, Key: `${url.pathname.slice(1)}/raw-${key}` });
  return {
    put: async (key, Body, condition) => (await client.send(new PutObjectCommand({ ...place(key), Body, ...condition }))).ETag,
    get: async (key) => {
      try {
        const answer = await client.send(new GetObjectCommand(place(key)));
        return (await answer.Body?.transformToByteArray())?.length;
      } catch (e) {
        if (e instanceof NoSuchKey) return undefined;
        throw e;
      }
    },
    close: () => client.destroy(),
  };
}

/** As many bytes as a lease record has, other ones each time. */
export function recordLike(): string {
  return JSON.stringify({ nonce: Math.random(), padding: "x".repeat(480) });
}

/** Creates an object; @returns a conditional PUT over whatever it put last. */
export async function rewriting(raw: Raw, key: string, body: () => string | Uint8Array = recordLike): Promise<() => Promise<void>> {
  let etag = await raw.put(key, body(), { IfNoneMatch: "*" });
  return async () => {
    etag = await raw.put(key, body(), { IfMatch: etag });
  };
}

/** What a lease's cycle on a known key can't do without. */
export async function twoPuts(raw: Raw): Promise<() => Promise<void>> {
  const put = await rewriting(raw, "two-puts");
  return async () => {
    await put();
    await put();
  };
}
