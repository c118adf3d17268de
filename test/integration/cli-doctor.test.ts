/** `doctor` on a real MinIO: its own settings, permissions, credentials, and this machine's clock. */
import { describe, expect, it } from "vitest";
import { type CliExit, cliEnv, runCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { freshBucket, restrictedCredentials } from "../support/minio-client.ts";
import { sharedMinio, startMinio } from "../support/servers.ts";
import { wallShift, wallShiftMethod } from "../support/wall-clock.ts";

const minio = sharedMinio();
const env = cliEnv(minio);

/** Asked again where the machine stood still for a moment: that makes a store slow, which is a remark. */
async function doctor(words: readonly string[], own = env): Promise<CliExit> {
  const run = (): Promise<CliExit> => runCli(["doctor", ...words], { env: own });
  let end = await run();
  for (let again = 0; /^! latency|"id": ?"latency",[^}]*"remark"/m.test(end.out) && again < 5; again++) end = await run();
  return end;
}

describe.concurrent("doctor on MinIO", () => {
  it("finds a plain bucket good, and leaves it empty", async () => {
    const fresh = await freshBucket(minio);
    const { status, out, err } = await doctor([fresh.url("app")]);
    expect([status, err]).toEqual([0, ""]);
    expect(out).toContain("Good: use it.");
    expect(await fresh.outside.list(fresh.bucket)).toEqual([]);
  });

  it("refuses versioning until a rule removes old versions, and any rule that deletes records", async () => {
    const fresh = await freshBucket(minio);
    const { raw } = fresh.outside;
    await raw.setBucketVersioning(fresh.bucket, { Status: "Enabled" });
    const versioned = await doctor([fresh.url("app")]);
    expect(versioned.status).toBe(78);
    expect(versioned.out).toContain("NoncurrentVersionExpiration");
    const rule = { ID: "old", Status: "Enabled", Filter: { Prefix: "app/" }, RuleFilter: {} };
    await raw.setBucketLifecycle(fresh.bucket, { Rule: [{ ...rule, NoncurrentVersionExpiration: { NoncurrentDays: 1 } }] });
    expect((await doctor([fresh.url("app")])).status).toBe(0);
    await raw.setBucketLifecycle(fresh.bucket, {
      Rule: [{ ...rule, Expiration: { Days: 30 }, NoncurrentVersionExpiration: { NoncurrentDays: 1 } }],
    });
    const deleting = await doctor([fresh.url("app")]);
    expect(deleting.status).toBe(78);
    expect(deleting.out).toContain('"old" deletes objects below the prefix');
  });

  it("says which permissions are missing, with the policy to paste", async () => {
    const fresh = await freshBucket(minio);
    const allowed = (...actions: string[]): object => ({
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Action: actions, Resource: [`arn:aws:s3:::${fresh.bucket}`, `arn:aws:s3:::${fresh.bucket}/*`] }],
    });
    const as = async (policy: object): Promise<ReturnType<typeof cliEnv>> => {
      const { accessKeyId, secretAccessKey, sessionToken } = await restrictedCredentials(minio, policy);
      return cliEnv(minio, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken });
    };
    const readOnly = await doctor([fresh.url("app")], await as(allowed("s3:GetObject", "s3:ListBucket")));
    expect(readOnly.status).toBe(77);
    expect(readOnly.out).toContain('"s3:PutObject"');
    const least = await doctor([fresh.url("app")], await as(allowed("s3:GetObject", "s3:PutObject", "s3:ListBucket")));
    expect(least.status).toBe(1);
    expect(least.out).toContain("allow s3:DeleteObject");
    expect(least.out).toContain("allow s3:GetLifecycleConfiguration");
    // The policy that it gives is one that works.
    const [, policy = ""] = /the policy with all that is asked for here: (\{.*\})/.exec(least.out) ?? [];
    expect(least.out).toContain("present: s3:GetObject, s3:PutObject, s3:ListBucket; missing: s3:DeleteObject, s3:GetBucketVersioning");
    const pasted = await doctor([fresh.url("app")], await as(JSON.parse(policy) as object));
    expect([pasted.status, pasted.out]).toEqual([0, expect.stringMatching(/✓ permissions: s3:GetObject, .*s3:DeleteObject, .*ObjectLock/)]);
  });

  it("tells that the bucket is in another region", async () => {
    // One that was told its region; others take any.
    const server = await startMinio({ env: { MINIO_REGION: "us-east-1" } });
    const fresh = await freshBucket(server);
    const url = new URL(fresh.url("app"));
    url.searchParams.set("region", "eu-west-1");
    const { status, out } = await doctor([url.href], cliEnv(server));
    expect(status).toBe(77);
    expect(out).toContain("set region=us-east-1");
  });

  it("--json has the documented shape, and says the same", async () => {
    const fresh = await freshBucket(minio);
    const told = JSON.parse((await doctor([fresh.url("app"), "--json"])).out) as { readonly verdict: string };
    expectShape("doctor", told);
    expect(told).toMatchObject({ verdict: "good", saved: false, error: null });
  });

  it("tells a wrong secret key, and a bucket that is not there", async () => {
    const fresh = await freshBucket(minio);
    const wrong = await doctor([fresh.url()], cliEnv(minio, { AWS_SECRET_ACCESS_KEY: "wrong-wrong" }));
    expect(wrong.status).toBe(77);
    expect(wrong.out).toContain("the secret key does not belong to the access key");
    const missing = await doctor([fresh.url().replace(fresh.bucket, `${fresh.bucket}-not`)]);
    expect(missing.status).toBe(77);
    expect(missing.out).toContain("create the bucket");
  });

  it.each([-20, 20])(`sees that this machine's clock is %i minutes off (by ${wallShiftMethod})`, async (minutes) => {
    const fresh = await freshBucket(minio);
    const shift = wallShift(minutes * 60_000);
    const options = shift.nodeArgs.length === 0 ? {} : { NODE_OPTIONS: shift.nodeArgs.join(" ") };
    const { status, out } = await doctor([fresh.url()], { ...env, ...shift.env, ...options });
    expect(status).toBe(77);
    expect(out).toMatch(/clock of this machine is (?:20\.0|19\.9) minutes (?:behind|ahead of) the store's/);
  });
});
