/**
 * Running promise continuations to their end between two events. Virtual time may move on only when nothing is left to run in this instant.
 *
 * `portable` waits for one `setImmediate`, which Node calls after every microtask and `process.nextTick`. `fast` asks V8 to run its microtasks
 * now, seven times as quick, but it works only from a macrotask, leaves `process.nextTick` callbacks for later, and needs a V8 native that is
 * not promised to anybody. Both give the same history; the tests compare the hashes.
 */
import { setImmediate } from "node:timers";
import { setFlagsFromString } from "node:v8";

export type DrainKind = "portable" | "fast";

let checkpoint: (() => void) | undefined | null = null;

/** V8's microtask checkpoint, or `undefined` where this runtime does not have it or it does not do its work. */
export function microtaskCheckpoint(): (() => void) | undefined {
  if (checkpoint !== null) return checkpoint;
  try {
    setFlagsFromString("--allow-natives-syntax");
    // The name of a V8 intrinsic is no JavaScript, so this module could not be parsed with it in its own text.
    // oxlint-disable-next-line typescript/no-implied-eval
    checkpoint = new Function("%PerformMicrotaskCheckpoint()") as () => void;
    // Compiled at its first call, which has to happen while the flag is set.
    checkpoint();
  } catch {
    checkpoint = undefined;
  } finally {
    try {
      setFlagsFromString("--no-allow-natives-syntax");
    } catch {
      // A runtime without V8 flags has the portable way only.
    }
  }
  return checkpoint;
}

/** Whether `checkpoint` does its work here. Only a macrotask may ask, because V8 runs no microtasks while it is running one. */
export function drainsNow(checkpoint: () => void): boolean {
  let ran = false;
  void Promise.resolve().then(() => (ran = true));
  checkpoint();
  return ran;
}

/** Calls `fn` as a macrotask of its own, after everything that is already waiting to run. */
export function macrotask(fn: () => void): void {
  setImmediate(fn);
}

/** Resolves when all microtasks and `process.nextTick` callbacks have run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
