import type { Attempt, AttemptOutcome, HistoryLine } from "./line.ts";

/** A line of a history file that can't be read. The message names the line and what is wrong with it. */
export class HistoryFormatError extends Error {
  override readonly name = "HistoryFormatError";
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads JSON lines. Times may be given in milliseconds (`sentMs`) or nanoseconds (`sentNs`, a number or, for whole `hrtime` values, a text).
 * The outcome of an attempt may be left out where `status` tells it. Empty lines are passed over, and so are lines of another `type`, so that a
 * log may carry other things too.
 * @throws HistoryFormatError
 */
export function parseHistory(text: string): HistoryLine[] {
  const lines: HistoryLine[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const parsed = parseLine(line, index + 1);
    if (parsed !== undefined) lines.push(parsed);
  }
  return lines;
}

function parseLine(text: string, line: number): HistoryLine | undefined {
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch (cause) {
    throw new HistoryFormatError(`line ${line} is not JSON: ${text.slice(0, 80)}`, { cause });
  }
  if (typeof fields !== "object" || fields === null)
    throw new HistoryFormatError(`line ${line} is not a JSON object: ${text.slice(0, 80)}`);
  const reader = new LineReader(fields as Fields, line);
  switch ((fields as Fields)["type"]) {
    case "attempt":
      return readAttempt(reader);
    case "belief": {
      const [fromMs, toMs] = [reader.time("from"), reader.time("to")];
      if (toMs < fromMs) throw reader.fault("to", "not before from");
      return {
        type: "belief",
        key: reader.text("key"),
        node: reader.text("node"),
        fencingToken: reader.count("fencingToken"),
        fromMs,
        toMs,
        line,
      };
    }
    case "fenced":
      return {
        type: "fenced",
        key: reader.text("key"),
        node: reader.text("node"),
        fencingToken: reader.count("fencingToken"),
        accepted: reader.flag("accepted"),
        atMs: reader.time("at"),
        line,
      };
    default:
      return undefined;
  }
}

const KINDS = ["read", "create", "replace", "overwrite", "delete"] as const;
const OUTCOMES = ["applied", "refused", "unknown", "found", "not-modified", "absent", "nothing"] as const;

function readAttempt(reader: LineReader): Attempt {
  const kind = reader.oneOf("kind", KINDS);
  const status = reader.optionalCount("status");
  const outcome = reader.has("outcome") ? reader.oneOf("outcome", OUTCOMES) : outcomeOf(kind, status);
  if ((kind === "read") !== READ_OUTCOMES.has(outcome) && outcome !== "nothing" && outcome !== "absent")
    throw reader.fault("outcome", `one that a ${kind} can have`);
  const condition = reader.optionalText("condition");
  if (condition === undefined && (kind === "replace" || outcome === "not-modified"))
    throw reader.fault("condition", `given with a ${kind} that is ${outcome}`);
  const attempt: Attempt = {
    type: "attempt",
    key: reader.text("key"),
    kind,
    outcome,
    condition,
    etag: reader.optionalText("etag"),
    nonce: reader.optionalText("nonce"),
    fencingToken: reader.optionalCount("fencingToken"),
    state: reader.has("state") ? reader.oneOf("state", ["held", "released"] as const) : undefined,
    instance: reader.optionalText("instance"),
    client: reader.optionalText("client"),
    status,
    sentMs: reader.time("sent"),
    answeredMs: reader.hasTime("answered") ? reader.time("answered") : undefined,
    line: reader.line,
  };
  if (attempt.answeredMs !== undefined && attempt.answeredMs < attempt.sentMs) throw reader.fault("answered", "not before sent");
  if (outcome === "unknown" && kind !== "delete" && attempt.etag === undefined && attempt.nonce === undefined)
    throw reader.fault("nonce", `given with a ${kind} of unknown fate: it could be any version otherwise`);
  if ((outcome === "found" || (outcome === "applied" && kind !== "delete")) && attempt.etag === undefined)
    throw reader.fault("etag", `given with a ${kind} that is ${outcome}`);
  return attempt;
}

const READ_OUTCOMES: ReadonlySet<AttemptOutcome> = new Set(["found", "not-modified"]);

/** What an HTTP status says about an attempt (rule W2); `undefined` is no answer at all. What is not certain is unknown. */
export function outcomeOf(kind: Attempt["kind"], status: number | undefined): AttemptOutcome {
  const ok = status !== undefined && status >= 200 && status < 300;
  if (kind === "read") return ok ? "found" : status === 304 ? "not-modified" : status === 404 ? "absent" : "nothing";
  if (ok) return "applied";
  if (status === 412) return "refused";
  if (status === 404 && kind === "replace") return "absent";
  // 400, 401, 403, 405, 411 and 501 are answered before the object is looked at.
  if (status !== undefined && [400, 401, 403, 404, 405, 411, 501].includes(status)) return "nothing";
  return "unknown";
}

class LineReader {
  readonly line: number;
  readonly #fields: Fields;

  constructor(fields: Fields, line: number) {
    this.#fields = fields;
    this.line = line;
  }

  fault(field: string, expected: string): HistoryFormatError {
    return new HistoryFormatError(`line ${this.line}: ${field} is ${JSON.stringify(this.#fields[field])}; it must be ${expected}`);
  }

  has(field: string): boolean {
    return this.#fields[field] !== undefined && this.#fields[field] !== null;
  }

  text(field: string): string {
    const value = this.#fields[field];
    if (typeof value !== "string") throw this.fault(field, "a text");
    return value;
  }

  optionalText(field: string): string | undefined {
    return this.has(field) ? this.text(field) : undefined;
  }

  flag(field: string): boolean {
    const value = this.#fields[field];
    if (typeof value !== "boolean") throw this.fault(field, "true or false");
    return value;
  }

  count(field: string): number {
    const value = this.#fields[field];
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw this.fault(field, "a whole number, not negative");
    return value;
  }

  optionalCount(field: string): number | undefined {
    return this.has(field) ? this.count(field) : undefined;
  }

  oneOf<T extends string>(field: string, values: readonly T[]): T {
    const found = values.find((value) => value === this.#fields[field]);
    if (found === undefined) throw this.fault(field, `one of ${values.join(", ")}`);
    return found;
  }

  hasTime(name: string): boolean {
    return this.has(`${name}Ms`) || this.has(`${name}Ns`);
  }

  /** A double has room for a nanosecond in a hundred days of milliseconds: enough for a machine's uptime. */
  time(name: string): number {
    const inMs = this.#fields[`${name}Ms`];
    if (typeof inMs === "number" && Number.isFinite(inMs)) return inMs;
    const inNs = this.#fields[`${name}Ns`];
    if (typeof inNs === "number" && Number.isFinite(inNs)) return inNs / 1e6;
    if (typeof inNs === "string" && /^\d{1,19}$/.test(inNs)) return Number(BigInt(inNs)) / 1e6;
    throw this.fault(this.has(`${name}Ns`) ? `${name}Ns` : `${name}Ms`, `a time (${name}Ms or ${name}Ns)`);
  }
}
