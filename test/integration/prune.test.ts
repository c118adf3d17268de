import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Locks, s3Store } from "s3-consensus";
import { encodeRecord } from "../../src/record/codec.ts";
import type { TimedRecord } from "../../src/record/record.ts";
import { someRecord } from "../lease/records.ts";
import { whenFinished } from "../support/finish.ts";
import { freshBucket } from "../support/minio-client.ts";
import { type Program, spawnProgram } from "../support/programs.ts";
import { credentialsEnv, sharedMinio } from "../support/servers.ts";

const NAMES = Array.from({ length: 1_000 }, (_, i) => `invoice-${String(i).padStart(4, "0")}`);
const DAY = 86_400_000;

/** The records of so many names, as a program left them ten days ago. */
async function leftBehind(put: (key: string, body: string) => Promise<unknown>, over: Partial<TimedRecord> = {}): Promise<void> {
  const atMs = Date.now() - 10 * DAY;
  const at = new Date(atMs).toISOString();
  for (let i = 0; i < NAMES.length; i += 20)
    await Promise.all(
      NAMES.slice(i, i + 20).map((name) => {
        const record = someRecord({
          ...{ state: "released", holder: "before", instance: name, fencingToken: atMs, version: 2, ttlMs: 30_000, marginMs: 3_000 },
          ...{ acquiredAt: at, renewedAt: at, expiresAt: at },
          ...over,
        });
        return put(name, new TextDecoder().decode(encodeRecord(name, record)));
      }),
    );
}

describe("a thousand ephemeral locks on a real MinIO, which ignores the condition of a DELETE", () => {
  it("four processes work under them while two prune: nothing is lost, tokens grow in the order of each file", async () => {
    const server = sharedMinio();
    const bucket = await freshBucket(server);
    const url = bucket.url("app");
    const dir = await mkdtemp(join(tmpdir(), "prune-"));
    whenFinished(() => rm(dir, { recursive: true, force: true }));
    await leftBehind(async (name, body) => {
      await bucket.outside.put(bucket.bucket, `app/locks/ephemeral/${name}`, body);
      await Promise.all([writeFile(join(dir, name), "0"), writeFile(join(dir, `${name}.tokens`), "")]);
    });
    const add = async (node: string, olderMs: number): Promise<Program> => {
      const program = spawnProgram("many-keys", { env: { ...credentialsEnv(server), STORE: url, NODE: node, OLDER: String(olderMs) } });
      await program.event("ready");
      return program;
    };
    const workers = await Promise.all(Array.from({ length: 4 }, (_, i) => add(`w${i}`, 0)));
    const pruners = await Promise.all([add("p0", 7_200_000), add("p1", 7_200_000)]);
    const pruned = pruners.map((p) => p.ask("prune", {}, 280_000));
    // Two of them side by side in the order of the listing, two in its middle: somebody is always where the pruners are.
    const times = 250;
    await Promise.all(workers.map((w, i) => w.ask("count", { names: NAMES, dir, times, from: i < 2 ? i : 500 * (i - 2) }, 280_000)));
    await Promise.all(pruners.map((p) => p.ask("stop", {})));
    const deleted = ((await Promise.all(pruned)) as number[]).reduce((sum, n) => sum + n, 0);
    let total = 0;
    for (const name of NAMES) {
      const tokens = (await readFile(join(dir, `${name}.tokens`), "utf8")).split("\n").filter(Boolean).map(Number);
      expect(Number(await readFile(join(dir, name), "utf8")), name).toBe(tokens.length);
      expect(tokens, name).toEqual([...new Set(tokens)].sort((a, b) => a - b));
      total += tokens.length;
    }
    expect(total).toBe(4 * times);
    expect(deleted).toBeGreaterThan(100);
  }, 300_000);

  it("list: the pages and a GET each, then the pages and what has changed", async () => {
    const server = sharedMinio();
    const bucket = await freshBucket(server);
    const put = (name: string, body: string): Promise<unknown> => bucket.outside.put(bucket.bucket, `app/locks/locks/${name}`, body);
    // Long ttls: nobody renews them.
    await leftBehind(put, { state: "held", ttlMs: DAY });
    Object.assign(process.env, credentialsEnv(server));
    const store = s3Store(bucket.url("app"));
    const locks = new Locks({ store });
    const listed = async (): Promise<{ readonly held: number; readonly list: number; readonly get: number }> => {
      const before = store.stats();
      let held = 0;
      for await (const { holder } of locks.list()) held += holder === "before" ? 1 : 0;
      const [list = 0, get = 0] = (["list", "get"] as const).map((kind) => (store.stats()[kind] ?? 0) - (before[kind] ?? 0));
      return { held, list, get };
    };
    await bucket.outside.put(bucket.bucket, "app/locks/locks/stranger", "not ours");
    expect(await listed()).toEqual({ held: 1_000, list: 2, get: 1_001 });
    // What is no record is looked at each time.
    expect(await listed()).toEqual({ held: 1_000, list: 2, get: 1 });
    await bucket.outside.remove(bucket.bucket, `app/locks/locks/${NAMES[7]}`);
    const lock = await locks.acquire("another");
    expect(await listed()).toEqual({ held: 999, list: 2, get: 1 });
    await lock.release();
  }, 120_000);
});
