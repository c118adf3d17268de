/** How soon a task starts after its time, and after its claim was sent, on a real store in real time. */
import { setTimeout as pass } from "node:timers/promises";
import { s3Store, Scheduler, type Task } from "s3-consensus";
import type { Server } from "../servers.ts";
import { quantile, type Table } from "../table.ts";
import { watchedStore } from "../watched-store.ts";

const TASKS = 20;
const EVERY_S = 2;
/** The store's time is known to milliseconds after some answers. */
const SETTLE_S = 10;

export async function delays(servers: readonly Server[], seconds: number): Promise<Table> {
  const rows: (string | number)[][] = [];
  for (const server of servers) {
    const { claimed, due } = await starts(server, seconds);
    for (const [what, samples] of [
      ["from the claim's sending", claimed],
      ["from the tick", due],
    ] as const)
      rows.push([server.name, what, samples.length, ...[0, 0.5, 0.99, 1].map((q) => quantile(samples, q))]);
  }
  return {
    title: "From the tick to the start of its run",
    note: `Milliseconds until the task's function is called. One node, ${TASKS} tasks, each every ${EVERY_S} s. A node that had the last run looks up to a tenth of spreadMs (1 s) after the tick, so that others have their moments, too.`,
    columns: ["Server", "Measured", "Samples", "Least", "Median", "p99", "Most"],
    rows,
  };
}

interface Starts {
  readonly claimed: readonly number[];
  readonly due: readonly number[];
}

async function starts(server: Server, seconds: number): Promise<Starts> {
  const claimed: number[] = [];
  const due: number[] = [];
  const sentAtMs = new Map<string, number>();
  const onWrite = (key: string): void => void sentAtMs.set(key, performance.now());
  const store = watchedStore(s3Store(server.url()), { onWrite });
  let counts = false;
  const list = Array.from({ length: TASKS }, (_, i): Task => ({
    name: `task-${i}`,
    every: `${EVERY_S}s`,
    run: ({ key, scheduledAt }) => {
      if (!counts) return;
      claimed.push(performance.now() - (sentAtMs.get(key) ?? Number.NaN));
      due.push(Date.now() - scheduledAt.getTime());
    },
  }));
  const running = new Scheduler<readonly Task[]>({ store, tasks: list }).start();
  await pass(SETTLE_S * 1000);
  counts = true;
  await pass(seconds * 1000);
  counts = false;
  await running.stop();
  return { claimed, due };
}
