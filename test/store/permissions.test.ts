/** Credentials that may do only so much, on a real server. */
import { S3Client } from "@aws-sdk/client-s3";
import { describe, expect, it } from "vitest";
import { minimalPolicy } from "../../src/store/s3-advice.ts";
import { s3Store } from "../../src/store/s3.ts";
import type { ObjectStore } from "../../src/store/object-store.ts";
import { freshBucket, restrictedCredentials, type FreshBucket } from "../support/minio-client.ts";
import { sharedMinio } from "../support/servers.ts";

const minio = sharedMinio();
const BODY = new TextEncoder().encode("{}");

interface Statement {
  readonly Effect: "Allow";
  readonly Action: string | readonly string[];
  readonly Resource: string;
}

async function limited(fresh: FreshBucket, change: (statements: Statement[]) => Statement[] = (s) => s): Promise<() => ObjectStore> {
  const policy = JSON.parse(minimalPolicy(fresh.bucket, "p/")) as { Version: string; Statement: Statement[] };
  const credentials = await restrictedCredentials(minio, { ...policy, Statement: change(policy.Statement) });
  const config = { endpoint: minio.endpoint, region: minio.region, forcePathStyle: true, credentials };
  return () => s3Store({ bucket: fresh.bucket, prefix: "p", client: new S3Client(config) });
}

describe("with the least policy (no DeleteObject)", () => {
  it("probes, on keys that stay and are used again", async () => {
    const fresh = await freshBucket(minio);
    const store = await limited(fresh);
    expect(await store().ensureSafe()).toMatchObject({ storeTime: true, remarks: [] });
    const keys = await fresh.outside.list(fresh.bucket);
    expect(keys.map((key) => key.replace(/[0-9a-f]{32}/, "#"))).toEqual([
      "p/.s3-consensus/probe-#/fixed/create-0",
      "p/.s3-consensus/probe-#/fixed/create-1",
      "p/.s3-consensus/probe-#/fixed/step",
      "p/.s3-consensus/verdict-#",
    ]);
    // The verdict gone, the next process probes on the same keys.
    await fresh.outside.remove(fresh.bucket, keys.at(-1) ?? "");
    expect(await store().ensureSafe()).toMatchObject({ storeTime: true, remarks: [expect.stringContaining("s3:DeleteObject") as string] });
    expect(await fresh.outside.list(fresh.bucket)).toEqual(keys);
  });

  it("a removal is denied and says which right it needs", async () => {
    const store = (await limited(await freshBucket(minio)))();
    expect(await store.remove("x")).toMatchObject({
      kind: "denied",
      error: { hint: expect.stringContaining("s3:DeleteObject") as string },
    });
  });
});

describe("with nothing but GetObject and PutObject below the prefix", () => {
  // On AWS a missing key would read as 403 here: classify.test.ts shows what is said then. MinIO says 404 to whoever may read the object.
  it.each<[string, (statements: Statement[]) => Statement[]]>([
    ["no s3:ListBucket", (statements) => statements.filter((s) => s.Action !== "s3:ListBucket")],
    [
      "s3:ListBucket with a condition on the prefix",
      (statements) =>
        statements.map((s) => (s.Action === "s3:ListBucket" ? { ...s, Condition: { StringLike: { "s3:prefix": ["p/*"] } } } : s)),
    ],
  ])("%s: MinIO lets it work", async (_, change) => {
    const store = (await limited(await freshBucket(minio), change))();
    expect(await store.get("locks/new")).toMatchObject({ kind: "absent" });
    expect(await store.ensureSafe()).toMatchObject({ storeTime: true });
    expect(await store.create("locks/new", BODY)).toMatchObject({ kind: "applied" });
  });

  it("without s3:GetObject a read is denied and says which rights it takes", async () => {
    const fresh = await freshBucket(minio);
    const store = (
      await limited(fresh, (statements) => statements.map((s) => (s.Action === "s3:ListBucket" ? s : { ...s, Action: "s3:PutObject" })))
    )();
    const hint = expect.stringMatching(/s3:GetObject is not allowed.*"s3:GetObject","s3:PutObject"/) as string;
    await fresh.outside.put(fresh.bucket, "p/locks/old", "x");
    expect(await store.get("locks/old")).toMatchObject({ kind: "denied", error: { code: "STORE_ACCESS", hint } });
  });

  it("without s3:PutObject everything that writes is denied, and nothing is written", async () => {
    const fresh = await freshBucket(minio);
    const store = (
      await limited(fresh, (statements) => statements.map((s) => (s.Action === "s3:ListBucket" ? s : { ...s, Action: "s3:GetObject" })))
    )();
    const error = { code: "STORE_ACCESS", hint: expect.stringContaining("allow s3:PutObject") as string };
    expect(await store.create("locks/new", BODY)).toMatchObject({ kind: "denied", error });
    await expect(store.ensureSafe()).rejects.toMatchObject(error);
    expect(await fresh.outside.list(fresh.bucket)).toEqual([]);
  });
});

describe("wrong from the start", () => {
  it("no bucket, a wrong secret, an unknown key: each is named at once", async () => {
    const config = { endpoint: minio.endpoint, region: minio.region, forcePathStyle: true };
    const right = { accessKeyId: minio.accessKeyId, secretAccessKey: minio.secretAccessKey };
    const fresh = await freshBucket(minio);
    const cases: [string, typeof right, RegExp][] = [
      ["no-such-bucket-here", right, /create the bucket/],
      [fresh.bucket, { ...right, secretAccessKey: "wrong-secret" }, /secret key does not belong/],
      [fresh.bucket, { ...right, accessKeyId: "unknown-key" }, /access key is not known/],
    ];
    for (const [bucket, credentials, hint] of cases) {
      const store = s3Store({ bucket, client: new S3Client({ ...config, credentials }) });
      const expected = { code: "STORE_ACCESS", hint: expect.stringMatching(hint) as string };
      expect(await store.get("k")).toMatchObject({ kind: "denied", error: expected });
      expect(await store.create("k", BODY)).toMatchObject({ kind: "denied", error: expected });
      await expect(store.ensureSafe()).rejects.toMatchObject(expected);
    }
  });
});
