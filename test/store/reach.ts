import { S3Client } from "@aws-sdk/client-s3";
import { s3Store } from "../../src/store/s3.ts";
import type { S3Server } from "../support/servers.ts";
import type { Reachable } from "./contract.ts";

/** A bucket of a server as the contract wants it: with a new client at each `open`, by any endpoint. */
export function reach(server: Pick<S3Server, "endpoint" | "region" | "accessKeyId">, bucket: string, prefix: string): Reachable {
  const { region, accessKeyId } = server;
  return {
    endpoint: server.endpoint,
    open({ endpoint = server.endpoint, bucket: other = bucket, secret } = {}) {
      if (secret === undefined) return s3Store({ bucket: other, prefix, endpoint, region });
      const credentials = { accessKeyId, secretAccessKey: secret };
      return s3Store({ bucket: other, prefix, client: new S3Client({ endpoint, region, credentials, forcePathStyle: true }) });
    },
  };
}
