/**
 * `npm run campaign -- --minutes 10 --seed N`: real processes on a real server, and everything done to them that this machine allows. It ends by
 * itself. Exit 0 only if nothing happened that must not, and the negative controls did what they must.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { aNumberFrom, runCommand, UsageError, wholeNumber } from "../support/command-line.ts";
import { findMinio, HOW_TO_GET_MINIO } from "../support/find-servers.ts";
import { randomOf } from "../support/random.ts";
import { removeFolder } from "../support/reaper.ts";
import { type OwnServer, startMinioWith } from "../support/servers.ts";
import { startCeph } from "../wide/servers/ceph.ts";
import { Arena, outputFolder, pass } from "./arena.ts";
import { Campaign } from "./campaign.ts";
import { carelessStore, type ControlResult, withoutDeadline } from "./controls.ts";
import { Field } from "./field.ts";
import type { Election } from "./holder-process.ts";
import { judge, type Judgement } from "./judge.ts";
import { menu } from "./menu.ts";
import { makeReport, type Report, reportText } from "./report.ts";

/** Short ttls, so that much happens; different ones, so that not all happens at once. */
const ELECTIONS: readonly Election[] = [
  { name: "a", ttlMs: 1200, pollMs: 300, takeover: "auto" },
  { name: "b", ttlMs: 1600, pollMs: 300, takeover: "observe" },
  { name: "c", ttlMs: 2400, pollMs: 500, takeover: "auto" },
  { name: "lock", ttlMs: 1500, pollMs: 500, takeover: "auto", face: "lock" },
  { name: "session-lock", ttlMs: 2400, pollMs: 800, takeover: "auto", face: "session" },
];
const USAGE = `npm run campaign -- [options]
  --minutes M    so long, beside the negative controls (default 10)
  --seed S       names the order of events (default: drawn; it is printed)
  --nodes N      holder processes, 3 to 5 (default 4)
  --drives N     MinIO on 1 or 4 drives (default 1)
  --store NAME   minio, or rgw: Ceph's gateway (default minio)
  --only TEXT    only the troubles whose names contain it, one after the other
Ctrl-C ends it early: what was seen until then is judged and reported. Exit status: 0 when all that must be shown was, 1 when not, 64 for wrong use,
69 without a server, 130 when it was ended early.`;

const PROGRAM = join(import.meta.dirname, "holder.js");
const BUCKET = "campaign";

interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly drives: 1 | 4;
  readonly store: "minio" | "rgw";
  readonly nodes: number;
  readonly only: string | undefined;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "10" },
      seed: { type: "string" },
      drives: { type: "string", default: "1" },
      store: { type: "string", default: "minio" },
      nodes: { type: "string", default: "4" },
      only: { type: "string" },
    },
  });
  const { store, only } = values;
  if (store !== "minio" && store !== "rgw") throw new UsageError(`--store ${store}: expected minio or rgw`);
  const drives = Number(values.drives);
  if (drives !== 1 && drives !== 4) throw new UsageError(`--drives ${values.drives}: expected 1 or 4`);
  if (store === "rgw" && drives !== 1) throw new UsageError("--drives is for MinIO");
  const names = menu().map((trouble) => trouble.name);
  if (only !== undefined && !names.some((name) => name.includes(only)))
    throw new UsageError(`--only ${only}: expected a part of one of ${names.join(", ")}`);
  return {
    minutes: aNumberFrom("minutes", values.minutes, 0.5, 24 * 60),
    seed: values.seed === undefined ? Math.floor(Math.random() * 1e6) : wholeNumber("seed", values.seed, 0),
    drives,
    store,
    nodes: wholeNumber("nodes", values.nodes, 3, 5),
    only,
  };
}

function say(line: string): void {
  process.stderr.write(`[campaign ${(performance.now() / 1000).toFixed(0).padStart(4)} s] ${line}\n`);
}

async function main(): Promise<number> {
  const options = readOptions();
  const started = options.store === "rgw" ? await startRgw() : await startMinio(options.drives);
  if (started === undefined) {
    console.error(HOW_TO_GET_MINIO);
    return 69;
  }
  say(`seed ${options.seed}`);
  const { server, name } = started;
  try {
    return await onServer(server, name, options);
  } finally {
    say("stopping the server");
    // The reaper would see to it too: a server that can't be ended must not keep the result back.
    await Promise.race([server.kill(), pass(10_000)]);
    removeFolder(server.dir);
  }
}

interface Started {
  readonly server: OwnServer;
  /** For the report. */
  readonly name: string;
}

async function startMinio(drives: 1 | 4): Promise<Started | undefined> {
  const runner = await findMinio(say);
  if (runner === undefined) return undefined;
  return { server: await startMinioWith(runner, { drives }), name: `MinIO on ${drives} drive${drives === 1 ? "" : "s"}` };
}

/** Its gateway is what is killed and frozen: what it stores is in the memory of another process. */
async function startRgw(): Promise<Started> {
  const server = await startCeph({ gatewayAlone: true });
  return { server, name: `Ceph RGW ${server.version}` };
}

async function onServer(server: OwnServer, store: string, options: Options): Promise<number> {
  const { seed, minutes, drives, nodes, only } = options;
  const arena = await Arena.open({ server, bucket: BUCKET, nodes, elections: ELECTIONS, program: PROGRAM, seed });
  await arena.outside.makeBucket(BUCKET);
  await arena.outside.makeBucket(`${BUCKET}-control`);
  const campaign = new Campaign(new Field(arena, server, randomOf(seed)), say, only);
  const run = { seed, minutes, store, campaign };
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      say(`${signal}: ended early, after ${campaign.phases.length} phases`);
      // Who waits no longer gets what there is; the reaper sees to the children and the server's folder, however this process ends.
      const judgement = judge(arena, drives, { complete: false });
      leave(makeReport({ ...run, judgement, controls: [], endedEarly: true }), judgement);
      process.exit(130);
    });
  await campaign.run(minutes * 60_000);
  campaign.field.watch.stop();
  await arena.close();
  const judgement = judge(arena, drives);
  say("negative controls");
  const controls: ControlResult[] = [await withoutDeadline(server, `${BUCKET}-control`, PROGRAM, seed), await carelessStore(PROGRAM, seed)];
  const report = makeReport({ ...run, judgement, controls });
  leave(report, judgement);
  return report.ok ? 0 : 1;
}

/** Prints the report, and leaves it and the history in files. */
function leave(report: Report, { history }: Judgement): void {
  const folder = outputFolder(`seed-${report.seed}`);
  const reports = join(folder, "../../report");
  mkdirSync(reports, { recursive: true });
  writeFileSync(join(folder, "history.jsonl"), history.map((line) => `${JSON.stringify(line)}\n`).join(""));
  writeFileSync(join(reports, "campaign.json"), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(reports, "campaign.txt"), `${reportText(report)}\n`);
  // For .ci/count.mjs: what was shown, one by one.
  const checks = report.checks.map(({ name, problems }) => ({ name, ok: problems.length === 0 }));
  writeFileSync(join(reports, "campaign-checks.json"), JSON.stringify({ checks }));
  console.log(reportText(report));
  console.log(
    `history: ${join(folder, "history.jsonl")}; report: .cache/report/campaign.{txt,json}; again: npm run campaign -- --minutes ${report.minutes} --seed ${report.seed}`,
  );
}

// All children are gone by now. A pooled connection of this process itself must not keep it alive.
process.exit(await runCommand(USAGE, main));
