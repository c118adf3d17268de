/** What many that wait for one key cost the store, in virtual time: each in a process of its own, and all in one. */
import { Locks } from "s3-consensus";
import { testWorld, type TestWorld } from "s3-consensus/testing";
import { quantile, type Table } from "../table.ts";

const TTL_MS = 30_000;
const HOUR_MS = 3_600_000;
/** Waits grow until here. */
const EARLY_S = 15;
const LATE_S = 120;

export async function waiters(counts: readonly number[]): Promise<Table> {
  const rows: (string | number)[][] = [];
  for (const count of counts) rows.push([count, "one each", ...(await watched(count, count))]);
  const most = counts.at(-1) ?? 1;
  rows.push([most, "one", ...(await watched(most, 1))]);
  return {
    title: "Waiting for one key",
    note: `Requests a second of all that wait: while their waits grow (${EARLY_S} s), and after. Then the holder dies; each that gets the lock gives it back at once. All started in the same moment; ttl ${TTL_MS / 1000} s, virtual time.`,
    columns: [
      "Waiters",
      "Processes",
      `First ${EARLY_S} s`,
      "Then",
      "Busiest second",
      "Death to next, s",
      "Busiest second then",
      "All served after, s",
      "Requests for each",
    ],
    rows,
  };
}

async function watched(count: number, processes: number): Promise<readonly number[]> {
  const world = testWorld({ seed: 1 });
  const holder = new Locks({ store: world.node("holder").store, defaults: { ttlMs: TTL_MS } });
  await world.until(holder.acquire("k"));
  const nodes = Array.from({ length: processes }, (_, i) => world.node(`n${i}`));
  const each = nodes.map((node) => new Locks({ store: node.store, node: node.name, defaults: { ttlMs: TTL_MS } }));
  // The first use of a store has requests of its own.
  await world.until(Promise.all(each.map((locks, i) => locks.withLock(`other ${i}`, () => {}))));
  const requests = (): number => nodes.reduce((sum, { store }) => sum + (store.stats()["get"] ?? 0) + (store.stats()["put"] ?? 0), 0);
  const served: number[] = [];
  const callers = Array.from({ length: count / processes }, () => each).flat();
  const all = Promise.all(callers.map((locks) => locks.withLock("k", { waitMs: HOUR_MS }, () => void served.push(world.nowMs))));
  const early = await seconds(world, requests, EARLY_S);
  const late = await seconds(world, requests, LATE_S);
  world.node("holder").crash();
  const diedAtMs = world.nowMs;
  const before = requests();
  const after: number[] = [];
  while (served.length < count) after.push(...(await seconds(world, requests, 1)));
  await world.until(all);
  const last = served.at(-1) ?? Number.NaN;
  return [
    mean(early),
    mean(late),
    quantile(late, 1),
    ((served[0] ?? Number.NaN) - diedAtMs) / 1000,
    quantile(after, 1),
    (last - diedAtMs) / 1000,
    (requests() - before) / count,
  ];
}

async function seconds(world: TestWorld, requests: () => number, count: number): Promise<number[]> {
  const each: number[] = [];
  for (let i = 0; i < count; i++) {
    const before = requests();
    await world.advance(1_000);
    each.push(requests() - before);
  }
  return each;
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
