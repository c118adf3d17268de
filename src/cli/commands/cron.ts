/** `cron`: tasks with commands, on a schedule that all nodes share. */
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { ConfigError } from "../../errors.ts";
import { parseDuration, show } from "../../options.ts";
import type { Json } from "../../record/record.ts";
import type { Task, TaskRun } from "../../scheduler/options.ts";
import { Scheduler } from "../../scheduler/scheduler.ts";
import { holdOf } from "../child/hold-options.ts";
import { childEnv, statusOf } from "../child/outcome.ts";
import { type CommandEnd, runHeld } from "../child/run-held.ts";
import { integer } from "../frame/arguments.ts";
import type { Context, Run } from "../frame/context.ts";
import { readDataFile } from "../frame/config-file.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { statusOfStop } from "../frame/signals.ts";

const DEFAULT_TTL_MS = 30_000;
/** Fields that a file spells as durations. */
const DURATIONS = { timeout: "timeoutMs", retryDelay: "retryDelayMs", grace: "graceMs" } as const;

const HELP = `
The file, YAML or JSON, has a list "tasks". A task has a "name", a "command" (a list of words, or a text for sh), a time ("cron" with "timeZone" and "clockChange",
"every", or "at"), and its policies: "timeout", "missed", "overlap", "retries", "retryDelay", "grace", "revision".

  tasks:
    - name: report
      cron: "0 3 * * *"
      timeZone: Europe/Berlin
      command: [./report.sh, --daily]
      timeout: 10m
      retries: 2
`;

export function define(command: Command, run: Run): void {
  command
    .argument("<file>", "the tasks; all nodes run the same file")
    .option("--log-dir <folder>", "what a task writes goes to TASK.log there (default: to our own standard output and error)")
    .addHelpText("after", HELP)
    .action((file: string, { logDir }: { readonly logDir?: string }) => run((context) => cron(context, file, logDir)));
  command
    .command("preview <file> <task>")
    .description("When it will run next.")
    .option("-n <count>", "how many times", integer(1, 1000), 5)
    .action((file: string, task: string, { n }: { readonly n: number }) =>
      run(async (context) => {
        const scheduler = await schedulerOf(context, file);
        const ticks = await scheduler.preview(task, n);
        context.log.info({ task }, `${task}: ${scheduler.describe(task)}`);
        if (context.out.json) context.out.value(ticks);
        else for (const { at } of ticks) context.out.line(at.toISOString());
        return EXIT.ok;
      }),
    );
  command
    .command("history <file> <task>")
    .description("How its last runs ended.")
    .action((file: string, task: string) =>
      run(async (context) => {
        const runs = await (await schedulerOf(context, file)).history(task);
        if (context.out.json) context.out.value(runs);
        else
          context.out.table(
            ["TICK", "STATE", "ATTEMPT", "HOLDER", "ERROR"],
            runs.map((r) => [r.scheduledAt.toISOString(), r.state, String(r.attempt), r.holder, r.error ?? ""]),
          );
        return EXIT.ok;
      }),
    );
  command
    .command("trigger <file> <task>")
    .description("Runs it once more, here and now, or as soon as the run that is under way has ended; waits for its end.")
    .option("--elsewhere", "leave it to the nodes that run the file: after the run that is under way, or with the next tick")
    .action((file: string, task: string, { elsewhere }: { readonly elsewhere?: boolean }) =>
      run(async (context) => {
        const scheduler = await schedulerOf(context, file);
        const end = await scheduler.trigger(task, { here: elsewhere !== true, signal: context.signals.stop });
        if (context.out.json) context.out.value(end);
        else context.out.line(`${task}: ${end.state}${end.error === undefined ? "" : `: ${end.error}`}`);
        return end.state === "succeeded" ? EXIT.ok : EXIT.no;
      }),
    );
  for (const verb of ["pause", "unpause"] as const)
    command
      .command(`${verb} <file> <task>`)
      .description(verb === "pause" ? "No node starts it any more." : "Nodes start it again, from now on.")
      .action((file: string, task: string) =>
        run(async (context) => {
          await (await schedulerOf(context, file))[verb](task);
          return EXIT.ok;
        }),
      );
}

async function cron(context: Context, file: string, logDir: string | undefined): Promise<number> {
  const { stop } = context.signals;
  if (logDir !== undefined) mkdirSync(logDir, { recursive: true });
  await (await schedulerOf(context, file, logDir)).run({ signal: stop });
  return statusOfStop(stop);
}

async function schedulerOf(context: Context, file: string, logDir?: string): Promise<Scheduler> {
  const { settings, log } = context;
  const tasks = tasksOf(context, file, await readDataFile(file), logDir);
  return new Scheduler({
    store: await context.store(),
    tasks,
    ttlMs: settings.ttlMs,
    prefix: settings.prefix,
    node: settings.node,
    logger: log,
  });
}

/** What is not about commands and durations is checked by the scheduler, which names every fault. */
function tasksOf(context: Context, file: string, value: unknown, logDir: string | undefined): Task[] {
  const given: unknown = typeof value === "object" && value !== null ? Reflect.get(value, "tasks") : undefined;
  if (!Array.isArray(given) || given.length === 0) throw new ConfigError(file, ['expected a list "tasks"']);
  const faults: string[] = [];
  const tasks = given.map((each: unknown, i): unknown => {
    if (typeof each !== "object" || each === null) {
      faults.push(`tasks.${i} is ${show(each)}: expected an object`);
      return each;
    }
    const { command, ...rest } = each as Record<string, unknown>;
    const words = typeof command === "string" ? ["sh", "-c", command] : command;
    if (!Array.isArray(words) || words.length === 0 || !words.every((word) => typeof word === "string"))
      faults.push(`tasks.${i}.command is ${show(command)}: expected a list of words, or a text for sh`);
    for (const [field, option] of Object.entries(DURATIONS)) {
      if (rest[field] === undefined) continue;
      const text = rest[field];
      const ms = typeof text === "string" ? parseDuration(text) : undefined;
      if (ms === undefined) faults.push(`tasks.${i}.${field} is ${show(text)}: expected a duration such as 10m`);
      delete rest[field];
      rest[option] = ms;
    }
    return { ...rest, run: (taskRun: TaskRun) => runTask(context, taskRun, words as string[], logDir) };
  });
  if (faults.length > 0) throw new ConfigError(file, faults);
  return tasks as Task[];
}

async function runTask(context: Context, run: TaskRun, words: readonly string[], logDir: string | undefined): Promise<Json> {
  const { settings, log } = context;
  const { graceMs } = holdOf({}, settings, DEFAULT_TTL_MS);
  log.info(
    { task: run.task, fencingToken: run.fencingToken, attempt: run.attempt },
    `${run.task}: starts (tick ${run.scheduledAt.toISOString()}, attempt ${run.attempt})`,
  );
  const env = {
    ...childEnv(context, run, { kind: "task", name: run.task }),
    S3_CONSENSUS_SCHEDULED_AT: run.scheduledAt.toISOString(),
    S3_CONSENSUS_ATTEMPT: String(run.attempt),
  };
  // The file itself, and no pipe of ours: nothing is lost, and nothing hangs, when this process dies or is stopped.
  const output = logDir === undefined ? undefined : openSync(join(logDir, `${encodeURIComponent(run.task)}.log`), "a");
  let end: CommandEnd;
  try {
    if (output !== undefined)
      writeSync(output, `--- ${run.scheduledAt.toISOString()} attempt ${run.attempt}, fencing token ${run.fencingToken}\n`);
    end = await runHeld({ lease: run, words, graceMs, signals: undefined, log, env, output });
  } finally {
    if (output !== undefined) closeSync(output);
  }
  const status = statusOf(end);
  log.info({ task: run.task, fencingToken: run.fencingToken, status }, `${run.task}: ended with ${status}`);
  if (end.cutOff !== undefined) throw new Error(end.cutOff);
  if (status !== 0) throw new Error(`the command ended with ${end.signal ?? `status ${status}`}`);
  return { status };
}
