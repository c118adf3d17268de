/** The policies of SECURITY.md are pasted by people into real accounts: they are run here, by MinIO, with credentials that have nothing else. */
import { readFileSync } from "node:fs";
import { S3Client } from "@aws-sdk/client-s3";
import { Client } from "minio";
import { describe, expect, it } from "vitest";
import { Manager, s3Store } from "../../src/index.ts";
import { minimalPolicy } from "../../src/store/s3-advice.ts";
import { freshBucket, type FreshBucket, restrictedCredentials } from "../support/minio-client.ts";
import { sharedMinio } from "../support/servers.ts";

interface Statement {
  readonly Sid?: string;
  readonly Effect: "Allow" | "Deny";
  readonly Principal?: string;
  readonly Action: string | readonly string[];
  readonly Resource: string;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

interface Policy {
  readonly Version: string;
  readonly Statement: readonly Statement[];
}

const text = readFileSync(new URL("../../SECURITY.md", import.meta.url), "utf8");
const PREFIX = "app/";

function policy(name: string, bucket = "BUCKET"): Policy {
  const json = new RegExp(`<!-- policy: ${name} -->\\s+\`\`\`json\\n([^]*?)\`\`\``).exec(text)?.[1];
  if (json === undefined) throw new Error(`SECURITY.md has no policy "${name}"`);
  return JSON.parse(json.replaceAll("BUCKET", bucket).replaceAll("PREFIX", bucket === "BUCKET" ? "PREFIX" : PREFIX)) as Policy;
}

function actionsOf({ Statement: statements }: Policy): string[] {
  return statements.flatMap(({ Action }) => Action);
}

/** The same policy with one action less. */
function without(action: string, whole: Policy): Policy {
  const rest = whole.Statement.map((statement) => ({ ...statement, Action: [statement.Action].flat().filter((name) => name !== action) }));
  return { ...whole, Statement: rest.filter(({ Action }) => Action.length > 0) };
}

async function managerUnder(limits: Policy, { bucket }: FreshBucket): Promise<Manager> {
  const { endpoint, region } = sharedMinio();
  const credentials = await restrictedCredentials(sharedMinio(), limits);
  const client = new S3Client({ endpoint, region, forcePathStyle: true, credentials });
  return new Manager({ store: s3Store({ bucket, prefix: PREFIX, client }), name: "billing", ttlMs: 5000, pollMs: 500 });
}

describe("the policy of SECURITY.md for those who take part", () => {
  it("is enough: probe, election, renewal, release, election again", async () => {
    const fresh = await freshBucket(sharedMinio());
    const manager = await managerUnder(policy("participant", fresh.bucket), fresh);
    const term = await manager.campaign({ waitMs: 10_000 });
    await term.verify();
    expect(term.fencingToken).toBe(1);
    expect(await term.release()).toBe("released");
    const again = await manager.campaign({ waitMs: 10_000 });
    expect(again.fencingToken).toBe(2);
    expect(await again.release()).toBe("released");
  });

  // s3:ListBucket is not among these: MinIO answers 404 for a missing key without it, where AWS answers 403 (tested at the wire in test/store).
  it.each(actionsOf(policy("participant")).filter((action) => action !== "s3:ListBucket"))(
    "is the smallest: without %s it is refused, and the message names that action",
    async (action) => {
      const fresh = await freshBucket(sharedMinio());
      const manager = await managerUnder(without(action, policy("participant", fresh.bucket)), fresh);
      await expect(manager.campaign({ waitMs: 3000 })).rejects.toMatchObject({
        name: "StoreAccessError",
        message: expect.stringContaining(action) as string,
      });
    },
  );

  it("allows neither a delete nor a write beside the prefix", async () => {
    const { bucket, outside } = await freshBucket(sharedMinio());
    await outside.put(bucket, "app/key", "mine");
    const { hostname, port } = new URL(sharedMinio().endpoint);
    const { accessKeyId, secretAccessKey, sessionToken } = await restrictedCredentials(sharedMinio(), policy("participant", bucket));
    const limited = new Client({
      endPoint: hostname,
      port: Number(port),
      useSSL: false,
      accessKey: accessKeyId,
      secretKey: secretAccessKey,
      sessionToken,
    });
    await limited.putObject(bucket, "app/key", "again");
    await expect(limited.removeObject(bucket, "app/key")).rejects.toMatchObject({ code: "AccessDenied" });
    await expect(limited.putObject(bucket, "beside", "x")).rejects.toMatchObject({ code: "AccessDenied" });
  });

  it("is the one that error messages show", () => {
    const shown = JSON.parse(minimalPolicy("BUCKET", "PREFIX")) as Policy;
    expect(shown.Statement).toEqual(policy("participant").Statement.map((statement) => ({ ...statement, Sid: undefined })));
  });
});

describe("the policy of SECURITY.md for those who only look", () => {
  it("is enough to see the leader, and not to become it", async () => {
    const fresh = await freshBucket(sharedMinio());
    const leader = await managerUnder(policy("participant", fresh.bucket), fresh);
    const term = await leader.campaign({ waitMs: 10_000 });
    const observer = await managerUnder(policy("observer", fresh.bucket), fresh);
    expect((await observer.leader())?.fencingToken).toBe(1);
    const before = await fresh.outside.list(fresh.bucket);
    expect(await term.release()).toBe("released");
    await expect(observer.campaign({ waitMs: 3000 })).rejects.toMatchObject({ name: "StoreAccessError" });
    expect(await fresh.outside.list(fresh.bucket)).toEqual(before);
  });
});

describe("the bucket policy of SECURITY.md", () => {
  const [writes, deletes, ...more] = policy("bucket").Statement;

  it("denies a write that has neither of the two conditions, to everybody", () => {
    expect(more).toEqual([]);
    expect(writes).toMatchObject({ Effect: "Deny", Principal: "*", Action: "s3:PutObject", Resource: "arn:aws:s3:::BUCKET/PREFIX*" });
    // Conditions of one block are joined by "and": only a request without both is denied.
    expect(writes?.Condition).toEqual({ Null: { "s3:if-none-match": "true", "s3:if-match": "true" } });
  });

  it("denies deletes to all but the operators", () => {
    expect(deletes).toMatchObject({ Effect: "Deny", Principal: "*", Action: ["s3:DeleteObject", "s3:DeleteObjectVersion"] });
    expect(Object.keys(deletes?.Condition ?? {})).toEqual(["ArnNotEquals"]);
  });

  it("is refused by MinIO, as the text says", async () => {
    const { bucket, outside } = await freshBucket(sharedMinio());
    await expect(outside.raw.setBucketPolicy(bucket, JSON.stringify(policy("bucket", bucket)))).rejects.toThrow("condition key");
  });
});
