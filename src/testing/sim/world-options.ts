/** What users pass to a test world, checked at its door: a fault that never strikes, or a clock that shows NaN, would make a test green for nothing. */
import {
  aBoolean,
  aFunction,
  anInteger,
  aNumber,
  checkOptions,
  oneOf,
  type OptionSpec,
  optionFaults,
  required,
  show,
  throwFaults,
} from "../../options.ts";
import { REQUEST_FAULTS } from "./faults.ts";

const ONE_YEAR_MS = 31_622_400_000;
/** The last moment that a `Date` can name. */
const LAST_MS = 8_640_000_000_000_000;

const aTime = aNumber("milliseconds", 0, ONE_YEAR_MS);

const LATENCY: OptionSpec = { minMs: required(aTime), meanMs: required(aTime) };
const PROFILE: OptionSpec = {
  missingOnReplace: (v) => (v === 404 || v === 412 ? undefined : "404 or 412"),
  quotedEtags: aBoolean,
  conditions: oneOf("enforced", "ignored"),
  conditionalDelete: aBoolean,
  dates: aBoolean,
  lastModifiedLagMs: aTime,
  storeTime: aBoolean,
  skewMs: aTime,
  offsetMs: aNumber("milliseconds", -ONE_YEAR_MS, ONE_YEAR_MS),
};

export function checkWorldOptions(given: unknown): void {
  const { latency, profile }: { readonly latency?: unknown; readonly profile?: unknown } =
    typeof given === "object" && given !== null ? given : {};
  const within = (name: string, value: unknown, spec: OptionSpec): string[] =>
    value === undefined ? [] : optionFaults(value, spec).map((fault) => `${name}: ${fault}`);
  const anything = (): undefined => undefined;
  checkOptions(
    "testWorld",
    given,
    {
      seed: anInteger("a seed", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
      latency: anything,
      profile: anything,
      startWallMs: anInteger("milliseconds since 1970", 0, LAST_MS),
      timeoutMs: aNumber("milliseconds", 1, ONE_YEAR_MS),
      trace: aFunction,
    },
    [...within("latency", latency, LATENCY), ...within("profile", profile, PROFILE)],
  );
}

export function checkNode(name: unknown, options: unknown): void {
  if (typeof name !== "string" || name === "" || name === "*") throwFaults("node", ['its name must be a text, neither empty nor "*"']);
  if (options === undefined) return;
  checkOptions(`node ${JSON.stringify(name)}`, options, {
    wallOffsetMs: aNumber("milliseconds", -ONE_YEAR_MS, ONE_YEAR_MS),
    rate: aRate,
    timerLagMs: aTime,
    timerEarlyMs: aTime,
  });
}

export function checkWorldFault(fault: unknown): void {
  const isMany = (v: unknown): boolean => v === Infinity || (Number.isSafeInteger(v) && (v as number) >= 1);
  checkOptions("faults", fault, {
    kind: required(oneOf(...REQUEST_FAULTS)),
    on: oneOf("get", "put", "list", "delete"),
    times: (v) => (isMany(v) ? undefined : "how many requests it strikes, 1 or more, or Infinity"),
    ms: aTime,
  });
}

export function aRate(v: unknown): string | undefined {
  return typeof v === "number" && v > 0 && v < 1_000 ? undefined : "a rate above 0 and below 1000";
}

/** @returns `ms`, if it is a length of time. */
export function checkedTime(what: string, ms: unknown): number {
  return checkedNumber(what, ms, 0);
}

/** @returns `ms`, if it is a length of time, forward or back. */
export function checkedStep(what: string, ms: unknown): number {
  return checkedNumber(what, ms, -LAST_MS);
}

function checkedNumber(what: string, ms: unknown, min: number): number {
  const right = aNumber("milliseconds", min, LAST_MS)(ms);
  if (right !== undefined) throwFaults(what, [`${show(ms)}: expected ${right}`]);
  return ms as number;
}
