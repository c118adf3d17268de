import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { FaultWindow } from "../../src/testing/sim/faults.ts";
import { Coverage, NAMED_STATES } from "./proof/coverage.ts";
import { printPlan, type NodePlan, type Plan } from "./proof/plan.ts";
import { parsePlan } from "./proof/plan-file.ts";
import { runPlan } from "./proof/run.ts";
import { shrink } from "./proof/shrink.ts";
import { planOf } from "./proof/swarm.ts";

const REGRESSIONS = fileURLToPath(new URL("regressions", import.meta.url));
const FOUND = join(".cache", "sim");

const FRESH_MS = 45_000;
const LONGEST_MS = 600_000;
const HOURS = 0.1;

/** Runs a fresh seed; a failure is shrunk, kept as a file, and told with the command that repeats it. */
async function freshSeed(seed: number, coverage: Coverage): Promise<{ readonly simulatedMs: number; readonly told: string | undefined }> {
  const plan = planOf(seed, { hours: HOURS });
  const { failure, simulatedMs, coverage: seen } = await runPlan(plan);
  coverage.add(seen);
  if (failure === undefined) return { simulatedMs, told: undefined };
  const shrunk = await shrink(plan, failure, { runs: 200 });
  const file = join(FOUND, `seed-${seed}.json`);
  mkdirSync(FOUND, { recursive: true });
  writeFileSync(file, printPlan(shrunk.plan));
  return { simulatedMs, told: `seed ${seed}: ${failure.message}\n  npm run sim -- --plan ${file} --trace` };
}

describe("the package in the simulator", () => {
  it(
    "keeps its promises in fresh seeds, and sees every named state on the way",
    async () => {
      const first = Math.floor(Math.random() * 1e9);
      const coverage = new Coverage();
      const startedMs = performance.now();
      const elapsedMs = (): number => performance.now() - startedMs;
      const told: string[] = [];
      let seeds = 0;
      let simulatedMs = 0;
      while (told.length === 0 && (elapsedMs() < FRESH_MS || (coverage.missing.length > 0 && elapsedMs() < LONGEST_MS))) {
        const run = await freshSeed(first + seeds++, coverage);
        simulatedMs += run.simulatedMs;
        if (run.told !== undefined) told.push(run.told);
      }
      const minutes = elapsedMs() / 60_000;
      const rate = `${(seeds / minutes).toFixed(0)} seeds and ${(simulatedMs / 3_600_000 / minutes).toFixed(1)} simulated hours a minute`;
      console.log(`seeds ${first} to ${first + seeds - 1}: ${rate}`);
      expect(told).toEqual([]);
      expect(coverage.missing).toEqual([]);
    },
    LONGEST_MS + 120_000,
  );

  it.each(readdirSync(REGRESSIONS))("still survives %s", async (file) => {
    const plan = parsePlan(readFileSync(join(REGRESSIONS, file), "utf8"));
    const { failure, events } = await runPlan(plan);
    expect(failure).toBeUndefined();
    expect(events).toBeGreaterThan(50);
  });

  it("repeats a plan event for event, however promises are drained", async () => {
    for (const seed of [1, 2, 3]) {
      const plan = planOf(seed, { hours: 0.01 });
      const fast = await runPlan(plan);
      expect(fast.failure).toBeUndefined();
      expect((await runPlan(plan)).hash).toBe(fast.hash);
      expect((await runPlan(plan, { drain: "portable" })).hash).toBe(fast.hash);
    }
  });
});

const node = (name: string, more: Partial<NodePlan> = {}): NodePlan => ({
  name,
  style: "run",
  ttlMs: 6_000,
  drainMs: 5_000,
  takeover: "observe",
  rate: 1,
  wallOffsetMs: 0,
  timerEarlyMs: 0,
  onDone: "keep",
  ...more,
});

const calm: Plan = {
  format: 1,
  seed: 1,
  keys: ["e1", "e2"],
  nodes: [node("a"), node("b"), node("c")],
  latency: { minMs: 1, meanMs: 10 },
  profile: {},
  boundedClocks: true,
  safetyMs: 200_000,
  latestMs: 10_000,
  windows: [],
};

/** Faults that do no harm by themselves, for others to hide among. */
const noise: readonly FaultWindow[] = ["lose-reply", "slow-reply", "pause", "busy-429"].flatMap((kind, i) =>
  Array.from({ length: 8 }, (_, n) => ({
    kind,
    node: "abc"[n % 3] ?? "a",
    from: 5_000 + 20_000 * n + 1_000 * i,
    to: 7_000 + 20_000 * n + 1_000 * i,
    x: 0.5,
  })),
);

describe("the proof itself", () => {
  it("passes a calm plan", async () => {
    expect((await runPlan(calm)).failure).toBeUndefined();
    expect((await runPlan({ ...calm, windows: noise })).failure).toBeUndefined();
  });

  it("goes red when a clock runs faster than promised, and shrinks the plan to that clock", async () => {
    const fast: FaultWindow = { kind: "clock-rate", node: "b", from: 90_000, to: 130_000, x: 6 };
    const plan: Plan = { ...calm, windows: [...noise, fast] };
    const { failure } = await runPlan(plan);
    expect(failure?.invariant).toBe("I7");
    if (failure === undefined) return;
    const shrunk = await shrink(plan, failure, { runs: 300 });
    expect(shrunk.plan.windows).toEqual([{ ...fast, to: expect.any(Number) }]);
    expect(shrunk.plan.nodes.length).toBe(2);
    expect(shrunk.plan.keys.length).toBe(1);
    expect((await runPlan(parsePlan(printPlan(shrunk.plan)))).failure).toEqual(shrunk.failure);
  });

  it("goes red when no leader can be found", async () => {
    const { failure } = await runPlan({ ...calm, profile: { conditions: "ignored" } });
    expect(failure?.invariant).toBe("I9");
  });

  it("takes an erased record for what it is: the holder hears of it, and a repair brings the election back", async () => {
    const { failure, coverage } = await runPlan({ ...calm, windows: [{ kind: "erase", node: "*", from: 50_000, to: 50_000, x: 0 }] });
    expect(failure).toBeUndefined();
    expect(coverage.of("lost: deleted")).toBe(1);
  });

  it("prints plans that people can read, and reads them again", () => {
    const plan = planOf(12, { hours: 0.05 });
    const text = printPlan(plan);
    expect(parsePlan(text)).toEqual(JSON.parse(JSON.stringify(plan)));
    expect(text.split("\n").filter((line) => line.includes('"kind"'))).toHaveLength(plan.windows.length + (plan.faces ?? []).length);
  });

  it("knows every fault that a fresh seed draws", () => {
    for (let seed = 1; seed <= 300; seed++) expect(parsePlan(printPlan(planOf(seed, { hours: 0.05 }))).seed).toBe(seed);
  });

  it.each([
    ["{}", "this is no plan of format 1"],
    ["null", "this is no plan of format 1"],
    ['{"format":2}', "this is no plan of format 1, but of 2"],
    ['{"format":1,"windows":[],"nodes":[]}', "seed is no number"],
    [printPlan({ ...calm, windows: [{ kind: "lose-rqeuest", node: "a", from: 1, to: 2, x: 1 }] }), 'no fault is called "lose-rqeuest"'],
    [printPlan({ ...calm, windows: [{ kind: "pause", node: "z", from: 1, to: 2, x: 1 }] }), 'there is no node "z"'],
    [printPlan({ ...calm, windows: [{ kind: "pause", node: "*", from: 3, to: 2, x: 1 }] }), "from, to and x"],
  ])("replays no plan that it does not understand: %.40s", (text, said) => {
    expect(() => parsePlan(text)).toThrow(said);
  });

  it("knows which named states are still missing", () => {
    const coverage = new Coverage();
    expect(coverage.missing).toHaveLength(NAMED_STATES.length);
    coverage.saw("409 then applied");
    expect(coverage.missing).toHaveLength(NAMED_STATES.length - 1);
  });
});
