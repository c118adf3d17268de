import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decodeRecord } from "../../src/record/codec.ts";
import { pass } from "../support/contenders.ts";
import { whenFinished } from "../support/finish.ts";
import { freshBucket } from "../support/minio-client.ts";
import { type Program, spawnProgram } from "../support/programs.ts";
import { credentialsEnv, sharedMinio } from "../support/servers.ts";

/** Long enough for a holder to live through a machine that stands still for three seconds: all of these wait side by side. */
const TTL_MS = 10_000;

async function stage(): Promise<{ add(node: string, options?: object): Promise<Program>; record(key: string): Promise<unknown> }> {
  const server = sharedMinio();
  const bucket = await freshBucket(server);
  const url = bucket.url("app");
  return {
    async add(node, options = { ttlMs: TTL_MS }) {
      const env = { ...credentialsEnv(server), STORE: url, NODE: node, OPTIONS: JSON.stringify(options) };
      const program = spawnProgram("locker", { env });
      await program.event("ready");
      return program;
    },
    record: async (key) => {
      const peeked = await bucket.outside.peek(bucket.bucket, `app/locks/locks/${key}`);
      return decodeRecord(key, new TextEncoder().encode(peeked?.body ?? ""));
    },
  };
}

describe("locks on a real MinIO, between processes", () => {
  it("eight processes count in two unprotected files a thousand times: exact totals, tokens grow in the order of the file", async () => {
    const { add } = await stage();
    const dir = await mkdtemp(join(tmpdir(), "locks-"));
    whenFinished(() => rm(dir, { recursive: true, force: true }));
    const files = { "one/å": join(dir, "one"), two: join(dir, "two") };
    for (const file of Object.values(files)) await writeFile(file, "0");
    const programs = await Promise.all(Array.from({ length: 8 }, (_, i) => add(`p${i}`, { ttlMs: 30_000 })));
    const stats = (await Promise.all(programs.map((p) => p.ask("count", { files, times: 63 }, 240_000)))) as Record<string, number>[];
    for (const file of Object.values(files)) {
      expect(Number(await readFile(file, "utf8"))).toBe(8 * 63);
      const tokens = (await readFile(`${file}.tokens`, "utf8")).trim().split("\n").map(Number);
      expect(tokens).toEqual(Array.from({ length: 8 * 63 }, (_, i) => i + 1));
    }
    for (const s of stats) expect(s).toMatchObject({ acquired: 126, released: 126, lost: 0, held: 0, refused: 0 });
  }, 300_000);
});

describe.concurrent("a lock's holder, and another process, on a real MinIO", () => {
  it("the process is stopped: SIGSTOP past the ttl: it wakes, renews, writes fenced and releases, and the new holder is untouched", async () => {
    const { add, record } = await stage();
    const [a, b] = [await add("a"), await add("b")];
    expect(await a.ask("acquire")).toBe(1);
    await a.ask("put");
    a.freeze();
    expect(await b.ask("acquire", { options: { waitMs: 60_000 } }, 60_000)).toBe(2);
    await b.ask("put");
    a.thaw();
    expect(await a.ask("look")).toEqual({ held: false, aborted: true });
    await expect(a.ask("renew")).rejects.toThrow(/lost/);
    await expect(a.ask("put")).rejects.toMatchObject({ code: "LEASE_LOST" });
    await expect(a.ask("put", { blindly: true })).rejects.toMatchObject({ code: "FENCED_OUT" });
    expect(await a.ask("release")).toBe("not-mine");
    expect(await b.ask("look")).toEqual({ held: true, aborted: false });
    await b.ask("put");
    expect(await record("k")).toMatchObject({ holder: "b", fencingToken: 2, state: "held" });
    await pass(TTL_MS / 2);
    expect(await b.ask("look")).toEqual({ held: true, aborted: false });
  }, 120_000);

  it("the process ends without release: kill -9, and when its time is over a fresh process gets it at its first request, by the store's time; not sooner", async () => {
    const { add } = await stage();
    const a = await add("a");
    expect(await a.ask("acquire")).toBe(1);
    await a.kill();
    const early = await add("early");
    expect(await early.ask("try")).toBeNull();
    await pass((TTL_MS - 1_000) / 0.9 + 2_000 + 1_500);
    const late = await add("late");
    expect(await late.ask("try")).toBe(2);
    expect(await early.ask("try")).toBeNull();
  }, 120_000);

  it("handed from one process to the next, and of two that resume one wins", async () => {
    const { add } = await stage();
    const [a, b, c] = [await add("a", { ttlMs: 30_000 }), await add("b"), await add("c")];
    await a.ask("acquire");
    const text = await a.ask("handOff");
    await a.kill();
    const both = await Promise.allSettled([b.ask("resume", { text }), c.ask("resume", { text })]);
    expect(both.filter((r) => r.status === "fulfilled").map((r) => r.value)).toEqual([2]);
  }, 120_000);

  it("an operator frees a holder's lock while it works: gently after it has stopped; now: at once, and the holder hears", async () => {
    const { add } = await stage();
    const [a, ops] = [await add("a"), await add("ops")];
    await a.ask("acquire");
    expect(await ops.ask("forceRelease", { token: 1, now: true })).toBe("released");
    expect(await ops.ask("acquire")).toBe(2);
    await pass(TTL_MS / 2);
    expect(await a.ask("look")).toEqual({ held: false, aborted: true });
    const gentle = a.ask("forceRelease", { token: 2 }, 60_000);
    while (!((await ops.ask("look")) as { aborted: boolean }).aborted) await pass(100);
    expect(await ops.ask("look")).toEqual({ held: true, aborted: true });
    await ops.ask("release");
    expect(await gentle).toBe("released");
  }, 120_000);
});
