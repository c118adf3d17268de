/**
 * Whether a task's record follows its policies, by arithmetic of its own: no tick is passed over in silence, none runs that a policy leaves out, and
 * nothing runs that was paused or was tried as often as it may be (I11).
 */
import type { Arena } from "./arena.ts";
import type { Entry, Payload } from "./task-books.ts";
import type { TaskPlan } from "./plan.ts";

/** A write of a task's record. `claimed`: it is the claim of `now.run`. */
export interface TaskWrite {
  readonly key: string;
  readonly before: Payload | undefined;
  readonly now: Payload;
  readonly claimed: boolean;
}

const decoder = new TextDecoder();

export function checkPolicies(arena: Arena, { key, before, now, claimed }: TaskWrite): void {
  const task = arena.plan.faces?.find((face) => face.kind === "scheduler")?.task;
  if (task === undefined || before === undefined) return;
  const fail = (what: string): void => arena.fail("I11", `${key}: ${what}`);
  checkAccounts(arena, { key, before, now, claimed }, task, fail);
  const run = claimed ? now.run : undefined;
  if (task.missed === "once" && newIn(now, before).some((e) => e.state === "missed")) fail('a tick was given up as missed under "once"');
  if (run?.kind !== "tick") return;
  const when = new Date(run.tick).toISOString();
  if (now.paused === true) fail(`tick ${when} was claimed while the task is paused`);
  if (run.attempt > 1 + task.retries) fail(`tick ${when} is tried for the ${run.attempt}th time, with ${task.retries} retries`);
  if (run.attempt > 1) return;
  if (task.missed === "skip" && (run.missed ?? 0) > 0) fail(`tick ${when} was missed, and runs under "skip"`);
  if (typeof task.missed === "object") checkAll(now, run, task, fail);
  const last = before.run;
  // A claim that had not begun is claimed again as it was.
  if (task.overlap !== "skip" || last?.end === undefined || run.tick <= last.tick) return;
  const since = last.since ?? last.start;
  if (run.tick >= since && run.tick <= last.end) fail(`tick ${when} was due while the run before it went on, and runs under "skip"`);
}

/** Every tick that the record goes past stands in it: as the run, as one of those that the run stands for, as missed or as skipped. */
function checkAccounts(
  arena: Arena,
  { key, before, now, claimed }: TaskWrite & { readonly before: Payload },
  { everyMs }: TaskPlan,
  fail: (what: string) => void,
): void {
  if (now.lastTick <= before.lastTick) return;
  // What was due while it was paused is nobody's.
  const from = Math.max(before.lastTick, notBeforeMs(arena, key));
  const ticks = Math.max(0, Math.floor(now.lastTick / everyMs) - Math.floor(from / everyMs));
  const noted = newIn(now, before).reduce((sum, e) => sum + (e.state === "missed" || e.state === "skipped" ? (e.missed ?? 1) : 0), 0);
  // A run on time stands for itself beside those that it says were missed, one that is late is one of them.
  const ran = claimed && now.run !== undefined ? 1 + (now.run.missed ?? 0) : 0;
  if (ticks > noted + ran)
    fail(`${ticks} ticks were due up to ${new Date(now.lastTick).toISOString()}, and only ${noted + ran} are accounted for`);
  if (ticks > 1 && ran > 1) arena.coverage.count("ticks run for together", ticks);
}

/** Of those that are caught up with one by one there are at most so many. */
function checkAll(now: Payload, run: Entry, { missed, everyMs }: TaskPlan, fail: (what: string) => void): void {
  const upTo = now.missedUpTo ?? 0;
  if (typeof missed !== "object" || upTo < run.tick) return;
  // What was due during the run before is left out, and lies between those that are still to be run.
  const between = now.history.filter((e) => e.state === "skipped" && e.tick > run.tick && e.tick <= upTo);
  const skipped = between.reduce((sum, e) => sum + (e.missed ?? 1), 0);
  const left = Math.floor(upTo / everyMs) - Math.floor(run.tick / everyMs) + 1 - skipped;
  if (left > missed.all.max) fail(`${left} missed ticks are to be run, and ${missed.all.max} may be`);
}

/** Entries of the history that came with this write. */
function newIn(now: Payload, before: Payload): readonly Entry[] {
  const known = new Set(before.history.map(idOf));
  return now.history.filter((e) => !known.has(idOf(e)));
}

function idOf({ state, tick, start, attempt }: Entry): string {
  return `${state}/${tick}/${start}/${attempt}`;
}

function notBeforeMs({ s3 }: Arena, key: string): number {
  const body = s3.peek(`${key}~control`)?.body;
  return body === undefined ? 0 : ((JSON.parse(decoder.decode(body)) as { readonly notBeforeMs?: number }).notBeforeMs ?? 0);
}
