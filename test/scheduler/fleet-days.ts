/** A fleet in virtual time whose machines and clocks misbehave, and what must be true of its ticks all the same. */
import { expect } from "vitest";
import type { TaskRun } from "../../src/scheduler/options.ts";
import type { RunEntry } from "../../src/scheduler/task-state.ts";
import { type TestNode, testWorld, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { randomOf } from "../support/random.ts";
import { brokenOf, jobOn, type JobNode, ledger, MINUTE, pause, START, stateIn } from "./harness.ts";

/**
 * Five nodes with clocks up to 30 s wrong run a job of a millisecond each minute. Each twenty minutes one of them is crashed, stopped or frozen,
 * or none is; one run in a hundred dies in the middle of its work, and another is stopped there for longer than its lease.
 */
export async function fleetDays(days: number, seed: number): Promise<void> {
  const world = testWorld({ seed });
  const books = ledger();
  const random = randomOf(seed);
  const chronicle = new Chronicle(world);
  const names = ["a", "b", "c", "d", "e"];
  for (const [i, name] of names.entries()) world.node(name, { wallOffsetMs: [-30_000, -13_000, 0, 17_000, 30_000][i] });
  let crashes = 0;
  const work = async (run: TaskRun, node: TestNode): Promise<void> => {
    await pause(node, 1);
    // One in a hundred dies in the middle of its work, one is stopped there for longer than its lease.
    const minute = (+run.scheduledAt - START) / MINUTE;
    if (minute % 97 === 50) {
      crashes += 1;
      node.crash();
      await new Promise(() => {});
    }
    if (minute % 97 === 20) node.pause(45_000);
  };
  const start = (name: string): JobNode => jobOn(world, name, books, { work });
  const nodes = new Map(names.map((name) => [name, start(name)]));
  for (let minute = 0; minute < days * 1440; minute += 20) {
    const name = names[Math.floor(random() * names.length)] ?? "a";
    const node = world.node(name);
    const what = random();
    if (what < 0.3) node.crash();
    else if (what < 0.6) node.pause(1_000 + random() * 120_000);
    else if (what < 0.8) node.freeze(1_000 + random() * 120_000);
    await world.advance(10 * MINUTE);
    if (what < 0.3) nodes.set(name, restarted(world, name, start));
    await world.advance(10 * MINUTE);
    // Whoever died in the middle of its work is started again, too.
    for (const other of names) if (other !== name) nodes.set(other, revived(world, other, nodes.get(other), start));
    chronicle.read();
  }
  await world.advance(3 * MINUTE);
  chronicle.read();

  expect(brokenOf(books, { alone: false })).toEqual([]);
  const claimed = chronicle.of("succeeded", "abandoned", "failed").map(({ tick }) => tick);
  expect(new Set(claimed).size).toBe(claimed.length);
  const ticks = Array.from({ length: days * 1440 }, (_, i) => START + (i + 1) * MINUTE);
  expect(claimed.sort((a, b) => a - b).slice(0, ticks.length)).toEqual(ticks);
  expect(chronicle.of("missed", "skipped")).toEqual([]);
  expect(chronicle.of("abandoned").length).toBeGreaterThanOrEqual(crashes);
  expect(crashes).toBeGreaterThan(days * 10);
}

/** Everything that the record ever said of runs that were over, looked at before it forgets. */
class Chronicle {
  readonly entries = new Map<string, RunEntry>();
  readonly #world: TestWorld;

  constructor(world: TestWorld) {
    this.#world = world;
  }

  read(): void {
    const { history, run } = stateIn(this.#world);
    for (const entry of run === undefined ? history : [...history, run])
      if (entry.end !== undefined) this.entries.set(`${entry.kind} ${entry.tick} ${entry.attempt} ${entry.state}`, entry);
  }

  of(...states: readonly RunEntry["state"][]): RunEntry[] {
    return [...this.entries.values()].filter(({ state }) => states.includes(state));
  }
}

function restarted(world: TestWorld, name: string, start: (name: string) => JobNode): JobNode {
  world.node(name).restart();
  return start(name);
}

function revived(world: TestWorld, name: string, job: JobNode | undefined, start: (name: string) => JobNode): JobNode {
  if (job !== undefined && world.node(name).timers > 0) return job;
  return restarted(world, name, start);
}
