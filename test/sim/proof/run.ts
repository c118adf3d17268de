/** One plan from beginning to end: faults and safety first, then calm, in which every election must find its leader and keep it. */
import { settled, type DrainKind } from "../../../src/testing/sim/drain.ts";
import { Arena, type ArenaOptions } from "./arena.ts";
import type { Coverage } from "./coverage.ts";
import type { FacePlan, NodePlan, Plan } from "./plan.ts";
import { repair } from "./operator.ts";
import { Violation } from "./violation.ts";

export interface RunResult {
  readonly seed: number;
  readonly hash: string;
  readonly events: number;
  readonly simulatedMs: number;
  readonly coverage: Coverage;
  readonly failure: Failure | undefined;
  /** The most requests for one key that a process sent within a ttl. */
  readonly mostInPeriod: number;
}

export interface Failure {
  readonly invariant: string;
  readonly message: string;
  readonly atMs: number;
}

export interface RunOptions extends ArenaOptions {
  readonly drain?: DrainKind | undefined;
}

export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<RunResult> {
  const arena = new Arena(plan, options);
  let failure: Failure | undefined;
  const onRejection = (error: unknown): void => {
    failure ??= { invariant: "I13", message: `unhandled rejection: ${textOf(error)}`, atMs: arena.world.nowMs };
  };
  const onException = (error: unknown): void => {
    failure ??= { invariant: "I13", message: `uncaught exception: ${textOf(error)}`, atMs: arena.world.nowMs };
  };
  process.on("unhandledRejection", onRejection);
  process.on("uncaughtException", onException);
  try {
    await play(arena);
    // Rejections that nobody handled are told after the macrotask in which they happened.
    await settled();
  } catch (error) {
    const invariant = error instanceof Violation ? error.invariant : "I13";
    failure ??= { invariant, message: error instanceof Violation ? error.message : textOf(error), atMs: arena.world.nowMs };
  } finally {
    await settled();
    process.off("unhandledRejection", onRejection);
    process.off("uncaughtException", onException);
  }
  summarize(arena);
  const { world, coverage, mostInPeriod } = arena;
  return { mostInPeriod, seed: plan.seed, hash: world.hash, events: world.events, simulatedMs: world.nowMs, coverage, failure };
}

async function play(arena: Arena): Promise<void> {
  const { plan, world } = arena;
  const forget = (): void => {
    arena.ledger.forgetBefore(world.nowMs - 3 * plan.latestMs);
    world.schedule(world.nowMs + plan.latestMs, forget);
  };
  forget();
  await world.runUntil(plan.safetyMs);
  // What was late may still land, and hung programs come to their end.
  arena.isCalm = true;
  arena.alarm();
  repair(arena);
  arena.startAll();
  await world.runUntil(world.nowMs + plan.latestMs);
  arena.startAll();
  await findLeaders(arena);
  await findHolders(arena);
  await findRuns(arena);
  await keepLeaders(arena);
}

/** I9: a leader within the time that the slowest evidence of a death takes, a poll of the slowest, and four requests there and back. */
async function findLeaders(arena: Arena): Promise<void> {
  const { plan, world } = arena;
  const boundMs = failoverBoundMs(plan);
  const since = world.nowMs;
  for (const key of plan.keys) {
    const objectKey = arena.objectKey(key);
    await world.runUntil(since + boundMs, () => arena.terms.believers(objectKey).length > 0);
    if (arena.terms.believers(objectKey).length === 0)
      throw new Violation("I9", `${key} has no leader ${Math.round(boundMs)} ms after everything was calm again`);
  }
  arena.coverage.count("elections calm", plan.keys.length);
}

/** Every lock has a new holder again, whatever was left behind on it: nothing is stuck (S13, S14). */
async function findHolders(arena: Arena): Promise<void> {
  const { plan, world } = arena;
  const faces = (plan.faces ?? []).filter((face) => face.kind !== "scheduler" && face.kind !== "janitor");
  // Without the store's time there are no ephemeral locks (rule P1).
  const names = [...new Set(faces.flatMap((face) => (face.ephemeral === true && plan.profile.storeTime !== true ? [] : face.keys)))];
  const since = world.nowMs;
  const before = new Map(names.map((name) => [name, arena.ledger.history(arena.lockKey(name)).highestToken]));
  const boundMs = failoverBoundMs(plan) + names.length * turnBoundMs(plan);
  for (const name of names) {
    const isTaken = (): boolean => arena.ledger.history(arena.lockKey(name)).highestToken > (before.get(name) ?? 0);
    await world.runUntil(since + boundMs, isTaken);
    if (!isTaken()) throw new Violation("I9", `nobody could take ${name} within ${Math.round(boundMs)} ms after everything was calm again`);
  }
  arena.coverage.count("locks calm", names.length);
}

/** Every task is claimed again: a tick comes, whoever was in the middle of a run is done or dead, and what was paused has been taken back. */
async function findRuns(arena: Arena): Promise<void> {
  const { plan, world } = arena;
  // What a fast clock claimed before its time is not due again until that time has come.
  if (plan.nodes.some((node) => arena.tasks.mayBeFast(node.name))) return;
  const schedulers = (plan.faces ?? []).filter((face) => face.kind === "scheduler");
  const longest = (of: (face: FacePlan) => number | undefined): number => Math.max(0, ...schedulers.map((face) => of(face) ?? 0));
  const slowest = Math.min(...plan.nodes.map((n) => n.rate));
  const boundMs = failoverBoundMs(plan) + (3 * longest((f) => f.task?.everyMs) + 16 * longest((f) => f.ttlMs) + 60_000) / slowest;
  const since = world.nowMs;
  for (const name of new Set(schedulers.flatMap((face) => face.keys))) {
    const key = arena.taskKey(name);
    const before = arena.tasks.claims(key);
    const isClaimed = (): boolean => arena.tasks.claims(key) > before;
    await world.runUntil(since + boundMs, isClaimed);
    if (!isClaimed()) throw new Violation("I9", `${name} was not run within ${Math.round(boundMs)} ms after everything was calm again`);
    arena.coverage.count("tasks calm");
  }
}

/** How long every caller may take to come round to a lock: it waits, holds, rests; and what keeps a lock closed after its holder. */
function turnBoundMs(plan: Plan): number {
  const faces = plan.faces ?? [];
  const longest = (of: (face: FacePlan) => number | undefined): number => Math.max(0, ...faces.map((face) => of(face) ?? 0));
  const callers = faces.reduce((sum, face) => sum + face.callers, 0);
  const slowest = Math.min(...plan.nodes.map((n) => n.rate));
  // What was closed for its deletion, and was not deleted, opens by itself (rule P3).
  const closedMs = faces.some((f) => f.kind === "janitor") ? 38.5 * 60_000 : 0;
  return (
    ((5 + callers) * longest((f) => f.ttlMs) + (1 + callers) * (longest((f) => f.minHoldMs) + longest((f) => f.lockDelayMs)) + closedMs) /
    slowest
  );
}

async function keepLeaders(arena: Arena): Promise<void> {
  const { plan, world } = arena;
  const tokens = new Map<string, number>();
  const before = requestCounts(arena);
  const sessionsBefore = memberWrites(arena);
  const stableMs = 6 * Math.max(...plan.nodes.map((n) => n.ttlMs));
  for (const key of plan.keys) tokens.set(key, arena.ledger.history(arena.objectKey(key)).highestToken);
  const isBroken = (): boolean => plan.keys.some((key) => arena.ledger.history(arena.objectKey(key)).highestToken !== tokens.get(key));
  if (!plan.boundedClocks) {
    // A clock that runs twice as fast as the leader's sees its record unchanged for too long between two renewals, and its requests are late
    // too soon: no stability is promised then, and a slow holder that looks dead is tried again and again. What is safe is still watched.
    await world.runUntil(world.nowMs + stableMs);
    return;
  }
  await world.runUntil(world.nowMs + stableMs, isBroken);
  if (isBroken()) throw new Violation("I9", "leadership changed hands in the calm");
  checkSessions(arena, sessionsBefore, stableMs);
  checkBudgets(arena, before, stableMs);
  checkAgreement(arena);
}

/** Everybody who takes part knows who leads, and calls himself healthy. */
function checkAgreement(arena: Arena): void {
  for (const { plan: node, programs } of arena.members) {
    for (const { key, manager, state } of programs) {
      if (manager === undefined || state !== "on") continue;
      const [leader] = arena.terms.believers(arena.objectKey(key));
      const known = manager.lastLeader;
      const leadingNode = arena.plan.nodes.find((n) => n.name === leader?.process.node.name);
      if (known?.fencingToken !== leader?.token || known?.holder !== (leadingNode?.calledAs ?? leadingNode?.name)) {
        const seen = known === undefined ? "nobody" : `${known.holder} with token ${known.fencingToken}`;
        throw new Violation("I9", `${node.name} takes ${seen} for the leader of ${key} after a long calm`);
      }
      const health = manager.health();
      if (!health.ok) throw new Violation("I9", `${node.name} calls itself ill in ${key} after a long calm: ${health.error.message}`);
    }
  }
}

/**
 * I10: a holder sends at most three requests a ttl, a follower one a poll; what beginning and end cut off is rounded up. A follower whose poll
 * is longer than the watch of the record (of a node with a much shorter ttl) does not look again before its CAS: two requests a watch.
 */
function checkBudgets(arena: Arena, before: ReadonlyMap<string, number>, spanMs: number): void {
  const now = requestCounts(arena);
  const shortestWatchMs = Math.min(...arena.plan.nodes.map((n) => n.ttlMs)) * 1.1;
  for (const { plan: node } of arena.members) {
    const used = (now.get(node.name) ?? 0) - (before.get(node.name) ?? 0);
    const pollMs = pollOf(node);
    const asFollower = pollMs < shortestWatchMs ? 1 / pollMs : 2 / shortestWatchMs;
    const asHolder = 3 / (node.ttlMs - 3);
    const budget = arena.plan.keys.length * (Math.ceil(spanMs * maxRate(node) * Math.max(asFollower, asHolder)) + 3);
    if (used > budget)
      throw new Violation("I10", `${node.name} sent ${used} requests in ${Math.round(spanMs)} calm milliseconds; ${budget} are its share`);
  }
}

/**
 * I10: a session renews once every third of its ttl, whatever it holds; what fails in the calm is not repeated at once. A flag for one of its locks is
 * written onto its record, by waiters that have waited since before the calm: each such write refuses one renewal (seed 700081).
 */
function checkSessions(arena: Arena, before: ReadonlyMap<string, number>, spanMs: number): void {
  const now = memberWrites(arena);
  const keyOf = (id: string): string => id.slice(id.indexOf(" "));
  for (const [id, sent] of now) {
    const face = (arena.plan.faces ?? []).find((f) => f.kind === "session" && id.startsWith(`${f.node} `));
    const node = arena.plan.nodes.find((n) => n.name === face?.node);
    if (face === undefined || node === undefined) continue;
    const used = sent - (before.get(id) ?? 0);
    const others = [...now].filter(([other]) => other !== id && keyOf(other) === keyOf(id));
    const flags = others.reduce((sum, [other, writes]) => sum + writes - (before.get(other) ?? 0), 0);
    const budget = Math.ceil((spanMs * maxRate(node) * 3) / (face.ttlMs - 9)) + 2 + flags;
    if (used > budget)
      throw new Violation("I10", `${id}: ${used} writes in ${Math.round(spanMs)} calm milliseconds; ${budget} are its share`);
  }
}

/** Writes of member records so far, by node and key. */
function memberWrites(arena: Arena): Map<string, number> {
  return new Map([...arena.writes].filter(([id]) => id.includes("members/")));
}

function requestCounts(arena: Arena): Map<string, number> {
  return new Map(arena.members.map(({ plan }) => [plan.name, arena.electionRequests(plan.name)]));
}

function pollOf(node: NodePlan): number {
  return node.pollMs ?? Math.min(5_000, Math.floor(node.ttlMs / 3));
}

function maxRate(node: NodePlan): number {
  return Math.max(1, node.rate);
}

/** The longest watch of any record, by the slowest clock, plus polls, cooldowns and requests. */
export function failoverBoundMs(plan: Plan): number {
  const slowest = Math.min(...plan.nodes.map((n) => n.rate));
  const longestTtlMs = Math.max(...plan.nodes.map((n) => n.ttlMs), ...(plan.faces ?? []).map((f) => f.ttlMs));
  const watchMs = Math.max(longestTtlMs * 1.1, (longestTtlMs * 0.9 * 1.1) / 0.9);
  // By the store's stamps alone it takes as long as the stamps are coarse and wrong.
  const stampsMs = plan.nodes.some((n) => n.takeover === "store-time") ? longestTtlMs / 0.9 + 2_000 + (plan.profile.skewMs ?? 0) * 2 : 0;
  const pollMs = Math.max(...plan.nodes.map(pollOf));
  const cooldownMs = Math.max(...plan.nodes.map((n) => n.cooldownMs ?? 2 * pollOf(n)));
  const roundTripMs = plan.latency.minMs + 12 * plan.latency.meanMs;
  return (Math.max(watchMs, stampsMs) + 3 * pollMs + cooldownMs + 2_000) / slowest + 8 * roundTripMs;
}

/** Counters of the package itself, and the named states that only they can tell. */
function summarize(arena: Arena): void {
  const { coverage, plan } = arena;
  const stats = arena.sumStats();
  for (const [name, n] of stats) if (n > 0) coverage.count(`stats ${name}`, n);
  for (const [kind, n] of arena.network.struck) coverage.count(`fault ${kind}`, n);
  if ((stats.get("takeoversByObservation") ?? 0) > 0) coverage.saw("takeover by waiting");
  if ((stats.get("takeoversByStoreTime") ?? 0) > 0) coverage.saw("takeover by store time");
  if (plan.boundedClocks && hasBothBounds(plan) && (stats.get("takeoversByObservation") ?? 0) > 0) coverage.saw("clock rate at the bound");
}

function hasBothBounds(plan: Plan): boolean {
  const rates = [...plan.nodes.map((n) => n.rate), ...plan.windows.filter((w) => w.kind === "clock-rate").map((w) => w.x)];
  return rates.includes(0.9) && rates.includes(1.1);
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
