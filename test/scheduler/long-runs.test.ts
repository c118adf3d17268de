/** Days and weeks of schedules in virtual time, with crashes, stopped processes and clocks that are wrong. */
import { describe, expect, it } from "vitest";
import type { MissedPolicy } from "../../src/scheduler/decide.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { randomOf } from "../support/random.ts";
import { fleetDays } from "./fleet-days.ts";
import { brokenOf, HOUR, jobOn, type Ledger, ledger, MINUTE, pause, schedulerOn, START, ticksOf } from "./harness.ts";

const SPAN = 8 * HOUR;

describe("five nodes with clocks up to 30 s wrong, a job each minute, crashes and stopped processes mixed in", () => {
  it("each tick is claimed once, not before its time, none is lost, and the history is complete, for a day (ten in the widest tier)", async () => {
    await expect(fleetDays(1, 61)).resolves.toBeUndefined();
  }, 120_000);
});

function minutes(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => START + (from + i) * MINUTE);
}

describe("three functions call runDue at random seconds for eight hours", () => {
  const policies: readonly MissedPolicy[] = ["skip", "once", { all: { max: 100, windowMs: HOUR } }];

  it.each(policies)(
    "missed: %j",
    async (missed) => {
      const world = testWorld({ seed: 62 });
      const books = ledger();
      const random = randomOf(62);
      const ends: Promise<void>[] = [];
      const call = async (name: string): Promise<void> => {
        const node = world.node(name);
        const scheduler = schedulerOn(world, node, books, { task: { missed }, work: () => pause(node, 1) });
        while (world.nowMs < SPAN) {
          await pause(node, random() * 60_000);
          await scheduler.runDue({ during: { remainingMs: 20_000 } });
          await pause(node, 10_000 + random() * 40_000);
        }
      };
      for (const name of ["a", "b", "c"]) ends.push(call(name));
      await world.until(Promise.all(ends), SPAN + HOUR);

      expect(brokenOf(books)).toEqual([]);
      const ticks = ticksOf(books);
      expect(ticks).toEqual([...ticks].sort((a, b) => a - b));
      // What was not run by itself, a later run stands for, or it was due while a run was under way: none is lost, under any policy.
      expect(accountedFor(books)).toEqual(minutes((ticks[0] ?? 0) / MINUTE - START / MINUTE, SPAN / MINUTE));
      if (typeof missed === "object") expect(ticks).toHaveLength(new Set(ticks).size);
    },
    60_000,
  );
});

/** Each tick that ran, those that a later run stood for, and those that the record names as skipped or missed. */
function accountedFor(books: Ledger): number[] {
  const covered = new Set<number>();
  for (const e of books.events) {
    if (e.type !== "task" || (e.kind !== "skipped" && e.kind !== "missed")) continue;
    for (let i = 0; i < e.run.missed; i++) covered.add(+e.run.scheduledAt + i * MINUTE);
  }
  for (const { tick, catchUp } of books.runs) {
    covered.add(tick);
    const most = catchUp === false ? 0 : catchUp.missed;
    for (let i = 1; i <= most && !covered.has(tick - i * MINUTE); i++) covered.add(tick - i * MINUTE);
  }
  return [...covered].filter((tick) => tick <= START + SPAN).sort((a, b) => a - b);
}

describe("all nodes are down for three hours, with an hourly job", () => {
  const down = async (missed: MissedPolicy): Promise<Ledger> => {
    const world = testWorld({ seed: 63 });
    const books = ledger();
    const task = { cron: "0 * * * *", missed };
    jobOn(world, "a", books, { task });
    await world.advance(HOUR + 10 * MINUTE);
    world.node("a").crash();
    await world.advance(3 * HOUR);
    world.node("a").restart();
    jobOn(world, "a", books, { task });
    await world.advance(HOUR);
    expect(brokenOf(books)).toEqual([]);
    return books;
  };
  const hours = (...all: readonly number[]): number[] => all.map((hour) => START + hour * HOUR);

  it("skip: none of them", async () => {
    expect(ticksOf(await down("skip"))).toEqual(hours(1, 5));
  });

  it("once: one run for all three", async () => {
    const books = await down("once");
    expect(ticksOf(books)).toEqual(hours(1, 4, 5));
    expect(books.runs.map(({ catchUp }) => catchUp)).toEqual([false, { missed: 3 }, false]);
  });

  it("all, at most two: the newest two, oldest first", async () => {
    const books = await down({ all: { max: 2, windowMs: 12 * HOUR } });
    expect(ticksOf(books)).toEqual(hours(1, 3, 4, 5));
    expect(books.runs[1]?.catchUp).not.toBe(false);
  });
});

describe("clocks", () => {
  it("set back ten minutes: nothing runs twice; set forward two hours: nothing runs early", async () => {
    const world = testWorld({ seed: 64 });
    const books = ledger();
    const a = jobOn(world, "a", books);
    await world.advance(20 * MINUTE + 5_000);
    a.node.stepWallClock(-10 * MINUTE);
    await world.advance(20 * MINUTE);
    a.node.stepWallClock(10 * MINUTE);
    await world.advance(10 * MINUTE);
    a.node.stepWallClock(2 * HOUR);
    await world.advance(10 * MINUTE);
    expect(brokenOf(books)).toEqual([]);
    // While it is more than 30 s off it claims nothing, and says so; what was missed meanwhile is caught up with afterwards.
    expect(ticksOf(books).filter((tick) => tick <= START + 20 * MINUTE)).toEqual(minutes(1, 20));
    expect(ticksOf(books).filter((tick) => tick > START + 21 * MINUTE && tick < START + 40 * MINUTE)).toEqual([]);
    expect(ticksOf(books).filter((tick) => tick > START + 41 * MINUTE && tick <= START + 50 * MINUTE)).toEqual(minutes(42, 50));
    expect(ticksOf(books).filter((tick) => tick > START + 51 * MINUTE)).toEqual([]);
  });

  it("a machine that slept for three hours notices at once, and runs once for what it missed", async () => {
    const world = testWorld({ seed: 65 });
    const books = ledger();
    const a = jobOn(world, "a", books, { task: { cron: "0 * * * *" } });
    await world.advance(HOUR + 20 * MINUTE);
    a.node.freeze(3 * HOUR);
    await world.advance(3 * HOUR + 35_000);
    expect(books.runs.map(({ tick, catchUp }) => [(tick - START) / HOUR, catchUp])).toEqual([
      [1, false],
      [4, { missed: 3 }],
    ]);
    expect(brokenOf(books)).toEqual([]);
  });
});

describe("the store is down for ten minutes", () => {
  it("the ticks in it run once, late; nobody floods it at its return", async () => {
    const world = testWorld({ seed: 66 });
    const books = ledger();
    const jobs = ["a", "b", "c", "d", "e"].map((name) => jobOn(world, name, books, { task: { cron: "*/5 * * * *" } }));
    await world.advance(12 * MINUTE);
    const mend = jobs.map(({ node }) => node.faults({ kind: "lose-request", times: Number.POSITIVE_INFINITY }));
    await world.advance(10 * MINUTE);
    for (const undo of mend) undo();
    const sent = (): number => jobs.reduce((sum, { node }) => sum + requestsOf(node.store.stats()), 0);
    const before = sent();
    await world.advance(MINUTE);
    expect(sent() - before).toBeLessThan(40);
    await world.advance(5 * MINUTE);
    expect(brokenOf(books)).toEqual([]);
    expect(books.runs.map(({ tick, catchUp }) => [(tick - START) / MINUTE, catchUp])).toEqual([
      [5, false],
      [10, false],
      [20, { missed: 2 }],
      [25, false],
    ]);
  });
});

function requestsOf(stats: Readonly<Record<string, number>>): number {
  return ["get", "put", "list", "delete"].reduce((sum, name) => sum + (stats[name] ?? 0), 0);
}
