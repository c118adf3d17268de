/**
 * Swarm testing: each seed draws not only when things go wrong but which things can go wrong at all, how often, and who takes part. A fault
 * that is always on hides others; leaving it out altogether in some seeds finds what it hid.
 */
import { isRequestFault, isTimed, REQUEST_FAULTS, type FaultWindow, type RequestFault } from "../../../src/testing/sim/faults.ts";
import { KeyedRandom } from "../../../src/testing/sim/keyed-random.ts";
import { FLAGS, PROGRAM_FAULTS, TAMPERING, type FacePlan, type NodePlan, type Plan, type Style } from "./plan.ts";
import { agesPlanOf } from "./swarm-ages.ts";
import { facesOf } from "./swarm-faces.ts";

/** More than so many ttls tell nothing new within one seed. */
const MAX_TTLS = 500;
const STYLES: readonly Style[] = ["run", "run", "start", "campaign"];

export interface SwarmLimits {
  readonly hours: number;
}

interface Draft {
  readonly random: KeyedRandom;
  readonly seed: number;
  readonly baseTtlMs: number;
  readonly safetyMs: number;
  readonly bounded: boolean;
  readonly nodes: readonly NodePlan[];
  readonly keys: readonly string[];
}

export function planOf(seed: number, limits: SwarmLimits): Plan {
  if (new KeyedRandom(seed, "ages").chance(0.15)) return agesPlanOf(seed, limits);
  const plan = withFaces(electionPlanOf(seed, limits));
  // Where other faces live, elections may be left out: alone they have more of the time.
  return plan.faces.length > 0 && new KeyedRandom(seed, "no elections").chance(0.3) ? { ...plan, keys: [] } : plan;
}

function withFaces(plan: Plan): Plan & { readonly faces: readonly FacePlan[] } {
  const { seed, nodes, profile } = plan;
  const baseTtlMs = nodes[0]?.ttlMs ?? 0;
  const faces = facesOf({ seed, baseTtlMs, storeTime: profile.storeTime === true, dates: profile.dates !== false, nodes });
  const busy = { ...shorter(plan, faces), faces };
  if (!faces.some((face) => face.kind === "scheduler")) return busy;
  // A machine whose clock is more than a day off claims no tick.
  const near = nodes.map((node) => ({ ...node, wallOffsetMs: Math.max(-7e7, Math.min(7e7, node.wallOffsetMs)) }));
  return { ...busy, nodes: near };
}

/** The more there is to do in a world, the sooner it has been tried: no seed takes many times as long as another. */
function shorter(plan: Plan, faces: readonly FacePlan[]): Plan {
  const callers = faces.reduce((sum, face) => sum + face.callers + (face.kind === "scheduler" ? 2 : 0), 0);
  const safetyMs = Math.round(plan.safetyMs / (1 + callers / 5));
  const windows = plan.windows.filter((w) => w.from < safetyMs).map((w) => ({ ...w, to: Math.min(w.to, safetyMs) }));
  return { ...plan, safetyMs, windows };
}

function electionPlanOf(seed: number, limits: SwarmLimits): Plan {
  const plan = new KeyedRandom(seed, "which").chance(0.25) ? edgePlanOf(seed, limits) : swarmPlanOf(seed, limits);
  // Somebody always copies a configuration.
  if (!new KeyedRandom(seed, "twins").chance(0.1)) return plan;
  return { ...plan, nodes: plan.nodes.map((node) => ({ ...node, calledAs: "twin" })) };
}

function swarmPlanOf(seed: number, limits: SwarmLimits): Plan {
  const random = new KeyedRandom(seed, "swarm");
  const baseTtlMs = Math.round(random.magnitude(200, 60_000));
  const safetyMs = Math.round(Math.min(limits.hours * 3_600_000, MAX_TTLS * baseTtlMs));
  const bounded = random.chance(0.85);
  const skewMs = random.chance(0.5) ? 0 : Math.round(random.magnitude(10, 3_000));
  const dates = random.chance(0.9);
  const storeTime = random.chance(0.7) && dates;
  const nodes = Array.from({ length: 1 + random.below(5) }, (_, i) => nodeOf(seed, i, { baseTtlMs, bounded, storeTime }));
  const keys = Array.from({ length: random.chance(0.6) ? 1 : 1 + random.below(8) }, (_, i) => `e${i + 1}`);
  const longestTtlMs = Math.max(...nodes.map((n) => n.ttlMs));
  const draft: Draft = { random, seed, baseTtlMs, safetyMs, bounded, nodes, keys };
  return {
    format: 1,
    seed,
    keys,
    nodes,
    latency: { minMs: 0.2, meanMs: Math.min(250, baseTtlMs * random.magnitude(0.0005, 0.02)) },
    profile: {
      missingOnReplace: random.chance(0.3) ? 412 : 404,
      dates,
      storeTime,
      lastModifiedLagMs: storeTime || random.chance(0.5) ? 0 : Math.round(random.magnitude(1, 1_000)) * 1_000,
      skewMs,
      offsetMs: random.chance(0.5) ? 0 : Math.round(random.between(-1e7, 1e7)),
    },
    boundedClocks: bounded,
    safetyMs,
    latestMs: 10 * longestTtlMs,
    windows: windowsOf(draft),
  };
}

/**
 * A quarter of the seeds live on the edge: one ttl for all, the smallest margin, clocks as wrong as they may be, requests that take as long as
 * they may, and every second span of a ttl or so in which a holder can't renew. There the bounds themselves are tried, not the detours.
 */
function edgePlanOf(seed: number, limits: SwarmLimits): Plan {
  const random = new KeyedRandom(seed, "edge");
  const ttlMs = Math.round(random.magnitude(5_000, 60_000));
  const safetyMs = Math.round(Math.min(limits.hours * 3_600_000, 120 * ttlMs));
  const storeTime = random.chance(0.5);
  const skewMs = random.chance(0.5) ? 0 : Math.round(random.magnitude(10, 3_000));
  const nodes = Array.from({ length: 2 + random.below(2) }, (_, i): NodePlan => {
    return {
      name: String.fromCharCode(97 + i),
      style: random.pick(STYLES),
      ttlMs,
      marginMs: Math.ceil(ttlMs / 10),
      pollMs: Math.round(ttlMs * random.magnitude(0.02, 0.3)),
      requestTimeoutMs: Math.round(ttlMs * random.between(0.2, 0.55)),
      drainMs: ttlMs,
      takeover: storeTime ? random.pick(["auto", "observe", "store-time"]) : "observe",
      rate: [0.9, 1.1][(i + random.below(2)) % 2] ?? 1,
      wallOffsetMs: 0,
      timerEarlyMs: random.pick([0, 1]),
      onDone: "keep",
    };
  });
  const draft: Draft = { random, seed, baseTtlMs: ttlMs, safetyMs, bounded: true, nodes, keys: ["e1"] };
  const profile = { dates: storeTime, storeTime, skewMs };
  const latency = { minMs: 0.2, meanMs: ttlMs * 0.002 };
  return {
    format: 1,
    seed,
    keys: draft.keys,
    nodes,
    latency,
    profile,
    boundedClocks: true,
    safetyMs,
    latestMs: 2 * ttlMs,
    windows: edgeWindows(draft),
  };
}

function edgeWindows({ random, baseTtlMs: ttlMs, safetyMs, nodes }: Draft): FaultWindow[] {
  const windows: FaultWindow[] = [];
  const add = (kind: string, node: string, from: number, lengthTtls: number, x: number, on: "get" | "put"): void => {
    windows.push({
      kind,
      node,
      from: round(from),
      to: round(Math.min(safetyMs, from + lengthTtls * ttlMs)),
      x: round(x * 1_000) / 1_000,
      on,
    });
  };
  const slow = nodes.map(() => random.pick(["slow-request", "slow-reply"]));
  const asked = random.chance(0.5);
  const clock = random.pick(["none", "freeze", "wall-step", "pause"]);
  for (let at = ttlMs; at < safetyMs * 0.95; at += ttlMs * random.between(2, 4)) {
    // One message takes as long as it may, and then the holder is cut off: what it believes rests on that message alone.
    for (const [i, { name }] of nodes.entries()) {
      add(slow[i] ?? "slow-reply", name, at, random.between(0.2, 1), ttlMs * random.between(0.2, 0.6), random.pick(["get", "put"]));
      add(
        random.pick(["lose-request", "lose-request", "lose-reply"]),
        name,
        at + ttlMs * random.between(0.1, 1.2),
        random.between(0.5, 1.6),
        1,
        "put",
      );
    }
    // A clock that stands still, or is set back, while its machine can't renew; or a process that finds an answer and a due timer when it wakes.
    const { name } = random.pick(nodes);
    const from = round(at + ttlMs * random.between(0, 1.2));
    const to = round(Math.min(safetyMs, from + ttlMs * random.between(0.3, 1.5)));
    if (clock === "freeze" || clock === "pause") windows.push({ kind: clock, node: name, from, to, x: random.below(3) });
    if (clock === "wall-step") windows.push({ kind: clock, node: name, from, to, x: -Math.round(ttlMs * random.between(0.2, 2)) });
    const flagged = round(at + ttlMs * random.between(0, 0.5));
    if (asked) windows.push({ kind: "flag-asked", node: "*", from: flagged, to: flagged, x: 0 });
  }
  return windows.filter((w) => w.from <= w.to).sort((a, b) => a.from - b.from);
}

/** A node's settings are its own draw, so that taking one away leaves the others as they are. */
function nodeOf(seed: number, index: number, all: { baseTtlMs: number; bounded: boolean; storeTime: boolean }): NodePlan {
  const { baseTtlMs, bounded, storeTime } = all;
  const name = String.fromCharCode(97 + index);
  const random = new KeyedRandom(seed, "node", name);
  const ttlMs = Math.max(100, Math.round(baseTtlMs * (random.chance(0.7) ? 1 : random.pick([0.5, 0.8, 1.3, 2]))));
  const style = random.pick(STYLES);
  const custom = random.chance(0.4);
  return {
    name,
    style,
    ttlMs,
    marginMs: custom ? Math.ceil(ttlMs * random.between(0.1, 0.35)) : undefined,
    pollMs: random.chance(0.4) ? Math.max(5, Math.round(ttlMs * random.magnitude(0.05, 1))) : undefined,
    drainMs: Math.round(ttlMs * random.magnitude(0.1, 5)),
    cooldownMs: random.chance(0.5) ? Math.round(ttlMs * random.magnitude(0.1, 1)) : undefined,
    takeover: random.chance(0.6) ? "auto" : random.pick(storeTime ? ["observe", "store-time"] : ["observe"]),
    rate: rateOf(random, bounded),
    wallOffsetMs: random.chance(0.5) ? 0 : Math.round(random.between(-1e8, 1e8)),
    timerEarlyMs: random.chance(0.3) ? 1 : 0,
    onDone: random.pick(["keep", "release"]),
  };
}

function rateOf(random: KeyedRandom, bounded: boolean): number {
  if (!bounded) return random.magnitude(0.4, 2.5);
  return random.chance(0.4) ? 1 : random.pick([0.9, 1.1, random.between(0.9, 1.1)]);
}

function windowsOf(draft: Draft): FaultWindow[] {
  const { random, bounded, nodes } = draft;
  const wild = random.chance(0.12);
  // Beyond the bound anything goes; within it a machine that is frozen may not be set back as well, or both of its clocks are wrong at once.
  const clock = bounded ? [random.pick(["freeze", "wall-step"]), "clock-rate"] : ["freeze", "wall-step", "clock-rate"];
  const drawn = [...REQUEST_FAULTS, ...clock, "pause", "crash", ...PROGRAM_FAULTS].filter(() => random.chance(0.35));
  // What a tampered record means shows in processes that live on and whose tokens had grown (rule H10).
  const kinds = wild ? [...new Set([...drawn.filter((kind) => kind !== "crash"), "step-down"])] : drawn;
  const windows: FaultWindow[] = [];
  for (const kind of kinds) {
    const perNode = random.magnitude(1, 30);
    for (const node of nodes) windows.push(...windowsOfKind(draft, kind, node, perNode));
  }
  if (random.chance(0.3)) windows.push(...outages(draft));
  if (random.chance(0.25)) windows.push(...flags(draft));
  if (random.chance(0.1)) windows.push(...doubts(draft));
  if (wild) windows.push(...tampering(draft));
  return windows.sort((a, b) => a.from - b.from);
}

function windowsOfKind(draft: Draft, kind: string, node: NodePlan, perNode: number): FaultWindow[] {
  const { baseTtlMs, safetyMs, seed } = draft;
  const random = new KeyedRandom(seed, "windows", kind, node.name);
  const count = Math.round(random.between(0, 2) * perNode);
  return Array.from({ length: count }, () => {
    const from = round(random.between(0, safetyMs * 0.95));
    const lengthMs = baseTtlMs * random.magnitude(0.02, isRequestFault(kind) ? 4 : 3);
    const to = round(Math.min(safetyMs, from + lengthMs));
    return { kind, node: node.name, from, to, x: strengthOf(draft, random, kind), ...onlyOn(random, kind) };
  });
}

function strengthOf(draft: Draft, random: KeyedRandom, kind: string): number {
  const { baseTtlMs, bounded } = draft;
  if (isRequestFault(kind)) {
    if (!isTimed(kind)) return random.pick([0.1, 0.3, 0.7, 1]);
    return round(baseTtlMs * (kind === "slow-request" || kind === "slow-reply" ? random.magnitude(0.02, 2) : random.magnitude(0.05, 10)));
  }
  if (kind === "clock-rate") return bounded ? random.pick([0.9, 1.1, random.between(0.9, 1.1)]) : random.magnitude(0.2, 4);
  if (kind === "wall-step") return Math.round(random.pick([-1, 1]) * random.magnitude(50, 3_600_000));
  if (kind === "handler-blocks") return round(baseTtlMs * random.magnitude(0.05, 3));
  return random.below(3);
}

function onlyOn(random: KeyedRandom, kind: string): { on?: "get" | "put" } {
  if (!isRequestFault(kind) || kind === "stale-read") return {};
  return random.pick([{}, { on: "put" as const }, { on: "get" as const }]);
}

/** The store is gone for everybody: what comes back must not come back all at once. */
function outages({ random, baseTtlMs, safetyMs }: Draft): FaultWindow[] {
  return Array.from({ length: 1 + random.below(4) }, () => {
    const from = round(random.between(0, safetyMs * 0.9));
    const kind: RequestFault = random.pick(["lose-request", "lose-reply", "busy-503", "error-500", "busy-429"]);
    return { kind, node: "*", from, to: round(Math.min(safetyMs, from + baseTtlMs * random.magnitude(0.2, 6))), x: random.pick([0.5, 1]) };
  });
}

function flags({ random, baseTtlMs, safetyMs, keys }: Draft): FaultWindow[] {
  return Array.from({ length: 1 + random.below(Math.ceil(safetyMs / baseTtlMs / 5)) }, () => {
    const from = round(random.between(0, safetyMs * 0.95));
    return { kind: random.pick(FLAGS), node: "*", from, to: from, x: random.below(keys.length) };
  });
}

/**
 * The store is in doubt about a key: it answers 404 to the right ETag, and would let a create overwrite (rule W6). It begins when several want the key
 * that was just given up, and their writes take so long that those of the slower ones come too late.
 */
function doubts({ random, baseTtlMs, safetyMs, keys, nodes }: Draft): FaultWindow[] {
  return Array.from({ length: 1 + random.below(8) }, () => {
    const from = round(random.between(0, safetyMs * 0.9));
    const to = round(Math.min(safetyMs, from + baseTtlMs * random.magnitude(0.1, 5)));
    const givenUp = Math.max(0, round(from - baseTtlMs * random.between(0, 0.6)));
    return [
      { kind: "doubt", node: "*", from, to, x: random.below(keys.length) },
      ...nodes.flatMap(({ name }): FaultWindow[] => [
        { kind: "step-down", node: name, from: givenUp, to: givenUp, x: 0 },
        { kind: "slow-request", node: name, from: givenUp, to, x: round(baseTtlMs * random.magnitude(0.02, 0.4)), on: "put" },
      ]),
    ];
  }).flat();
}

function tampering({ random, safetyMs, keys }: Draft): FaultWindow[] {
  return Array.from({ length: 1 + random.below(8) }, () => {
    const from = round(random.between(safetyMs * 0.1, safetyMs * 0.9));
    return { kind: random.pick(TAMPERING), node: "*", from, to: from, x: random.below(keys.length) };
  });
}

/** Whole milliseconds, so that a plan is easy to read. */
function round(ms: number): number {
  return Math.round(ms);
}
