/** How long nobody leads, between real processes: after kill -9, and after SIGTERM. */
import { setTimeout as pass } from "node:timers/promises";
import { hostMs } from "../../test/support/host-clock.ts";
import { kill, type Running, start } from "../run.ts";
import type { Server } from "../servers.ts";
import { quantile, type Table } from "../table.ts";

const TTL_MS = 6_000;
const POLL_MS = 1_000;
const ELECTIONS = 25;
const BOUND_MS = { SIGKILL: TTL_MS * 1.1 + POLL_MS + 1_000, SIGTERM: POLL_MS } as const;

export async function failover(servers: readonly Server[], rounds: number): Promise<Table> {
  const rows: (string | number)[][] = [];
  for (const server of servers) {
    const url = server.url();
    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      const samples = await deaths(server, url, signal, rounds);
      const seconds = (q: number): number => quantile(samples, q) / 1000;
      rows.push([
        server.name,
        signal === "SIGKILL" ? "kill -9" : "SIGTERM",
        samples.length,
        seconds(0),
        seconds(0.5),
        seconds(0.99),
        seconds(1),
        BOUND_MS[signal] / 1000,
      ]);
    }
  }
  return {
    title: "Failover between processes",
    note: `Seconds from the signal to the next leader's onElected. ttl ${TTL_MS} ms, poll ${POLL_MS} ms; ${ELECTIONS} elections a process, ${rounds} deaths. Bound: ttl + 10 % + poll + 1 s, and one poll.`,
    columns: ["Server", "Death", "Samples", "Least", "Median", "p99", "Most", "Bound"],
    rows,
  };
}

async function deaths(server: Server, url: string, signal: "SIGKILL" | "SIGTERM", rounds: number): Promise<number[]> {
  const samples: number[] = [];
  let born = 0;
  const candidate = (): Running =>
    start("candidate", [url, `${signal}-${++born}`, ...[ELECTIONS, TTL_MS, POLL_MS].map(String)], server.env);
  const leads = (running: Running, i: number) => running.line((line) => line.event === "elected" && line["election"] === i);
  const all = [...Array(ELECTIONS).keys()];
  let leader = candidate();
  try {
    await Promise.all(all.map((i) => leads(leader, i)));
    for (let round = 0; round < rounds; round++) {
      const next = candidate();
      try {
        // It looks and knows who leads; the death comes at any moment of the leader's renewals.
        await Promise.all(all.map((i) => next.line((line) => line.event === "sees" && line["election"] === i)));
        await pass(POLL_MS + Math.random() * (TTL_MS / 3));
        const atMs = hostMs();
        await kill(leader, signal);
        const elections = await Promise.all(all.map((i) => leads(next, i)));
        samples.push(...elections.map((election) => election.atMs - atMs));
      } finally {
        leader.child.kill("SIGKILL");
        leader = next;
      }
    }
  } finally {
    await kill(leader, "SIGTERM");
  }
  return samples;
}
