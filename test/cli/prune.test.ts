/** `prune`, from outside, on the embedded server: its folder holds objects that are days old. */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { fakeS3, type FakeS3 } from "s3-consensus/testing";
import { encodeRecord } from "../../src/record/codec.ts";
import type { TimedRecord } from "../../src/record/record.ts";
import { someRecord } from "../lease/records.ts";
import { CLI, type CliExit, cliEnv, runCli, startCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { whenFinished } from "../support/finish.ts";

const DAY = 86_400_000;
const CREDENTIALS = { accessKeyId: "prune", secretAccessKey: "prune" };
let dir: string;

/** As the server keeps it, written so many days ago. */
function put(key: string, days: number, over: Partial<TimedRecord> = {}, body?: string): void {
  const at = new Date(Date.now() - days * DAY).toISOString();
  const record = someRecord({
    ...{
      state: "released",
      endedBy: "self",
      holder: "old",
      fencingToken: Date.now() - days * DAY,
      version: 2,
      ttlMs: 30_000,
      marginMs: 3_000,
    },
    ...{ acquiredAt: at, renewedAt: at, expiresAt: at },
    ...over,
  });
  const bytes = body === undefined ? Buffer.from(encodeRecord(key, record)) : Buffer.from(body);
  const path = join(dir, "prune", `${createHash("sha256").update(`app/${key}`).digest("hex")}.json`);
  writeFileSync(
    path,
    JSON.stringify({ key: `app/${key}`, body: bytes.toString("base64"), lastModifiedMs: Date.now() - days * DAY, headers: [] }),
  );
}

let server: FakeS3;
let env: Record<string, string | undefined>;

const cli = (...args: string[]): Promise<CliExit> => runCli(args, { env });
const keys = (): readonly string[] => server.bucket().keys("app/locks/");

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "s3-consensus-prune-"));
  mkdirSync(join(dir, "prune"));
  for (let i = 0; i < 30; i++) put(`locks/ephemeral/invoice-${i}`, 8 + i / 10);
  put("locks/ephemeral/order-1", 20);
  put("locks/ephemeral/young", 3);
  put("locks/ephemeral/held", 9, { state: "held", endedBy: undefined });
  put("locks/ephemeral/torn", 9, {}, '{"format":1,"state"');
  put("locks/locks/invoice-1", 400, { fencingToken: 12 });
  put("locks/members/m1", 30, { fencingToken: 1 });
  put("locks/members/m2", 30, { fencingToken: 1, state: "held", endedBy: undefined });
  server = await fakeS3({ buckets: ["prune"], credentials: CREDENTIALS, dir, careless: ["unconditional-delete"] });
  whenFinished(async () => {
    await server.close();
    rmSync(dir, { recursive: true, force: true });
  });
  env = cliEnv(undefined, {
    S3_CONSENSUS_STORE: server.url("prune", "app"),
    AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    AWS_CONFIG_FILE: "/dev/null",
  });
});

describe("prune", () => {
  it("says what it would do, and does nothing where nobody can be asked", async () => {
    const before = keys();
    const { status, err } = await cli("prune", "--older-than", "7d");
    expect(status).toBe(64);
    expect(err).toMatch(/33 records of ephemeral locks were not written for that long, the oldest for 20 d 0 h\./);
    expect(err).toMatch(/2 records of sessions were not written for that long, the oldest for 30 d/);
    expect(err).toMatch(/there is no terminal to ask on: say --yes/);
    expect(keys()).toEqual(before);
  });

  it("refuses a time that is too short, and wants one", async () => {
    const short = await cli("prune", "--older-than", "30m", "--yes");
    expect([short.status, short.err]).toEqual([64, expect.stringContaining("Expected a duration from 1h")]);
    expect((await cli("prune", "--yes")).status).toBe(64);
  });

  it("PREFIX takes only names that begin so; --json has the documented shape", async () => {
    const { status, out, err } = await cli("prune", "order", "--older-than", "7d", "--yes", "--json");
    expect(status, err).toBe(0);
    expectShape("pruned", JSON.parse(out));
    expect(JSON.parse(out)).toEqual({
      locks: { looked: 1, deleted: 1, open: 0 },
      members: { looked: 0, deleted: 0, open: 0 },
      unreadable: 0,
    });
    expect(keys()).not.toContain("app/locks/ephemeral/order-1");
  });

  it("deletes what was released, ends the session that died, names what it can't read, and leaves all the rest", async () => {
    const { status, out, err } = await cli("prune", "--older-than", "7d", "--yes");
    expect(status, err).toBe(0);
    expect(out).toBe("deleted 30 locks and 1 session records, left 3\n");
    expect(err).toMatch(/left as it is: the object at "locks\/ephemeral\/torn" .*damaged/);
    expect(keys()).toEqual(
      ["ephemeral/held", "ephemeral/torn", "ephemeral/young", "locks/invoice-1", "members/m2"].map((name) => `app/locks/${name}`),
    );
    const ended = server.bucket().peek("app/locks/members/m2");
    expect(JSON.parse(ended?.text ?? "{}")).toMatchObject({ state: "released", endedBy: "other" });
    expect((await cli("prune", "nothing", "--older-than", "7d")).err).toMatch(/nothing there that was not written for 7 d/);
  });
});

describe("ephemeral locks", () => {
  it("are told and taken by their whole names, listed when asked for, and freed like any other", async () => {
    expect((await cli("lock", "ephemeral:young", "--", "true")).status).toBe(0);
    const shown = await cli("show", "ephemeral:young", "--json");
    expectShape("lease", JSON.parse(shown.out));
    expect(JSON.parse(shown.out)).toMatchObject({ key: "locks/ephemeral/young", state: "free" });
    const child = [
      "lock",
      "ephemeral:fresh",
      "--",
      "sh",
      "-c",
      `"${process.execPath}" "${CLI}" verify && echo "$S3_CONSENSUS_KEY $S3_CONSENSUS_TOKEN"`,
    ];
    const { status, out, err } = await cli(...child);
    expect(status, err).toBe(0);
    const [, token = 0] = (/^ephemeral:fresh (\d+)$/.exec(out.trim()) ?? []).map(Number);
    expect(Math.abs(token - Date.now())).toBeLessThan(60_000);
    const before = server.requests.all.length;
    const plain = await cli("ls", "--json");
    expect(JSON.parse(plain.out)).toMatchObject([{ kind: "lock", name: "invoice-1" }]);
    expect(server.requests.all.slice(before).map(({ method }) => method)).toEqual(["GET", "GET"]);
    for (const prefix of [[], ["f"], ["ephemeral:f"]]) {
      const listed = await cli("ls", ...prefix, "--kind", "ephemeral", "--json");
      expectShape("leases", JSON.parse(listed.out));
      const names = (JSON.parse(listed.out) as { name: string }[]).map(({ name }) => name);
      expect(names).toEqual((prefix.length === 0 ? ["held", "torn", "fresh", "young"] : ["fresh"]).map((name) => `ephemeral:${name}`));
    }
    const held = JSON.parse((await cli("show", "held", "--kind", "ephemeral", "--json")).out) as { fencingToken: number };
    const freed = await cli("force-unlock", "ephemeral:held", "--token", String(held.fencingToken), "--yes");
    expect(freed.status, freed.err).toBe(0);
    expect((await cli("status", "ephemeral:held", "--kind", "ephemeral")).status).toBe(1);
  });

  it("by the million are no hindrance to a listing of the rest: their pages are passed over", async () => {
    const body = server.bucket().peek("app/locks/ephemeral/young")?.body ?? "";
    for (let i = 0; i < 3_500; i++) server.bucket().put(`app/locks/ephemeral/z${String(i).padStart(5, "0")}`, body);
    const before = server.requests.all.length;
    expect((await cli("ls", "--held")).status).toBe(0);
    // Two pages and the one record that is shown.
    expect(server.requests.all.length - before).toBe(3);
  });
});

describe("an interrupted prune", () => {
  it("ends with 130, leaves no record closed, and the next one goes on", async () => {
    const like = JSON.parse(server.bucket().peek("app/locks/ephemeral/young")?.text ?? "{}") as object;
    const old = { ...like, fencingToken: Date.now() - 30 * DAY };
    await server.close();
    for (let i = 0; i < 400; i++)
      put(`locks/ephemeral/bulk${i}`, 30, {}, JSON.stringify({ ...old, nonce: `bulk${i}`, holderNonce: `bulk${i}` }));
    server = await fakeS3({ buckets: ["prune"], credentials: CREDENTIALS, dir, careless: ["unconditional-delete"] });
    whenFinished(() => server.close());
    env = { ...env, S3_CONSENSUS_STORE: server.url("prune", "app") };
    const slow = server.faults.add({ kind: "delay", delayMs: 100, method: "GET", key: "app/locks/ephemeral/bulk*" });
    const run = startCli(["prune", "bulk", "--older-than", "7d", "--yes"], { env });
    const bulk = (): readonly string[] => server.bucket().keys("app/locks/ephemeral/bulk");
    while (bulk().length === 400) await new Promise((resolve) => setTimeout(resolve, 20));
    run.signal("SIGINT");
    expect((await run.exit).status).toBe(130);
    slow.remove();
    const left = bulk();
    expect(left.length).toBeGreaterThan(100);
    for (const key of left) expect(server.bucket().peek(key)?.text).not.toContain("holdForMs");
    expect((await cli("prune", "bulk", "--older-than", "7d", "--yes")).out).toBe(
      `deleted ${left.length} locks and 0 session records, left 0\n`,
    );
  });
});
