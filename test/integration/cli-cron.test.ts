/** `cron` from outside, on a real MinIO: two nodes with one file, each tick on one of them; a task is told to end with its node. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { cliEnv, runCli, startCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { freshBucket } from "../support/minio-client.ts";
import { temporaryFolder } from "../support/reaper.ts";
import { sharedMinio } from "../support/servers.ts";

let env: Record<string, string | undefined>;
const folder = temporaryFolder("cli-cron");

beforeAll(async () => {
  const bucket = await freshBucket(sharedMinio());
  env = cliEnv(sharedMinio(), { S3_CONSENSUS_STORE: bucket.url("cli") });
});

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("cron", () => {
  it("runs each tick on one of two nodes, and both end orderly at a signal", async () => {
    const path = file("two.yaml", `tasks:\n  - { name: tick, every: 1s, command: 'echo "did $S3_CONSENSUS_SCHEDULED_AT"' }\n`);
    const nodes = [startCli(["cron", path], { env }), startCli(["cron", path], { env })];
    const ticks = (): string[] => nodes.flatMap((node) => [...node.out().matchAll(/^tick \| did (.*)$/gm)].map(([, at = ""]) => at));
    await Promise.race(nodes.map((node) => node.written(/(did .*\n[^]*){3}/)));
    for (const node of nodes) node.signal("SIGTERM");
    expect((await Promise.all(nodes.map(({ exit }) => exit))).map(({ status }) => status)).toEqual([143, 143]);
    expect(ticks().length).toBeGreaterThanOrEqual(3);
    expect(new Set(ticks()).size).toBe(ticks().length);
  });

  it("trigger runs a task here and now and tells its end; history keeps it", async () => {
    const path = file("one.json", JSON.stringify({ tasks: [{ name: "fails", cron: "0 3 * * *", command: ["sh", "-c", "exit 3"] }] }));
    const triggered = await runCli(["cron", "trigger", path, "fails", "--json"], { env });
    expect(triggered.status).toBe(1);
    expectShape("run", JSON.parse(triggered.out));
    const history = JSON.parse((await runCli(["cron", "history", path, "fails", "--json"], { env })).out) as object[];
    expectShape("runs", history);
    expectShape("ticks", JSON.parse((await runCli(["cron", "preview", path, "fails", "--json"], { env })).out));
    expect(history).toMatchObject([{ state: "failed", error: "the command ended with status 3" }]);
    expect((await runCli(["cron", "preview", path, "fails", "-n", "2"], { env })).out).toMatch(/^(\d{4}-\d\d-\d\dT03:00:00.000Z\n){2}$/);
  });

  it("--log-dir: what each task writes is in a file of its own, with a line for each run", async () => {
    const path = file(
      "logs.yaml",
      "tasks:\n  - { name: a/b, every: 1s, command: 'echo of a; echo error of a >&2' }\n  - { name: c, every: 1s, command: echo of c }\n",
    );
    const logs = join(folder, "logs");
    const node = startCli(["cron", path, "--log-dir", logs], { env });
    await node.written(/a\/b: ended[^]*a\/b: ended/);
    await node.written(/c: ended/);
    node.signal("SIGTERM");
    const { status, out } = await node.exit;
    expect({ status, out }).toEqual({ status: 143, out: "" });
    expect(readFileSync(join(logs, "a%2Fb.log"), "utf8")).toMatch(/^(--- \S+Z attempt 1, fencing token \d+\nof a\nerror of a\n){2}/);
    expect(readFileSync(join(logs, "c.log"), "utf8")).toMatch(/^--- \S+Z attempt 1, fencing token \d+\nof c\n/);
  });
});
