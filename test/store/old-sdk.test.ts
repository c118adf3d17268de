/** Rule W9, on the SDK from before the feature: it drops `IfMatch` in silence, and a stale write would be answered 200. */
import { expect, it, vi } from "vitest";
import { s3Store } from "../../src/store/s3.ts";
import type { S3ClientLike } from "../../src/store/s3-options.ts";
import { useCredentials } from "./credentials.ts";
import { ETAG, s3Error, scriptedServer } from "./scripted-server.ts";

vi.mock("@aws-sdk/client-s3", () => import("aws-sdk-client-s3-3.600"));

useCredentials({ accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" });
const BODY = new TextEncoder().encode("{}");
const refusal = { kind: "denied", error: { code: "STORE_UNSAFE", step: "condition-not-on-the-wire" } };

it("is refused before a single write leaves, on our client and on a user's", async () => {
  const { S3Client } = (await import("@aws-sdk/client-s3")) as unknown as { S3Client: new (config: object) => S3ClientLike };
  const server = await scriptedServer((seen) =>
    seen.method === "GET" ? { status: 404, body: s3Error("NoSuchKey") } : { status: 200, headers: { etag: ETAG } },
  );
  const config = {
    endpoint: server.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: "A", secretAccessKey: "s" },
  };
  for (const store of [s3Store(`s3://jobs?endpoint=${server.endpoint}`), s3Store({ bucket: "jobs", client: new S3Client(config) })]) {
    expect(await store.replace("k", ETAG, BODY)).toMatchObject(refusal);
    expect(await store.create("k", BODY)).toMatchObject(refusal);
    await expect(store.ensureSafe()).rejects.toMatchObject(refusal.error);
    await expect(store.ensureSafe()).rejects.toThrow(/3\.700 or newer/);
    expect(await store.get("k")).toMatchObject({ kind: "absent" });
  }
  expect(server.seen.filter((seen) => seen.method !== "GET")).toEqual([]);
});
