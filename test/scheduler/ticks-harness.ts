import { type CheckedTimes, checkTimes } from "../../src/scheduler/ticks.ts";
import type { Schedule } from "../../src/scheduler/tick-times.ts";

export function checked(given: object, seed = "task"): CheckedTimes {
  const result = checkTimes(given, seed);
  if ("faults" in result) throw new Error(result.faults.join("\n"));
  return result;
}

export function open(given: object): Promise<Schedule> {
  return checked(given).open();
}

export function faultsOf(given: object): readonly string[] {
  const result = checkTimes(given, "task");
  return "faults" in result ? result.faults : [];
}

/** The next ticks after an instant, at most `count`, in UTC. */
export async function ticksFrom(given: object, after: string, count: number): Promise<string[]> {
  const schedule = await open(given);
  return schedule.between(Date.parse(after), Number.POSITIVE_INFINITY, count).map((ms) => new Date(ms).toISOString());
}
