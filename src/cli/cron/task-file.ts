/** The file of `cron`: tasks with commands, and durations as people write them. */
import { parseDuration, show, unknownNames } from "../../options.ts";
import type { Task, TaskRun } from "../../scheduler/options.ts";
import { TIMES_OPTIONS } from "../../scheduler/ticks.ts";

/** Fields that a file spells as durations. */
const DURATIONS = { timeout: "timeoutMs", retryDelay: "retryDelayMs", grace: "graceMs" } as const;
const FIELDS = ["name", "command", ...TIMES_OPTIONS, ...Object.keys(DURATIONS), "missed", "overlap", "parallel", "retries", "revision"];

export type RunCommand = (run: TaskRun, words: readonly string[]) => Promise<{ readonly status: number }>;

export interface TaskFile {
  /** As the scheduler takes them. What is not about commands and durations it checks itself. */
  readonly tasks: readonly Task[];
  readonly faults: readonly string[];
}

export function readTasks(value: unknown, runCommand: RunCommand): TaskFile {
  const given: unknown = fieldsOf(value)["tasks"];
  if (!Array.isArray(given) || given.length === 0) return { tasks: [], faults: ['expected a list "tasks"'] };
  const faults = unknownNames(Object.keys(fieldsOf(value)), ["tasks"], "field");
  const tasks = given.map((each: unknown, i): unknown => {
    // Said by the scheduler.
    if (typeof each !== "object" || each === null || Array.isArray(each)) return each;
    const { task, wrong } = taskOf(fieldsOf(each), runCommand);
    faults.push(...wrong.map((fault) => `tasks[${i}]: ${fault}`));
    return task;
  });
  return { tasks: tasks as Task[], faults };
}

function taskOf(fields: Readonly<Record<string, unknown>>, runCommand: RunCommand): { readonly task: object; readonly wrong: string[] } {
  const wrong = unknownNames(Object.keys(fields), FIELDS, "field");
  const { command, missed, ...rest } = Object.fromEntries(Object.entries(fields).filter(([name]) => FIELDS.includes(name)));
  const words = typeof command === "string" ? ["sh", "-c", command] : command;
  if (!isWords(words))
    wrong.push(`command is ${JSON.stringify(command) ?? "missing"}: expected a list of words (quote numbers), or a text for sh`);
  const duration = (name: string, text: unknown): number | undefined => {
    const ms = typeof text === "string" ? parseDuration(text) : undefined;
    if (text !== undefined && ms === undefined) wrong.push(`${name} is ${show(text)}: expected a duration such as 10m`);
    return ms;
  };
  for (const [field, option] of Object.entries(DURATIONS)) {
    rest[option] = duration(field, rest[field]);
    delete rest[field];
  }
  const { window, ...all } = fieldsOf(fieldsOf(missed)["all"]);
  const policy = window === undefined ? missed : { all: { ...all, windowMs: duration("missed.all.window", window) } };
  return { task: { ...rest, missed: policy, run: (run: TaskRun) => runCommand(run, words as string[]) }, wrong };
}

function isWords(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length > 0 && value.every((word) => typeof word === "string");
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
