/** The configuration file, JSON or YAML. Loaded only where there is one. */
import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { parse } from "yaml";
import { ConfigError, messageOf } from "../../errors.ts";
import { MAX_TTL_MS, MIN_TTL_MS } from "../../lease/timing.ts";
import { parseDuration, show, unknownNames } from "../../options.ts";
import { durationFault } from "./arguments.ts";
import { LOG_FORMATS, LOG_LEVELS } from "./log.ts";
import type { FileSettings } from "./settings.ts";

const MAX_BYTES = 1_048_576;

/** A duration as text, in milliseconds. */
function aDuration(minMs: number, maxMs: number): v.GenericSchema<string, number> {
  const message = (): string => `expected ${durationFault(undefined, minMs, maxMs)}`;
  return v.pipe(
    v.string(message),
    v.check((text) => durationFault(parseDuration(text), minMs, maxMs) === undefined, message),
    v.transform((text) => parseDuration(text) ?? minMs),
  );
}

const aStatus = v.pipe(
  v.number("expected an exit status from 0 to 255"),
  v.check((n) => Number.isInteger(n) && n >= 0 && n <= 255, "expected an exit status from 0 to 255"),
);
const aText = v.pipe(v.string("expected a text"), v.nonEmpty("expected a text that is not empty"));

const CONFIG = v.object({
  store: v.optional(aText),
  prefix: v.optional(aText),
  node: v.optional(aText),
  ttl: v.optional(aDuration(MIN_TTL_MS, MAX_TTL_MS)),
  wait: v.optional(aDuration(0, 365 * 86_400_000)),
  grace: v.optional(aDuration(0, MAX_TTL_MS)),
  conflictExitCode: v.optional(aStatus),
  lostExitCode: v.optional(aStatus),
  logLevel: v.optional(v.picklist(LOG_LEVELS, `expected one of ${LOG_LEVELS.join(", ")}`)),
  logFormat: v.optional(v.picklist(LOG_FORMATS, `expected one of ${LOG_FORMATS.join(", ")}`)),
});

/** @throws ConfigError with every fault of the file. */
export async function readConfigFile(path: string): Promise<FileSettings> {
  const { ttl, wait, grace, ...rest } = checked(path, await readDataFile(path), CONFIG);
  return { ...rest, ttlMs: ttl, waitMs: wait, graceMs: grace };
}

/** JSON or YAML; JSON is YAML. @throws ConfigError */
export async function readDataFile(path: string): Promise<unknown> {
  try {
    // Some editors put a mark before the first letter.
    const text = (await readFile(path, "utf8")).replace(/^\uFEFF/, "");
    if (text.length > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
    return (path.endsWith(".json") ? JSON.parse(text) : parse(text, { maxAliasCount: 100 })) as unknown;
  } catch (e) {
    throw new ConfigError(path, [messageOf(e)], { cause: e });
  }
}

/** The value as the schema makes it. @throws ConfigError with every fault: the field, its value, what would be right. */
function checked<S extends v.GenericSchema>(what: string, given: unknown, schema: S): v.InferOutput<S> {
  // An empty file says nothing, and nothing wrong.
  const value = given ?? {};
  if (typeof value !== "object" || Array.isArray(value)) throw new ConfigError(what, [`expected an object of fields, got ${show(value)}`]);
  const result = v.safeParse(schema, value);
  const wrong = result.issues?.map((issue) => {
    const path = v.getDotPath(issue) ?? "";
    return issue.type === "object" && issue.received === "undefined"
      ? `${path} is missing`
      : `${path} is ${show(issue.input)}: ${issue.message}`;
  });
  const faults = [...unknownFields(value, schema, ""), ...(wrong ?? [])];
  if (faults.length > 0 || !result.success) throw new ConfigError(what, faults);
  return result.output;
}

/** A schema's own strict objects stop at the first one; a person wants to hear of all. */
function unknownFields(value: unknown, schema: unknown, path: string): string[] {
  let at = schema as { readonly entries?: Record<string, unknown>; readonly wrapped?: unknown; readonly item?: unknown };
  while (at.wrapped !== undefined) at = at.wrapped as typeof at;
  if (Array.isArray(value)) return at.item === undefined ? [] : value.flatMap((item, i) => unknownFields(item, at.item, `${path}${i}.`));
  if (at.entries === undefined || typeof value !== "object" || value === null) return [];
  const here = unknownNames(Object.keys(value), Object.keys(at.entries), "field").map((fault) =>
    path === "" ? fault : `${path.slice(0, -1)}: ${fault}`,
  );
  return [
    ...here,
    ...Object.entries(at.entries).flatMap(([name, field]) => unknownFields(Reflect.get(value, name), field, `${path}${name}.`)),
  ];
}
