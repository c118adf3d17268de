/**
 * True time, and what happens in it. A world takes the next event from its heap, applies it, lets all promise continuations run, calls the
 * checks, and goes on; no real time and no real randomness is in it, so the same seed gives the same history, event for event.
 */
import { drainsNow, macrotask, microtaskCheckpoint, settled, type DrainKind } from "./drain.ts";
import { EventHeap, type SimEvent } from "./event-heap.ts";
import { RunningHash } from "./keyed-random.ts";

export interface WorldOptions {
  /** Names the history: the same seed, options and program give the same one. A whole number. */
  readonly seed: number;
  /** How promises are run to their end. Default "portable". "fast" falls back to it where the runtime can't. */
  readonly drain?: DrainKind | undefined;
  /** Wall time of all clocks at the beginning, in milliseconds since 1970. Default 2026-01-01. */
  readonly startWallMs?: number | undefined;
  /** Called with each line of the event log. Default: lines are hashed and forgotten. */
  readonly trace?: ((line: string) => void) | undefined;
}

/** So many events run before the process may do anything else (signals, timers of a test runner, reports of unhandled rejections). */
const EVENTS_AT_A_TIME = 2_000;

const NEW_YEAR_2026 = 1_767_225_600_000;

export class World {
  readonly seed: number;
  readonly startWallMs: number;
  readonly #heap = new EventHeap();
  readonly #hash: RunningHash;
  #checkpoint: (() => void) | undefined;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #checks: (() => void)[] = [];
  #nowMs = 0;
  #sequence = 0;
  #events = 0;
  #failure: { readonly error: unknown } | undefined;
  #running = false;

  constructor(options: WorldOptions) {
    if (!Number.isSafeInteger(options.seed)) throw new TypeError(`seed: ${options.seed} is not a whole number`);
    this.seed = options.seed;
    this.startWallMs = options.startWallMs ?? NEW_YEAR_2026;
    this.#hash = new RunningHash(options.seed);
    this.#checkpoint = options.drain === "fast" ? microtaskCheckpoint() : undefined;
    this.#trace = options.trace;
  }

  /** True time since the beginning, in milliseconds. No node ever sees it. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many events have happened. */
  get events(): number {
    return this.#events;
  }

  get isTraced(): boolean {
    return this.#trace !== undefined;
  }

  /** The hash of the whole history so far. */
  get hash(): string {
    return this.#hash.digest();
  }

  /** Called after every event, when all continuations have run; what it throws ends the run. */
  addCheck(check: () => void): void {
    this.#checks.push(check);
  }

  schedule(atMs: number, run: () => void): SimEvent {
    const event: SimEvent = { atMs: Math.max(atMs, this.#nowMs), sequence: this.#sequence++, run, cancelled: false };
    this.#heap.push(event);
    return event;
  }

  /** Adds a line to the history. `detail` is hashed too; `more` is only for people who read a trace, and is not made without one. */
  log(kind: string, where: string, detail: number | string = 0, more?: () => string): void {
    this.#hash.number(this.#nowMs).text(kind).text(where);
    if (typeof detail === "number") this.#hash.number(detail);
    else this.#hash.text(detail);
    if (this.#trace === undefined) return;
    const tail = more === undefined ? "" : ` ${more()}`;
    this.#trace(`${this.#nowMs.toFixed(3).padStart(14)} ${where.padEnd(6)} ${kind} ${detail}${tail}`);
  }

  /** Ends the run with this error as soon as the present event is over. The first one counts. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /**
   * Lets everything happen that is due until `untilMs` of true time, and stops there. Rejects with what a check, an event or `fail` said.
   * `stop`, asked after every event, ends it earlier.
   */
  async runUntil(untilMs: number, stop?: () => boolean): Promise<void> {
    if (this.#running) throw new Error("the world is running already: await the earlier call first");
    this.#running = true;
    try {
      if (this.#checkpoint !== undefined) await this.#tryCheckpoint(this.#checkpoint);
      await settled();
      if (this.#checkpoint === undefined) await this.#runPortably(untilMs, stop);
      else await this.#runFast(untilMs, stop, this.#checkpoint);
    } finally {
      this.#running = false;
    }
  }

  #tryCheckpoint(checkpoint: () => void): Promise<void> {
    return new Promise((resolve) => {
      macrotask(() => {
        if (!drainsNow(checkpoint)) this.#checkpoint = undefined;
        resolve();
      });
    });
  }

  async #runPortably(untilMs: number, stop: (() => boolean) | undefined): Promise<void> {
    for (;;) {
      this.#afterEvent();
      if (stop?.() === true || !this.#applyNext(untilMs)) return;
      await settled();
    }
  }

  async #runFast(untilMs: number, stop: (() => boolean) | undefined, checkpoint: () => void): Promise<void> {
    let more = true;
    while (more) {
      // A macrotask of its own, because V8 runs no microtasks while it is running one.
      more = await new Promise<boolean>((resolve, reject) => {
        macrotask(() => {
          try {
            resolve(this.#runSome(untilMs, stop, checkpoint));
          } catch (error) {
            // As it was thrown.
            // oxlint-disable-next-line typescript/prefer-promise-reject-errors
            reject(error);
          }
        });
      });
    }
    await settled();
    this.#throwFailure();
  }

  /** Whether there is more to do. */
  #runSome(untilMs: number, stop: (() => boolean) | undefined, checkpoint: () => void): boolean {
    for (let i = 0; i < EVENTS_AT_A_TIME; i++) {
      this.#afterEvent();
      if (stop?.() === true || !this.#applyNext(untilMs)) return false;
      checkpoint();
    }
    return true;
  }

  #applyNext(untilMs: number): boolean {
    const event = this.#heap.peek();
    if (event === undefined || event.atMs > untilMs) {
      this.#nowMs = Math.max(this.#nowMs, untilMs);
      return false;
    }
    this.#heap.pop();
    this.#nowMs = event.atMs;
    this.#events++;
    event.run();
    return true;
  }

  #afterEvent(): void {
    this.#throwFailure();
    for (const check of this.#checks) check();
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
