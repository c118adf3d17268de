/** The loop behind `run`: sleeps to the next look of any task, lets drivers take their turns, and drains at the end. */
import type { Clock } from "../clock/clock.ts";
import { sleep } from "../clock/wait.ts";
import { WorkNotStoppedError } from "../errors.ts";
import type { SchedulerConfig } from "./options.ts";
import type { StoreTime } from "./store-time.ts";
import type { Beside } from "./beside.ts";
import type { TaskDriver } from "./task-driver.ts";

export interface EngineContext {
  readonly config: SchedulerConfig;
  readonly clock: Clock;
  readonly time: StoreTime;
  readonly drivers: readonly TaskDriver[];
}

/** The longest sleep: a suspended machine, or a clock that was set, is noticed this soon. */
const MAX_SLEEP_MS = 30_000;
/** How often a follower of the gate looks whether it leads, while ticks are due. */
const GATE_POLL_MS = 1_000;

export class Engine {
  readonly #context: EngineContext;
  #wake = new AbortController();
  #running = 0;
  readonly #turns = new Set<Promise<void>>();
  /** One for each turn: hundreds of requests that listen to one signal would look like a leak to Node. */
  readonly #stops = new Set<AbortController>();

  constructor(context: EngineContext) {
    this.#context = context;
  }

  /** Has work that was not expected, or room for more. */
  wake(): void {
    this.#wake.abort();
  }

  /** Runs until `signal` aborts, and then until everything that it started has ended. @throws WorkNotStoppedError; what can't be waited out. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#context;
    const wake = (): void => this.wake();
    signal.addEventListener("abort", wake, { once: true });
    const failed: unknown[] = [];
    try {
      for (;;) {
        if (signal.aborted || failed.length > 0) break;
        this.#wake = new AbortController();
        const pauseMs = this.#startDue(failed);
        await sleep(clock, pauseMs, { signal: this.#wake.signal, keepAlive: true });
      }
    } finally {
      signal.removeEventListener("abort", wake);
    }
    await this.#drain();
    if (failed.length > 0) throw failed[0];
  }

  /** Starts the turns that are due; @returns how long nothing else will be. */
  #startDue(failed: unknown[]): number {
    const { config, time, drivers } = this.#context;
    const isKnown = time.now() !== undefined;
    const nowMs = time.wakeMs();
    // Where the store's time is not known (at the start, or when the clocks have parted) one look tells it; one that has failed waits its time.
    const teller = !isKnown && !drivers.some((d) => d.busy || d.trouble !== undefined) ? drivers[0] : undefined;
    let nextMs = MAX_SLEEP_MS;
    for (const driver of drivers) {
      const idleMs = driver.idleMs(nowMs);
      if (driver.busy || idleMs === undefined) continue;
      const leftMs = driver === teller ? 0 : idleMs;
      if (leftMs > 0) nextMs = Math.min(nextMs, leftMs);
      else if (config.gate?.isLeader() === false) nextMs = Math.min(nextMs, GATE_POLL_MS);
      else if (this.#running >= config.concurrency) return MAX_SLEEP_MS;
      else this.#start(driver, failed);
      if (driver === teller && driver.busy) break;
    }
    return Math.max(1, Math.ceil(nextMs));
  }

  #start(driver: TaskDriver, failed: unknown[]): void {
    const stop = new AbortController();
    this.#stops.add(stop);
    driver.busy = true;
    const turn = driver.turn({ signal: stop.signal, beside: this.#beside(failed) }).then((end) => {
      const { error } = end;
      // Waiting mends neither, and nothing of this process would ever run.
      if (error?.code === "STORE_UNSAFE") failed.push(error);
    });
    this.#count(turn, failed, () => {
      driver.busy = false;
      this.#stops.delete(stop);
    });
  }

  /** Runs that go on beside the turn that began them count as much as it does; the turn itself is none of them. */
  #beside(failed: unknown[]): Beside {
    return {
      isFull: () => this.#running > this.#context.config.concurrency,
      add: (run) => this.#count(run, failed),
    };
  }

  #count(work: Promise<unknown>, failed: unknown[], after?: () => void): void {
    this.#running += 1;
    const counted = work
      .catch((e: unknown) => {
        failed.push(e);
      })
      .then(() => {
        after?.();
        this.#running -= 1;
        this.#turns.delete(counted);
        this.wake();
      });
    this.#turns.add(counted);
  }

  /** Nothing is claimed any more; what runs is told to stop, and keeps its lease until it has. */
  async #drain(): Promise<void> {
    const { config, clock, drivers } = this.#context;
    for (const stop of this.#stops) stop.abort();
    for (const driver of drivers) driver.askToStop("stopped");
    const timer = new AbortController();
    const over = sleep(clock, config.drainMs, { signal: timer.signal, keepAlive: true }).then(() => "over" as const);
    const settled = Promise.all(this.#turns).then(() => "settled" as const);
    const end = await Promise.race([over, settled]);
    timer.abort();
    if (end === "settled") return;
    const running = drivers.filter(({ performances }) => performances.size > 0);
    const [first] = running;
    // Only requests are left, each with a limit of its own. A claim that were given up now would be found abandoned, and its tick not run.
    if (first === undefined) return void (await settled);
    const names = running.map((d) => `"${d.task.name}"`).join(", ");
    throw new WorkNotStoppedError(
      `${names} had not stopped ${config.drainMs} ms after their signals aborted (drainMs). Their leases stay held until they do, or this process ends`,
      { key: first.task.key, waitedMs: config.drainMs },
    );
  }
}
