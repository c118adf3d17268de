/** What to do about a task, decided from its record, its schedule and the store's time. Pure. */
import { attemptOf, type Fate, freePlaces, settleOpen } from "./open-runs.ts";
import type { Schedule } from "./tick-times.ts";
import type { Retry, RunEntry, TaskState } from "./task-state.ts";

/** What becomes of ticks that nobody ran in time. */
export type MissedPolicy = "skip" | "once" | { readonly all: { readonly max: number; readonly windowMs: number } };

export interface Policy {
  readonly missed: MissedPolicy;
  /** What becomes of ticks that are due while a run is under way. */
  readonly overlap: "skip" | "queue" | "allow";
  /** With `allow`: how many runs at a time, over all nodes. */
  readonly parallel: number;
  /** How often a run that failed, was timed out or abandoned is tried again. */
  readonly retries: number;
  /** A tick that is claimed so much later than it was due, or than the last look, is missed. */
  readonly graceMs: number;
  /** The looks are as far apart as somebody else makes them (a timer that calls a function): the longest gap between them is grace, too. */
  readonly graceOfLooks: boolean;
}

export interface Definition {
  readonly definition: string;
  readonly revision: number;
  readonly schedule: string;
}

/** How the record's lease stands. */
export type LeaseStanding =
  /** Released, or there is no record. */
  | "free"
  /** Held by somebody who may be alive. */
  | "held"
  /** Held by somebody who is dead for certain, or ended from outside. */
  | "dead"
  /** Claimed, and known never to have begun: by this process, or given back before. */
  | "unbegun";

export interface Situation {
  readonly state: TaskState | undefined;
  readonly standing: LeaseStanding;
  readonly definition: Definition;
  readonly schedule: Schedule;
  readonly policy: Policy;
  /** What became of the runs that the record lists as open, by their tokens. */
  readonly fates: ReadonlyMap<number, Fate>;
  /** The store's time: at least this late. */
  readonly nowMs: number;
  /** Since when this process has followed the task by this definition. */
  readonly knownSinceMs: number;
  /** What operators want. */
  readonly wish: Wish;
}

/** What operators want. */
export interface Wish {
  readonly paused: boolean;
  readonly notBeforeMs: number;
  /** How many runs by hand were ever asked for in the control object. */
  readonly triggers: number;
  /** One is asked for here and now, by the caller of this very turn. */
  readonly byHand?: boolean | undefined;
}

/** One run to be claimed. */
export interface Occurrence {
  readonly kind: "tick" | "trigger";
  readonly tick: number;
  readonly attempt: number;
  /** How many missed ticks it stands for; 0: it is on time. */
  readonly missed: number;
  /** When its first attempt began, where this is another. */
  readonly since?: number | undefined;
  /** By which number it was asked for in the control object. */
  readonly asked?: number | undefined;
}

/** What is found out about ticks and runs, and belongs into the history with the next write. */
export type Note = Pick<RunEntry, "state" | "tick" | "start"> & Partial<RunEntry>;

export type Plan =
  /** A newer revision of the task is in the record: this node does not claim. */
  | { readonly kind: "superseded" }
  /** Nothing to do before `nextAt`. */
  | { readonly kind: "wait"; readonly nextAt: number | undefined }
  /** Another runs it. */
  | { readonly kind: "elsewhere"; readonly nextAt: number | undefined }
  /** Nothing runs, but the record must say what was found. */
  | { readonly kind: "mark"; readonly state: TaskState; readonly notes: readonly Note[] }
  | {
      readonly kind: "claim";
      readonly occurrence: Occurrence;
      readonly state: TaskState;
      readonly notes: readonly Note[];
      /** It may run beside others, in one of these places. */
      readonly places?: readonly number[] | undefined;
    };

/** Ticks that are looked at one by one; of more only the newest count. */
const MAX_TICKS = 1000;

export function decide(s: Situation): Plan {
  if (s.state === undefined) {
    // A task that was never seen before runs nothing for the past.
    const state = { lastTick: s.nowMs, ...s.definition, paused: s.wish.paused, unread: s.wish.triggers > 0 };
    return { kind: "mark", state: { ...EMPTY, ...state, triggered: Math.max(0, s.wish.triggers - 1) }, notes: [] };
  }
  if (s.state.revision > s.definition.revision) return { kind: "superseded" };
  if (s.standing === "held") return { kind: "elsewhere", nextAt: s.schedule.next(Math.max(s.nowMs, s.state.lastTick)) };
  const last = afterLastRun(adopted(s, s.state), s);
  const settled = settleOpen(last.state, s.fates, s.nowMs, s.policy.retries);
  const notes = [...last.notes, ...settled.notes];
  // What is left of the triggers has to be read again: the flag that told of them is taken off by the next write.
  const state = { ...settled.state, paused: s.wish.paused, unread: s.wish.triggers > settled.state.triggered };
  const { definition, revision, paused } = s.state;
  const changed = state.definition !== definition || state.revision !== revision || state.paused !== paused;
  return arrange(s, state, notes, changed || last.notes.length > 0 || settled.worthWriting);
}

/** What comes next, once it is known how everything before ended. */
function arrange(s: Situation, state: TaskState, notes: readonly Note[], worthWriting: boolean): Plan {
  const write = (now: TaskState, more: readonly Note[] = []): Plan => ({ kind: "mark", state: now, notes: [...notes, ...more] });
  const nextTick = s.schedule.next(Math.max(s.nowMs, state.lastTick));
  const full: Plan = { kind: "elsewhere", nextAt: nextTick };
  // Where runs may not be side by side, all others must be over; where they may, a place must be free.
  const beside = s.policy.overlap === "allow";
  const places = beside ? freePlaces(state.open, s.policy.parallel) : undefined;
  const room = places === undefined ? state.open.length === 0 : places.length > 0;
  if (!room) return worthWriting ? write(state) : full;
  const claim = (occurrence: Occurrence, now: TaskState, more: readonly Note[] = []): Plan => ({
    kind: "claim",
    occurrence,
    state: now,
    notes: [...notes, ...more],
    places,
  });

  const again = state.paused ? undefined : nextAttempt(state);
  if (again !== undefined && again.attempt.at <= s.nowMs) {
    const { kind, tick, attempt, missed, since } = again.attempt;
    return claim({ kind, tick, attempt, missed, since }, again.rest);
  }
  if (again !== undefined && !beside) return worthWriting ? write(state) : { kind: "wait", nextAt: again.attempt.at };
  const byHand = { kind: "trigger", tick: s.nowMs, attempt: 1, missed: 0 } as const;
  if (s.wish.byHand === true) return claim(byHand, state);
  if (s.wish.triggers > state.triggered) {
    const triggered = state.triggered + 1;
    return claim({ ...byHand, asked: triggered }, { ...state, triggered, unread: s.wish.triggers > triggered });
  }
  if (state.paused) return worthWriting ? write(state) : { kind: "wait", nextAt: s.schedule.next(s.nowMs) };
  const due = dueTicks(state, s);
  if (due.claim !== undefined) return claim(due.claim, due.state, due.notes);
  if (due.notes.length > 0 || worthWriting) return write(due.state, due.notes);
  const waits = [nextTick, again?.attempt.at].filter((at) => at !== undefined);
  const nextAt = waits.length === 0 ? undefined : Math.min(...waits);
  return { kind: state.open.length > 0 ? "elsewhere" : "wait", nextAt };
}

/** The attempt that is due first, and the state without it. */
function nextAttempt(state: TaskState): { readonly attempt: Retry; readonly rest: TaskState } | undefined {
  if (state.retry !== undefined) return { attempt: state.retry, rest: { ...state, retry: undefined } };
  const [attempt, ...later] = state.later;
  return attempt && { attempt, rest: { ...state, later } };
}

const EMPTY: Omit<TaskState, "lastTick" | "definition" | "revision" | "schedule"> = {
  missedUpTo: 0,
  looks: [],
  paused: false,
  unread: false,
  triggered: 0,
  open: [],
  later: [],
  history: [],
  extra: {},
};

/** Another definition has no past: of its ticks only those count that this process was there to wait for. */
function adopted(s: Situation, state: TaskState): TaskState {
  const lastTick = Math.max(state.lastTick, s.wish.notBeforeMs);
  const { definition, revision, schedule } = s.definition;
  if (state.definition === definition) return { ...state, lastTick, revision, schedule };
  return { ...state, lastTick: Math.max(lastTick, s.knownSinceMs), missedUpTo: 0, definition, revision, schedule };
}

/** The last run, if nobody finished it: abandoned, and tried again if that is left; or claimed and never begun, and due as it was. */
function afterLastRun(state: TaskState, s: Situation): { readonly state: TaskState; readonly notes: readonly Note[] } {
  const { run } = state;
  if (run === undefined || run.end !== undefined) return { state, notes: [] };
  const again = (attempt: number): Retry => attemptOf(run, attempt, s.nowMs);
  if (s.standing !== "dead") return { state: { ...state, run: undefined, retry: again(run.attempt) }, notes: [] };
  const ended: Note = { ...run, state: "abandoned", end: s.nowMs, error: "its process died, or lost its lease" };
  const retry = run.attempt <= s.policy.retries ? again(run.attempt + 1) : undefined;
  return { state: { ...state, run: undefined, retry }, notes: [ended] };
}

interface Due {
  readonly state: TaskState;
  readonly notes: readonly Note[];
  readonly claim?: Occurrence;
}

function dueTicks(state: TaskState, s: Situation): Due {
  const ticks = ticksUpTo(s.schedule, state.lastTick, s.nowMs);
  if (ticks.length === 0) return { state, notes: [] };
  const { overlapped, rest } = overlap(ticks, state, s.policy);
  const skipped = group("skipped", overlapped, s.nowMs);
  const newest = rest.at(-1);
  // Nothing but what was left out: the next claimer finds the same, and writes it down with its claim.
  if (newest === undefined) return { state, notes: [] };
  const late = newest <= state.missedUpTo || isLate(newest, state, s);
  const missed = late ? rest : rest.slice(0, -1);
  const run = (tick: number, count: number, rest_: Partial<TaskState>, notes: readonly Note[]): Due => ({
    state: { ...state, lastTick: tick, missedUpTo: 0, ...rest_ },
    notes: [...skipped, ...notes],
    claim: { kind: "tick", tick, attempt: 1, missed: count },
  });
  if (missed.length === 0) return run(newest, 0, {}, []);
  const { missed: policy } = s.policy;
  if (policy === "once") return run(newest, missed.length, {}, []);
  if (policy === "skip") {
    const notes = group("missed", missed, s.nowMs);
    if (!late) return run(newest, 0, {}, notes);
    return { state: { ...state, lastTick: newest, missedUpTo: 0 }, notes: [...skipped, ...notes] };
  }
  const kept = missed.filter((tick) => s.nowMs - tick <= policy.all.windowMs).slice(-policy.all.max);
  const dropped = group("missed", missed.slice(0, missed.length - kept.length), s.nowMs);
  const [first] = kept;
  if (first !== undefined) return run(first, missed.length, { missedUpTo: missed.at(-1) ?? 0 }, dropped);
  if (!late) return run(newest, 0, {}, dropped);
  return { state: { ...state, lastTick: newest, missedUpTo: 0 }, notes: [...skipped, ...dropped] };
}

/** The ticks after `afterMs` that are due, oldest first; of very many the newest. */
function ticksUpTo(schedule: Schedule, afterMs: number, nowMs: number): readonly number[] {
  const ticks = schedule.between(afterMs, nowMs, MAX_TICKS);
  if (ticks.length < MAX_TICKS) return ticks;
  const newest: number[] = [];
  for (let at = schedule.previous(nowMs + 1); at !== undefined && at > afterMs && newest.length < MAX_TICKS; at = schedule.previous(at))
    newest.unshift(at);
  return newest;
}

/** Ticks that were due while the last run was under way. */
function overlap(
  ticks: readonly number[],
  state: TaskState,
  policy: Policy,
): { readonly overlapped: readonly number[]; readonly rest: readonly number[] } {
  const { run } = state;
  if (policy.overlap === "allow" || run?.end === undefined) return { overlapped: [], rest: ticks };
  const since = run.since ?? run.start;
  const during = (tick: number): boolean => tick > run.tick && tick >= since && tick <= (run.end ?? 0);
  const overlapped = ticks.filter(during);
  const rest = ticks.filter((tick) => !during(tick));
  // One of them waits for the run to end; where there is a newer tick, that one stands for it.
  const queued = policy.overlap === "queue" && rest.every((tick) => tick < since) ? overlapped.slice(-1) : [];
  return { overlapped: queued.length > 0 ? overlapped.slice(0, -1) : overlapped, rest: [...rest, ...queued] };
}

/** Late counts from the later of the tick and the last look that any node recorded. */
function isLate(tick: number, state: TaskState, s: Situation): boolean {
  const lastLook = Math.max(0, ...state.looks, state.run?.end ?? 0);
  const gaps = state.looks.slice(1).map((at, i) => at - (state.looks[i] ?? at));
  const graceMs = s.policy.graceOfLooks ? Math.max(s.policy.graceMs, ...gaps) : s.policy.graceMs;
  return s.nowMs - Math.max(tick, lastLook) > graceMs;
}

/** Many ticks are one entry of the history. */
function group(state: "skipped" | "missed", ticks: readonly number[], nowMs: number): readonly Note[] {
  const [first] = ticks;
  return first === undefined ? [] : [{ kind: "tick", state, tick: first, start: nowMs, end: nowMs, missed: ticks.length }];
}
