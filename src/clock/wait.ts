import { MAX_TIMER_MS, type Clock, type Random, type TimerHandle } from "./clock.ts";

export interface SleepOptions {
  /** Ends the sleep early. */
  readonly signal?: AbortSignal | undefined;
  /** Keeps the process alive meanwhile (rule H8). Default false. */
  readonly keepAlive?: boolean | undefined;
}

interface Listeners {
  readonly all: Set<() => void>;
  readonly onAbort: () => void;
}

const listenersAt = new WeakMap<AbortSignal, Listeners>();

/**
 * Calls `listener` when `signal` aborts; returns the undo. However many listen, one listener of this package is at the signal: a dozen calls at once
 * that share one of their caller's would look like a leak, and Node warns of it.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  let at = listenersAt.get(signal);
  if (at === undefined) {
    const all = new Set<() => void>();
    at = { all, onAbort: () => [...all].forEach((each) => all.has(each) && each()) };
    listenersAt.set(signal, at);
    signal.addEventListener("abort", at.onAbort, { once: true });
  }
  const { all, onAbort: together } = at;
  const own = (): void => listener();
  all.add(own);
  return () => {
    if (!all.delete(own) || all.size > 0) return;
    signal.removeEventListener("abort", together);
    listenersAt.delete(signal);
  };
}

/**
 * Resolves after `ms` on the monotonic clock with `true`, or with `false` as soon as `signal` aborts. Never rejects.
 * Sleeps in steps of at most `MAX_TIMER_MS`; any non-negative `ms` is allowed.
 */
export function sleep(clock: Clock, ms: number, options: SleepOptions = {}): Promise<boolean> {
  const { signal, keepAlive } = options;
  if (signal?.aborted === true) return Promise.resolve(false);
  const until = clock.monotonicMs() + ms;
  return new Promise((resolve) => {
    let timer: TimerHandle;
    const onAborted = (): void => finish(false);
    const finish = (full: boolean): void => {
      timer.cancel();
      signal?.removeEventListener("abort", onAborted);
      resolve(full);
    };
    const step = (): void => {
      const left = until - clock.monotonicMs();
      if (left <= 0) return finish(true);
      timer = clock.setTimer(Math.min(left, MAX_TIMER_MS), step, { keepAlive });
    };
    timer = clock.setTimer(Math.min(Math.max(0, ms), MAX_TIMER_MS), step, { keepAlive });
    signal?.addEventListener("abort", onAborted, { once: true });
  });
}

/**
 * Aborts `controller` when `parent` does, with the same reason; returns the undo. `AbortSignal.any` leaks about 1.2 kB for each call on a
 * long-lived parent, so this is used instead, always with its undo in a `finally`.
 */
export function link(parent: AbortSignal | undefined, controller: AbortController): () => void {
  if (parent === undefined) return () => {};
  if (parent.aborted) {
    controller.abort(parent.reason);
    return () => {};
  }
  return onAbort(parent, () => controller.abort(parent.reason));
}

/** So many signals that abort when `parent` does, for as many requests at once. Returns them with the undo. */
export function fanOut(
  parent: AbortSignal | undefined,
  count: number,
): { readonly signals: readonly AbortSignal[]; readonly undo: () => void } {
  const controllers = Array.from({ length: count }, () => new AbortController());
  const all = new AbortController();
  all.signal.addEventListener("abort", () => controllers.forEach((each) => each.abort(all.signal.reason)), { once: true });
  const undo = link(parent, all);
  return { signals: controllers.map(({ signal }) => signal), undo };
}

/** Full jitter: a delay anywhere in (0, min(cap, base · 2^attempt)], so that many who failed together do not come back together (rule W5). */
export function backoffMs(random: Random, attempt: number, baseMs: number, capMs: number): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 20));
  return Math.max(1, ceiling * (1 - random.unit()));
}

/** A fresh identifier: `length` random bytes in hexadecimal. */
export function freshId(random: Random, length = 16): string {
  return Array.from(random.bytes(length), (b) => b.toString(16).padStart(2, "0")).join("");
}
