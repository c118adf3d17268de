/** A thousand elections in one process: what each costs, and whether their requests come in herds. */
import process from "node:process";
import { setTimeout as pass } from "node:timers/promises";
import { Manager } from "s3-consensus";
import { memoryStore } from "s3-consensus/memory";
import { heapBytes } from "../heap.ts";
import { quantile, type Table } from "../table.ts";

const TTL_MS = 6_000;
const WINDOW_MS = 50;

export async function many(count: number): Promise<Table> {
  const rows: (string | number)[][] = [];
  const store = memoryStore();
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const run = async (what: string, request: "put" | "get", start: (i: number) => Manager): Promise<void> => {
    const before = await heapBytes();
    const timersBefore = timers();
    const managers = Array.from({ length: count }, (_, i) => start(i));
    const expected = request === "put" ? count : 0;
    while (managers.filter((m) => m.isLeader()).length < expected) await pass(50);
    await pass(TTL_MS);
    const heap = (await heapBytes()) - before;
    const windows: number[] = [];
    let last = store.stats()[request] ?? 0;
    for (let i = 0; i < (2 * TTL_MS) / WINDOW_MS; i++) {
      await pass(WINDOW_MS);
      const now = store.stats()[request] ?? 0;
      windows.push(now - last);
      last = now;
    }
    const sum = windows.reduce((a, b) => a + b, 0);
    const busiest = quantile(windows, 1);
    rows.push([
      what,
      count,
      Number((heap / count / 1000).toFixed(2)),
      Number(((timers() - timersBefore) / count).toFixed(2)),
      sum,
      busiest,
      `${((100 * busiest) / sum).toFixed(1)} %`,
    ]);
  };
  await run("leaders", "put", (i) => {
    const manager = new Manager({ store, name: `e${i}`, node: "leader", ttlMs: TTL_MS });
    manager.start({ onElected: () => {} });
    return manager;
  });
  // A store object of its own would know nothing of the leaders; theirs shares what was seen, as in one process.
  await run("followers of them", "get", (i) => {
    const manager = new Manager({ store, name: `e${i}`, node: "follower", ttlMs: TTL_MS });
    manager.start({ onElected: () => {} });
    return manager;
  });
  return {
    title: "Many elections in one process",
    note: `On the memory store, ttl ${TTL_MS} ms, started all at once. The heap of the stored records is in it. Requests over ${(2 * TTL_MS) / 1000} s, in windows of ${WINDOW_MS} ms. Goal: under 20 kB each, no herd.`,
    columns: ["What", "Elections", "Heap each, kB", "Timers each", "Requests", "in the busiest window", "share"],
    rows,
  };
}
