/** A node of a scheduler: it follows its tasks, or calls `runDue` at random moments as functions do, and operators have their say. */
import { sleep } from "../../../src/clock/wait.ts";
import { ConsensusError } from "../../../src/errors.ts";
import type { Task, TaskRun } from "../../../src/scheduler/options.ts";
import { Scheduler } from "../../../src/scheduler/scheduler.ts";
import { FaceProgram } from "./resident.ts";
import { work } from "./work.ts";

/** Far apart as the clocks of a world may be: what nodes make of the store's time is what is tried. */
const MAX_OFFSET_MS = 86_400_000;
/** So many ttls of the schedule's other nodes an invocation has at most, and its leases with it. */
const LONGEST_TTLS = 3;

export class TaskProgram extends FaceProgram {
  get weight(): number {
    return 2 * this.plan.keys.length + 1;
  }

  protected async live(stop: AbortSignal): Promise<void> {
    const { arena, plan, store } = this;
    const { node, ttlMs, marginMs, requestTimeoutMs, drainMs } = plan;
    const scheduler = new Scheduler<readonly Task[]>({
      store,
      node,
      ttlMs,
      marginMs,
      requestTimeoutMs,
      drainMs,
      spreadMs: Math.min(60_000, Math.round(ttlMs / 10)),
      maxClockOffsetMs: MAX_OFFSET_MS,
      tasks: plan.keys.map((name) => this.#task(name)),
      onEvent: (event) => event.type === "task" && arena.coverage.count(`task ${event.kind}`),
    });
    const over = new AbortController();
    const operator = this.#operate(scheduler, stop, over.signal);
    try {
      if (plan.functions === true) await this.#call(scheduler, stop);
      else await scheduler.run({ signal: stop });
    } catch (error) {
      if (!(stop.aborted && error === stop.reason)) this.#expect(error, "Scheduler.run");
    }
    over.abort();
    await operator;
    for (const [name, n] of Object.entries(scheduler.stats())) if (!name.includes("_")) arena.coverage.count(`scheduler ${name}`, n);
  }

  #task(name: string): Task {
    const { plan } = this;
    const task = plan.task ?? { everyMs: 10_000, retries: 0 };
    return {
      name,
      every: `${task.everyMs}ms`,
      missed: task.missed,
      overlap: task.overlap,
      retries: task.retries,
      retryDelayMs: task.retryDelayMs,
      timeoutMs: task.timeoutMs,
      graceMs: task.graceMs,
      run: (run) => this.#run(name, run),
    };
  }

  async #run(name: string, run: TaskRun): Promise<string> {
    const { arena, plan, process, random, store } = this;
    const key = arena.taskKey(name);
    const begun = arena.tasks.begins(key, run, process);
    const ttlMs = plan.functions === true ? Math.ceil((LONGEST_TTLS * plan.ttlMs + 2_000) / 0.9) : plan.ttlMs;
    const tracked = arena.terms.track(run, process, ttlMs, key);
    tracked.isWorking = true;
    try {
      if (random.chance(0.1)) run.progress("half", 0.5);
      const until = store.clock.monotonicMs() + plan.ttlMs * random.magnitude(0.001, 2);
      const leftMs = (): number => until - store.clock.monotonicMs();
      await work(arena, tracked, { clock: store.clock, random, ttlMs: plan.ttlMs, leftMs, keepAlive: true });
      const hang = arena.isOpen("handler-hangs", plan.node);
      if (hang !== undefined) await arena.hang(this, hang.to - arena.world.nowMs);
      if (random.chance(0.1) || arena.isOpen("handler-throws", plan.node) !== undefined) throw new Error("the task throws, as planned");
      begun.outcome = "returned";
      return "done";
    } catch (error) {
      begun.outcome = "threw";
      throw error;
    } finally {
      tracked.isWorking = false;
    }
  }

  /** As functions do: called by a timer that knows nothing of ticks, with so much time and no more. */
  async #call(scheduler: Scheduler<readonly Task[]>, stop: AbortSignal): Promise<void> {
    const { clock } = this.store;
    while (!stop.aborted) {
      const remainingMs = Math.round(this.plan.ttlMs * this.random.between(0.5, LONGEST_TTLS)) + 2_000;
      try {
        const report = await scheduler.runDue({ during: { remainingMs }, signal: stop });
        if (report.elsewhere > 0) this.arena.coverage.count("runDue: elsewhere");
      } catch (error) {
        if (stop.aborted && error === stop.reason) return;
        this.#expect(error, "runDue");
      }
      await sleep(clock, this.plan.ttlMs * this.random.between(0.05, 1), { signal: stop, keepAlive: true });
    }
  }

  /** Somebody at a console: pauses and takes it back, cancels what runs, asks for a run by hand. */
  async #operate(scheduler: Scheduler<readonly Task[]>, stop: AbortSignal, over: AbortSignal): Promise<void> {
    const { arena, plan, random, store } = this;
    const paused = new Set<string>();
    const isOver = (): boolean => stop.aborted || over.aborted;
    while (!isOver()) {
      await sleep(store.clock, plan.ttlMs * random.between(1, 10), { signal: over, keepAlive: true });
      if (isOver()) break;
      const name = random.pick(plan.keys);
      const what = random.unit();
      try {
        if (paused.has(name) || arena.isCalm) {
          for (const one of arena.isCalm ? plan.keys : [name]) await scheduler.unpause(one);
          paused.clear();
          if (arena.isCalm) break;
        } else if (what < 0.3) {
          paused.add(name);
          await scheduler.pause(name);
          arena.coverage.count("tasks paused");
        } else if (what < 0.5) {
          await scheduler.cancel(name);
          arena.coverage.count("runs cancelled");
        } else if (what < 0.6) {
          await scheduler.trigger(name, { waitMs: 4 * plan.ttlMs, signal: stop });
          arena.coverage.count("runs by hand");
        }
      } catch (error) {
        if (!(stop.aborted && error === stop.reason)) this.#expect(error, "an operator's call");
      }
    }
  }

  #expect(error: unknown, where: string): void {
    const { arena } = this;
    if (!ConsensusError.is(error))
      arena.fail("I13", `${this.name}: ${where} rejected with ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    else if (error.code === "CONFIG") arena.fail("I13", `${this.name}: ${where}: ${error.message}`);
    else if (error.code === "WORK_NOT_STOPPED") this.leftovers++;
    else arena.coverage.count(`error ${error.code} of ${where}`);
  }
}
