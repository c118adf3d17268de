/** Streams and files that take nothing: a reader that has gone away, a disk that is full (`/dev/full`), a pipe for the status line. */
import { execFile, execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fakeS3, type FakeS3 } from "../../src/testing/s3-server/fake-s3.ts";
import { CLI, fakeEnv, runCli, startCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { temporaryFolder } from "../support/reaper.ts";

let server: FakeS3;
let env: Record<string, string | undefined>;
const folder = temporaryFolder("streams");

beforeAll(async () => {
  server = await fakeS3();
  env = fakeEnv({ S3_CONSENSUS_STORE: server.url() });
});

afterAll(async () => await server.close());

/** A line for the shell, in which `s3c` is the command line. */
function shell(text: string): Promise<{ readonly status: number; readonly out: string; readonly err: string }> {
  return new Promise((resolve) => {
    execFile("/bin/sh", ["-c", text.replaceAll("s3c ", `"${process.execPath}" "${CLI}" `)], { env, encoding: "utf8" }, (error, out, err) =>
      resolve({ status: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

describe("a full disk", () => {
  it.each(["version", "ls --json", "--help"])("%s: 74 and one line, as an answer that nobody got is none", async (words) => {
    const { status, err } = await shell(`s3c ${words} >/dev/full`);
    expect({ status, err }).toEqual({ status: 74, err: expect.stringMatching(/^s3-consensus: standard output: ENOSPC.*\n$/) as string });
  });

  it("that takes our log takes nothing from a command: refused is 75, and who waits gets the lock", async () => {
    const holder = startCli(["lock", "log", "--", "sh", "-c", "echo working; read -r line"], { env, input: "" });
    await holder.written(/working/);
    expect((await shell("s3c lock log -- true 2>/dev/full")).status).toBe(75);
    const before = server.requests.all.length;
    const waiting = shell("s3c lock log --wait 1m -- sh -c 'exit 5' 2>/dev/full");
    await expect.poll(() => server.requests.all.slice(before).length, { timeout: 20_000 }).toBeGreaterThan(2);
    holder.input("go\n");
    expect((await holder.exit).status).toBe(0);
    expect((await waiting).status).toBe(5);
  });

  it("that does not take the status line takes nothing from the command's status", async () => {
    const { status, err } = await runCli(["lock", "line", "--status-file", "/dev/full", "--", "sh", "-c", "exit 7"], { env });
    expect({ status, err }).toEqual({ status: 7, err: expect.stringContaining("--status-file: ENOSPC") as string });
  });
});

describe("the status file", () => {
  it("that can't be had is told of before anything is done", async () => {
    const { status, out, err } = await runCli(["lock", "line", "--status-file", join(folder, "none/line"), "--", "echo", "ran"], { env });
    expect({ status, out, err }).toEqual({ status: 64, out: "", err: expect.stringContaining("--status-file: ENOENT") as string });
  });

  it("may be a pipe: its reader gets the line, and nothing before it", async () => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    const read = readFile(pipe, "utf8");
    expect((await runCli(["lock", "line", "--status-file", pipe, "--", "sh", "-c", "exit 4"], { env })).status).toBe(4);
    expectShape("statusFile", JSON.parse(await read));
  });
});

describe("a reader that goes away", () => {
  it.each(["elect chief --ttl 2s", "elect chief --ttl 2s --observe", "watch --interval 200ms"])(
    "ends %s, which only prints",
    async (words) => {
      const reading = shell(`{ s3c ${words} --log-level silent; echo "status $?" >&2; } | head -1`);
      // That it is gone shows when there is something to print: others take their turns meanwhile.
      const over = new AbortController();
      const turns = (async () => {
        while (!over.signal.aborted) await runCli(["elect", "chief", "--ttl", "2s", "--", "sleep", "1"], { env });
      })();
      const { out, err } = await reading;
      over.abort();
      expect(out.split("\n")).toHaveLength(2);
      expect(err).toBe("status 0\n");
      await turns;
      expect((await runCli(["status", "chief", "--kind", "election"], { env })).status).toBe(1);
    },
  );
});

describe("a grace", () => {
  it("that is longer than a third of the ttl would end each command at its first renewal: refused, wherever it was said", async () => {
    const told = await runCli(["lock", "grace", "--ttl", "6s", "--grace", "2001ms", "--", "echo", "ran"], { env });
    expect(told).toMatchObject({ status: 64, out: "", err: expect.stringContaining("grace: it is 2001ms, and the ttl 6s") as string });
    expect(await runCli(["lock", "grace", "--ttl", "6s", "--grace", "2s", "--", "echo", "ran"], { env })).toMatchObject({ status: 0 });
  });
});
