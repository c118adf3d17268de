/**
 * A machine with clocks of its own and, on it, one process after another.
 *
 * Its clocks are piecewise linear in true time: a rate for both, steps for the wall clock. *Paused* (SIGSTOP): the clocks run on, nothing else
 * does, and what fell due in the meantime runs in a row afterwards. *Frozen* (a suspended machine, a frozen function): the monotonic clock
 * stands still as well, the wall clock runs. *Crashed*: the process is gone, its timers and answers with it; what was sent still travels.
 */
import type { Clock, Random, TimerHandle } from "../../clock/clock.ts";
import type { SimEvent } from "./event-heap.ts";
import { exponential, KeyedRandom } from "./keyed-random.ts";
import type { World } from "./world.ts";

/** In which order the things that waited for a paused process run afterwards. Node itself does either, it depends on where it was stopped. */
export type WakeOrder = "timers-first" | "answers-first" | "as-they-came";

export interface NodeOptions {
  /** By how much the wall clock is off at the beginning, in milliseconds. Default 0. */
  readonly wallOffsetMs?: number | undefined;
  /** How fast both clocks run. Default 1. */
  readonly rate?: number | undefined;
  /** Mean lateness of a timer, in milliseconds. Default 0.2. */
  readonly timerLagMs?: number | undefined;
  /** How early a timer may fire, as real ones do by a fraction of a millisecond. Default 0. */
  readonly timerEarlyMs?: number | undefined;
}

interface Timer {
  readonly dueMs: number;
  readonly fn: () => void;
  readonly keepAlive: boolean;
  event: SimEvent | undefined;
  live: boolean;
}

interface Waiting {
  readonly what: "timer" | "answer";
  readonly run: () => void;
}

export class SimNode {
  readonly name: string;
  readonly world: World;
  readonly #options: NodeOptions;
  #sinceTrueMs: number;
  #monotonicMs = 0;
  #wallMs: number;
  readonly #rates: { readonly rate: number }[] = [];
  #pauses = 0;
  #freezes = 0;
  #wakeOrder: WakeOrder = "as-they-came";
  #waiting: Waiting[] = [];
  #process: SimProcess;
  #clocksPartedAtMs: number | undefined;

  constructor(world: World, name: string, options: NodeOptions = {}) {
    this.world = world;
    this.name = name;
    this.#options = options;
    this.#sinceTrueMs = world.nowMs;
    this.#wallMs = world.startWallMs + world.nowMs + (options.wallOffsetMs ?? 0);
    this.#process = new SimProcess(this, 1, this.#options);
  }

  /** The process that runs on this machine now, or ran last. */
  get process(): SimProcess {
    return this.#process;
  }

  get isRunning(): boolean {
    return this.#pauses === 0 && this.#freezes === 0 && this.#process.isAlive;
  }

  /** Milliseconds since this machine started, on its monotonic clock. */
  monotonicMs(): number {
    return this.#monotonicMs + (this.world.nowMs - this.#sinceTrueMs) * this.#monotonicRate();
  }

  /** Whole milliseconds since 1970, as this machine believes. */
  wallMs(): number {
    return Math.floor(this.#exactWallMs());
  }

  /** When the two clocks of this machine last moved apart, on its monotonic clock: a step of the wall clock, or a freeze. */
  get clocksPartedAtMs(): number | undefined {
    return this.#freezes > 0 ? this.monotonicMs() : this.#clocksPartedAtMs;
  }

  /** The true time at which the monotonic clock will show `monotonicMs`, if nothing changes; `undefined` while it stands still. */
  trueAt(monotonicMs: number): number | undefined {
    const rate = this.#monotonicRate();
    return rate === 0 ? undefined : this.#sinceTrueMs + (monotonicMs - this.#monotonicMs) / rate;
  }

  /** Runs both clocks at `rate` until the answer is called. With several at a time the last one given counts. */
  pushRate(rate: number): () => void {
    const entry = { rate };
    this.#change(() => this.#rates.push(entry));
    this.world.log("clock-rate", this.name, rate);
    return () => {
      this.#change(() => this.#rates.splice(this.#rates.indexOf(entry), 1));
      this.world.log("clock-rate", this.name, this.#rate());
    };
  }

  stepWall(byMs: number): void {
    this.#change(() => (this.#wallMs += byMs));
    this.#clocksPartedAtMs = this.monotonicMs();
    this.world.log("wall-step", this.name, byMs);
  }

  /** Stops the process with its clocks running, until the answer is called. */
  pause(order: WakeOrder = "as-they-came"): () => void {
    this.#pauses++;
    this.#wakeOrder = order;
    this.world.log("pause", this.name);
    return once(() => {
      this.#pauses--;
      this.#wakeUp("resume");
    });
  }

  /** Stops the process and its monotonic clock, until the answer is called. */
  freeze(order: WakeOrder = "as-they-came"): () => void {
    this.#change(() => this.#freezes++);
    this.#wakeOrder = order;
    this.world.log("freeze", this.name);
    return once(() => {
      this.#change(() => this.#freezes--);
      this.#clocksPartedAtMs = this.monotonicMs();
      this.#wakeUp("thaw");
    });
  }

  /** Ends the process without a word. */
  crash(): void {
    if (!this.#process.isAlive) return;
    this.world.log("crash", this.name);
    this.#process.kill();
    this.#waiting = [];
  }

  /** Starts the next process on this machine, under the same name. Its monotonic clock starts anew. */
  restart(): SimProcess {
    this.crash();
    this.#change(() => (this.#monotonicMs = 0));
    this.#clocksPartedAtMs = undefined;
    this.#process = new SimProcess(this, this.#process.generation + 1, this.#options);
    this.world.log("restart", this.name, this.#process.generation);
    return this.#process;
  }

  /** Runs `run` as soon as this machine runs, if it is still the same process then. */
  deliver(to: SimProcess, what: Waiting["what"], run: () => void): void {
    if (to !== this.#process || !to.isAlive) return;
    if (this.#pauses > 0 || this.#freezes > 0) this.#waiting.push({ what, run });
    else run();
  }

  #exactWallMs(): number {
    return this.#wallMs + (this.world.nowMs - this.#sinceTrueMs) * this.#rate();
  }

  #rate(): number {
    return this.#rates.at(-1)?.rate ?? this.#options.rate ?? 1;
  }

  #monotonicRate(): number {
    return this.#freezes > 0 ? 0 : this.#rate();
  }

  /** Changes a clock at this instant: what it showed so far stays, and timers are set anew by what it will show. */
  #change(apply: () => void): void {
    this.#monotonicMs = this.monotonicMs();
    this.#wallMs = this.#exactWallMs();
    this.#sinceTrueMs = this.world.nowMs;
    apply();
    this.#process.rearm();
  }

  /** Everything that waited gets an event of its own, so that the continuations of one run before the next, as in a real event loop. */
  #wakeUp(kind: string): void {
    this.world.log(kind, this.name);
    if (this.#pauses > 0 || this.#freezes > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    const process = this.#process;
    for (const item of inOrder(waiting, this.#wakeOrder)) {
      this.world.schedule(this.world.nowMs, () => this.deliver(process, item.what, item.run));
    }
  }
}

function inOrder(waiting: readonly Waiting[], order: WakeOrder): readonly Waiting[] {
  if (order === "as-they-came") return waiting;
  const first = order === "timers-first" ? "timer" : "answer";
  return [...waiting.filter((w) => w.what === first), ...waiting.filter((w) => w.what !== first)];
}

function once(fn: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    fn();
  };
}

/** One life of a process: the clock and the randomness that its code gets, and what ends with it. */
export class SimProcess {
  readonly node: SimNode;
  /** 1 for the first process of a machine. */
  readonly generation: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Requests sent so far; with the node and the generation it names a request. */
  requests = 0;
  /** Requests that have not been answered or given up. */
  inFlight = 0;
  readonly #timers = new Set<Timer>();
  #keeping = 0;
  readonly #lag: KeyedRandom;
  readonly #options: NodeOptions;
  #alive = true;

  constructor(node: SimNode, generation: number, options: NodeOptions) {
    this.node = node;
    this.generation = generation;
    this.#options = options;
    this.random = new KeyedRandom(node.world.seed, "process", node.name, generation);
    this.#lag = new KeyedRandom(node.world.seed, "timer", node.name, generation);
    this.clock = {
      monotonicMs: () => node.monotonicMs(),
      wallMs: () => node.wallMs(),
      setTimer: (delayMs, fn, timerOptions) => this.#setTimer(delayMs, fn, timerOptions?.keepAlive === true),
    };
  }

  get isAlive(): boolean {
    return this.#alive;
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** Whether the runtime would let this process go on: a timer that keeps it, or a request on its way (rule H8). */
  get isKeptAlive(): boolean {
    return this.inFlight > 0 || this.#keeping > 0;
  }

  kill(): void {
    this.#alive = false;
    for (const timer of this.#timers) this.#forget(timer);
  }

  /** Sets the events of all timers anew, after the clock changed. */
  rearm(): void {
    for (const timer of this.#timers) {
      if (timer.event !== undefined) timer.event.cancelled = true;
      this.#arm(timer);
    }
  }

  #setTimer(delayMs: number, fn: () => void, keepAlive: boolean): TimerHandle {
    if (!this.#alive) return { cancel: () => {} };
    const { timerLagMs = 0.2, timerEarlyMs = 0 } = this.#options;
    // Both draws are made whatever the options, so that one option does not move the other's draws.
    const late = exponential(this.#lag.unit(), timerLagMs);
    const early = this.#lag.unit() * timerEarlyMs;
    const dueMs = this.node.monotonicMs() + Math.max(0, Math.max(1, delayMs) + late - early);
    const timer: Timer = { dueMs, fn, keepAlive, event: undefined, live: true };
    this.#timers.add(timer);
    if (keepAlive) this.#keeping++;
    this.#arm(timer);
    return { cancel: () => this.#forget(timer) };
  }

  #arm(timer: Timer): void {
    const at = this.node.trueAt(timer.dueMs);
    timer.event = at === undefined ? undefined : this.node.world.schedule(at, () => this.#due(timer));
  }

  #due(timer: Timer): void {
    this.node.deliver(this, "timer", () => {
      if (!timer.live) return;
      this.#forget(timer);
      this.node.world.log("timer", this.node.name);
      try {
        timer.fn();
      } catch (error) {
        // What a real process would die of.
        this.node.world.fail(error);
      }
    });
  }

  #forget(timer: Timer): void {
    if (!timer.live) return;
    timer.live = false;
    if (timer.keepAlive) this.#keeping--;
    if (timer.event !== undefined) timer.event.cancelled = true;
    this.#timers.delete(timer);
  }
}
