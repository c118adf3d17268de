import type { Manager } from "../election/manager.ts";
import { drainFault, keyFaults, leaseMs, prefixFault, signalFault, WIRING_SPEC } from "../lease/face-options.ts";
import type { Lease } from "../lease/held.ts";
import { deriveTiming, type LeaseTiming, MIN_TTL_MS } from "../lease/timing.ts";
import { defaultNode, type Logger, type Wiring } from "../lease/wiring.ts";
import type { Invocation } from "../locks/api.ts";
import {
  aBoolean,
  aFunction,
  aNumber,
  anInteger,
  anObject,
  checkOptions,
  oneOf,
  optionFaults,
  type OptionSpec,
  required,
  show,
  throwFaults,
} from "../options.ts";
import { controlKey, leaseKey, nameFault } from "../record/keys.ts";
import type { Json } from "../record/record.ts";
import type { MissedPolicy, Policy } from "./decide.ts";
import { type CheckedTimes, checkTimes, type Times, TIMES_OPTIONS } from "./ticks.ts";

/** One run of a task: a lease, held until its function has settled. */
export interface TaskRun extends Lease {
  /** The task's name. */
  readonly task: string;
  /** The tick that this run is for; of a run by hand, when it was asked for. */
  readonly scheduledAt: Date;
  readonly startedAt: Date;
  /** 1 for the first; each other one has a higher fencing token. */
  readonly attempt: number;
  /** Whether it runs late, and for how many ticks that nobody ran in time. */
  readonly catchUp: false | { readonly missed: number };
  /** The scheduler's logger, with task, tick, attempt and fencing token in each line. */
  readonly log: Logger;
  /** Says how far it is, for `history` and `status`. Written with the next renewal, and costs no request. At most 200 characters; 0 to 1. */
  progress(text: string, fraction?: number): void;
}

interface TaskSettings<N extends string> {
  /** Names the task for all nodes: any Unicode without control characters. */
  readonly name: N;
  /** When its signal aborts, in milliseconds after its start. The lease is kept until it settles. Default 3,600,000; 1 to 7 days. In `runDue({ during })` by default what the invocation has left. */
  readonly timeoutMs?: number | undefined;
  /**
   * What becomes of ticks that nobody ran in time. `once` (default): one run for all of them, and `catchUp` says how many. `skip`: none.
   * `all`: each, oldest first, those not older than `windowMs`, and of these the newest `max` (1 to 100).
   */
  readonly missed?: MissedPolicy | undefined;
  /**
   * What becomes of ticks that are due while a run is under way. `skip` (default): they are left out. `queue`: one run follows for the newest. `allow`:
   * they run beside it, each with a lease and a token of its own, at most `parallel` at a time.
   */
  readonly overlap?: "skip" | "queue" | "allow" | undefined;
  /** With `overlap: "allow"`: how many of its runs at a time, over all nodes. While all are taken, ticks wait, and are missed when they are late. Default 8; 1 to 32. */
  readonly parallel?: number | undefined;
  /** How often it is tried again after it failed, was timed out or abandoned. Default 0; at most 100. */
  readonly retries?: number | undefined;
  /** How long to wait before the second attempt, in milliseconds; twice as long before each other, at most 10 minutes. Default 1,000. */
  readonly retryDelayMs?: number | undefined;
  /** A tick that is claimed so many milliseconds late is a missed one. Default 60,000, and where functions call `runDue` at least the longest gap between the last looks. */
  readonly graceMs?: number | undefined;
  /** Grows with each change of the schedule: nodes with an older one stop claiming at once. Default 0. */
  readonly revision?: number | undefined;
  /** Runs each tick. What it returns, up to 1 KiB of JSON, stays in the history; what it throws is the run's error. */
  run(run: TaskRun): Promise<Json | void> | Json | void;
}

/** `cron` (with `timeZone` and `clockChange`), `every` or `at`, and what to run then. */
export type Task<N extends string = string> = TaskSettings<N> & Times;

export interface SchedulerOptions<T extends readonly Task[]> {
  readonly tasks: T;
  /** Only the leader of this election runs tasks. A change of leader ends no run: each has a lease of its own. */
  readonly gate?: Manager | undefined;
  /** How long stopped runs may take to settle, in milliseconds. Default 20,000. After it: WorkNotStoppedError. Requests end by their own limits. */
  readonly drainMs?: number | undefined;
  /** How long a run keeps others out after its last renewal, in milliseconds. Default 30,000; 100 to 86,400,000. */
  readonly ttlMs?: number | undefined;
  /** How long before `ttlMs` a run's lease stops believing. Default and bounds as for an election. */
  readonly marginMs?: number | undefined;
  /** Time limit of one request, in milliseconds. Default: at most 5,000. */
  readonly requestTimeoutMs?: number | undefined;
  /** How many runs at a time in this process. While all are taken, it claims nothing. Default 32; 1 to 1,000. */
  readonly concurrency?: number | undefined;
  /** Nodes look at a random moment of so many milliseconds after a tick, and always before the next one. Default 1,000; 0 to 60,000. */
  readonly spreadMs?: number | undefined;
  /** A node whose clock differs more from the store's does not claim, in milliseconds. Default 30,000. */
  readonly maxClockOffsetMs?: number | undefined;
  /** Below the store's prefix. Default `locks/`. All nodes must agree on it. */
  readonly prefix?: string | undefined;
}

export interface TriggerOptions {
  /**
   * Whether this process may run it. Default true. If not, a node that follows the schedule does, when it looks next: after the run that is under way, or
   * with the next tick.
   */
  readonly here?: boolean | undefined;
  /** Ends the waiting, and stops the run where it is this process's own. What was asked for stands. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for its end, in milliseconds. Default: the task's `timeoutMs` and four times `ttlMs`; 0 to 30 days. */
  readonly waitMs?: number | undefined;
}

export interface TaskConfig {
  readonly name: string;
  readonly key: string;
  readonly times: CheckedTimes;
  readonly timeoutMs: number | undefined;
  readonly policy: Omit<Policy, "graceOfLooks">;
  readonly graceGiven: boolean;
  readonly retryDelayMs: number;
  readonly revision: number;
  run(run: TaskRun): unknown;
}

export interface SchedulerConfig {
  readonly node: string;
  readonly tasks: readonly TaskConfig[];
  readonly gate: Manager | undefined;
  readonly drainMs: number;
  readonly timing: LeaseTiming;
  readonly concurrency: number;
  readonly spreadMs: number;
  readonly maxClockOffsetMs: number;
  readonly prefix: string;
}

export const DEFAULT_TIMEOUT_MS = 3_600_000;
const MAX_TIMEOUT_MS = 7 * 86_400_000;
const MAX_TASKS = 10_000;
const MAX_PARALLEL = 32;
const DEFAULTS = Object.freeze({
  drainMs: 20_000,
  ttlMs: 30_000,
  concurrency: 32,
  spreadMs: 1_000,
  maxClockOffsetMs: 30_000,
  graceMs: 60_000,
  retryDelayMs: 1_000,
  parallel: 8,
  prefix: "locks/",
});

const SPEC: OptionSpec = {
  ...WIRING_SPEC,
  tasks: required((v) => (Array.isArray(v) && v.length > 0 && v.length <= MAX_TASKS ? undefined : `a list of 1 to ${MAX_TASKS} tasks`)),
  gate: anObject("a Manager", "isLeader"),
  drainMs: drainFault,
  ttlMs: leaseMs(MIN_TTL_MS),
  marginMs: leaseMs(1),
  requestTimeoutMs: leaseMs(1),
  concurrency: anInteger("runs", 1, 1000),
  spreadMs: aNumber("milliseconds", 0, 60_000),
  maxClockOffsetMs: aNumber("milliseconds", 1_000, 86_400_000),
  prefix: prefixFault,
};

const timesPass = (): undefined => undefined;

const TASK_SPEC: OptionSpec = {
  ...Object.fromEntries(TIMES_OPTIONS.map((name) => [name, timesPass])),
  name: required(nameFault),
  run: required(aFunction),
  timeoutMs: aNumber("milliseconds", 1, MAX_TIMEOUT_MS),
  missed: missedFault,
  overlap: oneOf("skip", "queue", "allow"),
  parallel: anInteger("runs", 1, MAX_PARALLEL),
  retries: anInteger("attempts", 0, 100),
  retryDelayMs: aNumber("milliseconds", 0, 600_000),
  graceMs: aNumber("milliseconds", 0, MAX_TIMEOUT_MS),
  revision: anInteger("a revision", 0, 1e9),
};

/** @throws ConfigError with every fault at once. */
export function schedulerConfig(given: Wiring & SchedulerOptions<readonly Task[]>): SchedulerConfig {
  const what = "new Scheduler(options)";
  const wrong = optionFaults(given, SPEC);
  // Without a list there is nothing more to look at; without these times, nothing that follows from them.
  if (!Array.isArray((given as { tasks?: unknown } | undefined)?.tasks)) throwFaults(what, wrong);
  const o = { ...DEFAULTS, ...Object.fromEntries(Object.entries(given).filter(([, v]) => v !== undefined)) } as typeof DEFAULTS &
    typeof given;
  const { timing, faults } = deriveTiming({ ttlMs: o.ttlMs, marginMs: given.marginMs, requestTimeoutMs: given.requestTimeoutMs });
  const timesAreRight = !wrong.some((fault) => /^(ttl|margin|requestTimeout)Ms /.test(fault));
  const names = new Set<string>();
  const tasks: TaskConfig[] = [];
  const all = [...wrong, ...(timesAreRight ? faults : [])];
  for (const [i, task] of given.tasks.entries()) {
    const config = taskConfig(task, o.prefix, o.spreadMs);
    if ("faults" in config) all.push(...config.faults.map((fault) => `tasks[${i}]${labelOf(task)}: ${fault}`));
    else if (names.has(config.name)) all.push(`tasks[${i}]: name is ${show(config.name)}: expected a name that no other task has`);
    else {
      names.add(config.name);
      tasks.push(config);
    }
  }
  throwFaults(what, all);
  const { drainMs, concurrency, spreadMs, maxClockOffsetMs, prefix } = o;
  return { node: given.node ?? defaultNode(), tasks, gate: given.gate, drainMs, timing, concurrency, spreadMs, maxClockOffsetMs, prefix };
}

function labelOf(task: unknown): string {
  const name: unknown = typeof task === "object" && task !== null ? Reflect.get(task, "name") : undefined;
  return typeof name === "string" ? ` (${show(name)})` : "";
}

function taskConfig(task: Task, prefix: string, spreadMs: number): TaskConfig | { readonly faults: readonly string[] } {
  const faults = optionFaults(task, TASK_SPEC);
  if (faults.length > 0) return { faults: typeof task === "object" && task !== null ? [...faults, ...timesFaults(task)] : faults };
  const times = checkTimes(task, task.name);
  const { missed = "once", overlap = "skip", retries = 0, graceMs = DEFAULTS.graceMs, retryDelayMs = DEFAULTS.retryDelayMs } = task;
  const { parallel = DEFAULTS.parallel } = task;
  const key = leaseKey(prefix, "tasks", task.name);
  const more = [
    ...("faults" in times ? times.faults : []),
    ...keyFaults("name", controlKey(key)),
    ...(task.parallel !== undefined && overlap !== "allow"
      ? [
          `parallel is ${show(task.parallel)}: expected nothing beside overlap ${show(overlap)}; runs are side by side with overlap "allow" alone`,
        ]
      : []),
    ...lossFaults(missed, graceMs, spreadMs),
  ];
  if ("faults" in times || more.length > 0) return { faults: more };
  return {
    name: task.name,
    key,
    times,
    timeoutMs: task.timeoutMs,
    policy: { missed, overlap, parallel, retries, graceMs },
    graceGiven: task.graceMs !== undefined,
    retryDelayMs,
    revision: task.revision ?? 0,
    run: (run) => task.run(run),
  };
}

function timesFaults(task: Task): readonly string[] {
  const name: unknown = task.name;
  const times = checkTimes(task, typeof name === "string" ? name : "");
  return "faults" in times ? times.faults : [];
}

/** Combinations under which ticks are lost although everything works. */
function lossFaults(missed: MissedPolicy, graceMs: number, spreadMs: number): readonly string[] {
  const least = spreadMs + 1000;
  if (missed === "skip" && graceMs < least)
    return [
      `graceMs ${graceMs} with missed "skip" would lose ticks that nothing delays: nodes look up to spreadMs ${spreadMs} after a tick, by a time known to a second. Use a graceMs of at least ${least}`,
    ];
  if (typeof missed === "object" && missed.all.windowMs < graceMs)
    return [
      `missed.all.windowMs ${missed.all.windowMs} is below graceMs ${graceMs}: every missed tick would be too old. Use a windowMs above it`,
    ];
  return [];
}

function missedFault(value: unknown): string | undefined {
  if (value === "skip" || value === "once") return undefined;
  const right = '"skip", "once" or { all: { max, windowMs } }';
  if (typeof value !== "object" || value === null) return right;
  const all: unknown = Reflect.get(value, "all");
  const inner = optionFaults(all, {
    max: required(anInteger("runs", 1, 100)),
    windowMs: required(aNumber("milliseconds", 1, 366 * 86_400_000)),
  });
  return Object.keys(value).length === 1 && inner.length === 0
    ? undefined
    : `${right}${inner.length === 0 ? "" : ` (${inner.join("; ")})`}`;
}

export function checkRunOptions(given: unknown): void {
  if (given !== undefined) checkOptions("Scheduler.run", given, { signal: signalFault });
}

export function checkTrigger(given: unknown): void {
  checkOptions("Scheduler.trigger", given, { here: aBoolean, signal: signalFault, waitMs: aNumber("milliseconds", 0, 30 * 86_400_000) });
}

export function checkRunDue(given: unknown): void {
  if (given === undefined) return;
  checkOptions("Scheduler.runDue", given, {
    signal: signalFault,
    during: (v) =>
      typeof v === "object" &&
      v !== null &&
      (typeof Reflect.get(v, "getRemainingTimeInMillis") === "function" || isTime(Reflect.get(v, "remainingMs")))
        ? undefined
        : "an invocation: a Lambda context, or { remainingMs }",
  });
}

function isTime(value: unknown): boolean {
  return typeof value === "number" && !Number.isNaN(value);
}

export function remainingOf(during: Invocation): number {
  return "getRemainingTimeInMillis" in during ? during.getRemainingTimeInMillis() : during.remainingMs;
}
