/** `cron`: tasks with commands, on a schedule that all nodes share. */
import { mkdirSync } from "node:fs";
import type { Command } from "commander";
import { ConfigError } from "../../errors.ts";
import { Scheduler } from "../../scheduler/scheduler.ts";
import { holdOf } from "../child/hold-options.ts";
import { type Logs, runTask, toFiles, toOurs, toStandardError, withLabels } from "../cron/run-task.ts";
import { readTasks } from "../cron/task-file.ts";
import { integer } from "../frame/arguments.ts";
import type { Context, Run } from "../frame/context.ts";
import { readDataFile } from "../frame/config-file.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { statusOfStop } from "../frame/signals.ts";

interface LogFlags {
  readonly logDir?: string;
  readonly logPrefix: boolean;
}

const DEFAULT_TTL_MS = 30_000;

const HELP = `
The file, YAML or JSON, has a list "tasks". A task has a "name", a "command" (a list of words, or a text for sh), a time ("cron" with "timeZone" and "clockChange",
"every" with "from", or "at"), and its policies: "timeout", "missed", "overlap", "parallel", "retries", "retryDelay", "grace", "revision".

  tasks:
    - name: report
      cron: "0 3 * * *"
      timeZone: Europe/Berlin
      command: [./report.sh, --daily]
      timeout: 10m
      retries: 2
      missed: { all: { max: 3, window: 2d } }

What a task writes comes out with its name before each line, standard output and standard error each on ours.
`;

export function define(command: Command, run: Run): void {
  command
    .argument("<file>", "the tasks; all nodes run the same file")
    .option("--log-dir <folder>", "what a task writes goes to TASK.log there")
    .option("--no-log-prefix", "what a task writes comes out as it is, without its name before each line")
    .addHelpText("after", HELP)
    .action((file: string, flags: LogFlags) => run((context) => cron(context, file, flags)));
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
        const scheduler = await schedulerOf(context, file, () => (context.out.json ? toStandardError : toOurs));
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

async function cron(context: Context, file: string, { logDir, logPrefix }: LogFlags): Promise<number> {
  const { stop } = context.signals;
  if (logDir !== undefined) mkdirSync(logDir, { recursive: true });
  const scheduler = await schedulerOf(context, file, (names) =>
    logDir !== undefined ? toFiles(logDir, context.log) : logPrefix ? withLabels(names, context.log) : toOurs,
  );
  await scheduler.run({ signal: stop });
  return statusOfStop(stop);
}

/** @throws ConfigError with every fault of the file. */
async function schedulerOf(context: Context, file: string, logsOf: (names: readonly string[]) => Logs = () => toOurs): Promise<Scheduler> {
  const { settings, log } = context;
  const { graceMs } = holdOf({}, settings, DEFAULT_TTL_MS);
  let logs: Logs = toOurs;
  const { tasks, faults } = readTasks(await readDataFile(file), (run, words) => runTask(context, run, { words, graceMs, logs }));
  if (tasks.length === 0) throw new ConfigError(file, faults);
  const store = await context.store();
  const { ttlMs, prefix, node } = settings;
  let scheduler: Scheduler;
  try {
    scheduler = new Scheduler({ store, tasks, ttlMs, prefix, node, logger: log });
  } catch (e) {
    if (!(e instanceof ConfigError)) throw e;
    throw new ConfigError(file, [...faults, ...e.faults], { cause: e });
  }
  if (faults.length > 0) throw new ConfigError(file, faults);
  logs = logsOf(tasks.map(({ name }) => name));
  return scheduler;
}
