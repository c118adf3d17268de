/** Callers of locks in this process that can't know of each other: each has a client, a store and a fault proxy of its own before the same real server. */
import { S3Client } from "@aws-sdk/client-s3";
import { decodeRecord } from "../../src/record/codec.ts";
import type { LeaseRecord } from "../../src/record/record.ts";
import type { ObjectStore, Store } from "../../src/store/object-store.ts";
import { s3Store } from "../../src/store/s3.ts";
import { type FaultProxy, faultProxy } from "../../src/testing/fault-proxy.ts";
import { whenFinished } from "./finish.ts";
import { type FreshBucket, freshBucket } from "./minio-client.ts";
import { sharedMinio, type S3Server } from "./servers.ts";

export interface LockParty {
  readonly store: Store & ObjectStore;
  readonly proxy: FaultProxy;
  /** A store that another process behind the same proxy would have: it knows nothing of what this one has seen. */
  another(): Store & ObjectStore;
  /** What was sent since this was asked for last, for leases of all kinds: `PUT k 200`. Requests without an answer have the status 0. */
  sent(): readonly string[];
}

export interface LockStage {
  readonly server: S3Server;
  readonly bucket: FreshBucket;
  party(credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  }): Promise<LockParty>;
  /** The record of a lock, as it stands in the bucket. */
  record(name: string): Promise<LeaseRecord>;
}

/** A lock's object, below the prefix `app` that all parties use. */
export const lockKey = (name: string): string => `app/locks/locks/${name}`;
const KEY = /^app\/locks\/(?:locks|members|elections|tasks)\/(.+)$/;

export async function lockStage(server: S3Server = sharedMinio()): Promise<LockStage> {
  const bucket = await freshBucket(server);
  return {
    server,
    bucket,
    async party({ accessKeyId, secretAccessKey, sessionToken } = server) {
      const proxy = await faultProxy({ target: server.endpoint });
      const credentials = { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
      const { region } = server;
      const client = new S3Client({ endpoint: proxy.endpoint, region, forcePathStyle: true, credentials, maxAttempts: 1 });
      whenFinished(async () => {
        client.destroy();
        await proxy.close();
      });
      let told = 0;
      const another = (): Store & ObjectStore => s3Store({ bucket: bucket.bucket, prefix: "app", client });
      return {
        store: another(),
        another,
        proxy,
        sent: () => {
          const all = proxy.requests.list({ key: KEY });
          return all.slice(told, (told = all.length)).map((r) => `${r.method} ${KEY.exec(r.key)?.[1] ?? ""} ${r.status ?? 0}`);
        },
      };
    },
    async record(name) {
      const peeked = await bucket.outside.peek(bucket.bucket, lockKey(name));
      return decodeRecord(name, new TextEncoder().encode(peeked?.body ?? ""));
    },
  };
}

/** Waits for something that happens elsewhere. */
export async function until(is: () => boolean | Promise<boolean>, what: string, withinMs = 60_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await is())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
