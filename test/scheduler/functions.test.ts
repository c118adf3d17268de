/** Functions that call runDue at random seconds, and some of them are killed in the middle of a run. */
import { describe, expect, it } from "vitest";
import type { MissedPolicy } from "../../src/scheduler/decide.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { randomOf } from "../support/random.ts";
import { brokenOf, HOUR, ledger, MINUTE, pause, schedulerOn, START } from "./harness.ts";

const policies: readonly MissedPolicy[] = ["skip", "once", { all: { max: 100, windowMs: 2 * HOUR } }];

describe("three functions at random seconds, each tenth run killed in the middle", () => {
  it.each(policies.flatMap((missed) => [71, 72].map((seed) => [missed, seed] as const)))(
    "missed: %j: each attempt once, every tick is run, stood for, or named; seed %i",
    async (missed, seed) => {
      const world = testWorld({ seed });
      const books = ledger();
      const random = randomOf(seed);
      let killed = 0;
      const names = ["f", "g", "h"];
      for (const [i, name] of names.entries()) world.node(name, { wallOffsetMs: (i - 1) * 25_000 });
      while (world.nowMs < 6 * HOUR) {
        const node = world.node(names[Math.floor(random() * 3)] ?? "f");
        // A fresh process: whatever still ran in this one is gone, as after its time limit.
        node.restart();
        const dies = random() < 0.1;
        const work = async (): Promise<void> => {
          await pause(node, 500 + random() * 2_000);
          if (!dies) return;
          killed += 1;
          node.crash();
          await new Promise(() => {});
        };
        const scheduler = schedulerOn(world, node, books, { task: { missed, retries: 3 }, work });
        scheduler.runDue({ during: { remainingMs: 20_000 } }).catch(() => {});
        await world.advance(3_000 + random() * 20_000);
      }
      await world.advance(2 * MINUTE);
      expect(killed).toBeGreaterThan(10);
      expect(brokenOf(books, { alone: false })).toEqual([]);
      const covered = new Set<number>();
      for (const { tick, catchUp } of books.runs)
        for (let i = 0; i <= (catchUp === false ? 0 : catchUp.missed); i++) covered.add(tick - i * MINUTE);
      for (const e of books.events)
        if (e.type === "task" && (e.kind === "skipped" || e.kind === "missed"))
          for (let i = 0; i < e.run.missed; i++) covered.add(+e.run.scheduledAt + i * MINUTE);
      const first = Math.min(...books.runs.map(({ tick }) => tick));
      const last = Math.max(...books.runs.map(({ tick }) => tick));
      expect(last).toBeGreaterThan(START + 6 * HOUR - 5 * MINUTE);
      for (let tick = first; tick <= last; tick += MINUTE) expect(covered.has(tick), new Date(tick).toISOString()).toBe(true);
      // What was killed is run again, by another, with a higher token (`brokenOf`), and none is left without an end.
      const ended = new Set(books.runs.filter(({ endedAt }) => endedAt !== undefined).map(({ tick }) => tick));
      const unended = books.runs.filter(({ tick }) => tick < last - 5 * MINUTE && !ended.has(tick)).map(({ tick }) => tick);
      expect(new Set(unended).size).toBeLessThan(3);
    },
    60_000,
  );
});
