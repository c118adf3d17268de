/**
 * A node of a scheduler. Its one task "job" says each run, with its token, and then behaves as WORK says.
 *
 * STORE: the store's URL; OPTIONS: JSON for `new Scheduler`; TASK: JSON for the task; NODE: its name;
 * WORK: "short", "long" (until its signal), "deaf" (for ever), "block" (the event loop, for BLOCK_MS), "exit" (the whole process), "fenced" (writes the
 * fenced object "effect" under its token without asking whether it holds; the first attempt waits for its signal before, and says what became of it).
 */
import process from "node:process";
import { fencedObject, s3Store, Scheduler, type SchedulerOptions, type Task, type TaskRun } from "s3-consensus";
import { shutdownSignal } from "s3-consensus/node";
import { emit } from "../support/emit.ts";
import { describe, listen } from "./lines.ts";

const { env } = process;
const node = env["NODE"] ?? "";
const work = env["WORK"] ?? "short";
const store = s3Store(env["STORE"] ?? "");
const effect = fencedObject(store, "effect");

async function job(run: TaskRun): Promise<string> {
  emit("run", {
    node,
    token: run.fencingToken,
    tick: +run.scheduledAt,
    attempt: run.attempt,
    missed: run.catchUp === false ? 0 : run.catchUp.missed,
  });
  if (work === "exit") process.exit(3);
  if (work === "block") {
    const until = performance.now() + Number(env["BLOCK_MS"] ?? "0");
    while (performance.now() < until);
    emit("looked", { held: run.isHeld(), aborted: run.signal.aborted });
  }
  if (work === "fenced") {
    const { key, fencingToken, attempt } = run;
    if (attempt === 1) await new Promise((resolve) => run.signal.addEventListener("abort", resolve, { once: true }));
    // As a program that never looks at its signal: only the store stands in its way.
    const put = await effect.put(`by attempt ${attempt}`, { key, fencingToken }).then(
      () => ({ written: true }),
      (e: unknown) => describe(e),
    );
    emit("wrote", { attempt, token: fencingToken, ...put });
  }
  if (work === "deaf") await new Promise(() => setInterval(() => {}, 1_000));
  if (work === "long")
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {}, 1_000);
      const onAbort = (): void => {
        clearInterval(timer);
        emit("aborted", { code: (run.signal.reason as { code?: string }).code, held: run.isHeld() });
        resolve();
      };
      if (run.signal.aborted) onAbort();
      else run.signal.addEventListener("abort", onAbort, { once: true });
    });
  return node;
}

const task = { name: "job", every: "1s", ...(JSON.parse(env["TASK"] ?? "{}") as object), run: job } as Task;
const options = JSON.parse(env["OPTIONS"] ?? "{}") as Omit<SchedulerOptions<readonly Task[]>, "tasks">;
const scheduler = new Scheduler<readonly Task[]>({
  store,
  node,
  tasks: [task],
  ...options,
  onEvent: (e) => {
    if (e.type === "task")
      emit("task", { node, kind: e.kind, tick: +e.run.scheduledAt, attempt: e.run.attempt, token: e.run.fencingToken, error: e.run.error });
  },
});

listen(async (command) => {
  switch (command["do"]) {
    case "stats":
      return scheduler.stats();
    case "requests":
      return store.stats();
    case "trigger":
      return await scheduler.trigger("job", { here: command["here"] !== false });
    case "health":
      return scheduler.health();
    case "history":
      return await scheduler.history("job");
    case "cancel":
      return await scheduler.cancel("job");
    case "pause":
      return await scheduler.pause("job");
    case "run-due":
      return await scheduler.runDue({ during: { remainingMs: Number(command["remainingMs"]) } });
    default:
      throw new Error(`unknown command ${JSON.stringify(command)}`);
  }
});

emit("ready", { pid: process.pid });
if (env["MODE"] !== "due") {
  try {
    await scheduler.run({ signal: shutdownSignal() });
    emit("stopped");
    process.exitCode = 0;
  } catch (e) {
    emit("failed", describe(e));
    process.exitCode = 1;
  }
  process.stdin.destroy();
}
