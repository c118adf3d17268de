/** The main path of locks on a runtime: exclusion with others, a death, standing still, and a hand-off. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { whenFinished } from "../support/finish.ts";
import { freshBucket } from "../support/minio-client.ts";
import { type Program, type ProgramOptions, spawnProgram } from "../support/programs.ts";
import { credentialsEnv, type S3Server } from "../support/servers.ts";

const TTL_MS = 2_000;
const EACH = 25;

export interface LockPathOptions {
  readonly server: () => S3Server;
  /** What the tried process runs on; the others run on the Node of the tests. */
  readonly tried: () => ProgramOptions;
}

export function lockPath(name: string, { server, tried }: LockPathOptions): void {
  describe(`locks: ${name}`, () => {
    const stage = async (): Promise<(node: string, more?: ProgramOptions, ttlMs?: number) => Promise<Program>> => {
      const url = (await freshBucket(server())).url("app");
      return async (node, more = {}, ttlMs = TTL_MS) => {
        const env = { ...credentialsEnv(server()), STORE: url, NODE: node, OPTIONS: JSON.stringify({ ttlMs }) };
        const program = spawnProgram("locker", { ...more, env });
        await program.event("ready");
        return program;
      };
    };

    it("counts in an unprotected file with other processes, and loses no step", async () => {
      const add = await stage();
      const dir = await mkdtemp(join(tmpdir(), "locks-"));
      whenFinished(() => rm(dir, { recursive: true, force: true }));
      const file = join(dir, "count");
      await writeFile(file, "0");
      const programs = await Promise.all([add("one", tried(), 30_000), add("two", tried(), 30_000), add("node", {}, 30_000)]);
      await Promise.all(programs.map((program) => program.ask("count", { files: { file }, times: EACH }, 120_000)));
      const total = programs.length * EACH;
      expect(Number(await readFile(file, "utf8"))).toBe(total);
      const tokens = (await readFile(`${file}.tokens`, "utf8")).trim().split("\n").map(Number);
      expect(tokens).toEqual(Array.from({ length: total }, (_, i) => i + 1));
    });

    it("takes a dead holder's lock, renews it beyond its ttl, stands still and loses it, and leaves the next one's alone", async () => {
      const add = await stage();
      const [first, own, next] = [await add("first"), await add("own", tried()), await add("next")];
      expect(await first.ask("acquire")).toBe(1);
      await first.kill();
      expect(await own.ask("acquire", { options: { waitMs: 60_000 } }, 60_000)).toBe(2);
      // Twice its ttl: it was renewed, or another would have it.
      await expect(next.ask("acquire", { options: { waitMs: 2 * TTL_MS } }, 60_000)).rejects.toThrow(/held by own/);
      expect(await own.ask("look")).toEqual({ held: true, aborted: false });
      own.freeze();
      expect(await next.ask("acquire", { options: { waitMs: 60_000 } }, 60_000)).toBe(3);
      own.thaw();
      expect(await own.ask("look")).toEqual({ held: false, aborted: true });
      expect(await own.ask("release")).toBe("not-mine");
      expect(await next.ask("look")).toEqual({ held: true, aborted: false });
    });

    it("hands a lock to another runtime, and goes on with one that was handed to it", async () => {
      const add = await stage();
      const [node, own] = [await add("node", {}, 30_000), await add("own", tried(), 30_000)];
      expect(await node.ask("acquire")).toBe(1);
      expect(await own.ask("resume", { text: await node.ask("handOff") })).toBe(2);
      expect(await node.ask("resume", { text: await own.ask("handOff") })).toBe(3);
      expect(await own.ask("release")).toBe("not-mine");
      expect(await node.ask("release")).toBe("released");
      expect(await own.ask("try")).toBe(4);
    });
  });
}
