import { describe, expect, it } from "vitest";
import { encodeRecord } from "../../src/record/codec.ts";
import { Manager } from "../../src/election/manager.ts";
import type { Task } from "../../src/scheduler/options.ts";
import { StoreTime } from "../../src/scheduler/store-time.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { someRecord } from "../lease/records.ts";
import {
  brokenOf,
  HOUR,
  type JobNode,
  type JobOptions,
  jobOn,
  KEY,
  ledger,
  MINUTE,
  pause,
  recordIn,
  START,
  stateIn,
  ticksOf,
} from "./harness.ts";

const DAY = 24 * HOUR;
const everyMinute = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => START + (from + i) * MINUTE);

describe("due is what the store's clock says", () => {
  it("five nodes whose clocks are up to 29 s off, some crash, some are stopped: each tick once, never early", async () => {
    const world = testWorld({ seed: 21 });
    const books = ledger();
    const names = ["a", "b", "c", "d", "e"];
    const start = (name: string): JobNode => jobOn(world, name, books);
    for (const [i, name] of names.entries()) world.node(name, { wallOffsetMs: (i - 2) * 14_500 });
    for (const name of names) start(name);
    // Between ticks: one that dies between its claim and its work has taken the tick with it.
    await world.advance(30_000);
    for (let hour = 0; hour < 6; hour++) {
      await world.advance(20 * MINUTE);
      world.node(names[hour % 5] ?? "a").crash();
      await world.advance(10 * MINUTE);
      world.node(names[hour % 5] ?? "a").restart();
      start(names[hour % 5] ?? "a");
      world.node(names[(hour + 2) % 5] ?? "a").pause(3 * MINUTE);
      world.node(names[(hour + 3) % 5] ?? "a").freeze(2 * MINUTE);
      await world.advance(30 * MINUTE);
    }
    expect(brokenOf(books)).toEqual([]);
    expect(ticksOf(books)).toEqual(everyMinute(1, 360).slice(0, ticksOf(books).length));
    expect(ticksOf(books).length).toBeGreaterThanOrEqual(359);
  });

  it("a node whose clock is more than the bound off claims nothing, and says so", async () => {
    const world = testWorld({ seed: 22 });
    const books = ledger();
    world.node("a", { wallOffsetMs: 45_000 });
    const a = jobOn(world, "a", books);
    await world.advance(5 * MINUTE);
    expect(books.runs).toEqual([]);
    expect(a.scheduler.health()).toMatchObject({ ok: false, error: { code: "STORE_ACCESS" }, tasks: ["job"] });
    expect(a.scheduler.health()).toMatchObject({ error: { message: expect.stringContaining("ahead of the store's") as string } });
  });

  it("a clock that is too far off is asked about once in a while, and not for each task", async () => {
    const world = testWorld({ seed: 29 });
    const node = world.node("a", { wallOffsetMs: -45_000 });
    const more = Array.from({ length: 99 }, (_, i) => ({ name: `t${i}`, every: "60s", run: () => {} }));
    const a = jobOn(world, "a", ledger(), { more });
    await world.advance(MINUTE);
    const before = node.store.stats()["get"] ?? 0;
    await world.advance(10 * MINUTE);
    expect((node.store.stats()["get"] ?? 0) - before).toBeLessThanOrEqual(10 * 5);
    node.stepWallClock(45_000);
    await world.advance(2 * MINUTE);
    expect(a.scheduler.health()).toEqual({ ok: true, role: "scheduler" });
  });

  it("a node that had the last tick, and whose clock goes wrong then, claims nothing any more: not at its second try either", async () => {
    const world = testWorld({ seed: 25 });
    const books = ledger();
    const a = jobOn(world, "a", books);
    await world.advance(5 * MINUTE + 10_000);
    a.node.stepWallClock(45_000);
    await world.advance(20 * MINUTE);
    expect(ticksOf(books)).toEqual(everyMinute(1, 5));
    expect(a.scheduler.health()).toMatchObject({ ok: false, error: { code: "STORE_ACCESS" } });
    a.node.stepWallClock(-45_000);
    await world.advance(3 * MINUTE);
    expect(books.runs[5]?.catchUp).toMatchObject({ missed: expect.any(Number) as number });
    expect(brokenOf(books)).toEqual([]);
  });

  it.each([
    ["set back by 10 minutes", -10 * MINUTE],
    ["set forward by 2 hours", 2 * HOUR],
  ])("the wall clock is %s: no tick twice, none early", async (_, ms) => {
    const world = testWorld({ seed: 23 });
    const books = ledger();
    const o: JobOptions = { options: { maxClockOffsetMs: 24 * HOUR } };
    jobOn(world, "a", books, o);
    await world.advance(10 * MINUTE + 10_000);
    world.node("a").stepWallClock(ms);
    await world.advance(20 * MINUTE);
    expect(brokenOf(books)).toEqual([]);
    expect(ticksOf(books)).toEqual(everyMinute(1, 30));
  });

  it("a machine that was suspended for 3 hours: noticed at once, one run for what was missed", async () => {
    const world = testWorld({ seed: 24 });
    const books = ledger();
    jobOn(world, "a", books);
    await world.advance(10 * MINUTE + 10_000);
    world.node("a").freeze(3 * HOUR);
    await world.advance(3 * HOUR);
    const wokeAt = START + world.nowMs;
    await world.advance(35_000);
    expect(books.runs).toHaveLength(11);
    expect(books.runs[10]?.catchUp).toEqual({ missed: 179 });
    expect((books.runs[10]?.at ?? 0) - wokeAt).toBeLessThan(33_000);
    expect(brokenOf(books)).toEqual([]);
  });

  it("three nodes whose clocks run up to 0.03 % wrong, this way and that: no tick is early by more than a second, none is lost", async () => {
    const world = testWorld({ seed: 26, profile: { skewMs: 0 } });
    const books = ledger();
    const nodes = [1, 0, -1].map((way, i) => ({ way, node: world.node(`n${i}`, { wallOffsetMs: 9_000 * way }) }));
    for (const { node } of nodes) jobOn(world, node.name, books, { task: { cron: "0 * * * *" } });
    for (let hour = 0; hour < 120; hour += 6) {
      const ends = nodes.map(({ way, node }) => node.setClockRate(1 + way * (hour % 12 === 0 ? 3e-4 : -3e-4)));
      await world.advance(6 * HOUR);
      for (const end of ends) end();
    }
    await world.advance(MINUTE);
    expect(brokenOf(books)).toEqual([]);
    expect(ticksOf(books)).toEqual(Array.from({ length: 120 }, (_, i) => START + (i + 1) * HOUR));
  });

  it.each(["1d", "7d", "31d"])("ticks %s apart are on time by a clock that is right, and cost one look more", async (every) => {
    const world = testWorld({ seed: 27 });
    const books = ledger();
    const { node } = jobOn(world, "a", books, { task: { cron: undefined, every, missed: "skip" } });
    await world.advance(32 * DAY);
    const before = node.store.stats();
    await world.advance(62 * DAY);
    const { get = 0, put = 0 } = node.store.stats();
    const late = books.runs.map((r) => r.at - r.tick);
    expect(Math.max(...late)).toBeLessThan(5_000);
    const runs = books.runs.filter((r) => r.at >= START + 32 * DAY).length;
    expect(runs).toBe(62 / Number.parseInt(every) + (every === "7d" ? 1 : 0) - ((62 / Number.parseInt(every)) % 1));
    expect({ gets: get - (before["get"] ?? 0), puts: put - (before["put"] ?? 0) }).toEqual({ gets: runs, puts: 2 * runs });
  });

  it("looks that are spread over more than the time between two ticks lose none", async () => {
    const world = testWorld({ seed: 28 });
    const books = ledger();
    const o: JobOptions = { task: { cron: undefined, every: "5s", missed: "skip", graceMs: 61_000 }, options: { spreadMs: 60_000 } };
    for (const name of ["a", "b"]) jobOn(world, name, books, o);
    await world.advance(10 * MINUTE);
    expect(ticksOf(books)).toEqual(Array.from({ length: books.runs.length }, (_, i) => (books.runs[0]?.tick ?? 0) + i * 5_000));
    expect(books.runs.length).toBeGreaterThanOrEqual(117);
  });

  it("several answers narrow the time down; clocks that part say nothing", () => {
    let monotonicMs = 0;
    let wallMs = 1_000_000;
    const time = new StoreTime({ monotonicMs: () => monotonicMs, wallMs: () => wallMs, setTimer: () => ({ cancel: () => {} }) });
    const pass = (ms: number): void => {
      monotonicMs += ms;
      wallMs += ms;
    };
    const answer = (trueMs: number): void =>
      time.note(Math.floor(trueMs / 1000) * 1000, { monotonicMs: monotonicMs - 10, wallMs: wallMs - 10 });
    expect(time.now()).toBeUndefined();
    answer(2_000_900);
    const first = time.now();
    expect(first?.atLeastMs).toBe(2_000_000);
    pass(150);
    answer(2_001_050);
    expect(time.now()?.atLeastMs).toBeGreaterThanOrEqual(2_001_000);
    expect((time.now()?.atMostMs ?? 0) - (time.now()?.atLeastMs ?? 0)).toBeLessThan(200);
    expect(Math.round(time.aheadMs() / 1000)).toBe(-1001);
    wallMs += 5_000;
    expect(time.now()).toBeUndefined();
    // What must be told all the same (the end of a run) is counted on by the clock that did not jump.
    monotonicMs += 2_000;
    expect(time.estimateMs()).toBeGreaterThan(2_002_900);
    expect(time.estimateMs()).toBeLessThan(2_003_100);
  });
});

describe("an outage", () => {
  it("of one look, on a node whose clock is hours ahead: the pause is as long as it is, and not those hours (seed 421043168)", async () => {
    const world = testWorld({ seed: 47 });
    const books = ledger();
    const node = world.node("a", { wallOffsetMs: 5 * HOUR });
    node.faults({ kind: "lose-request", on: "get", times: 1 });
    // The first look at the other task tells the store's time, while the job waits for its second.
    const other: Task = { name: "other", cron: "* * * * *", run: () => undefined };
    jobOn(world, "a", books, { more: [other], options: { maxClockOffsetMs: 24 * HOUR } });
    await world.advance(5 * MINUTE + 10_000);
    expect(ticksOf(books)).toEqual(everyMinute(1, 5));
    expect(brokenOf(books)).toEqual([]);
  });

  it("the store is down for ten minutes over a tick: run late, once, and nobody floods it at its return", async () => {
    const world = testWorld({ seed: 31 });
    const books = ledger();
    const names = ["a", "b", "c"];
    const o: JobOptions = { task: { cron: "0 * * * *" } };
    for (const name of names) jobOn(world, name, books, o);
    await world.advance(55 * MINUTE);
    const back = names.map((name) => world.node(name).faults({ kind: "lose-request", times: Infinity }));
    await world.advance(10 * MINUTE);
    const sent = (): number => names.reduce((n, name) => n + Object.values(world.node(name).store.stats()).reduce((s, x) => s + x, 0), 0);
    for (const undo of back) undo();
    const before = sent();
    await world.advance(MINUTE);
    expect(books.runs).toHaveLength(1);
    expect(books.runs[0]).toMatchObject({ tick: START + HOUR, catchUp: { missed: 1 } });
    expect(sent() - before).toBeLessThan(40);
    await world.advance(HOUR);
    expect(books.runs).toHaveLength(2);
  });

  it.each([
    ["forward by 2 hours", 2 * HOUR],
    ["back by 2 hours", -2 * HOUR],
  ])("the wall clock is set %s while the store is down: looks stay rare, and it goes on when the store is back", async (_, ms) => {
    const world = testWorld({ seed: 33 });
    const books = ledger();
    const { node } = jobOn(world, "a", books);
    await world.advance(3 * MINUTE + 10_000);
    const undo = node.faults({ kind: "lose-request", times: Infinity });
    await world.advance(30_000);
    node.stepWallClock(ms);
    const before = node.store.stats()["get"] ?? 0;
    await world.advance(10 * MINUTE);
    expect((node.store.stats()["get"] ?? 0) - before).toBeLessThan(50);
    node.stepWallClock(-ms);
    undo();
    await world.advance(2 * MINUTE);
    expect(books.runs.at(-1)?.tick).toBe(START + 15 * MINUTE);
    expect(brokenOf(books)).toEqual([]);
  });

  it("a run that ends while the store is down is finished when it is back", async () => {
    const world = testWorld({ seed: 32 });
    const books = ledger();
    const a = jobOn(world, "a", books, {
      task: { cron: "0 * * * *", retries: 3 },
      work: (_r, node) => pause(node, 5_000),
    });
    await world.advance(HOUR + 2_000);
    const undo = world.node("a").faults({ kind: "lose-request", times: Infinity });
    await world.advance(5 * MINUTE);
    undo();
    await world.advance(MINUTE);
    expect(books.runs).toHaveLength(1);
    expect(stateIn(world).run).toMatchObject({ state: "succeeded" });
    expect(a.scheduler.health()).toEqual({ ok: true, role: "scheduler" });
  });
});

describe("a rolling deploy", () => {
  it("a newer revision with another expression: no tick of the past, and the older nodes stop at once", async () => {
    const world = testWorld({ seed: 41 });
    const [old, young] = [ledger(), ledger()];
    jobOn(world, "a", old, { task: { cron: "0 * * * *" } });
    await world.advance(HOUR + 45 * MINUTE);
    expect(old.runs).toHaveLength(1);
    // By the new expression there was a tick at half past.
    jobOn(world, "b", young, { task: { cron: "30 * * * *", timeZone: "Europe/Berlin", revision: 1 } });
    await world.advance(5 * MINUTE);
    expect(young.runs).toEqual([]);
    expect(stateIn(world)).toMatchObject({ revision: 1, schedule: "30 * * * * (Europe/Berlin)" });
    await world.advance(3 * HOUR);
    expect(old.runs).toHaveLength(1);
    expect(ticksOf(young)).toEqual([2.5, 3.5, 4.5].map((h) => START + h * HOUR));
  });

  it("without a revision: each node runs the ticks that it knows, none of the past, none twice", async () => {
    const world = testWorld({ seed: 42 });
    const [old, young] = [ledger(), ledger()];
    const a = jobOn(world, "a", old, { task: { cron: "0 * * * *" } });
    await world.advance(HOUR + 45 * MINUTE);
    jobOn(world, "b", young, { task: { cron: "30 * * * *" } });
    await world.advance(20 * MINUTE);
    expect(ticksOf(old)).toEqual([START + HOUR, START + 2 * HOUR]);
    a.stop.abort();
    await world.advance(2 * HOUR);
    expect(ticksOf(young)).toEqual([2.5, 3.5].map((h) => START + h * HOUR));
  });
});

describe("a record that may not be touched", () => {
  it.each([
    ["from a newer version", someRecord({ state: "released", payload: { task: 99 } }), "newer"],
    ["a lock's", someRecord({ state: "released" }), "foreign"],
    ["damaged", someRecord({ state: "released", payload: { task: 1, lastTick: "soon" } }), "damaged"],
  ] as const)("%s: that task stops with a named error, it is left as it is, and the others go on", async (_, record, kind) => {
    const world = testWorld({ seed: 51 });
    const books = ledger();
    const body = encodeRecord(KEY, record);
    world.overwrite(KEY, body);
    const others: number[] = [];
    const a = jobOn(world, "a", books, { more: [{ name: "other", every: "60s", run: () => void others.push(1) }] });
    await world.advance(5 * MINUTE + 5_000);
    expect(books.runs).toEqual([]);
    expect(others).toHaveLength(5);
    expect(world.peek(KEY)).toEqual(body);
    expect(a.scheduler.health()).toMatchObject({ ok: false, tasks: ["job"], error: { code: "RECORD", kind } });
    world.overwrite(KEY, undefined);
  });
});

describe("gate", () => {
  it("only the leader runs tasks; a change of leader in a minute of ticks loses and repeats none", async () => {
    const world = testWorld({ seed: 61 });
    const books = ledger();
    const managers = ["a", "b"].map((name) => {
      const node = world.node(name);
      const manager = new Manager({ store: node.store, name: "x", node: name });
      void manager.run({ onElected: (term) => new Promise((resolve) => term.signal.addEventListener("abort", () => resolve())) });
      jobOn(world, name, books, { options: { gate: manager } });
      return manager;
    });
    await world.advance(5 * MINUTE + 10_000);
    const leader = managers[0]?.isLeader() === true ? "a" : "b";
    expect(new Set(books.runs.map((r) => r.node))).toEqual(new Set([leader]));
    await world.advance(MINUTE - 12_000);
    world.node(leader).crash();
    await world.advance(5 * MINUTE);
    expect(ticksOf(books)).toEqual(everyMinute(1, ticksOf(books).length));
    expect(ticksOf(books).length).toBeGreaterThanOrEqual(10);
    expect(brokenOf(books)).toEqual([]);
    expect(recordIn(world).holder).not.toBe(leader);
  });
});
