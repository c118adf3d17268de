/** Schedulers in virtual time, what their tasks did, and the invariant that all of them together must keep. */
import type { ConsensusEvent, Wiring } from "../../src/lease/wiring.ts";
import { sleep } from "../../src/clock/wait.ts";
import { decodeRecord } from "../../src/record/codec.ts";
import type { LeaseRecord } from "../../src/record/record.ts";
import { Scheduler } from "../../src/scheduler/scheduler.ts";
import type { SchedulerOptions, Task, TaskRun } from "../../src/scheduler/options.ts";
import { checkTimes } from "../../src/scheduler/ticks.ts";
import { decodeState, type TaskState } from "../../src/scheduler/task-state.ts";
import type { TestNode, TestWorld } from "../../src/testing/sim/test-world.ts";

// The calendar's library is loaded in real time, and virtual time does not wait for it: it is there before any world begins.
const warm = checkTimes({ cron: "* * * * *" }, "warm");
if ("open" in warm) await warm.open();

export const KEY = "locks/tasks/job";
export const MINUTE = 60_000;
export const HOUR = 3_600_000;
/** Wall time at the beginning of a world: 2026-01-01T00:00:00Z. */
export const START = 1_767_225_600_000;

/** One run, as its function saw it. Times are true ones, since 1970. */
export interface Ran {
  readonly node: string;
  readonly at: number;
  readonly tick: number;
  readonly token: number;
  readonly attempt: number;
  readonly catchUp: TaskRun["catchUp"];
  endedAt: number | undefined;
}

export interface Ledger {
  readonly runs: Ran[];
  readonly events: ConsensusEvent[];
}

export interface JobNode {
  readonly node: TestNode;
  readonly scheduler: Scheduler;
  readonly stop: AbortController;
  readonly done: Promise<void>;
  outcome: "returned" | { readonly error: unknown } | undefined;
}

export interface JobOptions {
  readonly task?: Partial<Task> | undefined;
  readonly more?: readonly Task[] | undefined;
  readonly options?: Partial<Wiring & SchedulerOptions<readonly Task[]>> | undefined;
  /** What the job does beyond being noted. */
  readonly work?: ((run: TaskRun, node: TestNode) => unknown) | undefined;
}

export function ledger(): Ledger {
  return { runs: [], events: [] };
}

export function schedulerOn(world: TestWorld, node: TestNode, books: Ledger, o: JobOptions = {}): Scheduler {
  const run = async (r: TaskRun): Promise<never> => {
    const { scheduledAt, fencingToken: token, attempt, catchUp } = r;
    const noted: Ran = { node: node.name, at: START + world.nowMs, tick: +scheduledAt, token, attempt, catchUp, endedAt: undefined };
    books.runs.push(noted);
    try {
      return (await o.work?.(r, node)) as never;
    } finally {
      noted.endedAt = START + world.nowMs;
    }
  };
  const task = { name: "job", cron: "* * * * *", run, ...o.task } as Task;
  return new Scheduler<readonly Task[]>({
    store: node.store,
    node: node.name,
    tasks: [task, ...(o.more ?? [])],
    onEvent: (e) => books.events.push(e),
    ...o.options,
  });
}

/** A node that runs the job "job", each minute unless said otherwise. */
export function jobOn(world: TestWorld, name: string, books: Ledger, o: JobOptions = {}): JobNode {
  const node = world.node(name);
  const scheduler = schedulerOn(world, node, books, o);
  const stop = new AbortController();
  const done = scheduler.run({ signal: stop.signal });
  const self: JobNode = { node, scheduler, stop, done, outcome: undefined };
  done.then(
    () => (self.outcome = "returned"),
    (error: unknown) => (self.outcome = { error }),
  );
  return self;
}

export function ticksOf(books: Ledger): number[] {
  return books.runs.map(({ tick }) => tick);
}

export function recordIn(world: TestWorld, key = KEY): LeaseRecord {
  const body = world.peek(key);
  if (body === undefined) throw new Error("there is no record");
  return decodeRecord(key, body);
}

export function stateIn(world: TestWorld, key = KEY): TaskState {
  return decodeState(key, recordIn(world, key).payload);
}

export function pause(node: TestNode, ms: number): Promise<boolean> {
  return sleep(node.clock, ms, { keepAlive: true });
}

export function taskEvents(books: Ledger): string[] {
  return books.events.flatMap((e) => (e.type === "task" ? [`${e.kind} ${e.run.attempt} @${(+e.run.scheduledAt - START) / MINUTE}`] : []));
}

/**
 * Invariant I11: no attempt of a tick runs twice, no tick before its time by more than a second of store time, tokens grow with every run,
 * and nothing runs beside another (where `overlap` forbids it). @returns what is broken, in words.
 */
export function brokenOf(books: Ledger, o: { readonly alone?: boolean } = {}): string[] {
  const broken: string[] = [];
  const seen = new Set<string>();
  let last: Ran | undefined;
  for (const run of books.runs) {
    const name = `tick ${new Date(run.tick).toISOString()} attempt ${run.attempt}`;
    if (seen.has(name)) broken.push(`${name} ran twice, the second time on ${run.node}`);
    seen.add(name);
    if (run.at < run.tick - 1000) broken.push(`${name} ran ${run.tick - run.at} ms early on ${run.node}`);
    if (last !== undefined && run.token <= last.token) broken.push(`${name}: token ${run.token} after ${last.token}`);
    if (o.alone !== false && last !== undefined && (last.endedAt ?? Infinity) > run.at)
      broken.push(`${name} began while ${last.node} still ran`);
    last = run;
  }
  return broken;
}
