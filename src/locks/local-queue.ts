import type { Clock } from "../clock/clock.ts";
import { onAbort, sleep } from "../clock/wait.ts";

/** How many callers of one process may wait for one key. */
const MAX_WAITERS = 10_000;

/** The right to ask the store for a key: one caller of this process has it at a time, from before it contends until it holds the key no more. */
export interface Turn {
  /** The caller knows who holds the key, or has it: who would not wait need not wait for that any longer. */
  tell(): void;
  /** Gives the turn to the next in the queue. A second call does nothing. */
  leave(): void;
}

interface Waiter {
  /** Would rather be refused than wait: it only waits to be told who holds the key. */
  readonly impatient: boolean;
  give(turn: Turn | undefined): void;
}

interface Place {
  readonly waiters: Set<Waiter>;
  told: boolean;
}

/**
 * The callers of one process queue here, in order, and cost the store nothing. A key that nobody wants takes no memory, and neither does a caller who
 * gave up.
 */
export class LocalQueue {
  readonly #clock: Clock;
  readonly #places = new Map<string, Place>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many keys somebody of this process has a turn at. */
  get size(): number {
    return this.#places.size;
  }

  /**
   * @param waitMs 0 waits for nobody's release, but for the news who holds the key.
   * @returns `undefined` when the wait is over, or the queue is full.
   * @throws the reason of `signal`.
   */
  enter(key: string, waitMs: number, signal: AbortSignal): Promise<Turn | undefined> {
    signal.throwIfAborted();
    const place = this.#places.get(key);
    if (place === undefined) {
      const made: Place = { waiters: new Set(), told: false };
      this.#places.set(key, made);
      return Promise.resolve(this.#turn(key, made));
    }
    const impatient = waitMs <= 0;
    if ((impatient && place.told) || place.waiters.size >= MAX_WAITERS) return Promise.resolve(undefined);
    return this.#wait(place, impatient ? undefined : waitMs, signal);
  }

  #wait(place: Place, waitMs: number | undefined, signal: AbortSignal): Promise<Turn | undefined> {
    return new Promise((resolve, reject) => {
      const timer = new AbortController();
      const cleanUp = (): void => {
        place.waiters.delete(waiter);
        unheard();
        timer.abort();
      };
      const waiter: Waiter = {
        impatient: waitMs === undefined,
        give: (turn) => {
          cleanUp();
          resolve(turn);
        },
      };
      place.waiters.add(waiter);
      const unheard = onAbort(signal, () => {
        cleanUp();
        reject(signal.reason as Error);
      });
      if (waitMs !== undefined)
        void sleep(this.#clock, waitMs, { signal: timer.signal, keepAlive: true }).then((full) => {
          if (full) waiter.give(undefined);
        });
    });
  }

  #turn(key: string, place: Place): Turn {
    let left = false;
    return {
      tell: () => {
        if (left || place.told) return;
        place.told = true;
        for (const waiter of [...place.waiters]) if (waiter.impatient) waiter.give(undefined);
      },
      leave: () => {
        if (left) return;
        left = true;
        place.told = false;
        for (const next of place.waiters) return next.give(this.#turn(key, place));
        this.#places.delete(key);
      },
    };
  }
}

const byStore = new WeakMap<object, LocalQueue>();

/** The one queue of a store object: shared by everything that locks on it in this process. */
export function localQueueOf(store: { readonly clock: Clock }): LocalQueue {
  let queue = byStore.get(store);
  if (queue === undefined) byStore.set(store, (queue = new LocalQueue(store.clock)));
  return queue;
}
