/** The time from the start of a process to its leadership, against the time to a first bare request through the same SDK. */
import { hostMs } from "../../test/support/host-clock.ts";
import { start } from "../run.ts";
import type { Server } from "../servers.ts";
import { median, quantile, type Table } from "../table.ts";

const KINDS = {
  "bare-get": "bare SDK: GET",
  "bare-put": "bare SDK: GET, then a conditional PUT",
  leader: "campaign() until elected",
} as const;

export async function coldStart(servers: readonly Server[], rounds: number): Promise<Table> {
  const rows: (string | number)[][] = [];
  for (const server of servers) {
    const url = server.url();
    const samples = new Map<string, number[]>();
    // One round for nothing: it probes the bucket, makes the objects, and warms the disk's cache.
    for (let round = -1; round < rounds; round++)
      for (const kind of Object.keys(KINDS)) {
        const ms = await once(kind, url, server);
        if (round >= 0) samples.set(kind, [...(samples.get(kind) ?? []), ms]);
      }
    const base = median(samples.get("bare-put") ?? []);
    for (const [kind, text] of Object.entries(KINDS)) {
      const all = samples.get(kind) ?? [];
      rows.push([server.name, text, median(all), quantile(all, 0.9), Number((median(all) / base).toFixed(2)), all.length]);
    }
  }
  return {
    title: "Cold start",
    note: "Milliseconds from spawning a fresh Node process to the result; a bucket that was probed before, a key that is free. Ratio to the two bare requests that an election can't do without.",
    columns: ["Server", "What", "Median, ms", "p90, ms", "Ratio", "Processes"],
    rows,
  };
}

async function once(kind: string, url: string, server: Server): Promise<number> {
  const atMs = hostMs();
  const running = start("cold", [kind, url], server.env);
  const done = await running.line((line) => line.event === "done");
  await running.exit;
  return done.atMs - atMs;
}
