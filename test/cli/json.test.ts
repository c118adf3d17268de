/** Every command's `--json`, held to docs/cli.schema.json: what programs read of us. On the embedded server. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { COMMANDS } from "../../src/cli/frame/registry.ts";
import { fakeS3, type FakeS3 } from "../../src/testing/s3-server/fake-s3.ts";
import { type CliProcess, fakeEnv, runCli, startCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { temporaryFolder } from "../support/reaper.ts";

let server: FakeS3;
let env: Record<string, string | undefined>;
let holder: CliProcess;
let leader: CliProcess;
const tasks = join(temporaryFolder("json"), "tasks.json");

beforeAll(async () => {
  server = await fakeS3();
  env = fakeEnv({ S3_CONSENSUS_STORE: server.url() });
  writeFileSync(tasks, JSON.stringify({ tasks: [{ name: "task", cron: "0 0 1 1 *", command: "echo done" }] }));
  holder = startCli(["lock", "busy", "--metadata", '{"job":1}', "--", "sh", "-c", "echo working; read -r line"], { env, input: "" });
  leader = startCli(["elect", "chief", "--json"], { env });
  await Promise.all([holder.written(/working/), leader.written(/elected/)]);
  server.bucket().put("locks/locks/broken", "no record");
});

afterAll(async () => {
  holder.input("\n");
  leader.signal("SIGTERM");
  await Promise.all([holder.exit, leader.exit]);
  for (const line of leader.out().trim().split("\n")) expectShape("electLine", JSON.parse(line));
  await server.close();
});

/** In this order: what is freed at the end is looked at before. */
const ANSWERS: readonly (readonly [words: string, shape: string, status: number])[] = [
  ["version", "version", 0],
  ["status", "overview", 0],
  ["status busy", "leases", 0],
  ["status nothing", "leases", 1],
  ["ls", "leases", 0],
  ["ls --kind member", "leases", 0],
  ["show busy", "lease", 0],
  ["show broken", "lease", 65],
  ["verify busy --token 1", "verify", 0],
  ["verify busy --token 2", "verify", 76],
  ["cron preview TASKS task", "ticks", 0],
  ["cron trigger TASKS task", "run", 0],
  ["cron history TASKS task", "runs", 0],
  ["prune --older-than 1h --yes", "pruned", 0],
  ["force-unlock busy --token 7 --yes", "forceUnlock", 1],
  ["force-unlock nothing --token 1 --yes", "forceUnlock", 1],
  ["stepdown nobody --yes", "stepdown", 1],
  ["stepdown chief --yes", "stepdown", 0],
  ["force-unlock busy --token 1 --now --yes", "forceUnlock", 0],
  ["accept-regression fresh --token 9 --ttl 1s --yes", "mended", 0],
  ["repair broken --token 3 --ttl 100ms --yes", "mended", 0],
  ["doctor", "doctor", 0],
];

/** Tested where they are started and ended (one line a change), or without an answer of their own. */
const ELSEWHERE = ["lock", "elect", "watch", "dev-server", "demo"];

describe("--json", () => {
  it("is asked of every command", () => {
    const asked = ANSWERS.map(([words]) => words.split(" ")[0]);
    expect(Object.keys(COMMANDS).filter((name) => !asked.includes(name) && !ELSEWHERE.includes(name))).toEqual([]);
  });

  it.each(ANSWERS)("%s: one line in the shape %s, status %i", { timeout: 60_000 }, async (words, shape, status) => {
    const told = await runCli([...words.replace("TASKS", tasks).split(" "), "--json"], { env });
    expect(told.status, told.err).toBe(status);
    expect(told.out.split("\n")).toHaveLength(2);
    expectShape(shape, JSON.parse(told.out));
  });
});
