/**
 * `npm run campaign -- --minutes 10 --seed N [--drives 4 | --store rgw] [--nodes 5] [--only NAME]`: real processes on a real server, and everything done to them that this
 * machine allows. It ends by itself; Ctrl-C ends it at once and takes all its processes along. Exit 0 only if nothing happened that must not, and
 * the negative controls did what they must.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
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
import { judge } from "./judge.ts";
import { menu } from "./menu.ts";
import { makeReport, reportText } from "./report.ts";

/** Short ttls, so that much happens; different ones, so that not all happens at once. */
const ELECTIONS: readonly Election[] = [
  { name: "a", ttlMs: 1200, pollMs: 300, takeover: "auto" },
  { name: "b", ttlMs: 1600, pollMs: 300, takeover: "observe" },
  { name: "c", ttlMs: 2400, pollMs: 500, takeover: "auto" },
  { name: "lock", ttlMs: 1500, pollMs: 500, takeover: "auto", face: "lock" },
  { name: "session-lock", ttlMs: 2400, pollMs: 800, takeover: "auto", face: "session" },
];
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
  const [minutes, drives, nodes] = [Number(values.minutes), Number(values.drives), Number(values.nodes)];
  const seed = values.seed === undefined ? Math.floor(Math.random() * 1e6) : Number(values.seed);
  if (!(minutes >= 0.5 && minutes <= 24 * 60)) throw new RangeError(`--minutes ${values.minutes}: from 0.5 to 1440`);
  if (drives !== 1 && drives !== 4) throw new RangeError(`--drives ${values.drives}: 1 or 4`);
  const { store } = values;
  if (store !== "minio" && store !== "rgw") throw new RangeError(`--store ${store}: minio or rgw`);
  if (store === "rgw" && drives !== 1) throw new RangeError("--drives is for MinIO");
  if (!(Number.isInteger(nodes) && nodes >= 3 && nodes <= 5)) throw new RangeError(`--nodes ${values.nodes}: 3 to 5`);
  if (!Number.isSafeInteger(seed)) throw new RangeError(`--seed ${values.seed}: a whole number`);
  if (values.only !== undefined && !menu().some((trouble) => trouble.name.includes(values.only ?? "")))
    throw new RangeError(
      `--only ${values.only}: a part of one of ${menu()
        .map((trouble) => trouble.name)
        .join(", ")}`,
    );
  return { minutes, seed, drives, store, nodes, only: values.only };
}

function say(line: string): void {
  process.stderr.write(`[campaign ${(performance.now() / 1000).toFixed(0).padStart(4)} s] ${line}\n`);
}

async function main(): Promise<number> {
  const options = readOptions();
  const started = options.store === "rgw" ? await startRgw() : await startMinio(options.drives);
  if (started === undefined) {
    console.error(HOW_TO_GET_MINIO);
    return 2;
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
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      // The children and the server's folder are taken care of by the reaper, however this process ends.
      say(
        `${signal}: stopped after ${campaign.phases.length} phases; faults so far: ${JSON.stringify(Object.fromEntries(campaign.field.counts))}`,
      );
      process.exit(130);
    });
  await campaign.run(minutes * 60_000);
  campaign.field.watch.stop();
  await arena.close();
  const judgement = judge(arena, drives);
  say("negative controls");
  const controls: ControlResult[] = [await withoutDeadline(server, `${BUCKET}-control`, PROGRAM, seed), await carelessStore(PROGRAM, seed)];
  const report = makeReport({ seed, minutes, store, campaign, judgement, controls });
  const folder = outputFolder(`seed-${seed}`);
  writeFileSync(join(folder, "history.jsonl"), judgement.history.map((line) => `${JSON.stringify(line)}\n`).join(""));
  mkdirSync(join(folder, "../../report"), { recursive: true });
  writeFileSync(join(folder, "../../report/campaign.json"), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(folder, "../../report/campaign.txt"), `${reportText(report)}\n`);
  // For .ci/count.mjs: what was shown, one by one.
  const checks = report.checks.map(({ name, problems }) => ({ name, ok: problems.length === 0 }));
  writeFileSync(join(folder, "../../report/campaign-checks.json"), JSON.stringify({ checks }));
  console.log(reportText(report));
  console.log(
    `history: ${join(folder, "history.jsonl")}; report: .cache/report/campaign.{txt,json}; again: npm run campaign -- --minutes ${minutes} --seed ${seed}`,
  );
  return report.ok ? 0 : 1;
}

// All children are gone by now. A pooled connection of this process itself must not keep it alive.
main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error);
    process.exit(2);
  },
);
