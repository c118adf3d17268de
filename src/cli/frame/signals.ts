/** Ctrl-C and its like: once is an orderly end, twice is an end at once; a command that runs a program hands them on to it. */
import { setMaxListeners } from "node:events";
import process from "node:process";
import { EXIT, signalStatus } from "./exit-codes.ts";

/** What a program of ours may be told by signal. The terminal's stop and the size of its window reach the child from the terminal itself. */
export const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;
export type Forwarded = (typeof FORWARDED)[number];

const ENDING: readonly Forwarded[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];

export class Interruption extends Error {
  readonly signal: Forwarded;

  constructor(signal: Forwarded) {
    super(`${signal} received`);
    this.signal = signal;
  }
}

/** The status of a command that runs until it is told to end: 128 + the signal that did; 0 when its own end came first. */
export function statusOfStop(stop: AbortSignal): number {
  return stop.reason instanceof Interruption ? signalStatus(stop.reason.signal) : EXIT.ok;
}

export class Signals {
  readonly #stop = new AbortController();
  #diverted: ((signal: Forwarded) => void) | undefined;

  constructor() {
    // Many requests at once listen to it; that is no leak.
    setMaxListeners(0, this.#stop.signal);
    for (const name of ENDING) process.on(name, () => this.#take(name));
  }

  /** Aborts at the first signal that nobody diverted, with an `Interruption`. */
  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  /** From here on they go to `handler` alone, until the returned undo is called. */
  divert(handler: (signal: Forwarded) => void): () => void {
    const rest = FORWARDED.filter((name) => !ENDING.includes(name));
    const take = rest.map((name) => [name, () => this.#take(name)] as const);
    for (const [name, fn] of take) process.on(name, fn);
    this.#diverted = handler;
    return () => {
      this.#diverted = undefined;
      for (const [name, fn] of take) process.off(name, fn);
    };
  }

  #take(name: Forwarded): void {
    if (this.#diverted !== undefined) return this.#diverted(name);
    if (this.#stop.signal.aborted) process.exit(signalStatus(name));
    this.#stop.abort(new Interruption(name));
  }
}
