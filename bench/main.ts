/**
 * `npm run bench`: the figures of docs/figures.md, measured again. Nothing is asserted: times depend on the machine, so they are told as ratios
 * within one run, or against the bound that the documentation states.
 */
import { cpus, totalmem } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { anchors } from "./parts/anchors.ts";
import { coldStart } from "./parts/cold-start.ts";
import { delays } from "./parts/delays.ts";
import { failover } from "./parts/failover.ts";
import { fencing } from "./parts/fencing.ts";
import { footprint } from "./parts/footprint.ts";
import { growth } from "./parts/growth.ts";
import { handOver } from "./parts/hand-over.ts";
import { known } from "./parts/known.ts";
import { locks } from "./parts/locks.ts";
import { many } from "./parts/many.ts";
import { ratio } from "./parts/ratio.ts";
import { requests } from "./parts/requests.ts";
import { startTime } from "./parts/start-time.ts";
import { session } from "./parts/session.ts";
import { tasks } from "./parts/tasks.ts";
import { waiters } from "./parts/waiters.ts";
import { embedded, foreign, minio, type Server } from "./servers.ts";
import { render, type Table } from "./table.ts";

const PARTS = [
  "requests",
  "ratio",
  "failover",
  "cold-start",
  "start-time",
  "footprint",
  "growth",
  "many",
  "locks",
  "session",
  "hand-over",
  "waiters",
  "known",
  "fencing",
  "tasks",
  "delays",
  "anchors",
] as const;

const HELP = `Usage: npm run bench -- [--only ${PARTS.join(",")}] [--quick] [--json]

  --only    these parts alone. Without: all but anchors, which needs redis-server and PostgreSQL
  --quick   a tenth of the rounds, to see that it works
  --json    JSON on standard output instead of tables

Runs on the embedded server and on a real MinIO, found as the tests find it. With S3_CONSENSUS_STORE=s3://… on that store instead.
Each part takes at most about 90 seconds on a quiet machine, all of it a quarter of an hour.
`;

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", short: "h" },
  },
});
const only = values.only?.split(",") ?? PARTS.filter((part) => part !== "anchors");
const unknown = only.filter((name) => !(PARTS as readonly string[]).includes(name));
if (values.help === true || unknown.length > 0) {
  process.stderr.write(unknown.length > 0 ? `unknown part ${unknown.join(", ")}\n\n${HELP}` : HELP);
  process.exit(unknown.length > 0 ? 2 : 0);
}

const say = (line: string): void => void process.stderr.write(`[bench] ${line}\n`);
// What the SDK has to say about this version of Node is known.
process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";
const store = process.env["S3_CONSENSUS_STORE"];
const servers: readonly Server[] = store === undefined ? [await embedded(), await minio(say)] : [foreign(store)];
for (const [name, value] of Object.entries(servers[0]?.env ?? {})) if (value !== undefined) process.env[name] = value;

const n = (full: number): number => (values.quick ? Math.max(1, Math.round(full / 10)) : full);
const measure: Readonly<Record<(typeof PARTS)[number], () => Promise<Table>>> = {
  requests: () => requests(),
  ratio: () => ratio(servers, n(500)),
  failover: () => failover(servers, n(4)),
  "cold-start": () => coldStart(servers, n(20)),
  "start-time": () => startTime(n(20)),
  footprint: () => footprint(servers, Math.max(12, n(30))),
  growth: () => growth(n(100_000)),
  many: () => many(n(1_000)),
  locks: () => locks(servers, n(200)),
  session: () => session([1, n(100), n(1_000)]),
  "hand-over": () => handOver(n(200)),
  waiters: () => waiters([1, 10, 50, n(200)]),
  known: () => known([n(1_000), n(10_000), n(20_000), n(50_000)]),
  fencing: () => fencing(servers, n(300)),
  tasks: () => tasks(n(1_000)),
  delays: () => delays(servers, n(30)),
  anchors: () => anchors(servers, n(300)),
};

const machine = `${cpus().length} cores (${cpus()[0]?.model ?? "unknown"}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}, ${process.platform}`;
const tables: Table[] = [];
try {
  for (const part of PARTS.filter((name) => only.includes(name))) {
    say(part);
    const table = await measure[part]();
    tables.push(table);
    if (!values.json) process.stdout.write(`${render(table)}\n`);
  }
} finally {
  for (const server of servers) await server.close();
}
if (values.json) process.stdout.write(`${JSON.stringify({ machine, date: new Date().toISOString(), tables }, null, 2)}\n`);
else process.stdout.write(`${machine}, ${new Date().toISOString().slice(0, 10)}\n`);
process.exit(0);
