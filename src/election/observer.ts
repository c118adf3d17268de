import { link, sleep } from "../clock/wait.ts";
import type { Clock } from "../clock/clock.ts";
import type { LeaderChange, LeaderWatch } from "./leader-watch.ts";

/**
 * The polling behind `observe()`: one loop for all observers of a manager, which looks only while nobody else does. Its timers do not keep
 * the process alive (rule H8), and it never writes.
 */
export class ObserverLoop {
  readonly #clock: Clock;
  readonly #pollMs: number;
  readonly #look: (signal: AbortSignal) => Promise<void>;
  readonly #isFollowed: () => boolean;
  readonly #observers = new Set<(error: unknown) => void>();
  #stop: AbortController | undefined;

  constructor(o: { readonly clock: Clock; readonly pollMs: number; look(signal: AbortSignal): Promise<void>; isFollowed(): boolean }) {
    this.#clock = o.clock;
    this.#pollMs = o.pollMs;
    this.#look = (signal) => o.look(signal);
    this.#isFollowed = () => o.isFollowed();
  }

  /** Joins; `onError` hears what no further look can mend. Returns the way out. */
  join(onError: (error: unknown) => void): () => void {
    this.#observers.add(onError);
    if (this.#stop === undefined) {
      this.#stop = new AbortController();
      void this.#run(this.#stop.signal);
    }
    return () => {
      this.#observers.delete(onError);
      if (this.#observers.size > 0) return;
      this.#stop?.abort();
      this.#stop = undefined;
    };
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (!this.#isFollowed()) {
        try {
          await this.#look(signal);
        } catch (error) {
          if (!signal.aborted) for (const fail of [...this.#observers]) fail(error);
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
  #fresh: boolean;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(watch: LeaderWatch<M>, loop: ObserverLoop, signal: AbortSignal | undefined, presentIsKnown: boolean) {
    this.#watch = watch;
    this.#signal = signal;
    this.#fresh = presentIsKnown;
    const notify = (): void => this.#wake?.();
    const unlisten = watch.listen(() => {
      this.#fresh = true;
      notify();
    });
    const leave = loop.join((error) => {
      this.#failure = { error };
      notify();
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
        return { done: false, value: { leader: this.#watch.last } };
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
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
