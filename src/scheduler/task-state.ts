/** What a task keeps in its record beside the lease: written by the claimer of a tick alone (rule M). */
import { toDate } from "../clock/calendar.ts";
import { messageOf } from "../errors.ts";
import { MAX_PAYLOAD_BYTES } from "../record/codec.ts";
import { count, type Fields, oneOf, optional, recordFault, showField, text, unknownFields } from "../record/fields.ts";
import type { Json } from "../record/record.ts";
import type { RunRecord, RunState } from "../record/run-record.ts";

/** The format this version writes, and the newest that it touches. */
export const TASK_FORMAT = 1;
/** Finished runs that are kept, the newest; fewer where they take more than the record has room for. */
export const MAX_HISTORY = 50;
export const MAX_ERROR_LENGTH = 500;
/** The largest value that a run may leave in the history, in bytes of JSON. */
export const MAX_VALUE_BYTES = 1024;
const MAX_LOOKS = 5;

/** One run as the record keeps it; times in milliseconds since 1970, by the store. */
export interface RunEntry {
  readonly kind: "tick" | "trigger";
  readonly tick: number;
  readonly state: RunState;
  readonly attempt: number;
  readonly holder: string;
  readonly token: number;
  readonly start: number;
  /** When the first attempt began, where this is another. */
  readonly since?: number | undefined;
  readonly end?: number | undefined;
  readonly error?: string | undefined;
  readonly value?: Json | undefined;
  readonly missed?: number | undefined;
  /** Of a run by hand that was asked for in the control object: by which number. */
  readonly asked?: number | undefined;
  readonly progress?: { readonly text: string; readonly fraction?: number | undefined } | undefined;
  /** Version of the time-zone data of its node. */
  readonly tz?: string | undefined;
}

/** A run that was claimed beside others, with its place. How it stands now, its place says. */
export interface OpenRun extends RunEntry {
  readonly place: number;
}

/** Another attempt that is due, or will be. */
export interface Retry {
  readonly kind: "tick" | "trigger";
  readonly tick: number;
  readonly attempt: number;
  readonly missed: number;
  /** When the first attempt began. */
  readonly since: number;
  readonly at: number;
}

export interface TaskState {
  /** The newest tick that is settled: claimed, skipped, missed, or before the task was known. No tick up to it ever runs. */
  readonly lastTick: number;
  /** Ticks up to this one were found missed and are being caught up with. */
  readonly missedUpTo: number;
  readonly definition: string;
  readonly revision: number;
  /** The schedule in words, for people. */
  readonly schedule: string;
  /** When nodes looked and wrote, the newest last: how far apart looks are. */
  readonly looks: readonly number[];
  /** As the control object said when this was written. A flag on the record says that it has been changed since. */
  readonly paused: boolean;
  /** The control object could not be read: read it before the next claim. */
  readonly unread: boolean;
  /** How many of the triggers in the control object have been claimed. */
  readonly triggered: number;
  /** The newest run. */
  readonly run?: RunEntry | undefined;
  readonly retry?: Retry | undefined;
  /** Runs side by side that nobody has put into the history yet (`overlap: "allow"`). */
  readonly open: readonly OpenRun[];
  /** Attempts that are to follow such runs. */
  readonly later: readonly Retry[];
  /** The runs before it, and what was skipped and missed, the newest last. */
  readonly history: readonly RunEntry[];
  /** Fields of a later version (rule R4). */
  readonly extra: Fields;
}

const KNOWN = new Set([
  "task",
  ...["lastTick", "missedUpTo", "definition", "revision", "schedule", "looks", "paused", "unread", "triggered"],
]);
for (const name of ["run", "retry", "open", "later", "history"]) KNOWN.add(name);

export function withLook(looks: readonly number[], at: number): readonly number[] {
  return [...looks, at].slice(-MAX_LOOKS);
}

/** The payload, with as much history as there is room for: the oldest goes first. */
export function encodeState(state: TaskState): Json {
  const { extra, history, ...own } = state;
  const room = MAX_PAYLOAD_BYTES - bytesOf({ ...extra, task: TASK_FORMAT, ...own, history: [] });
  const kept: RunEntry[] = [];
  let used = 0;
  for (const entry of history.slice(-MAX_HISTORY).reverse()) {
    used += bytesOf(entry) + 1;
    if (used > room) break;
    kept.unshift(entry);
  }
  return { ...extra, task: TASK_FORMAT, ...own, history: kept } as unknown as Json;
}

function bytesOf(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}

/** @throws RecordError that names what is wrong with the record at `key`; it is then left as it is. */
export function decodeState(key: string, payload: Json | undefined): TaskState {
  if (payload === null || typeof payload !== "object" || Array.isArray(payload))
    throw recordFault(key, "foreign", "is a lease, but not a task's");
  const o = payload as Fields;
  const format = o["task"];
  if (typeof format !== "number" || !Number.isInteger(format) || format < 1)
    throw recordFault(key, "foreign", "is a lease, but not a task's");
  if (format > TASK_FORMAT)
    throw recordFault(key, "newer", `has task format ${format}; this version of the package knows ${TASK_FORMAT}. Upgrade this program`);
  try {
    return readState(o);
  } catch (e) {
    throw recordFault(key, "damaged", messageOf(e), e);
  }
}

function readState(o: Fields): TaskState {
  return {
    lastTick: time(o, "lastTick"),
    missedUpTo: o["missedUpTo"] === undefined ? 0 : time(o, "missedUpTo"),
    definition: text(o, "definition"),
    revision: count(o, "revision", 0),
    schedule: text(o, "schedule"),
    looks: list(o, "looks").map((_, i, all) => time({ look: all[i] }, "look")),
    paused: o["paused"] === true,
    unread: o["unread"] === true,
    triggered: count(o, "triggered", 0),
    ...optional(o, "run", () => readRun(o["run"])),
    ...optional(o, "retry", () => readRetry(o["retry"])),
    open: o["open"] === undefined ? [] : list(o, "open").map(readOpen),
    later: o["later"] === undefined ? [] : list(o, "later").map(readRetry),
    history: list(o, "history").slice(-MAX_HISTORY).map(readRun),
    extra: unknownFields(o, KNOWN),
  };
}

function readOpen(value: unknown): OpenRun {
  return { ...readRun(value), place: count(fields(value, "a run"), "place", 0) };
}

export function readRun(value: unknown): RunEntry {
  const o = fields(value, "a run");
  return {
    kind: oneOf(o, "kind", ["tick", "trigger"]),
    tick: time(o, "tick"),
    state: oneOf(o, "state", ["running", "succeeded", "failed", "timed-out", "cancelled", "abandoned", "skipped", "missed"]),
    attempt: count(o, "attempt"),
    holder: text(o, "holder"),
    token: count(o, "token"),
    start: time(o, "start"),
    ...optional(o, "since", () => time(o, "since")),
    ...optional(o, "end", () => time(o, "end")),
    ...optional(o, "error", () => text(o, "error")),
    ...optional(o, "value", () => o["value"] as Json),
    ...optional(o, "missed", () => count(o, "missed", 0)),
    ...optional(o, "asked", () => count(o, "asked")),
    ...optional(o, "progress", () => readProgress(o["progress"])),
    ...optional(o, "tz", () => text(o, "tz")),
  };
}

function readProgress(value: unknown): NonNullable<RunEntry["progress"]> {
  const o = fields(value, "progress");
  return { text: text(o, "text"), ...optional(o, "fraction", () => number(o, "fraction")) };
}

export function readRetry(value: unknown): Retry {
  const o = fields(value, "retry");
  return {
    kind: oneOf(o, "kind", ["tick", "trigger"]),
    tick: time(o, "tick"),
    attempt: count(o, "attempt"),
    missed: count(o, "missed", 0),
    since: time(o, "since"),
    at: time(o, "at"),
  };
}

function fields(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`has ${showField(value)} where ${what} belongs`);
  return value as Fields;
}

function list(o: Fields, name: string): readonly unknown[] {
  const value = o[name];
  if (!Array.isArray(value)) throw new Error(`has ${name} ${showField(value)} where a list belongs`);
  return value;
}

function number(o: Fields, name: string): number {
  const value = o[name];
  if (typeof value !== "number" || !Number.isFinite(value)) throw new Error(`has ${name} ${showField(value)} where a number belongs`);
  return value;
}

const MAX_TIME_MS = 8.64e15;

function time(o: Fields, name: string): number {
  const value = number(o, name);
  if (value < 0 || value > MAX_TIME_MS) throw new Error(`has ${name} ${value} where milliseconds since 1970 belong`);
  return value;
}

/** What users see of it. */
export function toRunRecord(task: string, entry: RunEntry): RunRecord {
  const { kind, tick, state, holder, attempt, token, start, end, error, value, progress, missed } = entry;
  return {
    task,
    kind,
    scheduledAt: toDate(tick),
    state,
    holder,
    attempt,
    fencingToken: token,
    startedAt: toDate(start),
    endedAt: end === undefined ? undefined : toDate(end),
    error,
    value,
    progress: progress === undefined ? undefined : { text: progress.text, fraction: progress.fraction },
    missed: missed ?? 0,
  };
}
