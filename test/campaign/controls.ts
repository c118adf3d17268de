/**
 * Negative controls: the same campaign's net, over something that is known to be broken. A net that lets these through would let anything through.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fakeS3 } from "../../src/testing/index.ts";
import type { OwnServer } from "../support/servers.ts";
import { Arena, outputFolder, pass, until } from "./arena.ts";
import { describe, judge } from "./judge.ts";
import type { Election } from "./holder-process.ts";

export interface ControlResult {
  readonly name: string;
  /** The net caught what it had to catch. */
  readonly red: boolean;
  /** What was caught, or what was seen instead. */
  readonly seen: string;
}

const PATIENCE_MS = 30_000;

/**
 * A build whose holder never looks at its deadline (rule H3). Its leader is cut off from the store; when another has taken over, both believe.
 */
export async function withoutDeadline(server: OwnServer, bucket: string, program: string, seed: number): Promise<ControlResult> {
  const name = "a build without the deadline";
  const election: Election = { name: "control", ttlMs: 1200, pollMs: 300, takeover: "auto" };
  const arena = await Arena.open({ server, bucket, nodes: 2, elections: [election], program: patchedHolder(program), seed });
  try {
    for (const holder of arena.holders) holder.start();
    const [key = ""] = arena.keys;
    await until(() => arena.leaderOf(key) !== undefined, PATIENCE_MS);
    const first = arena.leaderOf(key);
    first?.proxy.faults.add({ kind: "black-hole" });
    const second = await until(() => arena.leaderOf(key) !== undefined && arena.leaderOf(key) !== first, PATIENCE_MS);
    await pass(500);
    const { contradictions } = judge(arena, 1);
    const caught = contradictions.find((c) => c.kind === "beliefs-overlap");
    const instead = second === undefined ? "nobody took over, so nothing was tried" : `nothing; ${describe(judge(arena, 1)).join("; ")}`;
    return { name, red: caught !== undefined, seen: caught === undefined ? instead : `${caught.kind}: ${caught.message}` };
  } finally {
    for (const proxy of arena.proxies) proxy.faults.clear();
    // A holder that never believes its deadline may wait for work that nobody ends: it isn't asked to stop, it is killed.
    await Promise.all(arena.holders.filter((holder) => holder.alive).map((holder) => arena.kill(holder)));
    await arena.close();
  }
}

/**
 * A store that ignores If-Match, with the probe switched off (with it, the package refuses that store). Everybody's reads are slow, so that several
 * see the released record before one of them has taken it.
 */
export async function carelessStore(program: string, seed: number): Promise<ControlResult> {
  const name = "a store that ignores If-Match";
  await using server = await fakeS3({ careless: ["ignore-if-match"], buckets: ["control"] });
  const election: Election = { name: "control", ttlMs: 3000, pollMs: 200, takeover: "observe" };
  const target = { endpoint: server.endpoint, region: "us-east-1", accessKeyId: "any", secretAccessKey: "any" };
  const arena = await Arena.open({ server: target, bucket: "control", nodes: 3, elections: [election], program, seed, probe: false });
  try {
    for (const holder of arena.holders) holder.start();
    const [key = ""] = arena.keys;
    for (let round = 0; round < 8; round++) {
      await until(() => arena.leaderOf(key) !== undefined, PATIENCE_MS);
      for (const proxy of arena.proxies) proxy.faults.add({ kind: "delay", delayMs: 250 });
      const leader = arena.leaderOf(key);
      await pass(500);
      if (leader !== undefined) await arena.stop(leader);
      await pass(1500);
      const caught = judge(arena, 1).contradictions.find((c) => c.kind === "two-writes-on-one-version");
      if (caught !== undefined) return { name, red: true, seen: `${caught.kind}: ${caught.message}` };
      for (const proxy of arena.proxies) proxy.faults.clear();
      if (leader?.alive === false) leader.start();
    }
    return { name, red: false, seen: `nothing in 8 rounds; ${describe(judge(arena, 1)).join("; ")}` };
  } finally {
    for (const proxy of arena.proxies) proxy.faults.clear();
    await arena.close();
  }
}

/** The holder beside a copy of the built package in which belief has no end of its own. */
function patchedHolder(program: string): string {
  const root = process.cwd();
  const folder = outputFolder("without-deadline");
  rmSync(join(folder, "dist"), { recursive: true, force: true });
  cpSync(join(root, "dist"), join(folder, "dist"), { recursive: true });
  cpSync(join(root, "package.json"), join(folder, "package.json"));
  cpSync(program, join(folder, "holder.js"));
  patch(
    join(folder, "dist/lease/timed-tenancy.js"),
    "return Math.max(0, this.#leftUntil(this.#deadline));",
    "return 3_600_000 + Math.max(0, this.#leftUntil(this.#deadline));",
  );
  return join(folder, "holder.js");
}

function patch(path: string, what: string, by: string): void {
  const text = readFileSync(path, "utf8");
  if (text.split(what).length !== 2)
    throw new Error(
      `the negative control can't be made: ${JSON.stringify(what)} does not stand exactly once in ${path}. Mend the patch in controls.ts`,
    );
  writeFileSync(path, text.replace(what, by));
}
