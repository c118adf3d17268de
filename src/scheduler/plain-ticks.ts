/** Ticks that know no zone: each so often, and at named instants. */
import { toIso } from "../clock/calendar.ts";
import type { TickText, TickTimes } from "./tick-times.ts";

/** `fromMs`, and each `everyMs` after it. */
export function everyTicks(everyMs: number, fromMs: number): TickTimes {
  const at = (n: number): number => fromMs + n * everyMs;
  return {
    next: (afterMs) => at(Math.max(0, Math.floor((afterMs - fromMs) / everyMs) + 1)),
    previous: (beforeMs) => (beforeMs > fromMs ? at(Math.ceil((beforeMs - fromMs) / everyMs) - 1) : undefined),
    describe: inUtc,
  };
}

/** @param instants rising, each once. */
export function instantTicks(instants: readonly number[]): TickTimes {
  return {
    next: (afterMs) => instants.find((ms) => ms > afterMs),
    previous: (beforeMs) => instants.findLast((ms) => ms < beforeMs),
    describe: inUtc,
  };
}

function inUtc(tickMs: number): TickText {
  const utc = toIso(tickMs);
  return { utc, local: `${utc.slice(0, 19).replace("T", " ")} +00:00`, oddDay: false, mark: undefined };
}
