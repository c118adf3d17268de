/** One run of a task's command, and where what it writes goes. */
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../errors.ts";
import type { Logger } from "../../lease/wiring.ts";
import type { TaskRun } from "../../scheduler/options.ts";
import { childEnv, statusOf } from "../child/outcome.ts";
import { type CommandEnd, type Descriptors, runHeld } from "../child/run-held.ts";
import type { Context } from "../frame/context.ts";
import { pad, printable, width } from "../frame/output.ts";
import { labelled } from "./label.ts";

interface RunLog {
  /** Default: our own. */
  readonly output?: Descriptors | undefined;
  close(): Promise<void> | void;
}

/** Opens a log for one run. */
export type Logs = (run: TaskRun) => RunLog;

export const toOurs: Logs = () => ({ close: () => undefined });

/** Where standard output is for the answer alone. */
export const toStandardError: Logs = () => ({ output: { stdout: 2, stderr: 2 }, close: () => undefined });

/** A file for each task. The file itself, and no pipe of ours: nothing is lost, and nothing hangs, when this process dies or is stopped. */
export function toFiles(folder: string, log: Logger): Logs {
  return ({ task, scheduledAt, attempt, fencingToken }) => {
    const fd = openSync(join(folder, `${encodeURIComponent(task)}.log`), "a");
    try {
      writeSync(fd, `--- ${scheduledAt.toISOString()} attempt ${attempt}, fencing token ${fencingToken}\n`);
    } catch (e) {
      // A full disk is no reason not to run it.
      log.warn({ task, err: e }, `${task}: its log: ${messageOf(e)}`);
    }
    return { output: { stdout: fd, stderr: fd }, close: () => closeSync(fd) };
  };
}

/** Our own output, with the task's name before each line. */
export function withLabels(names: readonly string[], log: Logger): Logs {
  const cells = Math.max(0, ...names.map((name) => width(printable(name))));
  return (run) => {
    try {
      return labelled(`${pad(printable(run.task), cells)} | `);
    } catch (e) {
      log.warn({ task: run.task, err: e }, `${run.task}: its lines come without its name: ${messageOf(e)}`);
      return toOurs(run);
    }
  };
}

export interface TaskCommand {
  readonly words: readonly string[];
  readonly graceMs: number;
  readonly logs: Logs;
}

/** @throws what keeps the command from being a success: then the run has failed. */
export async function runTask(context: Context, run: TaskRun, { words, graceMs, logs }: TaskCommand): Promise<{ readonly status: number }> {
  const { log } = context;
  const { task, fencingToken, attempt, scheduledAt } = run;
  log.info({ task, fencingToken, attempt }, `${task}: starts (tick ${scheduledAt.toISOString()}, attempt ${attempt})`);
  const env = {
    ...childEnv(context, run, { kind: "task", name: task }),
    S3_CONSENSUS_SCHEDULED_AT: scheduledAt.toISOString(),
    S3_CONSENSUS_ATTEMPT: String(attempt),
  };
  const written = logs(run);
  let end: CommandEnd;
  try {
    end = await runHeld({ lease: run, words, graceMs, signals: undefined, log, env, output: written.output });
  } finally {
    await written.close();
  }
  const status = statusOf(end);
  log.info({ task, fencingToken, status }, `${task}: ended with ${status}`);
  if (end.cutOff !== undefined) throw new Error(end.cutOff);
  if (status !== 0) throw new Error(`the command ended with ${end.signal ?? `status ${status}`}`);
  return { status };
}
