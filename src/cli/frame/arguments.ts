/** Parsers of what stands behind an option. What they throw names the option and what would be right. */
import { InvalidArgumentError } from "commander";
import { parseDuration, show } from "../../options.ts";
import type { Json } from "../../record/record.ts";

export function durationFault(ms: number | undefined, minMs: number, maxMs: number): string | undefined {
  return ms !== undefined && ms >= minMs && ms <= maxMs
    ? undefined
    : `a duration from ${spelled(minMs)} to ${spelled(maxMs)}, such as 500ms, 30s, 5m or 1h`;
}

/** Milliseconds. */
export function duration(minMs: number, maxMs: number): (text: string) => number {
  return (text) => {
    const ms = parseDuration(text);
    const fault = durationFault(ms, minMs, maxMs);
    if (ms === undefined || fault !== undefined) throw new InvalidArgumentError(`Expected ${fault ?? "a duration"}.`);
    return ms;
  };
}

export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value) || value < min || value > max)
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    return value;
  };
}

export function oneWord<const T extends string>(words: readonly T[]): (text: string) => T {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found === undefined) throw new InvalidArgumentError(`Expected one of ${words.map(show).join(", ")}.`);
    return found;
  };
}

/** As users write it. */
export function spelled(ms: number): string {
  for (const [unit, size] of [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1000],
  ] as const)
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  return `${ms}ms`;
}

/** JSON; a plain word is a text. */
export function json(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}
