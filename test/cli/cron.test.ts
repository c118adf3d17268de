/** `cron` from outside: faults of a file, what tasks write, and a run that is asked for elsewhere. On the embedded server. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fakeS3, type FakeS3 } from "../../src/testing/s3-server/fake-s3.ts";
import { fakeEnv, runCli, startCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { temporaryFolder } from "../support/reaper.ts";

let server: FakeS3;
let env: Record<string, string | undefined>;
const folder = temporaryFolder("cron");

beforeAll(async () => {
  server = await fakeS3();
  env = fakeEnv({ S3_CONSENSUS_STORE: server.url() });
});

afterAll(async () => await server.close());

let files = 0;

function file(...tasks: object[]): string {
  const path = join(folder, `${++files}.json`);
  writeFileSync(path, JSON.stringify({ tasks }));
  return path;
}

describe("a file of tasks", () => {
  it("has each of its faults named at once, those of commands and durations beside those of the schedule", async () => {
    const path = file({ name: "a", every: "1s", command: ["echo", 1], timeout: "soon", retires: 2 }, 5 as unknown as object, {
      name: "b",
      cron: "61 * * * *",
      command: "true",
      timeoutMs: 5,
    });
    const { status, err } = await runCli(["cron", path], { env });
    expect(status).toBe(64);
    for (const fault of [
      'tasks[0]: unknown field "retires": did you mean "retries"?',
      'tasks[0]: command is ["echo",1]: expected a list of words',
      'tasks[0]: timeout is "soon": expected a duration',
      'tasks[2]: unknown field "timeoutMs": did you mean "timeout"?',
      "tasks[1]: expected an object",
      'tasks[2] ("b"): cron is "61 * * * *"',
    ])
      expect(err).toContain(fault);
    expect(err).toContain("6 faults");
  });

  it("has durations in its policies, too", async () => {
    const task = { name: "a", every: "1h", command: "true" };
    const right = file({ ...task, missed: { all: { max: 2, window: "2h" } }, retryDelay: "5s" });
    expect((await runCli(["cron", "preview", right, "a"], { env })).status).toBe(0);
    const { status, err } = await runCli(["cron", "preview", file({ ...task, missed: { all: { max: 2, window: 7200 } } }), "a"], { env });
    expect([status, err]).toEqual([64, expect.stringContaining("missed.all.window is 7200: expected a duration") as string]);
  });

  it("is not begun with a grace that is too long for its leases", async () => {
    const config = join(folder, "config.json");
    writeFileSync(config, JSON.stringify({ ttl: "3s", grace: "2s" }));
    const { status, err } = await runCli(["--config", config, "cron", file({ name: "a", every: "1s", command: "true" })], { env });
    expect([status, err]).toEqual([64, expect.stringContaining("grace: it is 2s, and the ttl 3s") as string]);
  });
});

describe("what tasks write", () => {
  const speaking = {
    name: "speaks",
    every: "1s",
    command: `printf 'in '; echo two; echo '  trouble' >/dev/stderr; printf 'no end'; read -r line || echo "$line"`,
  };
  const other = { name: "o/2", every: "1s", command: "echo other" };

  it("comes out by lines, with the task's name before each: output on output, errors on errors", async () => {
    const node = startCli(["cron", file(speaking, other)], { env });
    await Promise.all([node.written(/speaks: ended with 0/), node.written(/o\/2: ended with 0/)]);
    node.signal("SIGTERM");
    const { status, out, err } = await node.exit;
    expect(status).toBe(143);
    const lines = new Set(out.trimEnd().split("\n"));
    // The last one was not ended by its task.
    expect(lines).toEqual(new Set(["speaks | in two", "speaks | no end", "o/2    | other"]));
    expect(err).toContain("\nspeaks |   trouble\n");
    // What a task wrote stands before the word that it has ended.
    expect(err.indexOf("speaks |   trouble")).toBeLessThan(err.indexOf("speaks: ended"));
  });

  it("is no reason not to run when its log is on a full disk", async () => {
    const logs = join(folder, "full");
    mkdirSync(logs);
    symlinkSync("/dev/full", join(logs, "runs.log"));
    const node = startCli(["cron", file({ name: "runs", every: "1s", command: "exit 0" }), "--log-dir", logs], { env });
    await node.written(/runs: its log: ENOSPC[^]*runs: ended with 0/);
    node.signal("SIGTERM");
    expect((await node.exit).status).toBe(143);
  });

  it("comes out as it is with --no-log-prefix", async () => {
    const node = startCli(["cron", file(other), "--no-log-prefix"], { env });
    await node.written(/o\/2: ended with 0/);
    node.signal("SIGTERM");
    expect(new Set((await node.exit).out.trimEnd().split("\n"))).toEqual(new Set(["other"]));
  });

  it("is not waited for when a process that was left behind keeps the pipe", async () => {
    const once = `[ -e "${folder}/left" ] || { : > "${folder}/left"; sleep 600 & echo "left $!"; }`;
    const node = startCli(["cron", file({ name: "leaves", every: "1s", command: once })], { env });
    await node.written(/leaves: ended with 0/, 30_000);
    const [, left] = await node.written(/^leaves \| left (\d+)$/m);
    // It lives; with it the pipe ends, and so does all that the test waits for.
    process.kill(Number(left));
    node.signal("SIGTERM");
    expect((await node.exit).status).toBe(143);
  });
});

describe("trigger", () => {
  it("--json has nothing but the answer on standard output", async () => {
    const path = file({ name: "talks", cron: "0 0 1 1 *", command: "echo of the task; echo error >&2" });
    const { status, out, err } = await runCli(["cron", "trigger", path, "talks", "--json"], { env });
    expect({ status, out }).toEqual({ status: 0, out: expect.stringMatching(/^\{.*\}\n$/) as string });
    expectShape("run", JSON.parse(out));
    expect(err).toMatch(/of the task\nerror\n/);
  });

  it("--elsewhere is run by a node that follows the file, and its end is told here", async () => {
    const path = file({ name: "there", every: "2s", command: "echo at the node" });
    const node = startCli(["cron", path, "--node", "the-node"], { env });
    await node.written(/there: ended/);
    const { status, out, err } = await runCli(["cron", "trigger", path, "there", "--elsewhere", "--json"], { env });
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ task: "there", kind: "trigger", state: "succeeded", holder: "the-node" });
    expectShape("run", JSON.parse(out));
    expect(err).not.toContain("at the node");
    // What operators have asked for stands in an object beside the record, which is nothing to be seen, or to complain of.
    const listed = JSON.parse((await runCli(["ls", "--kind", "task", "--json"], { env })).out) as { readonly name: string }[];
    expect(server.bucket().keys()).toContain("locks/tasks/there~control");
    expect(listed.filter(({ name }) => name.startsWith("there")).map(({ name }) => name)).toEqual(["there"]);
    expect(JSON.parse((await runCli(["status", "--json"], { env })).out)).toMatchObject({ unreadable: [] });
    node.signal("SIGTERM");
    expect((await node.exit).status).toBe(143);
  });
});
