import { cpSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { actsOf, type Contender, contender, overlaps, pass } from "../support/contenders.ts";
import { until } from "../support/lock-party.ts";
import { freshBucket } from "../support/minio-client.ts";
import type { ProgramEvent } from "../support/programs.ts";
import { temporaryFolder } from "../support/reaper.ts";
import { sharedMinio } from "../support/servers.ts";

const RUN_MS = 5_000;
const QUICK = { ttlMs: 2_000, pollMs: 150, cooldownMs: 200 };

/** Waits until leadership has gone round among so many: one at a time, each token once. */
async function expectOneAtATime(programs: readonly Contender[], leaders: number): Promise<void> {
  const elections = (): ProgramEvent[] => programs.flatMap((p) => p.events.filter((e) => e.event === "elected"));
  const led = (): number => new Set(elections().map((e) => e["node"])).size;
  await pass(RUN_MS);
  await until(() => elections().length > 3 && led() >= leaders, "leadership goes round");
  const tokens = elections().map((e) => Number(e["token"]));
  expect(new Set(tokens).size).toBe(tokens.length);
  expect(overlaps(actsOf(programs))).toEqual([]);
}

describe.concurrent("whoever is not the same lease object is a stranger, wherever it lives (rules H9, O3)", () => {
  it.each([
    ["worker threads of one process", "threads"],
    ["workers of a cluster", "cluster"],
    ["two copies of the package in one process", "copies"],
  ])("%s exclude each other", async (_, mode) => {
    const server = sharedMinio();
    const bucket = await freshBucket(server);
    // Below the project, so that the copy finds its dependencies; a folder of its own, so that it is another module.
    const copy = join(temporaryFolder("copy", join(import.meta.dirname, "../../.cache")), "dist");
    cpSync(join(import.meta.dirname, "../../dist"), copy, { recursive: true });
    const env = { MODE: mode, NODES: "3", COPY: pathToFileURL(join(copy, "index.js")).href };
    // All of them have the same name: names decide nothing.
    const program = contender({ node: "same", server, url: bucket.url("app"), program: "rotator", env, options: QUICK });
    await program.event("ready");
    await expectOneAtATime([program], 2);
  });

  it("different ttl, margin, poll and takeover on one key at once, one of them stopped and one killed on the way", async () => {
    const server = sharedMinio();
    const bucket = await freshBucket(server);
    const kinds = [
      { ttlMs: 2_000, pollMs: 150, cooldownMs: 100 },
      { ttlMs: 4_000, marginMs: 400, pollMs: 300, takeover: "observe", cooldownMs: 100 },
      { ttlMs: 1_500, marginMs: 600, pollMs: 100, takeover: "store-time", cooldownMs: 100 },
      { ttlMs: 3_000, pollMs: 200, takeover: "auto", cooldownMs: 100 },
    ] as const;
    const programs = kinds.map((options, i) =>
      contender({ node: `kind-${i}`, server, url: bucket.url("app"), program: "rotator", env: { LEAD_MS: "300" }, options }),
    );
    await Promise.all(programs.map((p) => p.event("ready")));
    await pass(RUN_MS);
    programs[0]?.freeze();
    await pass(5_000);
    programs[0]?.thaw();
    void programs[1]?.kill();
    await expectOneAtATime(programs, 3);
  });
});
