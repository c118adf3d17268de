import type { Clock, TimerHandle } from "../../src/clock/clock.ts";

interface Timer {
  readonly dueMs: number;
  readonly fn: () => void;
}

/** Time that passes only when nothing else is left to do. */
export class VirtualClock implements Clock {
  #nowMs = 1_000;
  #timers: Timer[] = [];

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_767_225_600_000 + this.#nowMs;
  }

  setTimer(delayMs: number, fn: () => void): TimerHandle {
    // Whole milliseconds, as real timers have: a rest too small to move the time would be waited for in vain.
    const timer = { dueMs: Math.ceil(this.#nowMs + Math.max(0, delayMs)), fn };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((t) => t !== timer);
      },
    };
  }

  /** Lets time pass until `promise` has settled. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const mark = (): void => {
      settled = true;
    };
    promise.then(mark, mark);
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (settled) return await promise;
      const next = this.#timers.reduce<Timer | undefined>((a, b) => (a === undefined || b.dueMs < a.dueMs ? b : a), undefined);
      if (next === undefined) throw new Error("nothing is left that could settle it");
      this.#timers = this.#timers.filter((t) => t !== next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.fn();
    }
  }

  /** Lets `ms` pass. */
  async advance(ms: number): Promise<void> {
    await this.run(new Promise<void>((resolve) => this.setTimer(ms, resolve)));
  }
}
