/** Locks held by one process, through a session and each by itself: what an hour of holding costs in requests. */
import { setTimeout as pass } from "node:timers/promises";
import { Locks, Session } from "s3-consensus";
import { memoryStore } from "s3-consensus/memory";
import { heapBytes } from "../heap.ts";
import type { Table } from "../table.ts";

const TTL_MS = 3_000;
/** Counted for so many ttls; the table says what that makes in an hour. */
const TTLS = 3;

export async function session(counts: readonly number[]): Promise<Table> {
  const rows: (string | number)[][] = [];
  for (const count of counts) {
    for (const through of ["session", "plain"] as const) {
      const store = memoryStore();
      const before = await heapBytes();
      const opened = through === "session" ? await Session.open({ store, ttlMs: TTL_MS }) : undefined;
      const locks = opened?.locks() ?? new Locks({ store, defaults: { ttlMs: TTL_MS } });
      const held = await Promise.all(Array.from({ length: count }, (_, i) => locks.acquire(`k${i}`)));
      const heap = (await heapBytes()) - before;
      const requests = (): number => (store.stats()["put"] ?? 0) + (store.stats()["get"] ?? 0);
      const at = requests();
      await pass(TTLS * TTL_MS);
      const perHour = ((requests() - at) * 3_600_000) / (TTLS * TTL_MS);
      const free = requests();
      if (opened === undefined) await Promise.all(held.map((lock) => lock.release()));
      else await opened.close();
      // What the first few load and compile says nothing of the others.
      rows.push([through, count, perHour, count < 100 ? "" : heap / count / 1_000, requests() - free]);
    }
  }
  return {
    title: "Locks held through a session",
    note: `On the memory store, ttl ${TTL_MS} ms, counted for ${TTLS} ttls. Goal: the session's requests don't grow with the locks.`,
    columns: ["Through", "Locks", "Requests an hour", "Heap each, kB", "Requests to free all"],
    rows,
  };
}
