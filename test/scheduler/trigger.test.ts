/** Runs by hand: here and now, behind the run that is under way, or left to the nodes that follow the schedule. */
import { describe, expect, it } from "vitest";
import { testWorld, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { brokenOf, HOUR, type JobOptions, jobOn, ledger, MINUTE, pause, schedulerOn, START, stateIn } from "./harness.ts";

const HOURLY: JobOptions = { task: { cron: "0 * * * *" }, work: async (_r, node) => void (await pause(node, 8_000)) };

function requestsOf(world: TestWorld, name: string): Readonly<Record<string, number>> {
  const { get = 0, put = 0 } = world.node(name).store.stats();
  return { get, put };
}

describe("trigger", () => {
  it("runs it here and now where none is under way, for three requests, and consumes no tick", async () => {
    const world = testWorld({ seed: 4 });
    const books = ledger();
    jobOn(world, "a", books, HOURLY);
    const b = schedulerOn(world, world.node("b"), books, HOURLY);
    await world.advance(10 * MINUTE);
    await world.until(b.history("job"));
    const run = await world.until(b.trigger("job"));
    expect(run).toMatchObject({ kind: "trigger", state: "succeeded", holder: "b", attempt: 1 });
    await world.advance(MINUTE);
    const before = requestsOf(world, "b");
    await world.until(b.trigger("job"));
    const after = requestsOf(world, "b");
    expect([(after["get"] ?? 0) - (before["get"] ?? 0), (after["put"] ?? 0) - (before["put"] ?? 0)]).toEqual([0, 2]);
    await world.advance(HOUR - 10 * MINUTE);
    expect(books.runs).toHaveLength(3);
    expect(books.runs[2]).toMatchObject({ tick: START + HOUR, catchUp: false });
    expect(brokenOf(books)).toEqual([]);
  });

  it("while a run is under way: it follows that run at once, and the caller hears how it ended", async () => {
    const world = testWorld({ seed: 5 });
    const books = ledger();
    jobOn(world, "a", books, { ...HOURLY, work: (_r, node) => pause(node, MINUTE) });
    const b = schedulerOn(world, world.node("b"), books, HOURLY);
    await world.advance(HOUR + 5_000);
    const run = await world.until(b.trigger("job"), 5 * MINUTE);
    expect(run).toMatchObject({ kind: "trigger", state: "succeeded", attempt: 1 });
    expect(books.runs).toHaveLength(2);
    const [first, second] = books.runs;
    expect((second?.at ?? 0) - (first?.endedAt ?? 0)).toBeLessThan(6_000);
    expect(brokenOf(books)).toEqual([]);
  });

  it("two at once are two runs, one after the other, each told to its own caller", async () => {
    const world = testWorld({ seed: 6 });
    const books = ledger();
    jobOn(world, "a", books, HOURLY);
    const callers = ["b", "c"].map((name) => schedulerOn(world, world.node(name), books, HOURLY));
    await world.advance(10 * MINUTE);
    const runs = await world.until(Promise.all([...callers, ...callers].map((one) => one.trigger("job"))), 10 * MINUTE);
    expect(runs.map(({ kind, state }) => [kind, state])).toEqual(Array.from({ length: 4 }, () => ["trigger", "succeeded"]));
    expect(new Set(runs.map(({ fencingToken }) => fencingToken)).size).toBe(4);
    expect(books.runs).toHaveLength(4);
    expect(brokenOf(books)).toEqual([]);
    await world.advance(2 * HOUR);
    expect(books.runs).toHaveLength(6);
  });

  it("three at once of a short run, in one process: a wish that comes when the run before it has just ended is carried out at once", async () => {
    const world = testWorld({ seed: 15 });
    const books = ledger();
    const a = schedulerOn(world, world.node("a"), books, { ...HOURLY, work: undefined });
    await world.until(a.trigger("job"));
    const before = world.nowMs;
    const runs = await world.until(Promise.all([1, 2, 3].map(() => a.trigger("job"))));
    expect(new Set(runs.map((run) => run.fencingToken)).size).toBe(3);
    expect(world.nowMs - before).toBeLessThan(15_000);
    expect(books.runs).toHaveLength(4);
  });

  it("from a process that does not run it: the next node that looks does", async () => {
    const world = testWorld({ seed: 7 });
    const books = ledger();
    jobOn(world, "a", books, HOURLY);
    const op = schedulerOn(world, world.node("op"), ledger(), HOURLY);
    await world.advance(40 * MINUTE);
    const run = world.until(op.trigger("job", { here: false }), HOUR);
    await expect(run).resolves.toMatchObject({ kind: "trigger", state: "succeeded", holder: "a" });
    await world.advance(MINUTE);
    // By the tick that made the node look, and for it.
    expect(books.runs.map(({ tick }) => tick >= START + HOUR)).toEqual([true, true]);
    expect(stateIn(world)).toMatchObject({ triggered: 1, unread: false });
    await world.advance(HOUR);
    expect(books.runs).toHaveLength(3);
  });

  it("while paused: it runs all the same, and the task stays paused", async () => {
    const world = testWorld({ seed: 8 });
    const books = ledger();
    const a = jobOn(world, "a", books, HOURLY);
    await world.advance(10 * MINUTE);
    await world.until(a.scheduler.pause("job"));
    await expect(world.until(a.scheduler.trigger("job"))).resolves.toMatchObject({ kind: "trigger", state: "succeeded" });
    await world.advance(3 * HOUR);
    expect(books.runs).toHaveLength(1);
    expect(stateIn(world).paused).toBe(true);
  });

  it("of a task that nobody has seen yet: the newest wish is one run", async () => {
    const world = testWorld({ seed: 9 });
    const books = ledger();
    const op = schedulerOn(world, world.node("op"), ledger(), HOURLY);
    const asked = [1, 2].map(() => op.trigger("job", { here: false, waitMs: 1_000 }));
    await expect(world.until(Promise.allSettled(asked))).resolves.toMatchObject([
      { reason: { code: "NOT_HELD" } },
      { reason: { code: "NOT_HELD" } },
    ]);
    jobOn(world, "a", books, HOURLY);
    await world.advance(2 * MINUTE);
    expect(books.runs).toHaveLength(1);
    expect(stateIn(world)).toMatchObject({ triggered: 2, run: { kind: "trigger", asked: 2 } });
  });

  it("of a task that is not among these: an error that names those that are", async () => {
    const world = testWorld({ seed: 10 });
    const op = schedulerOn(world, world.node("op"), ledger(), HOURLY);
    await expect(world.until(op.trigger("gone"))).rejects.toMatchObject({ code: "CONFIG" });
    await expect(world.until(op.trigger("gone"))).rejects.toThrow(/no task "gone"; known are job/);
    await expect(world.until(op.trigger("job", { waitMs: -1 }))).rejects.toMatchObject({ code: "CONFIG" });
  });

  it("who waits for it can give up: what was asked for stands", async () => {
    const world = testWorld({ seed: 11 });
    const books = ledger();
    jobOn(world, "a", books, { ...HOURLY, work: (_r, node) => pause(node, 3 * MINUTE) });
    const b = schedulerOn(world, world.node("b"), ledger(), HOURLY);
    await world.advance(HOUR + 5_000);
    await expect(world.until(b.trigger("job", { waitMs: 20_000 }))).rejects.toMatchObject({ code: "NOT_HELD" });
    const stop = new AbortController();
    const second = b.trigger("job", { signal: stop.signal });
    second.catch(() => {});
    await world.advance(20_000);
    stop.abort(new Error("enough"));
    await expect(world.until(second)).rejects.toThrow("enough");
    await world.advance(20 * MINUTE);
    expect(books.runs).toHaveLength(3);
    expect(brokenOf(books)).toEqual([]);
  });

  it("its signal stops the run that it began, which is handed on", async () => {
    const world = testWorld({ seed: 12 });
    const books = ledger();
    const b = schedulerOn(world, world.node("b"), books, {
      work: (r) => new Promise((_resolve, reject) => r.signal.addEventListener("abort", () => reject(r.signal.reason), { once: true })),
    });
    const stop = new AbortController();
    const run = b.trigger("job", { signal: stop.signal });
    await world.advance(5_000);
    stop.abort();
    await expect(world.until(run)).resolves.toMatchObject({ kind: "trigger", state: "cancelled" });
  });
});

describe("several schedulers on one store in one process", () => {
  it("never write over what they have not judged: each tick once, nothing beside it", async () => {
    const world = testWorld({ seed: 13 });
    const books = ledger();
    const node = world.node("a");
    const work: JobOptions = { work: (_r, on) => pause(on, 10_000), options: { spreadMs: 0 } };
    for (let i = 0; i < 6; i++) void schedulerOn(world, node, books, work).run();
    // A flag just before each tick: all of them read what the operator wants, and that takes a while for each.
    const op = schedulerOn(world, world.node("op"), ledger());
    for (let minute = 1; minute <= 60; minute++) {
      await world.advance(minute * MINUTE - 5_000 - world.nowMs);
      await world.until(op.unpause("job"));
    }
    expect(brokenOf(books)).toEqual([]);
    expect(books.runs).toHaveLength(59);
  });
});
