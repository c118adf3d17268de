/** Whether a leader grows with its renewals: a hundred thousand of them in virtual time, the heap looked at on the way. */
import { performance } from "node:perf_hooks";
import { Manager } from "s3-consensus";
import { testWorld } from "s3-consensus/testing";
import { heapBytes } from "../heap.ts";
import type { Table } from "../table.ts";

const TTL_MS = 15_000;
const STEPS = 10;

export async function growth(renewals: number): Promise<Table> {
  const world = testWorld({ seed: 1 });
  const manager = new Manager({ store: world.node("leader").store, name: "growth", ttlMs: TTL_MS });
  const term = await world.until(manager.campaign());
  const follower = new Manager({ store: world.node("follower").store, name: "growth", ttlMs: TTL_MS });
  follower.start({ onElected: () => {} });
  const done = (): number => manager.stats()["renewals"] ?? 0;
  const rows: (string | number)[][] = [];
  const startedMs = performance.now();
  let first = 0;
  for (let step = 0; step <= STEPS; step++) {
    while (done() < (renewals * step) / STEPS) await world.advance((TTL_MS / 3) * 100);
    const heap = await heapBytes();
    // What the first thousands compile and cache is no growth.
    if (step === 1) first = heap;
    rows.push([
      done(),
      Number((heap / 1e6).toFixed(2)),
      step < 1 ? "" : Number(((heap - first) / 1e3).toFixed(1)),
      Number((world.nowMs / 3_600_000).toFixed(0)),
    ]);
  }
  if (!term.isHeld()) throw new Error("the term was lost on the way");
  const seconds = (performance.now() - startedMs) / 1000;
  return {
    title: "Growth",
    note: `A leader and a follower in virtual time (${seconds.toFixed(0)} s of real time); the heap after a garbage collection, with the simulated store in it. Goal: no growth.`,
    columns: ["Renewals", "Heap, MB", "kB more than at a tenth", "Simulated hours"],
    rows,
  };
}
