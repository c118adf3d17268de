import { toDate } from "../clock/calendar.ts";
import { link, sleep } from "../clock/wait.ts";
import { type AnyConsensusError, ConfigError, ConsensusError, NotHeldError, StoreUnavailableError } from "../errors.ts";
import { inBackground, type Running } from "../lease/running.ts";
import type { SessionTie } from "../lease/session-tie.ts";
import { defaultPollMs } from "../lease/timing.ts";
import { Emitter, type Wiring } from "../lease/wiring.ts";
import type { Invocation } from "../locks/api.ts";
import type { RunRecord, TaskEventKind } from "../record/run-record.ts";
import type { Stats } from "../store/object-store.ts";
import { openStore } from "../store/open-store.ts";
import { RunsBeside } from "./beside.ts";
import { changeControl, type Control } from "./control.ts";
import { Engine } from "./engine.ts";
import { publish } from "./diagnostics.ts";
import {
  checkRunDue,
  checkRunOptions,
  checkTrigger,
  DEFAULT_TIMEOUT_MS,
  remainingOf,
  type SchedulerConfig,
  schedulerConfig,
  type SchedulerOptions,
  type Task,
  type TriggerOptions,
} from "./options.ts";
import { placeKey } from "./open-runs.ts";
import { lookAtTasks, readTasks, type TaskStatus } from "./status.ts";
import { type TimedStore, timedStore } from "./store-time.ts";
import { DRIVER_COUNTERS, type DriverCounter, TaskDriver, type TurnEnd } from "./task-driver.ts";
import { type RunEntry, toRunRecord } from "./task-state.ts";
import type { TickText } from "./tick-times.ts";

type Names<T extends readonly Task[]> = T[number]["name"];

/** What one call of `runDue` did. */
export interface DueReport {
  /** Runs that succeeded. */
  readonly ran: readonly RunRecord[];
  /** Runs that did not: a failed task is data, in the history too, and no exception. */
  readonly failed: readonly RunRecord[];
  /** Tasks that run elsewhere at the moment, or that another was faster to claim. */
  readonly elsewhere: number;
  /** When the next tick of any task is due. */
  readonly nextAt: Date | undefined;
}

/** A tick to come. */
export interface Preview extends TickText {
  readonly at: Date;
}

/** Green while every task can be looked at and run. */
export type SchedulerHealth =
  | { readonly ok: true; readonly role: "scheduler" | "idle" }
  | { readonly ok: false; readonly role: "scheduler" | "idle"; readonly error: AnyConsensusError; readonly tasks: readonly string[] };

/**
 * Tasks on a schedule, for all nodes that run it together. Guarantee: each tick is claimed once, by one CAS on its task's record, never before
 * its time by the store's clock, and while clock rates are wrong by at most 10 % nothing runs beside it under `overlap: "skip"`. Not promised:
 * that a claimed run has its effect exactly once (a process can die in the middle): hand the fencing token to whatever it writes to, or let
 * the write be idempotent.
 */
export class Scheduler<const T extends readonly Task[] = readonly Task[]> {
  readonly #config: SchedulerConfig;
  readonly #session: SessionTie | undefined;
  readonly #store: TimedStore;
  readonly #emitter: Emitter;
  readonly #drivers = new Map<string, TaskDriver>();
  readonly #counts = Object.fromEntries(DRIVER_COUNTERS.map((name) => [name, 0])) as Record<DriverCounter, number>;
  #engine: Engine | undefined;
  #fatal: AnyConsensusError | undefined;

  /**
   * @param session what its runs are held through, with the timing of that: `session.scheduler(options)` says it.
   * @throws ConfigError with every fault of the options and of all tasks at once.
   */
  constructor(options: Wiring & SchedulerOptions<T>, session?: SessionTie) {
    this.#config = schedulerConfig(options);
    this.#session = session;
    this.#store = timedStore(openStore(options.store));
    for (const { key } of this.#config.tasks) this.#store.checkKey(key);
    this.#emitter = new Emitter(options);
    const tell = (kind: TaskEventKind, run: RunRecord): void => {
      this.#emitter.emit({ type: "task", task: run.task, kind, run });
      publish({ task: run.task, kind, run });
    };
    const count = (name: DriverCounter): void => void (this.#counts[name] += 1);
    const context = { store: this.#store, config: this.#config, emitter: this.#emitter, logger: options.logger, session, tell, count };
    for (const task of this.#config.tasks) this.#drivers.set(task.name, new TaskDriver(task, context));
  }

  /**
   * Runs the tasks whenever they are due, each tick on one node, until `signal` aborts; then it claims nothing any more, tells what runs to
   * stop, and returns when it has.
   * @throws ConfigError when it already runs; StoreUnsafeError; WorkNotStoppedError; LeaseLostError when the session that it belongs to is lost. An
   * outage it outlives, and a task's error is the task's.
   */
  async run(options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    checkRunOptions(options);
    if (this.#engine !== undefined) throw new ConfigError("Scheduler.run", ["this scheduler already runs"]);
    const engine = new Engine({
      config: this.#config,
      clock: this.#store.clock,
      time: this.#store.time,
      drivers: [...this.#drivers.values()],
    });
    this.#engine = engine;
    this.#fatal = undefined;
    const stop = new AbortController();
    const unlinks = this.#stoppedBy(options?.signal, stop);
    try {
      await engine.run(stop.signal);
      // No waiting brings a lost session back.
      if (this.#session?.membership.lost === true) this.#session.membership.assertHeld();
    } catch (e) {
      if (ConsensusError.is(e)) this.#fatal = e;
      throw e;
    } finally {
      for (const unlink of unlinks) unlink();
      this.#engine = undefined;
    }
  }

  #stoppedBy(signal: AbortSignal | undefined, stop: AbortController): readonly (() => void)[] {
    const session = this.#session?.whenOver((reason) => stop.abort(reason));
    return [link(signal, stop), ...(session === undefined ? [] : [session])];
  }

  /** `run` for frameworks: returns at once. Nobody needs to await `done`; an error that ends it is in `health()`, the log, and `stop()`. */
  start(): Running {
    return inBackground(
      (signal) => this.run({ signal }),
      (err) => this.#emitter.log("error", { err }, "the scheduler's run ended"),
    );
  }

  /**
   * Runs what is due now and returns: for functions, called by any timer, as often as the ticks. With `during` (a Lambda context, or
   * `{ remainingMs }`) it claims what can end in the remaining time, with a lease that covers the rest and is not renewed. Called twice, or by
   * two functions at once, each tick still runs once.
   * @throws StoreUnavailableError where no task could be looked at; StoreUnsafeError, StoreAccessError; the reason of `signal`.
   */
  async runDue(options?: { readonly during?: Invocation | undefined; readonly signal?: AbortSignal | undefined }): Promise<DueReport> {
    checkRunDue(options);
    options?.signal?.throwIfAborted();
    const { clock } = this.#store;
    const during = options?.during;
    // Measured once: an object with a plain number would never grow old.
    const endsAtMs = during === undefined ? undefined : clock.monotonicMs() + remainingOf(during);
    const left = endsAtMs === undefined ? undefined : { remainingMs: (): number => endsAtMs - clock.monotonicMs() };
    const stop = new AbortController();
    const unlinks = this.#stoppedBy(options?.signal, stop);
    const stops: AbortController[] = [];
    const onStop = (): void => {
      for (const one of stops) one.abort();
      for (const driver of this.#drivers.values()) driver.askToStop("stopped");
    };
    stop.signal.addEventListener("abort", onStop, { once: true });
    try {
      const ends: TurnEnd[] = [];
      const waiting = [...this.#drivers.values()].filter((driver) => !driver.busy);
      const { concurrency } = this.#config;
      const workers = Math.min(concurrency, waiting.length);
      const room = { left: concurrency - workers };
      const worker = async (): Promise<void> => {
        for (let driver = waiting.shift(); driver !== undefined && !stop.signal.aborted; driver = waiting.shift()) {
          driver.busy = true;
          const turned = driver;
          const one = new AbortController();
          stops.push(one);
          const beside = new RunsBeside(room);
          const end = await turned.turn({ signal: one.signal, during: left, called: true, beside }).finally(() => (turned.busy = false));
          ends.push({ ...end, ran: [...end.ran, ...(await beside.settled())] });
        }
      };
      await Promise.all(Array.from({ length: workers }, worker));
      options?.signal?.throwIfAborted();
      return await this.#report(ends);
    } finally {
      stop.signal.removeEventListener("abort", onStop);
      for (const unlink of unlinks) unlink();
    }
  }

  async #report(ends: readonly TurnEnd[]): Promise<DueReport> {
    const errors = ends.flatMap(({ error }) => (error === undefined ? [] : [error]));
    const fatal = errors.find((e) => e.code === "STORE_UNSAFE") ?? (errors.length === ends.length ? errors[0] : undefined);
    if (fatal !== undefined) throw fatal;
    const runs = ends.flatMap(({ task, ran }) => ran.map((entry) => toRunRecord(task, entry)));
    const nowMs = this.#store.time.estimateMs();
    const next = (await Promise.all([...this.#drivers.values()].map(async (d) => (await d.schedule).next(nowMs)))).filter(
      (t) => t !== undefined,
    );
    return {
      ran: runs.filter(({ state }) => state === "succeeded"),
      failed: runs.filter(({ state }) => state !== "succeeded"),
      elsewhere: ends.filter(({ elsewhere }) => elsewhere).length,
      nextAt: next.length === 0 ? undefined : toDate(Math.min(...next)),
    };
  }

  /** The newest runs first, with what was skipped and missed. One GET. @throws RecordError, StoreUnavailableError, StoreAccessError. */
  async history(task: Names<T>): Promise<readonly RunRecord[]> {
    const { name, key } = this.#driver(task).task;
    const [status] = await readTasks(this.#store, [{ name, key }], this.#config.timing.requestTimeoutMs);
    if (status?.error !== undefined) throw status.error;
    return status?.history ?? [];
  }

  /** How all tasks stand: one LIST, and a GET for each that changed since the last call. */
  async status(): Promise<readonly TaskStatus[]> {
    const tasks = this.#config.tasks.map(({ name, key }) => ({ name, key }));
    return await readTasks(this.#store, tasks, this.#config.timing.requestTimeoutMs, `${this.#config.prefix}tasks/`);
  }

  /** When it runs, in plain words where there are simple ones: `every day at 03:00, Europe/Berlin`; otherwise as it is written. No request. */
  describe(task: Names<T>): string {
    return this.#driver(task).task.times.words;
  }

  /** The next `n` ticks (at most 1,000), with local time and a mark on odd days. No request. */
  async preview(task: Names<T>, n: number): Promise<readonly Preview[]> {
    if (!Number.isSafeInteger(n) || n < 1 || n > 1000)
      throw new ConfigError("Scheduler.preview", [`n is ${n}: expected a whole number from 1 to 1000`]);
    const schedule = await this.#driver(task).schedule;
    const ticks: Preview[] = [];
    for (let at = schedule.next(this.#store.clock.wallMs()); at !== undefined && ticks.length < n; at = schedule.next(at))
      ticks.push({ at: toDate(at), ...schedule.describe(at) });
    return ticks;
  }

  /**
   * Runs it once more, whether or not a tick is due or it is paused, and answers with how that ended. It consumes no tick. Where no run is under way it
   * begins here and now. Where one is, the wish is left in the task's control object, and the next who finds the task free carries it out, here or
   * elsewhere. Several wishes are as many runs, one after the other.
   * @throws NotHeldError after `waitMs`: what was asked for stands; the reason of `signal`, which stops a run of this process, too; ConfigError for a task that is not among these;
   * RecordError, StoreUnavailableError, StoreUnsafeError, StoreAccessError.
   */
  async trigger(task: Names<T>, options: TriggerOptions = {}): Promise<RunRecord> {
    checkTrigger(options);
    const { here = true, signal } = options;
    signal?.throwIfAborted();
    const driver = this.#driver(task);
    const { name, key, timeoutMs = DEFAULT_TIMEOUT_MS } = driver.task;
    const { clock } = this.#store;
    const { timing } = this.#config;
    const waitMs = options.waitMs ?? timeoutMs + 4 * timing.ttlMs;
    const untilMs = clock.monotonicMs() + waitMs;
    const now = here ? await this.#byHand(driver, true, (run) => run.kind === "trigger", signal) : undefined;
    if (now !== undefined) return now;
    signal?.throwIfAborted();
    const { triggers } = await this.#change(task, (was) => ({ ...was, triggers: was.triggers + 1 }));
    const isIt = (run: RunEntry): boolean => run.asked === triggers;
    for (;;) {
      if (here) await this.#byHand(driver, false, isIt, signal);
      else if (!driver.busy) await readTasks(this.#store, [{ name, key }], timing.requestTimeoutMs);
      const end = driver.endOf(triggers);
      if (end !== undefined) return toRunRecord(name, end);
      const leftMs = untilMs - clock.monotonicMs();
      if (leftMs <= 0)
        throw new NotHeldError(`task "${name}" was not run by hand within ${waitMs} ms (waitMs). What was asked for stands`, { key });
      await sleep(clock, Math.min(leftMs, defaultPollMs(timing.ttlMs)), { signal, keepAlive: true });
      signal?.throwIfAborted();
    }
  }

  /** One turn of a task that nothing of this process follows at the moment. @returns the run that was meant, if it was done. */
  async #byHand(
    driver: TaskDriver,
    atOnce: boolean,
    isIt: (run: RunEntry) => boolean,
    signal: AbortSignal | undefined,
  ): Promise<RunRecord | undefined> {
    if (driver.busy) return undefined;
    driver.busy = true;
    const stop = new AbortController();
    const unlink = link(signal, stop);
    const beside = new RunsBeside();
    stop.signal.addEventListener("abort", () => driver.askToStop("stopped"), { once: true });
    try {
      const end = await driver.turn({ signal: stop.signal, beside, looks: !atOnce }, atOnce).finally(() => (driver.busy = false));
      const entry = [...end.ran, ...(await beside.settled())].find((run) => isIt(run));
      if (entry === undefined && end.error !== undefined) throw end.error;
      return entry && toRunRecord(driver.task.name, entry);
    } finally {
      unlink();
      this.#engine?.wake();
    }
  }

  /** Nodes claim no tick of it any more; a run that is under way goes on. @throws StoreUnavailableError when it is not known to be done. */
  async pause(task: Names<T>): Promise<void> {
    await this.#change(task, (now) => ({ ...now, paused: true }));
  }

  /** Nodes claim its ticks again, from now on: what was due meanwhile is left out. */
  async unpause(task: Names<T>): Promise<void> {
    await this.#change(task, (now) => {
      const at = this.#store.time.estimateMs();
      return now.paused ? { ...now, paused: false, notBeforeMs: Math.max(now.notBeforeMs, at) } : now;
    });
  }

  /** What is under way, wherever, is told to stop within a renewal; of runs side by side all. @throws NotHeldError when nothing is. */
  async cancel(task: Names<T>): Promise<void> {
    const driver = this.#driver(task);
    const { name, key } = driver.task;
    const [look] = await lookAtTasks(this.#store, [{ name, key }], this.#config.timing.requestTimeoutMs);
    if (look?.status.error !== undefined) throw look.status.error;
    const running = look?.status.running ?? [];
    const [newest] = running;
    if (newest === undefined) throw new NotHeldError(`task "${name}" can't be cancelled: no run of it is under way`, { key });
    const places = running.flatMap(({ fencingToken }) => look?.places.get(fencingToken) ?? []);
    const at = places.length === 0 ? [key] : places.map((place) => placeKey(key, place));
    driver.cancelIfWanted(await changeControl(driver.controlContext, (now) => ({ ...now, cancel: newest.fencingToken }), at));
  }

  async #change(task: Names<T>, change: (now: Control) => Control): Promise<Control> {
    return await changeControl(this.#driver(task).controlContext, change);
  }

  /** No request. Red while a task can't be looked at or run. */
  health(): SchedulerHealth {
    const role = this.#engine === undefined ? "idle" : "scheduler";
    const ill = [...this.#drivers.values()].filter(({ trouble }) => trouble !== undefined && !(trouble instanceof StoreUnavailableError));
    const outage = [...this.#drivers.values()].filter(({ trouble }) => trouble !== undefined);
    // An outage that one look met is no illness; one that every task meets is.
    const shown = ill.length > 0 || outage.length < this.#drivers.size ? ill : outage;
    const error = this.#fatal ?? (shown[0]?.trouble as AnyConsensusError | undefined);
    return error === undefined ? { ok: true, role } : { ok: false, role, error, tasks: shown.map(({ task }) => task.name) };
  }

  /** Counters since this scheduler was made. Requests by kind are in `store.stats()`. */
  stats(): Stats {
    const sums: Record<string, number> = { ...this.#counts };
    for (const driver of this.#drivers.values())
      for (const [name, n] of Object.entries(driver.counters())) sums[name] = (sums[name] ?? 0) + n;
    return sums;
  }

  #driver(task: string): TaskDriver {
    const driver = this.#drivers.get(task);
    if (driver === undefined)
      throw new ConfigError("Scheduler", [`there is no task ${JSON.stringify(task)}; known are ${[...this.#drivers.keys()].join(", ")}`]);
    return driver;
  }
}
