/** `lock` and `elect` from outside, on a real MinIO: two shells and one lock, every end of a command, signals, terminals, pipelines. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { CLI, cliEnv, runCli, startCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { freshBucket } from "../support/minio-client.ts";
import { overlapLog } from "../support/overlap.ts";
import { temporaryFolder } from "../support/reaper.ts";
import { sharedMinio } from "../support/servers.ts";

let env: Record<string, string | undefined>;
const folder = temporaryFolder("cli-lock");

beforeAll(async () => {
  const bucket = await freshBucket(sharedMinio());
  env = cliEnv(sharedMinio(), { S3_CONSENSUS_STORE: bucket.url("cli") });
  // The bucket is probed once, so that no test has to wait for it.
  expect((await runCli(["lock", "first", "--", "true"], { env })).status).toBe(0);
});

const statusLine = (path: string): Record<string, unknown> => {
  const text = readFileSync(path, "utf8");
  expect(text.split("\n")).toHaveLength(2);
  const line = JSON.parse(text) as Record<string, unknown>;
  expectShape("statusFile", line);
  return line;
};

describe("one lock, two shells", () => {
  it("never run their commands at the same time, and each gets its turns", async () => {
    const log = overlapLog();
    const turns = (): Promise<{ status: number }[]> =>
      (async () => {
        const ends = [];
        for (let turn = 0; turn < 4; turn++) ends.push(await runCli(["lock", "shared", "--wait", "1m", "--", ...log.visitor()], { env }));
        return ends;
      })();
    const ends = (await Promise.all([turns(), turns()])).flat();
    expect(ends.map(({ status }) => status)).toEqual(Array(8).fill(0));
    expect(log.overlaps()).toEqual([]);
    expect(log.tokens()).toHaveLength(8 * 3);
  });

  it("--permits lets so many in at once, each with a place of its own, and refuses the next", async () => {
    const words = ["lock", "gpu", "--permits", "2", "--", "sh", "-c", 'echo "got $S3_CONSENSUS_KEY"; read -r line'];
    const holders = [startCli(words, { env, input: "" }), startCli(words, { env, input: "" })];
    const places = await Promise.all(holders.map(async (h) => (await h.written(/got (\S+)/))[1]));
    expect(new Set(places)).toEqual(new Set(["gpu#0", "gpu#1"]));
    expect((await runCli(["lock", "gpu", "--permits", "2", "--", "true"], { env })).status).toBe(75);
    holders[0]?.input("\n");
    expect((await holders[0]?.exit)?.status).toBe(0);
    expect((await runCli(["lock", "gpu", "--permits", "2", "--", "true"], { env })).status).toBe(0);
    holders[1]?.input("\n");
    expect((await holders[1]?.exit)?.status).toBe(0);
  });

  it("the other is told who holds it, since when, how long yet: 75, or what --conflict-exit-code says", async () => {
    const holder = startCli(
      ["lock", "busy", "--node", "the-holder", "--metadata", '{"job":871}', "--", "sh", "-c", "echo working; read -r line"],
      { env, input: "" },
    );
    await holder.written(/working/);
    const path = join(folder, "busy.json");
    const refused = await runCli(["lock", "busy", "--status-file", path, "--", "echo", "never"], { env });
    expect({ status: refused.status, out: refused.out }).toEqual({ status: 75, out: "" });
    expect(refused.err).toMatch(
      /lock "busy" is held by the-holder \(fencing token 1\)\n {2}since .*ago.*\n {2}renewed .*\n {2}free .*at the latest.*\n {2}says .*871.*\n {2}cut off {2}s3-consensus force-unlock --token 1 busy/,
    );
    expect(statusLine(path)).toMatchObject({ outcome: "held", status: 75, holder: "the-holder", fencingToken: 1 });
    expect((await runCli(["lock", "busy", "--conflict-exit-code", "3", "--", "true"], { env })).status).toBe(3);
    const waiting = startCli(["lock", "busy", "--wait", "1m", "--", "echo", "mine"], { env });
    await waiting.written(/waiting for it, at most 1m/);
    holder.input("go\n");
    expect(await waiting.exit).toMatchObject({ status: 0, out: "mine\n" });
  });
});

describe("the command", () => {
  it.each([0, 1, 2, 17, 75, 76, 126, 255])("its status %d is ours", async (status) => {
    const path = join(folder, `status-${status}.json`);
    expect((await runCli(["lock", "status", "--status-file", path, "--", "sh", "-c", `exit ${status}`], { env })).status).toBe(status);
    // Even where it is one of our own, the status file tells them apart.
    expect(statusLine(path)).toMatchObject({ outcome: "ran", status, command: { code: status, signal: null } });
  });

  it.each([
    ["TERM", 143],
    ["INT", 130],
    ["HUP", 129],
    ["KILL", 137],
  ] as const)("dead by SIG%s it is %d", async (signal, status) => {
    expect((await runCli(["lock", "signal", "--", "sh", "-c", `kill -${signal} $$`], { env })).status).toBe(status);
  });

  it.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
    ["SIGHUP", 129],
  ] as const)("%s to us is handed on; the lock is free at once afterwards", async (signal, status) => {
    const cli = startCli(["lock", `handed-${signal}`, "--", "sh", "-c", "echo working; exec sleep 60"], { env });
    await cli.written(/working/);
    cli.signal(signal);
    expect((await cli.exit).status).toBe(status);
    expect((await runCli(["lock", `handed-${signal}`, "--", "true"], { env })).status).toBe(0);
  });

  it("that is not there is 127, one that may not be executed 126", async () => {
    const path = join(folder, "not-executable");
    writeFileSync(path, "");
    expect((await runCli(["lock", "missing", "--", "no-such-command-at-all"], { env })).status).toBe(127);
    expect((await runCli(["lock", "missing", "--", path], { env })).status).toBe(126);
  });

  it("finds its token, and verify inside it knows the store", async () => {
    const script =
      'echo "$S3_CONSENSUS_KIND/$S3_CONSENSUS_NAME $S3_CONSENSUS_TOKEN $S3_CONSENSUS_HOLDER"; "$0" "$1" verify; echo "held $?"; S3_CONSENSUS_TOKEN=99 "$0" "$1" verify; echo "other $?"';
    const { out } = await runCli(["lock", "inside", "--node", "me", "--", "sh", "-c", script, process.execPath, CLI], { env });
    expect(out).toBe("lock/inside 1 me\nheld 0\nother 76\n");
  });

  it("has its own standard streams: a pipeline whose reader goes away ends as it would without us", async () => {
    const big = join(folder, "big");
    writeFileSync(big, "line\n".repeat(200_000));
    const text = `"$0" "$1" lock pipe -- sh -c cat < "$2" | head -1`;
    expect(execFileSync("/bin/sh", ["-c", text, process.execPath, CLI, big], { env, encoding: "utf8" })).toBe("line\n");
    expect((await runCli(["lock", "pipe", "--", "true"], { env })).status).toBe(0);
  });

  it("keeps the terminal: it may ask for a password on /dev/tty, and Ctrl-C reaches it once", async () => {
    expect(existsSync("/usr/bin/script"), "script(1) of util-linux").toBe(true);
    const asks = `stty -echo </dev/tty; printf 'Password: ' >/dev/tty; read -r p </dev/tty; stty echo </dev/tty; trap 'n=$((n+1))' INT; echo "got $p" >/dev/tty; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.2; done; echo "INT $n times" >/dev/tty; exit 5`;
    const child = spawn(
      "script",
      ["-qec", `exec "${process.execPath}" "${CLI}" lock tty -- sh -c '${asks.replaceAll("'", `'"'"'`)}'`, "/dev/null"],
      { env, stdio: ["pipe", "pipe", "pipe"] },
    );
    let text = "";
    const seen = (pattern: RegExp): Promise<void> =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no ${String(pattern)} in ${text}`)), 60_000);
        const look = (): void => {
          if (!pattern.test(text)) return;
          clearTimeout(timer);
          child.stdout.off("data", look);
          resolve();
        };
        child.stdout.on("data", look);
        look();
      });
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    const exit = new Promise<number | null>((resolve) => child.once("close", resolve));
    await seen(/Password: /);
    child.stdin.write("sesame\r");
    await seen(/got sesame/);
    child.stdin.write("\u0003");
    await seen(/INT 1 times/);
    expect(await exit).toBe(5);
  });
});

describe("waiting", () => {
  it("ends orderly at the first signal: 130, and nothing is left behind", async () => {
    const holder = startCli(["lock", "wait", "--", "sh", "-c", "echo working; read -r line"], { env, input: "" });
    await holder.written(/working/);
    const waiting = startCli(["lock", "wait", "--wait", "1m", "--", "echo", "never"], { env });
    await waiting.written(/waiting for it/);
    waiting.signal("SIGINT");
    expect(await waiting.exit).toMatchObject({ status: 130, out: "" });
    holder.input("go\n");
    expect((await holder.exit).status).toBe(0);
  });
});

describe("elect", () => {
  it("one of two leads; when its command has ended the other's runs; without a command each change is a line", async () => {
    const watching = startCli(["elect", "chief", "--observe", "--json", "--ttl", "10s"], { env });
    await watching.written(/"leader":null/);
    const first = startCli(["elect", "chief", "--ttl", "10s", "--", "sh", "-c", "echo first; read -r line"], { env, input: "" });
    await first.written(/first/);
    const second = startCli(["elect", "chief", "--ttl", "10s", "--", "echo", "second"], { env });
    await watching.written(/"fencingToken":1/);
    expect(second.out()).toBe("");
    first.input("go\n");
    expect((await second.exit).out).toBe("second\n");
    await watching.written(/"fencingToken":2|"leader":null[^]*"leader":null/);
    watching.signal("SIGTERM");
    const { status, out } = await watching.exit;
    expect(status).toBe(143);
    for (const line of out.trim().split("\n")) expectShape("electLine", JSON.parse(line));
  });
});
