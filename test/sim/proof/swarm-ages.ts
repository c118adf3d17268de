/**
 * Worlds that live for half a day, in which little happens: records grow old there, and are deleted. Messages take as long as a store may take a
 * signed request, machines stop for hours, and now and then a process is stopped at the very moment that the rules of deletion are about.
 */
import type { FaultWindow } from "../../../src/testing/sim/faults.ts";
import { KeyedRandom } from "../../../src/testing/sim/keyed-random.ts";
import { LOCK_ACTIONS, STALLS, type FacePlan, type NodePlan, type Plan } from "./plan.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** A simulated hour of elections has as much in it as so many hours here. */
const SPARSE = 120;
const MOST_HOURS = 24;
/** How long a signed request is under way at most. */
const UNDER_WAY_MS = 30 * MINUTE_MS;

export function agesPlanOf(seed: number, { hours }: { readonly hours: number }): Plan {
  const random = new KeyedRandom(seed, "ages", "plan");
  const nodes = Array.from({ length: 2 + random.below(3) }, (_, i) => nodeOf(seed, i));
  const profile = {
    missingOnReplace: random.chance(0.3) ? (412 as const) : (404 as const),
    // Without the condition a late DELETE hits whatever stands there.
    conditionalDelete: random.chance(0.4),
    storeTime: random.chance(0.9),
    skewMs: random.chance(0.5) ? 0 : Math.round(random.magnitude(10, 3_000)),
    offsetMs: random.chance(0.5) ? 0 : Math.round(random.between(-1e7, 1e7)),
  };
  // Where the store's times are unfit everything is refused, and there is nothing to wait for.
  const safetyMs = Math.round(Math.min(hours * SPARSE, profile.storeTime ? MOST_HOURS : 1) * HOUR_MS);
  return {
    format: 1,
    seed,
    keys: [],
    nodes,
    faces: facesOf(seed, nodes),
    latency: { minMs: 0.2, meanMs: random.magnitude(5, 250) },
    profile,
    boundedClocks: true,
    safetyMs,
    latestMs: UNDER_WAY_MS,
    windows: windowsOf(seed, { nodes, safetyMs, conditionalDelete: profile.conditionalDelete }),
  };
}

function nodeOf(seed: number, index: number): NodePlan {
  const name = String.fromCharCode(97 + index);
  const random = new KeyedRandom(seed, "ages", "node", name);
  return {
    name,
    style: "run",
    ttlMs: MINUTE_MS,
    drainMs: MINUTE_MS,
    takeover: "auto",
    rate: random.chance(0.4) ? 1 : random.pick([0.9, 1.1, random.between(0.9, 1.1)]),
    wallOffsetMs: random.chance(0.5) ? 0 : Math.round(random.between(-1e8, 1e8)),
    timerEarlyMs: random.chance(0.3) ? 1 : 0,
    onDone: "keep",
  };
}

function facesOf(seed: number, nodes: readonly NodePlan[]): FacePlan[] {
  const random = new KeyedRandom(seed, "ages", "faces");
  const keys = ["ephemeral:x1", "ephemeral:x2", "ephemeral:x3"].slice(0, 1 + random.below(3));
  const actions = LOCK_ACTIONS.filter(() => random.chance(0.5));
  const hasSessions = random.chance(0.4);
  const minHold = random.chance(0.25);
  return nodes.flatMap(({ name: node }, i): FacePlan[] => {
    const own = new KeyedRandom(seed, "ages", "face", node);
    const ttlMs = Math.round(own.magnitude(10_000, MINUTE_MS));
    const common = { node, ttlMs, drainMs: ttlMs, actions: actions.length === 0 ? (["with"] as const) : actions };
    const restMs = Math.round(HOUR_MS * own.magnitude(1, 5));
    const minHoldMs = minHold && own.chance(0.3) ? Math.round(HOUR_MS * own.magnitude(0.05, 3)) : undefined;
    const faces: FacePlan[] = [
      { ...common, kind: "locks", keys, callers: own.chance(0.3) ? 2 : 1, ephemeral: true, takeover: "auto", restMs, minHoldMs },
    ];
    if (i === 0 || own.chance(0.5))
      faces.push({ ...common, kind: "janitor", keys: [], callers: 0, restMs: Math.round(HOUR_MS * own.magnitude(0.1, 0.7)) });
    if (hasSessions && own.chance(0.6)) faces.push({ ...common, kind: "session", keys: ["l1", "l2"], callers: 1, restMs });
    return faces;
  });
}

interface Draft {
  readonly nodes: readonly NodePlan[];
  readonly safetyMs: number;
  readonly conditionalDelete: boolean;
}

function windowsOf(seed: number, { nodes, safetyMs, conditionalDelete }: Draft): FaultWindow[] {
  const random = new KeyedRandom(seed, "ages", "windows");
  // Nothing between a pruner and a store that ignores the condition sends a DELETE twice: that is assumed.
  const twice = ["duplicate", "retry"] as const;
  const onAll = ["lose-request", "lose-reply", "reset", "error-500", "busy-503", "late"] as const;
  const kinds: readonly Draw[] = [
    ...onAll.flatMap((kind) => (["put", "get", "delete"] as const).map((on) => ({ kind, on }))),
    ...twice.flatMap((kind) => (conditionalDelete ? (["put", "delete"] as const) : (["put"] as const)).map((on) => ({ kind, on }))),
    { kind: "slow-request" },
    { kind: "slow-reply" },
    { kind: "stale-read", on: "get" },
    { kind: random.pick(["freeze", "wall-step"]) },
    { kind: "pause" },
    { kind: "crash" },
    ...STALLS.map((kind) => ({ kind })),
  ];
  const drawn = kinds.filter(({ kind }) => random.chance(kind.startsWith("stall") ? 0.8 : 0.25));
  return drawn
    .flatMap((draw) =>
      nodes.flatMap(({ name }) => drawnOf(new KeyedRandom(seed, "ages", draw.kind, draw.on ?? "", name), draw, name, safetyMs)),
    )
    .sort((a, b) => a.from - b.from);
}

interface Draw {
  readonly kind: string;
  readonly on?: "put" | "get" | "delete";
}

function drawnOf(random: KeyedRandom, { kind, on }: Draw, node: string, safetyMs: number): FaultWindow[] {
  // There are few of the requests that this is about, and many of the others.
  const isRare = on === "delete" || kind.startsWith("stall");
  const count = Math.round((random.between(0.3, 2) * (isRare ? 8 : 3) * safetyMs) / (12 * HOUR_MS));
  return Array.from({ length: count }, () => {
    const from = Math.round(random.between(0, safetyMs * 0.95));
    const lengthMs = HOUR_MS * (isRare ? random.magnitude(0.2, 3) : random.magnitude(0.005, 1));
    const to = Math.round(Math.min(safetyMs, from + lengthMs));
    return { kind, node, from, to, x: strengthOf(random, kind), ...(on === undefined ? {} : { on }) };
  });
}

function strengthOf(random: KeyedRandom, kind: string): number {
  switch (kind) {
    case "late":
    case "duplicate":
    case "retry":
      // Most of them as late as they may be.
      return random.chance(0.6) ? UNDER_WAY_MS : Math.round(random.magnitude(1_000, UNDER_WAY_MS));
    case "slow-request":
    case "slow-reply":
      return Math.round(random.magnitude(100, 20_000));
    case "stall-create":
    case "stall-delete":
      return Math.round(random.magnitude(MINUTE_MS / 2, 3 * HOUR_MS));
    case "wall-step":
      return Math.round(random.pick([-1, 1]) * random.magnitude(1_000, 3 * HOUR_MS));
    case "pause":
    case "freeze":
    case "crash":
      return random.below(3);
    default:
      return random.pick([0.3, 0.7, 1]);
  }
}
