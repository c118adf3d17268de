/**
 * One node that leads in turns (rotation.ts), in a process, a worker thread or a cluster worker of its own; with MODE, the parent of several.
 *
 * STORE, OPTIONS, LEAD_MS as in rotation.ts. MODE: `threads`, `cluster`, or `copies` (two copies of the package in this process; the second
 * is at COPY, the URL of its index.js). NODES: how many.
 */
import cluster from "node:cluster";
import process from "node:process";
import { Worker } from "node:worker_threads";
import * as first from "s3-consensus";
import { emit } from "../support/emit.ts";
import { rotate } from "./rotation.ts";

const mode = process.env["MODE"];
const options = JSON.parse(process.env["OPTIONS"] ?? "{}") as Parameters<typeof rotate>[0]["options"];
const stop = new AbortController();

const one = (node: string, pkg: typeof first): Promise<void> =>
  rotate({
    Manager: pkg.Manager,
    store: pkg.s3Store(process.env["STORE"] ?? ""),
    options: { ...options, node },
    leadMs: Number(process.env["LEAD_MS"] ?? "200"),
    signal: stop.signal,
  });

const children = Array.from({ length: Number(process.env["NODES"] ?? "1") }, (_, i) => ({
  ...process.env,
  MODE: undefined,
  OPTIONS: JSON.stringify({ ...options, node: `${options.node}-${i}` }),
}));

emit("ready", { pid: process.pid });
if (mode === "threads")
  for (const env of children)
    new Worker(new URL(import.meta.url), { env: env as NodeJS.ProcessEnv }).on("error", (e) => emit("failed", { message: e.message }));
else if (mode === "cluster" && cluster.isPrimary) {
  for (const env of children) cluster.fork(env);
} else if (mode === "copies") {
  const second = (await import(process.env["COPY"] ?? "")) as typeof first;
  if (second.Manager === first.Manager) throw new Error("these are not two copies");
  await Promise.all([one(`${options.node}-first`, first), one(`${options.node}-second`, second)]);
} else await one(options.node, first);
