/** Checking what users pass: every fault is collected, each with the option, its value and what would be right, and thrown once. */
import { ConfigError } from "./errors.ts";

/** Says what would be right, or `undefined` where the value is right. */
export type Check = (value: unknown) => string | undefined;

/** The checks of a group of options, by name. An option that is left out or `undefined` is not checked, except one made `required`. */
export type OptionSpec = Readonly<Record<string, Check>>;

const REQUIRED: WeakSet<Check> = new WeakSet();

/** Throws one `ConfigError` with all faults of `given`, or returns. `more` are faults that the caller found itself. */
export function checkOptions(what: string, given: unknown, spec: OptionSpec, more: readonly string[] = []): void {
  throwFaults(what, [...optionFaults(given, spec), ...more]);
}

export function throwFaults(what: string, faults: readonly string[]): void {
  if (faults.length > 0) throw new ConfigError(what, faults);
}

/** All faults of `given`: not an object, unknown names (with the nearest known one), and values that a check refuses. */
export function optionFaults(given: unknown, spec: OptionSpec): string[] {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return [`expected an object of options, got ${show(given)}`];
  const faults = unknownNames(Object.keys(given), Object.keys(spec), "option");
  for (const [name, check] of Object.entries(spec)) {
    const value: unknown = Reflect.get(given, name);
    if (value === undefined && !REQUIRED.has(check)) continue;
    const right = check(value);
    if (right !== undefined)
      faults.push(value === undefined ? `${name} is missing: expected ${right}` : `${name} is ${show(value)}: expected ${right}`);
  }
  return faults;
}

/**
 * `checkOptions` for functions that a user hands over: an instance of a class of the user's is as good as a plain object, and its other fields are
 * its own business. In a plain object an unknown name is a slip.
 */
export function checkHandlers(what: string, given: unknown, spec: OptionSpec): void {
  checkOptions(
    what,
    isInstance(given) ? Object.fromEntries(Object.keys(spec).map((name) => [name, Reflect.get(given, name)])) : given,
    spec,
  );
}

function isInstance(given: unknown): given is object {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return false;
  const prototype: unknown = Object.getPrototypeOf(given);
  return prototype !== null && Object.getPrototypeOf(prototype) !== null;
}

/** One fault for each name that is not known, with the nearest known one. */
export function unknownNames(given: readonly string[], known: readonly string[], noun: string): string[] {
  return given
    .filter((name) => !known.includes(name))
    .map((name) => {
      const nearest = nearestName(name, known);
      return `unknown ${noun} ${show(name)}${nearest === undefined ? `; known are ${known.join(", ")}` : `: did you mean ${show(nearest)}?`}`;
    });
}

/** The known name that `given` was probably meant to be: letter case and separators do not count, nor does one slip in three letters. */
export function nearestName(given: string, known: readonly string[]): string | undefined {
  const plain = (s: string): string => s.toLowerCase().replace(/[^a-z0-9]/g, "");
  const bare = plain(given).slice(0, 64);
  let best: { readonly name: string; readonly slips: number } | undefined;
  for (const name of known) {
    const other = plain(name);
    // A name without its unit ("ttl" for "ttlMs") is the commonest slip of all.
    const slips = bare.length > 1 && (other.startsWith(bare) || bare.startsWith(other)) ? 1 : editDistance(bare, other);
    if (slips <= Math.max(1, Math.floor(other.length / 3)) && (best === undefined || slips < best.slips)) best = { name, slips };
  }
  return best?.name;
}

/** Single letters put in, left out, changed, or swapped with their neighbour. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last: number[] = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, (before[j - 2] ?? 0) + 1);
      row.push(least);
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `250ms`, `30s`, `1.5m`, `2h`, `1d` or `1m30s`; `undefined` for anything else. A number without a unit is refused: nobody knows which. */
export function parseDuration(text: string): number | undefined {
  if (text.length > 40 || !/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) ms += Number(amount) * (UNIT_MS[unit ?? ""] ?? Number.NaN);
  return Number.isSafeInteger(Math.round(ms)) ? Math.round(ms) : undefined;
}

/** The value as a message shows it: short, quoted, and never a whole object. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);
  if (value === null || value === undefined || typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

export function required(check: Check): Check {
  const own: Check = (value) => check(value);
  REQUIRED.add(own);
  return own;
}

export function aNumber(what: string, min: number, max: number): Check {
  return (v) => (typeof v === "number" && v >= min && v <= max ? undefined : `${what} from ${min} to ${max}`);
}

export function anInteger(what: string, min: number, max: number): Check {
  return (v) =>
    Number.isSafeInteger(v) && (v as number) >= min && (v as number) <= max ? undefined : `${what}, a whole number from ${min} to ${max}`;
}

export function aString(what: string, ok: (s: string) => boolean = () => true): Check {
  return (v) => (typeof v === "string" && ok(v) ? undefined : what);
}

export function aBoolean(v: unknown): string | undefined {
  return typeof v === "boolean" ? undefined : "true or false";
}

export function aFunction(v: unknown): string | undefined {
  return typeof v === "function" ? undefined : "a function";
}

export function anObject(what: string, ...methods: readonly string[]): Check {
  return (v) => (typeof v === "object" && v !== null && methods.every((m) => typeof Reflect.get(v, m) === "function") ? undefined : what);
}

export function oneOf(...values: readonly string[]): Check {
  return (v) => (typeof v === "string" && values.includes(v) ? undefined : `one of ${values.map((s) => JSON.stringify(s)).join(", ")}`);
}
