/** The main path in a Worker (workerd by Miniflare, nodejs_compat) on a real MinIO through the SDK. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import { beforeAll, describe, expect, it } from "vitest";
import { faultProxy } from "../../src/testing/fault-proxy.ts";
import { electionAbove, pass } from "../support/contenders.ts";
import { whenFinished } from "../support/finish.ts";
import { temporaryFolder } from "../support/reaper.ts";
import { spawnProgram } from "../support/programs.ts";
import { credentialsEnv, sharedMinio } from "../support/servers.ts";
import { type Stage, stage } from "../support/stage.ts";
import { note } from "./report.ts";
import { findEsbuild } from "./servers/find.ts";

const ROOT = join(import.meta.dirname, "../..");

/** As Wrangler bundles: the browser's half of the SDK, and what Node has from workerd itself. */
async function bundled(): Promise<string> {
  const out = join(temporaryFolder("worker"), "worker.js");
  execFileSync(
    await findEsbuild(),
    [
      ...[join(ROOT, "test/wide/workerd/worker.ts"), `--outfile=${out}`, "--bundle", "--format=esm", "--target=es2022"],
      ...["--platform=browser", "--conditions=workerd,worker,browser", "--external:node:*", "--log-level=error"],
    ],
    { cwd: ROOT, stdio: "inherit" },
  );
  return readFileSync(out, "utf8");
}

async function lockRecord({ bucket }: Stage): Promise<string> {
  return (await bucket.outside.peek(bucket.bucket, "app/locks/locks/k"))?.body ?? "";
}

describe("workerd", () => {
  let script: string;
  beforeAll(async () => {
    script = await bundled();
  });

  async function worker(
    { bucket }: Stage,
    endpoint: string = sharedMinio().endpoint,
  ): Promise<(path: string) => Promise<Record<string, unknown>>> {
    const { accessKeyId, secretAccessKey } = sharedMinio();
    const miniflare = new Miniflare({
      // By its text: workerd does not take a path outside of the folder that it runs in.
      modules: [{ type: "ESModule", path: "worker.js", contents: script }],
      compatibilityDate: "2026-04-01",
      compatibilityFlags: ["nodejs_compat"],
      bindings: { BUCKET: bucket.bucket, ENDPOINT: endpoint, KEY: accessKeyId, SECRET: secretAccessKey },
    });
    whenFinished(() => miniflare.dispose());
    return async (path) => (await (await miniflare.dispatchFetch(`http://worker${path}`)).json()) as Record<string, unknown>;
  }

  it("tells every answer apart by its status, though the SDK can't read XML there; only a listing needs that, and is unavailable", async () => {
    const ask = await worker(await stage(sharedMinio()));
    const answers = await ask("/answers");
    note({ store: "runtime: workerd", version: "by Miniflare 4", verdict: "works", showed: JSON.stringify(answers).replaceAll('"', "") });
    expect(answers).toMatchObject({
      ...{ absent: "absent", created: "applied", again: 412, same: "not-modified", list: "unavailable", stale: 412, missing: 404 },
      ...{ removed: "removed", verdict: { storeTime: true } },
    });
  });

  it("takes over from a Node that is killed, holds beyond its ttl, gives back, and a Node leads again", async () => {
    const scene = await stage(sharedMinio());
    const first = await scene.add("first");
    await first.event("elected");
    const ask = await worker(scene);
    await first.kill();
    const led = await ask("/lead");
    expect(led).toMatchObject({ token: 2, isHeld: true, released: "released" });
    expect(await scene.record()).toMatchObject({ state: "released", fencingToken: 2 });
    const next = await scene.add("next");
    expect((await electionAbove([next], 2)).token).toBe(3);
  });

  it("loses at its deadline when nothing gets through any more, knows it, and leaves the next one's record alone", async () => {
    const scene = await stage(sharedMinio());
    const proxy = await faultProxy({ target: sharedMinio().endpoint });
    whenFinished(() => proxy.close());
    const ask = await worker(scene, proxy.endpoint);
    const lost = ask("/lose");
    while ((await scene.record())?.["holder"] !== "worker") await pass(50);
    const next = await scene.add("next");
    proxy.faults.add({ kind: "black-hole" });
    expect((await electionAbove([next], 1)).token).toBe(2);
    expect(await lost).toMatchObject({
      token: 1,
      aborted: true,
      isHeld: false,
      code: "LEASE_LOST",
      reason: "expired",
      released: "not-mine",
    });
    await next.event("act");
    expect(await scene.record()).toMatchObject({ state: "held", holder: "next", fencingToken: 2 });
  });

  it("locks: waits for a process, holds beyond the ttl, gives back; and for one invocation, with a try that is refused", async () => {
    const scene = await stage(sharedMinio());
    const env = {
      ...credentialsEnv(sharedMinio()),
      STORE: scene.bucket.url("app"),
      NODE: "node",
      OPTIONS: JSON.stringify({ ttlMs: 30_000 }),
    };
    const node = spawnProgram("locker", { env });
    await node.event("ready");
    expect(await node.ask("acquire")).toBe(1);
    const ask = await worker(scene);
    expect(await ask("/one-shot")).toMatchObject({ ran: false });
    const locked = ask("/lock");
    await pass(1_000);
    expect(await node.ask("release")).toBe("released");
    while (!(await lockRecord(scene)).includes('"worker"')) await pass(50);
    await pass(2_500);
    expect(await node.ask("try")).toBeNull();
    expect(await locked).toEqual({ token: 2, acquired: 1, released: 1, held: 0, lost: 0, after: null });
    expect(await ask("/one-shot")).toEqual({ ran: true, value: 3 });
    expect(await node.ask("try")).toBe(4);
  });
});
