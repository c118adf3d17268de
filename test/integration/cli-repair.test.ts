/** `repair`, `accept-regression` and `show` from outside, on a real MinIO: what was broken by hand is named, mended, and goes on. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { type CliExit, cliEnv, runCli, startCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { freeze } from "../support/freeze.ts";
import { freshBucket, type FreshBucket, restrictedCredentials } from "../support/minio-client.ts";
import { spawnProgram } from "../support/programs.ts";
import { temporaryFolder } from "../support/reaper.ts";
import { credentialsEnv, sharedMinio } from "../support/servers.ts";

const minio = sharedMinio();
const folder = temporaryFolder("cli-repair");
const WORK = ["--", "sh", "-c", "echo working; exec sleep 60"];
const TOKEN = ["--", "sh", "-c", 'echo "token $S3_CONSENSUS_TOKEN"'];
let bucket: FreshBucket;
let env: Record<string, string | undefined>;

beforeAll(async () => {
  bucket = await freshBucket(minio);
  env = cliEnv(minio, { S3_CONSENSUS_STORE: bucket.url("cli") });
});

const objectOf = (kind: "elections" | "locks" | "members", name: string): string => `cli/locks/${kind}/${name}`;
const peek = async (key: string): Promise<string> => (await bucket.outside.peek(bucket.bucket, key))?.body ?? "";
const put = async (key: string, body: string): Promise<void> => void (await bucket.outside.put(bucket.bucket, key, body));
const cli = (...args: string[]): Promise<CliExit> => runCli(args, { env });
/** The command that a message names, run as it stands there. */
const asTold = (message: string, ...more: string[]): Promise<CliExit> => {
  const [, words = ""] = /The way out: s3-consensus (.+)/.exec(message) ?? expect.fail(`no way out in ${message}`);
  return cli(...words.split(" "), ...more);
};

describe.concurrent("repair", () => {
  it("of a torn record: its holder loses it, everybody names the command, which keeps the bytes and goes on above its token", async () => {
    const key = objectOf("locks", "torn");
    const holder = startCli(["lock", "torn", "--ttl", "10s", ...WORK], { env });
    await holder.written(/working/);
    const torn = (await peek(key)).slice(0, -1);
    await put(key, torn);
    const lost = await holder.exit;
    expect(lost.status).toBe(76);
    expect(lost.err).toMatch(/was replaced.*damaged record.*The way out: s3-consensus repair torn/);
    const refused = await cli("lock", "torn", "--", "true");
    expect(refused).toMatchObject({ status: 65, out: "" });
    const unasked = await asTold(refused.err);
    expect(unasked.status).toBe(64);
    expect(unasked.err).toMatch(/can't be used[^]*it begins: \{"format"[^]*fencing token 1, ttl 10 s[^]*copied to[^]*say --yes/);
    expect(await peek(key)).toBe(torn);
    const mended = await asTold(refused.err, "--yes", "--json");
    expect(mended.status).toBe(0);
    const json = JSON.parse(mended.out) as { readonly copy: string };
    expectShape("mended", json);
    expect(json).toMatchObject({ outcome: "mended", fencingToken: 2 });
    expect(await peek(`cli/${json.copy}`)).toBe(torn);
    expect(await cli("lock", "torn", ...TOKEN)).toMatchObject({ status: 0, out: "token 3\n" });
  });

  it("of foreign bytes: token and ttl have to be said, a file takes the copy, and one that is there is not overwritten", async () => {
    const key = objectOf("locks", "foreign");
    await put(key, "somebody's notes");
    expect((await cli("lock", "foreign", "--", "true")).err).toMatch(/foreign record.*s3-consensus repair foreign/);
    const unsaid = await cli("repair", "foreign", "--yes");
    expect(unsaid.status).toBe(64);
    expect(unsaid.err).toMatch(/say --token[^]*say --ttl/);
    const said = ["repair", "foreign", "--token", "40", "--ttl", "3s", "--yes", "--save"];
    const path = join(folder, "notes");
    expect(await cli(...said, path)).toMatchObject({ status: 0, out: expect.stringContaining(path) as string });
    expect(readFileSync(path, "utf8")).toBe("somebody's notes");
    expect((await cli("lock", "foreign", ...TOKEN)).out).toBe("token 41\n");
    await put(key, "other notes");
    expect((await cli(...said, path)).status).toBe(64);
    expect(await peek(key)).toBe("other notes");
  });

  it("never of what a newer version wrote, whole or torn", async () => {
    const key = objectOf("locks", "newer");
    for (const text of ['{"format":99,"state":"held","fencingToken":5,"ttlMs":1000,"more":true}', '{"format":99,"fencingToken":5,"ttl']) {
      await put(key, text);
      const { status, err } = await cli("repair", "newer", "--token", "9", "--ttl", "3s", "--yes");
      expect(status).toBe(65);
      expect(err).toMatch(/[Uu]pgrade this program/);
      expect(await peek(key)).toBe(text);
    }
  });

  it("not of a task of whose state nothing can be read: it would be no task's record", async () => {
    await put("cli/locks/tasks/report", "{}");
    const { status, err } = await cli("repair", "report", "--kind", "task", "--token", "9", "--ttl", "3s", "--yes");
    expect([status, err]).toEqual([64, expect.stringMatching(/give the task another name/)]);
    expect(await peek("cli/locks/tasks/report")).toBe("{}");
  });

  it("of a session's lock: not while the session lives; when it has been ended, the lock goes on", async () => {
    const program = spawnProgram("session-holder", {
      env: { ...credentialsEnv(minio), STORE: bucket.url("cli"), OPTIONS: JSON.stringify({ node: "the-session", ttlMs: 10_000 }) },
    });
    await program.event("ready");
    await program.ask("acquire", { key: "of-session" });
    const key = objectOf("locks", "of-session");
    await put(key, (await peek(key)).slice(0, -1));
    const refused = await cli("repair", "of-session", "--yes");
    expect(refused.status).toBe(75);
    const [, words = ""] = /s3-consensus (force-unlock .*)/.exec(refused.err) ?? expect.fail(refused.err);
    const ended = await cli(...words.split(" "), "--yes");
    expect(ended.status).toBe(0);
    expect(ended.err).toMatch(/It is a session/);
    expect(await program.event("over")).toMatchObject({ code: "LEASE_ENDED" });
    expect((await cli("repair", "of-session", "--yes")).status).toBe(0);
    expect((await cli("lock", "of-session", ...TOKEN)).out).toBe("token 3\n");
  });
});

describe.concurrent("accept-regression", () => {
  it("an election that went back: who knows better waits and names the command; then it leads by a higher token", async () => {
    const key = objectOf("elections", "restored");
    const leader = startCli(["elect", "restored", "--keep", "--ttl", "10s", ...WORK], { env });
    await leader.written(/working/);
    const backup = await peek(key);
    expect((await cli("stepdown", "restored", "--cooldown", "0s", "--yes")).status).toBe(0);
    await leader.written(/working[^]*working/);
    await put(key, backup);
    const [told] = await leader.written(/can't take part in "restored".*The way out.*/);
    expect(told).toMatch(
      /went back to fencing token 1, but fencing token 2 was given out.*accept-regression --kind election --token 2 --ttl 10000ms/,
    );
    expect(await peek(key)).toBe(backup);
    const accepted = await asTold(told, "--yes", "--json");
    expect(accepted.status).toBe(0);
    expectShape("mended", JSON.parse(accepted.out));
    await leader.written(/(working[^]*){3}/);
    expect(JSON.parse((await cli("status", "restored", "--kind", "election", "--json")).out)).toMatchObject([
      { state: "held", fencingToken: 3 },
    ]);
  });

  it("a lock that went back while somebody waited for it", async () => {
    const key = objectOf("locks", "waited");
    expect((await cli("lock", "waited", "--ttl", "3s", ...TOKEN)).out).toBe("token 1\n");
    const backup = await peek(key);
    const holder = startCli(["lock", "waited", "--ttl", "10s", ...WORK], { env });
    await holder.written(/working/);
    const waiter = startCli(["lock", "waited", "--ttl", "10s", "--wait", "1m", "--", "true"], { env });
    await waiter.written(/waiting for it/);
    holder.signal("SIGKILL");
    freeze(waiter.pid);
    await put(key, backup);
    waiter.signal("SIGCONT");
    const refused = await waiter.exit;
    expect(refused.status).toBe(65);
    expect(refused.err).toMatch(/went back to fencing token 1/);
    expect((await asTold(refused.err, "--yes")).status).toBe(0);
    expect((await cli("lock", "waited", ...TOKEN)).out).toBe("token 3\n");
  });

  it("a deleted one; a damaged one is for repair; a token below a known one is refused with what is known", async () => {
    const key = objectOf("locks", "deleted");
    const unsaid = await cli("accept-regression", "deleted", "--token", "7", "--yes");
    expect([unsaid.status, unsaid.err]).toEqual([64, expect.stringMatching(/nothing stands at[^]*say --ttl/)]);
    expect((await cli("accept-regression", "deleted", "--token", "7", "--ttl", "3s", "--yes")).status).toBe(0);
    expect((await cli("lock", "deleted", "--ttl", "3s", ...TOKEN)).out).toBe("token 8\n");
    const low = await cli("accept-regression", "deleted", "--token", "5", "--yes");
    expect([low.status, low.err]).toEqual([64, expect.stringMatching(/released, last by .*, fencing token 8[^]*8 was given out/)]);
    await put(key, "{");
    expect(await cli("accept-regression", "deleted", "--token", "9", "--yes")).toMatchObject({ status: 65 });
  });
});

describe.concurrent("where the bucket keeps versions", () => {
  it("show tells them, bounded; repair needs no token; without the right it says so and goes on", async () => {
    const kept = await freshBucket(minio);
    await kept.outside.raw.setBucketVersioning(kept.bucket, { Status: "Enabled" });
    const own = { ...env, S3_CONSENSUS_STORE: kept.url("cli") };
    const run = (...args: string[]): Promise<CliExit> => runCli(args, { env: own });
    for (const token of [1, 2, 3]) expect((await run("lock", "kept", "--ttl", "3s", ...TOKEN)).out).toBe(`token ${token}\n`);
    const shown = await run("show", "kept");
    expect(shown.out).toMatch(/^before {9}\S+ {2}held by .*, fencing token 3, version 5 /m);
    expect(shown.out.match(/^before .*fencing token/gm)).toHaveLength(5);
    const json = JSON.parse((await run("show", "kept", "--json", "--versions", "2")).out) as {
      readonly earlier: { readonly more: boolean };
    };
    expectShape("lease", json);
    expect(json.earlier).toMatchObject({ kept: true, more: true, versions: [{ record: { fencingToken: 3, state: "held" } }, {}] });
    expect((await run("show", "kept", "--versions", "0")).out).not.toContain("before");

    await kept.outside.put(kept.bucket, "cli/locks/locks/kept", "");
    const mended = await run("repair", "kept", "--yes");
    expect(mended.status).toBe(0);
    expect(mended.err).toMatch(/stand 0 bytes[^]*it is empty[^]*earlier versions[^]*fencing token 3, ttl 3.0 s/);
    expect((await run("lock", "kept", "--ttl", "3s", ...TOKEN)).out).toBe("token 5\n");

    await kept.outside.remove(kept.bucket, "cli/locks/locks/kept");
    const gone = await run("show", "kept");
    expect([gone.status, gone.out]).toEqual([1, expect.stringMatching(/^before .*released, last by .* fencing token 5/m)]);

    const resource = [`arn:aws:s3:::${kept.bucket}`, `arn:aws:s3:::${kept.bucket}/*`];
    const { accessKeyId, secretAccessKey, sessionToken } = await restrictedCredentials(minio, {
      Version: "2012-10-17",
      Statement: [{ Effect: "Allow", Action: ["s3:GetObject"], Resource: resource }],
    });
    const least = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken };
    await run("lock", "other", "--ttl", "3s", ...TOKEN);
    const hidden = await runCli(["show", "other"], { env: { ...own, ...least } });
    expect([hidden.status, hidden.out]).toEqual([0, expect.stringMatching(/^before {9}not known: s3:ListBucketVersions/m)]);
  });

  it("and where it keeps none, show says that", async () => {
    await cli("lock", "plain", "--ttl", "3s", "--", "true");
    expect((await cli("show", "plain")).out).toMatch(/^before {9}the bucket keeps no earlier version$/m);
  });
});
