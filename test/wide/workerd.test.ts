/** The main path in a Worker (workerd by Miniflare, nodejs_compat) on a real MinIO through the SDK. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import { beforeAll, describe, expect, it } from "vitest";
import { electionAbove } from "../support/contenders.ts";
import { whenFinished } from "../support/finish.ts";
import { temporaryFolder } from "../support/reaper.ts";
import { sharedMinio } from "../support/servers.ts";
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

describe("workerd", () => {
  let script: string;
  beforeAll(async () => {
    script = await bundled();
  });

  async function worker({ bucket }: Stage): Promise<(path: string) => Promise<Record<string, unknown>>> {
    const { endpoint, accessKeyId, secretAccessKey } = sharedMinio();
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
});
