/** An empty bucket on a real server, and nodes of one election on it. */
import { type Contender, contender, type ContenderOptions } from "./contenders.ts";
import { type FreshBucket, freshBucket } from "./minio-client.ts";
import type { S3Server } from "./servers.ts";

export const RECORD_KEY = "app/locks/elections/race";

export interface Stage {
  readonly nodes: Contender[];
  readonly bucket: FreshBucket;
  /** Starts a node and waits until it runs. */
  add(node: string, more?: Partial<ContenderOptions>): Promise<Contender>;
  /** The record as it stands, seen from outside our code. */
  record(): Promise<Record<string, unknown>>;
}

export async function stage(server: S3Server): Promise<Stage> {
  const bucket = await freshBucket(server);
  const nodes: Contender[] = [];
  return {
    nodes,
    bucket,
    async add(node, more = {}) {
      const made = contender({ node, server, url: bucket.url("app"), ...more });
      nodes.push(made);
      await made.event("ready");
      return made;
    },
    async record() {
      const object = await bucket.outside.peek(bucket.bucket, RECORD_KEY);
      return JSON.parse(object?.body ?? "null") as Record<string, unknown>;
    },
  };
}
