import type { Clock, Random, TimerHandle } from "./clock.ts";

// Captured at import: a test framework's fake timers, installed later, must not freeze a lease that a real server believes in.
const now: () => number = performance.now.bind(performance);
const wallNow: () => number = Date.now.bind(Date);
const { setTimeout, clearTimeout } = globalThis;

export const systemClock: Clock = {
  monotonicMs: now,
  wallMs: wallNow,
  setTimer(delayMs, fn, options): TimerHandle {
    const timer: unknown = setTimeout(fn, Math.max(0, Math.ceil(delayMs)));
    // Runtimes other than Node return a number, which has nothing to unref.
    if (options?.keepAlive !== true) (timer as { unref?: () => void }).unref?.();
    return { cancel: () => clearTimeout(timer as NodeJS.Timeout) };
  },
};

export const systemRandom: Random = {
  // Not randomUUID: Node caches its entropy, and a cloned VM or a restored snapshot would repeat it (rule H9).
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  unit: () => Math.random(),
};
