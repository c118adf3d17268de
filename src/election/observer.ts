import { link, sleep } from "../clock/wait.ts";
import type { Clock } from "../clock/clock.ts";
import type { LeaderChange, LeaderWatch } from "./leader-watch.ts";

/** What an observer hears of the polling, beside the changes that the watch tells. */
interface Observer {
  /** The store answered, whatever it showed. */
  looked(): void;
  /** No further look can mend this. */
  failed(error: unknown): void;
}

/**
 * The polling behind `observe()`: one loop for all observers of a manager, which looks only while nobody else does. Its timers do not keep
 * the process alive (rule H8), and it never writes.
 */
export class ObserverLoop {
  readonly #clock: Clock;
  readonly #pollMs: number;
  /** Whether the store answered. */
  readonly #look: (signal: AbortSignal) => Promise<boolean>;
  readonly #isFollowed: () => boolean;
  readonly #observers = new Set<Observer>();
  #stop: AbortController | undefined;

  constructor(o: { readonly clock: Clock; readonly pollMs: number; look(signal: AbortSignal): Promise<boolean>; isFollowed(): boolean }) {
    this.#clock = o.clock;
    this.#pollMs = o.pollMs;
    this.#look = (signal) => o.look(signal);
    this.#isFollowed = () => o.isFollowed();
  }

  /** Whether it polls now, so that what is known is no older than a poll. */
  get runs(): boolean {
    return this.#stop !== undefined;
  }

  /** Returns the way out. */
  join(observer: Observer): () => void {
    this.#observers.add(observer);
    if (this.#stop === undefined) {
      this.#stop = new AbortController();
      void this.#run(this.#stop.signal);
    }
    return () => {
      this.#observers.delete(observer);
      if (this.#observers.size > 0) return;
      this.#stop?.abort();
      this.#stop = undefined;
    };
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (!this.#isFollowed()) {
        try {
          if (await this.#look(signal)) for (const observer of [...this.#observers]) observer.looked();
        } catch (error) {
          if (!signal.aborted) for (const observer of [...this.#observers]) observer.failed(error);
        }
      }
      await sleep(this.#clock, this.#pollMs, { signal });
    }
  }
}

/** `manager.observe()`: the present leader first, then each change; the newest wins when the reader is slow. */
export class LeaderObserver<M> implements AsyncIterableIterator<LeaderChange<M>> {
  readonly #watch: LeaderWatch<M>;
  readonly #signal: AbortSignal | undefined;
  readonly #over = new AbortController();
  readonly #cleanups: (() => void)[];
  /** There is something to tell that has not been told. */
  #fresh: boolean;
  #toldPresent = false;
  #failure: { readonly error: unknown } | undefined;
  /** Whoever awaits `next`; usually one, but nothing forbids several. */
  readonly #wakes = new Set<() => void>();

  constructor(watch: LeaderWatch<M>, loop: ObserverLoop, signal: AbortSignal | undefined, presentIsKnown: boolean) {
    this.#watch = watch;
    this.#signal = signal;
    this.#fresh = presentIsKnown;
    const notify = (): void => {
      for (const wake of this.#wakes) wake();
      this.#wakes.clear();
    };
    const unlisten = watch.listen(() => {
      this.#fresh = true;
      notify();
    });
    const leave = loop.join({
      looked: () => {
        // The present leader comes first, also when it is the one that was known before.
        this.#fresh ||= !this.#toldPresent;
        notify();
      },
      failed: (error) => {
        this.#failure = { error };
        notify();
      },
    });
    const unlink = link(signal, this.#over);
    this.#over.signal.addEventListener("abort", notify, { once: true });
    this.#cleanups = [unlisten, leave, unlink];
    if (signal?.aborted === true) this.#close();
  }

  async next(): Promise<IteratorResult<LeaderChange<M>>> {
    for (;;) {
      if (this.#failure !== undefined) {
        this.#close();
        throw this.#failure.error;
      }
      if (this.#signal?.aborted === true) {
        this.#close();
        throw this.#signal.reason;
      }
      if (this.#over.signal.aborted) return { done: true, value: undefined };
      if (this.#fresh) {
        this.#fresh = false;
        this.#toldPresent = true;
        return { done: false, value: { leader: this.#watch.last } };
      }
      await new Promise<void>((resolve) => this.#wakes.add(resolve));
    }
  }

  return(): Promise<IteratorResult<LeaderChange<M>>> {
    this.#close();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #close(): void {
    for (const cleanup of this.#cleanups.splice(0)) cleanup();
    this.#over.abort();
  }
}
