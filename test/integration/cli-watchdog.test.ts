/**
 * No command runs into somebody else's time, whatever happens to the program that holds the lease for it: shown from outside, on a real MinIO, by
 * a log to which every command writes its fencing token as long as it lives.
 */
import { readFileSync, readdirSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { faultProxy } from "s3-consensus/testing";
import { type CliProcess, cliEnv, runCli, startCli } from "../support/cli.ts";
import { pass } from "../support/contenders.ts";
import { freeze } from "../support/freeze.ts";
import { whenFinished } from "../support/finish.ts";
import { hostMs } from "../support/host-clock.ts";
import { freshBucket, type FreshBucket } from "../support/minio-client.ts";
import { alive, overlapLog } from "../support/overlap.ts";
import { sharedMinio } from "../support/servers.ts";

/**
 * From the end of what a holder believes to the time at which another may take its lease it is longer than three seconds: for so long the watchdog, too,
 * may stand still on a machine that does other things.
 */
const TTL_MS = 16_000;
/** A tenth of the ttl is its margin. */
const LIFETIME_MS = TTL_MS * 0.9;
/** A death is recognised after the ttl and its drift margin, or by the store's clock, which is cut to seconds; then a poll, and a second for everything else. */
const TAKEN_WITHIN_MS = TTL_MS * 1.1 + 1_000 + 1_000;

/** On such a machine. That nothing is too late for the next holder is shown by the log. */
const LATE_MS = 15_000;

let bucket: FreshBucket;
let env: Record<string, string | undefined>;
let names = 0;

beforeAll(async () => {
  bucket = await freshBucket(sharedMinio());
  env = cliEnv(sharedMinio(), { S3_CONSENSUS_STORE: bucket.url("cli") });
});

const hold = (name: string, ...words: readonly string[]): string[] => [
  "lock",
  name,
  "--wait",
  "1m",
  "--ttl",
  `${TTL_MS}ms`,
  "--",
  ...words,
];

/** The children of a process, oldest first. */
function childrenOf(pid: number): { readonly pid: number; readonly command: string }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "latin1");
        const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
        return parent === pid ? [{ pid: Number(name), command: readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ") }] : [];
      } catch {
        return [];
      }
    });
}

const watchdogOf = (cli: CliProcess): number => childrenOf(cli.pid).find(({ command }) => command.includes("watchdog"))?.pid ?? 0;
const commandOf = (cli: CliProcess): number => childrenOf(cli.pid).find(({ command }) => command.startsWith("sh -c"))?.pid ?? 0;

async function working(
  words: readonly string[],
  more: Parameters<typeof startCli>[1] = {},
): Promise<{ readonly cli: CliProcess; readonly name: string; readonly child: number }> {
  const name = `n${++names}`;
  const cli = startCli(hold(name, ...words), { env, ...more });
  await cli.written(/working/);
  const child = commandOf(cli);
  expect(child).toBeGreaterThan(0);
  whenFinished(() => {
    if (alive(child)) process.kill(-child, "SIGKILL");
  });
  return { cli, name, child };
}

async function expectSoon(what: string, condition: () => boolean, timeoutMs: number): Promise<void> {
  const limit = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > limit) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await pass(5);
  }
}

describe.concurrent("a command that ignores TERM", () => {
  it("is killed before another's command starts, when its wrapper is killed -9", async () => {
    const log = overlapLog();
    const { cli, name, child } = await working(log.worker({ deaf: true }));
    cli.signal("SIGKILL");
    const next = startCli(hold(name, ...log.visitor()), { env });
    await expectSoon("the command is dead", () => !alive(child), LIFETIME_MS + LATE_MS);
    expect((await next.exit).status).toBe(0);
    expect(log.overlaps()).toEqual([]);
    expect(new Set(log.tokens())).toEqual(new Set([1, 2]));
  });

  it("is killed before another's command starts, when its wrapper is stopped beyond the ttl; the wrapper then says so", async () => {
    const log = overlapLog();
    const { cli, name, child } = await working(log.worker({ deaf: true }));
    freeze(cli.pid);
    const next = startCli(hold(name, ...log.visitor()), { env });
    await expectSoon("the command is dead", () => !alive(child), LIFETIME_MS + LATE_MS);
    expect((await next.exit).status).toBe(0);
    cli.signal("SIGCONT");
    expect((await cli.exit).status).toBe(76);
    expect(log.overlaps()).toEqual([]);
    expect(new Set(log.tokens())).toEqual(new Set([1, 2]));
  });

  it("is killed in time when the store can't be reached any more, and the wrapper ends with 76", async () => {
    const log = overlapLog();
    const proxy = await faultProxy({ target: sharedMinio().endpoint });
    whenFinished(() => proxy.close());
    const own = { ...env, S3_CONSENSUS_STORE: proxy.url(bucket.bucket, "cli") };
    const { cli, name } = await working(log.worker({ deaf: true }), { env: own });
    proxy.faults.add({ kind: "lose-request" });
    const next = startCli(hold(name, ...log.visitor()), { env });
    const end = await cli.exit;
    expect(end.status).toBe(76);
    expect(end.err).toMatch(/ending the command: (its deadline was near|lease .* was lost)/);
    expect((await next.exit).status).toBe(0);
    expect(log.overlaps()).toEqual([]);
    expect(new Set(log.tokens())).toEqual(new Set([1, 2]));
  });
});

describe.concurrent("a command that obeys", () => {
  it("gets TERM when its wrapper is dead, and may tidy up", async () => {
    const log = overlapLog();
    const { cli, child } = await working([
      "sh",
      "-c",
      `trap 'echo tidy >> "${log.path}"; exit 0' TERM; echo working; while :; do sleep 0.02; done`,
    ]);
    cli.signal("SIGKILL");
    await expectSoon("the command is dead", () => !alive(child), LIFETIME_MS + LATE_MS);
    expect(readFileSync(log.path, "utf8")).toBe("tidy\n");
  });

  it("that is stopped (SIGSTOP) is dead in time all the same", async () => {
    const { cli, child } = await working(overlapLog().worker());
    freeze(child);
    cli.signal("SIGKILL");
    await expectSoon("the command is dead", () => !alive(child), LIFETIME_MS + LATE_MS);
  });

  it("takes what it has started with it", async () => {
    const { cli, child } = await working(["sh", "-c", "sleep 300 & sleep 300 & echo working; wait"]);
    const grandchildren = childrenOf(child).map(({ pid }) => pid);
    expect(grandchildren).toHaveLength(2);
    cli.signal("SIGKILL");
    await expectSoon("all are dead", () => ![child, ...grandchildren].some(alive), LIFETIME_MS + LATE_MS);
  });
});

describe.concurrent("the watchdog itself", () => {
  it("is replaced when it is killed, and the new one does its office", async () => {
    const { cli, child } = await working(overlapLog().worker({ deaf: true }));
    const first = watchdogOf(cli);
    process.kill(first, "SIGKILL");
    await cli.written(/watchdog process died; starting another/);
    await expectSoon("another watchdog", () => ![0, first].includes(watchdogOf(cli)), LATE_MS);
    await pass(TTL_MS);
    expect(alive(child)).toBe(true);
    cli.signal("SIGKILL");
    await expectSoon("the command is dead", () => !alive(child), LIFETIME_MS + LATE_MS);
  });

  it("is replaced when it hangs", async () => {
    const { cli, child } = await working(overlapLog().worker());
    const first = watchdogOf(cli);
    freeze(first);
    await cli.written(/watchdog process hangs; starting another/);
    await expectSoon("another watchdog", () => ![0, first].includes(watchdogOf(cli)), LATE_MS);
    expect(alive(first)).toBe(false);
    expect(alive(child)).toBe(true);
  });

  it("is not reached by a signal to the wrapper's group, and is gone when the command has ended", async () => {
    const { cli, child } = await working(["sh", "-c", "trap '' INT TERM; echo working; read -r line; exit 7"], { input: "" });
    const watchdog = watchdogOf(cli);
    process.kill(-cli.pid, "SIGINT");
    process.kill(watchdog, "SIGTERM");
    await pass(200);
    expect([alive(watchdog), alive(child)]).toEqual([true, true]);
    cli.input("go\n");
    expect((await cli.exit).status).toBe(7);
    await expectSoon("the watchdog is gone", () => !alive(watchdog), LATE_MS);
  });

  it("killed together with its wrapper: the command runs on, and a fresh one gets the lease a ttl later", async () => {
    const { cli, name, child } = await working(overlapLog().worker());
    process.kill(watchdogOf(cli), "SIGKILL");
    cli.signal("SIGKILL");
    const killedAt = hostMs();
    const next = await runCli(hold(name, "true"), { env });
    expect(next.status).toBe(0);
    expect(next.atMs - killedAt).toBeLessThan(3 * TAKEN_WITHIN_MS);
    // What can't be promised is said in --help.
    expect(alive(child)).toBe(true);
  });
});
