/** A thousand tasks in one process, in virtual time: memory, wake-ups, and requests that no tick needs. */
import { type ObjectStore, Scheduler, type Task } from "s3-consensus";
import { memoryStore } from "s3-consensus/memory";
import { testWorld, type TestWorld } from "s3-consensus/testing";
import { heapBytes } from "../heap.ts";
import type { Table } from "../table.ts";
import { watchedStore } from "../watched-store.ts";

const MINUTE_MS = 60_000;
interface Case {
  readonly what: string;
  readonly nodes: number;
  readonly cron: string;
  /** Until each node has met each task and knows the store's time well. */
  readonly settle: number;
  readonly minutes: number;
}

export async function tasks(count: number): Promise<Table> {
  // The calendar's library is loaded in real time, for which a world does not wait.
  await new Scheduler({ store: testWorld().node("warm").store, tasks: [task("warm", "* * * * *")] }).preview("warm", 1);
  const cases: readonly Case[] = [
    { what: "none due", nodes: 1, cron: "0 0 1 1 *", settle: 65, minutes: 120 },
    { what: "each hour, at a minute of its own", nodes: 1, cron: "H * * * *", settle: 65, minutes: 120 },
    { what: "the same on three nodes", nodes: 3, cron: "H * * * *", settle: 65, minutes: 120 },
    { what: "each hour, all at once", nodes: 1, cron: "0 * * * *", settle: 65, minutes: 120 },
    { what: "each minute, all at once", nodes: 1, cron: "* * * * *", settle: 5, minutes: 10 },
  ];
  const rows: (string | number)[][] = [];
  for (const one of cases) rows.push([one.what, one.nodes, ...(await measured(one, count))]);
  return {
    title: `${count === 1_000 ? "A thousand" : count} tasks in one process`,
    note: "In virtual time, after a while in which each node has met every task; wake-ups of one node, requests of all. The heap grows with the history that each record keeps (50 runs at most). Goal: no request that no tick needs (two for each, and a look for each node that had not the last).",
    columns: ["Ticks", "Nodes", "Heap for each task, kB", "Wake-ups a minute", "Requests an hour", "Ticks an hour", "Requests a tick"],
    rows,
  };
}

async function measured({ nodes, cron, settle, minutes }: Case, count: number): Promise<readonly (string | number)[]> {
  const world = testWorld({ seed: 1, profile: { skewMs: 0 } });
  const before = await heapBytes();
  let ran = 0;
  let wakeUps = 0;
  const onTimer = (): void => void (wakeUps += 1);
  const stores = Array.from({ length: nodes }, (_, i) => storeOf(world, `n${i}`, nodes === 1));
  const list = Array.from({ length: count }, (_, i) => task(`task-${i}`, cron, () => void (ran += 1)));
  const running = stores.map((store, i) =>
    new Scheduler<readonly Task[]>({ store: i === 0 ? watchedStore(store, { onTimer }) : store, node: `n${i}`, tasks: list }).start(),
  );
  await world.advance(settle * MINUTE_MS);
  const heap = (await heapBytes()) - before;
  const requests = (): number => stores.reduce((sum, store) => sum + (store.stats()["get"] ?? 0) + (store.stats()["put"] ?? 0), 0);
  const from = { requests: requests(), ran, wakeUps };
  await world.advance(minutes * MINUTE_MS);
  const hours = minutes / 60;
  const [sent, ticks] = [requests() - from.requests, ran - from.ran];
  await world.until(Promise.all(running.map(({ stop }) => stop())));
  return [
    nodes === 1 ? heap / count / 1000 : "",
    (wakeUps - from.wakeUps) / minutes,
    sent / hours,
    ticks / hours,
    ticks === 0 ? "" : sent / ticks,
  ];
}

/** One alone has a store that holds hardly more than the records: the simulated one keeps older versions, too. */
function storeOf(world: TestWorld, name: string, isAlone: boolean): ObjectStore {
  const { clock, store } = world.node(name);
  return isAlone ? memoryStore({ clock, random: store.random }) : store;
}

function task(name: string, cron: string, run: () => void = () => {}): Task {
  return { name, cron, run };
}
