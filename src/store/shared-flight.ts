import { onAbort } from "../clock/wait.ts";

/**
 * One run of something for all who ask meanwhile. Each waits with its own signal; the run is given up when the last of them has gone. A good
 * result is kept, a bad one is not.
 */
interface Flight<T> {
  readonly done: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
}

export class SharedFlight<T> {
  readonly #start: (signal: AbortSignal) => Promise<T>;
  #flight: Flight<T> | undefined;
  #kept: { readonly value: T } | undefined;

  constructor(start: (signal: AbortSignal) => Promise<T>) {
    this.#start = start;
  }

  /** The good result that is kept. */
  get kept(): T | undefined {
    return this.#kept?.value;
  }

  async join(signal: AbortSignal | undefined): Promise<T> {
    signal?.throwIfAborted();
    if (this.#kept !== undefined) return this.#kept.value;
    const flight = (this.#flight ??= this.#begin());
    flight.waiting++;
    try {
      return await untilAborted(flight.done, signal);
    } finally {
      flight.waiting--;
      if (flight.waiting === 0 && this.#flight === flight) {
        this.#flight = undefined;
        flight.controller.abort(new Error("nobody waits for it any more"));
      }
    }
  }

  #begin(): Flight<T> {
    const controller = new AbortController();
    const done = this.#start(controller.signal);
    const flight = { done, controller, waiting: 0 };
    done.then(
      (value) => {
        this.#kept = { value };
      },
      () => {
        if (this.#flight === flight) this.#flight = undefined;
      },
    );
    return flight;
  }
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const unheard = onAbort(signal, () => reject(signal.reason as Error));
    promise.then(resolve, reject).finally(unheard);
  });
}
