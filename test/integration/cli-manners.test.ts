/** Manners of the command line, from outside, on a real MinIO: signals, questions, colours, logs, readers that go away. */
import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { faultProxy } from "s3-consensus/testing";
import { CLI, cliEnv, runCli, startCli } from "../support/cli.ts";
import { whenFinished } from "../support/finish.ts";
import { freshBucket, type FreshBucket } from "../support/minio-client.ts";
import { sharedMinio } from "../support/servers.ts";
import { openTerminal } from "../support/terminal.ts";

let bucket: FreshBucket;
let env: Record<string, string | undefined>;

beforeAll(async () => {
  bucket = await freshBucket(sharedMinio());
  env = cliEnv(sharedMinio(), { S3_CONSENSUS_STORE: bucket.url("cli") });
  expect((await runCli(["lock", "first", "--", "true"], { env })).status).toBe(0);
});

describe("Ctrl-C", () => {
  it("once: an orderly end, what was held is free at once", async () => {
    const leader = startCli(["elect", "orderly"], { env });
    await leader.written(/elected/);
    leader.signal("SIGINT");
    expect((await leader.exit).status).toBe(130);
    expect((await runCli(["status", "orderly", "--kind", "election"], { env })).status).toBe(1);
  });

  it("twice: at once, whatever it was waiting for", async () => {
    const proxy = await faultProxy({ target: sharedMinio().endpoint });
    whenFinished(() => proxy.close());
    const leader = startCli(["elect", "hurried"], { env: { ...env, S3_CONSENSUS_STORE: proxy.url(bucket.bucket, "cli") } });
    await leader.written(/elected/);
    const hole = proxy.faults.add({ kind: "black-hole" });
    leader.signal("SIGINT");
    // The release is under way, and gets no answer.
    await expect.poll(() => hole.hits, { timeout: 20_000 }).toBeGreaterThan(0);
    const tried = hole.hits;
    leader.signal("SIGINT");
    expect((await leader.exit).status).toBe(130);
    // By itself it would try again, for twice the time of a request.
    expect(hole.hits).toBe(tried);
    expect((await runCli(["status", "hurried", "--kind", "election"], { env })).status).toBe(0);
  });
});

describe("on a terminal", () => {
  it("whoever would change other people's things is asked: no leaves all as it is, yes does it", async () => {
    const holder = startCli(["lock", "asked", "--", "sh", "-c", "echo working; exec sleep 60"], { env });
    await holder.written(/working/);
    const unlock = [process.execPath, CLI, "force-unlock", "asked", "--token", "1", "--now"];
    const open = { columns: 120, rows: 24, env };
    const unsure = await openTerminal("script", unlock, open);
    await unsure.shows(/TWO MAY RUN[^]*Go on\? \[y\/N\]/);
    await unsure.type("\r");
    await unsure.shows(/exit 1/);
    expect((await runCli(["status", "asked"], { env })).status).toBe(0);
    const sure = await openTerminal("script", unlock, open);
    await sure.shows(/Go on\? \[y\/N\]/);
    await sure.type("y\r");
    await sure.shows(/lock "asked": released[^]*exit 0/);
    expect((await holder.exit).status).toBe(76);
  });

  it("there is colour, and none where NO_COLOR says so", async () => {
    const listed = async (more: Record<string, string>): Promise<string> => {
      const words = ["-qec", `exec "${process.execPath}" "${CLI}" ls`, "/dev/null"];
      return (await promisify(execFile)("script", words, { env: { ...env, TERM: "xterm-256color", ...more } })).stdout;
    };
    expect(await listed({})).toContain("\u001B[");
    const plain = await listed({ NO_COLOR: "1" });
    expect(plain).toContain("first");
    expect(plain).not.toContain("\u001B[");
  });
});

describe("logs", () => {
  it("--log-format json: one JSON value a line on standard error, and nothing of it on standard output", async () => {
    const holder = startCli(["lock", "logged", "--node", "the-holder", "--", "sh", "-c", "echo working; read -r line"], { env, input: "" });
    await holder.written(/working/);
    const refused = await runCli(["lock", "logged", "--log-format", "json", "--log-level", "debug", "--", "true"], { env });
    expect({ status: refused.status, out: refused.out }).toEqual({ status: 75, out: "" });
    const lines = refused.err
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const line of lines)
      expect(line).toMatchObject({
        time: expect.stringMatching(/^\d{4}-.*Z$/) as string,
        level: expect.any(String) as string,
        msg: expect.any(String) as string,
      });
    expect(lines).toContainEqual(expect.objectContaining({ level: "error", holder: "the-holder", fencingToken: 1 }));
    expect((await runCli(["lock", "logged", "--log-level", "silent", "--", "true"], { env })).err).toBe("");
    holder.input("go\n");
    expect((await holder.exit).status).toBe(0);
  });
});

describe("a reader that goes away", () => {
  it.each(["ls --json", "ls", "status", "show first --json"])("%s: no crash, and no word about it", (words) => {
    const text = `{ { "$0" "$1" ${words}; echo "status $?" >&2; } | true; } 2>&1`;
    expect(execFileSync("/bin/sh", ["-c", text, process.execPath, CLI], { env, encoding: "utf8" })).toBe("status 0\n");
  });
});
