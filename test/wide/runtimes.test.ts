/** The main path of an election on each runtime that we say we support, on a real MinIO, together with the Node that runs the tests. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { actsOf, electionAbove, FAILOVER_BOUND_MS, overlaps } from "../support/contenders.ts";
import { hostMs } from "../support/host-clock.ts";
import { sharedMinio } from "../support/servers.ts";
import { stage } from "../support/stage.ts";
import { type Runtime, RUNTIMES, runtime } from "./runtimes.ts";

describe.each(RUNTIMES)("$name", (source) => {
  let tried: Runtime;
  beforeAll(() => {
    tried = runtime(source);
  });

  it("elects, holds, answers, and gives back when stopped", async () => {
    const { add, record } = await stage(sharedMinio());
    const node = await add("other", { runtime: tried.path, nodeArgs: tried.args });
    expect((await node.event("elected"))["token"]).toBe(1);
    // Its clock is the one by which overlaps are found.
    expect(Math.abs((node.events[0]?.atMs ?? 0) - hostMs())).toBeLessThan(10_000);
    expect(await node.ask("look")).toMatchObject({ isLeader: true, aborted: false, assert: "held", token: 1 });
    await node.event("act");
    // Longer than a ttl: it was renewed.
    await node.event("act", 20_000, ({ atMs }) => atMs > (node.events[0]?.atMs ?? Infinity) + 6_000);
    await node.ask("verify");
    await node.ask("stop");
    await node.event("stopped");
    // Deno doesn't let go of a standard input that was read from; elsewhere nothing keeps the process alive.
    if (source.name === "Deno") await node.kill();
    else expect(await node.exit).toMatchObject({ code: 0 });
    expect(await record()).toMatchObject({ state: "released", fencingToken: 1 });
  });

  it("takes over from a Node 20 that is killed, and loses to it when killed itself, without overlap", async () => {
    const { add, nodes } = await stage(sharedMinio());
    const first = await add("first");
    await first.event("elected");
    const other = await add("other", { runtime: tried.path, nodeArgs: tried.args });
    await first.kill();
    expect((await electionAbove([other], 1, 3 * FAILOVER_BOUND_MS)).token).toBe(2);
    const third = await add("third");
    await other.event("act");
    await other.kill();
    expect((await electionAbove([third], 2, 3 * FAILOVER_BOUND_MS)).token).toBe(3);
    expect(overlaps(actsOf(nodes))).toEqual([]);
  });

  it("loads every entry of the package, also by require()", () => {
    const root = join(import.meta.dirname, "../..");
    const entries = ["s3-consensus", "s3-consensus/node", "s3-consensus/memory", "s3-consensus/testing"];
    const code = `
      import { createRequire } from "node:module";
      const require = createRequire(${JSON.stringify(`${root}/package.json`)});
      for (const entry of ${JSON.stringify(entries)}) console.log(entry, Object.keys(require(entry)).length > 0);`;
    const args = source.name === "Deno" ? ["eval", code] : ["--input-type=module", "--eval", code];
    const out = execFileSync(tried.path, source.name === "Bun" ? ["--eval", code] : args, { cwd: root, encoding: "utf8" });
    expect(out.trim().split("\n")).toEqual(entries.map((entry) => `${entry} true`));
  });
});
