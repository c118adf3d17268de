/**
 * Runs of one task side by side (`overlap: "allow"`). Each is a lease of its own in one of the task's places, which are reused; the task's record lists
 * those that were claimed, and is written by claimers alone (rule M). A run says in its place how it ended, and whoever writes the record next puts that
 * into the history. Pure.
 */
import type { Json, LeaseRecord } from "../record/record.ts";
import { recordFault, type Fields } from "../record/fields.ts";
import { messageOf } from "../errors.ts";
import type { LeaseStanding, Note } from "./decide.ts";
import { type OpenRun, readRetry, readRun, type Retry, type RunEntry, TASK_FORMAT, type TaskState } from "./task-state.ts";

/** A run and, once it has ended, the attempt that is to follow it. */
export interface Performed {
  readonly run: RunEntry;
  readonly retry?: Retry | undefined;
}

/** What a place keeps beside its lease. */
export interface PlaceState extends Performed {
  /** Runs before it in this place of which the record may not yet say how they ended, the newest first. */
  readonly before?: readonly Performed[] | undefined;
}

export type Fate =
  | { readonly kind: "running" }
  | { readonly kind: "ended"; readonly as: Performed }
  /** Claimed, and known never to have begun. */
  | { readonly kind: "unbegun" }
  | { readonly kind: "abandoned" };

/** `~` is in no escaped name, so no task's record can stand there. */
export function placeKey(taskKey: string, place: number): string {
  return `${taskKey}~run${place}`;
}

export function encodePlace(state: PlaceState): Json {
  return { task: TASK_FORMAT, ...state } as unknown as Json;
}

/** @throws RecordError that names what is wrong with the record at `key`; it is then left as it is. */
export function decodePlace(key: string, payload: Json | undefined): PlaceState {
  const o = asFields(payload);
  if (o === undefined || typeof o["task"] !== "number") throw recordFault(key, "foreign", "is a lease, but not that of a task's run");
  if (o["task"] > TASK_FORMAT)
    throw recordFault(key, "newer", `has task format ${o["task"]}; this version of the package knows ${TASK_FORMAT}. Upgrade this program`);
  try {
    const before = Array.isArray(o["before"]) ? o["before"].map((each) => readPerformed(asFields(each) ?? {})) : [];
    return { ...readPerformed(o), before };
  } catch (e) {
    throw recordFault(key, "damaged", messageOf(e), e);
  }
}

function readPerformed(o: Fields): Performed {
  return { run: readRun(o["run"]), ...(o["retry"] === undefined ? {} : { retry: readRetry(o["retry"]) }) };
}

function asFields(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

/**
 * What became of a run that the record lists, by the newest version seen of its place. A place is taken before its run is claimed, so an older token there
 * is a stale read, and a larger one says that this run is over.
 */
export function fateOf(open: OpenRun, key: string, seen: LeaseRecord | undefined, standing: LeaseStanding): Fate {
  if (seen === undefined) return { kind: "abandoned" };
  if (seen.fencingToken < open.token) return { kind: "running" };
  const place = decodePlace(key, seen.payload);
  if (seen.fencingToken > open.token) {
    const kept = place.before?.find(({ run }) => run.token === open.token);
    return kept === undefined ? { kind: "abandoned" } : ended(kept);
  }
  if (seen.state === "released" && place.run.end !== undefined) return ended(place);
  return { kind: standing === "held" ? "running" : standing === "unbegun" ? "unbegun" : "abandoned" };
}

function ended({ run, retry }: Performed): Fate {
  return run.end === undefined ? { kind: "unbegun" } : { kind: "ended", as: { run, retry } };
}

/**
 * What whoever takes a place must keep of the runs before: those that the record lists, and those that are newer than the record as it was seen, which may
 * be out of date. All others are in the history, or were never claimed.
 */
export function carriedOver(
  seen: LeaseRecord,
  place: PlaceState,
  record: { readonly open: readonly OpenRun[]; readonly token: number },
): readonly Performed[] {
  const isSaid = seen.state === "released" && (place.run.end !== undefined || seen.endedBy !== "other");
  const all = [...(isSaid ? [{ run: place.run, retry: place.retry }] : []), ...(place.before ?? [])];
  return all.filter(({ run }) => run.token > record.token || record.open.some(({ token }) => token === run.token)).slice(0, MAX_BEFORE);
}

export interface SettledOpen {
  readonly state: TaskState;
  readonly notes: readonly Note[];
  /** Something was found out that nobody else will write down: a run without an end. */
  readonly worthWriting: boolean;
}

/** Takes what is over out of the list, with what follows from it. */
export function settleOpen(state: TaskState, fates: ReadonlyMap<number, Fate>, nowMs: number, retries: number): SettledOpen {
  const open: OpenRun[] = [];
  const later: Retry[] = [...state.later];
  const notes: Note[] = [];
  let worthWriting = false;
  for (const run of state.open) {
    const fate = fates.get(run.token) ?? { kind: "running" };
    switch (fate.kind) {
      case "running":
        open.push(run);
        break;
      case "ended":
        notes.push(fate.as.run);
        if (fate.as.retry !== undefined) later.push(fate.as.retry);
        break;
      case "unbegun":
        later.push(attemptOf(run, run.attempt, nowMs));
        break;
      case "abandoned":
        worthWriting = true;
        notes.push({ ...bare(run), state: "abandoned", end: nowMs, error: "its process died, or lost its lease" });
        if (run.attempt <= retries) later.push(attemptOf(run, run.attempt + 1, nowMs));
    }
  }
  return { state: { ...state, open, later: later.sort((a, b) => a.at - b.at).slice(0, MAX_LATER) }, notes, worthWriting };
}

/** The same occurrence once more. */
export function attemptOf(run: RunEntry, attempt: number, at: number): Retry {
  return { kind: run.kind, tick: run.tick, attempt, missed: run.missed ?? 0, since: run.since ?? run.start, at };
}

/** The places that no run is in, the lowest first; none while as many run as may. */
export function freePlaces(open: readonly OpenRun[], parallel: number): readonly number[] {
  if (open.length >= parallel) return [];
  const taken = new Set(open.map(({ place }) => place));
  return Array.from({ length: parallel }, (_, place) => place).filter((place) => !taken.has(place));
}

/** Attempts that wait for their time, of one task. */
const MAX_LATER = 100;
const MAX_BEFORE = 4;

function bare(open: OpenRun): RunEntry {
  return { ...open, place: undefined } as RunEntry;
}
