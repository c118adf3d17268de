/** Which other faces of the package live in the world of a seed, and what is done with them. */
import { KeyedRandom } from "../../../src/testing/sim/keyed-random.ts";
import { LOCK_ACTIONS, type FacePlan, type LockAction, type NodePlan, type TaskPlan } from "./plan.ts";

export interface FaceDraft {
  readonly seed: number;
  readonly baseTtlMs: number;
  readonly storeTime: boolean;
  /** Whether the store tells the time at all. */
  readonly dates: boolean;
  readonly nodes: readonly NodePlan[];
}

/** Empty in about a third of the seeds. */
export function facesOf(draft: FaceDraft): FacePlan[] {
  const random = new KeyedRandom(draft.seed, "faces");
  const kinds = (["locks", "session"] as const).filter(() => random.chance(0.4));
  const keys = ["l1", "l2", "l3"].slice(0, 1 + random.below(3));
  // What is never done in this world: an action that is always on hides others.
  const actions = LOCK_ACTIONS.filter(() => random.chance(0.6));
  const delays = { minHold: random.chance(0.4), lockDelay: random.chance(0.4), maxHold: random.chance(0.3) };
  return [...lockFaces(draft, kinds, { keys, actions, delays }), ...schedulersOf(draft)];
}

function lockFaces(draft: FaceDraft, kinds: readonly ("locks" | "session")[], common: Common): FacePlan[] {
  return draft.nodes.flatMap(({ name }) =>
    kinds.filter((kind) => new KeyedRandom(draft.seed, "lives", kind, name).chance(0.75)).map((kind) => faceOf(draft, kind, name, common)),
  );
}

interface Common {
  readonly keys: readonly string[];
  readonly actions: readonly LockAction[];
  readonly delays: { readonly minHold: boolean; readonly lockDelay: boolean; readonly maxHold: boolean };
}

/** A face's settings are its own draw, so that taking one away leaves the others as they are. */
function faceOf({ seed, baseTtlMs, storeTime }: FaceDraft, kind: "locks" | "session", node: string, common: Common): FacePlan {
  const random = new KeyedRandom(seed, "face", kind, node);
  const ttlMs = Math.max(200, Math.round(baseTtlMs * (random.chance(0.7) ? 1 : random.pick([0.5, 0.8, 1.3, 2]))));
  const { keys, actions, delays } = common;
  const part = (on: boolean, low: number, high: number): number | undefined =>
    on ? Math.round(ttlMs * random.magnitude(low, high)) : undefined;
  const own = {
    node,
    keys,
    callers: 1 + random.below(3),
    actions: actions.length === 0 ? ["with" as const] : actions,
    ttlMs,
    drainMs: Math.round(ttlMs * random.magnitude(0.1, 5)),
    minHoldMs: part(delays.minHold, 0.05, 3),
    lockDelayMs: part(delays.lockDelay, 0.05, 3),
    maxHoldMs: part(delays.maxHold, 0.3, 1),
  };
  if (kind === "locks") {
    const takeover = random.chance(0.6) ? "auto" : random.pick(storeTime ? (["observe", "store-time"] as const) : (["observe"] as const));
    return { kind, ...own, takeover, autoRenew: random.chance(0.8) };
  }
  const marginMs = random.chance(0.4) ? Math.ceil(ttlMs * random.between(0.1, 0.35)) : undefined;
  return { kind, ...own, marginMs, election: random.chance(0.4) ? "over-a-session" : undefined };
}

/** Tasks are the same for all nodes; a node follows them or calls `runDue`. Without the store's time nothing is claimed by it. */
function schedulersOf({ seed, baseTtlMs, dates, nodes }: FaceDraft): FacePlan[] {
  const random = new KeyedRandom(seed, "schedulers");
  if (!random.chance(0.3) || !dates) return [];
  const ttlMs = Math.max(1_000, baseTtlMs);
  const task = taskOf(random, ttlMs);
  const keys = ["t1", "t2"].slice(0, 1 + random.below(2));
  const functions = random.chance(0.3);
  return nodes.flatMap(({ name }): FacePlan[] => {
    const own = new KeyedRandom(seed, "scheduler", name);
    if (!own.chance(0.8)) return [];
    const drainMs = Math.round(ttlMs * own.magnitude(0.1, 5));
    return [
      { kind: "scheduler", node: name, keys, callers: 0, actions: [], ttlMs, drainMs, task, functions: functions && own.chance(0.8) },
    ];
  });
}

function taskOf(random: KeyedRandom, ttlMs: number): TaskPlan {
  const everyMs = Math.max(1_000, Math.round(ttlMs * random.magnitude(0.3, 10)));
  const graceMs = Math.round(everyMs * random.magnitude(0.3, 3)) + Math.round(ttlMs / 10) + 1_100;
  const all = { max: 1 + random.below(5), windowMs: graceMs + Math.round(everyMs * random.between(1, 10)) };
  return {
    everyMs,
    graceMs,
    retries: random.pick([0, 1, 3]),
    retryDelayMs: Math.round(ttlMs * random.between(0, 1)),
    timeoutMs: random.chance(0.5) ? Math.round(ttlMs * random.magnitude(0.1, 3)) : undefined,
    missed: random.pick(["once", "once", "skip", { all }]),
    overlap: random.pick(["skip", "queue"]),
  };
}
