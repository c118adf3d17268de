/** `overlap: "allow"`: runs of one task side by side, each a lease with a token of its own, in a bounded number of places. */
import { describe, expect, it } from "vitest";
import type { Task, TaskRun } from "../../src/scheduler/options.ts";
import { Session } from "../../src/session/session.ts";
import { testWorld, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { randomOf } from "../support/random.ts";
import {
  brokenOf,
  HOUR,
  type JobNode,
  type JobOptions,
  jobOn,
  type Ledger,
  ledger,
  MINUTE,
  pause,
  recordIn,
  schedulerOn,
  START,
  stateIn,
  taskEvents,
  ticksOf,
} from "./harness.ts";

const ALLOW = { overlap: "allow" } as const;
const minutes = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => START + (from + i) * MINUTE);

function lasting(ms: number, task: Partial<Task> = {}): JobOptions {
  return { task: { ...ALLOW, ...task }, work: (_r, node) => pause(node, ms) };
}

const obeys = (r: TaskRun): Promise<never> =>
  new Promise((_resolve, reject) => r.signal.addEventListener("abort", () => reject(r.signal.reason), { once: true }));

/** The most that ran at one moment. */
function mostAtOnce(books: Ledger): number {
  const edges = books.runs.flatMap((r) => [[r.at, 1] as const, [r.endedAt ?? Infinity, -1] as const]);
  let now = 0;
  let most = 0;
  for (const [, by] of edges.sort((a, b) => a[0] - b[0] || a[1] - b[1])) most = Math.max(most, (now += by));
  return most;
}

function sent(world: TestWorld, name: string): { readonly gets: number; readonly puts: number } {
  const { get = 0, put = 0 } = world.node(name).store.stats();
  return { gets: get, puts: put };
}

describe("runs side by side", () => {
  it("a run that takes longer than to the next tick: that one runs beside it; each tick is claimed once, on one of the nodes", async () => {
    const world = testWorld({ seed: 1 });
    const books = ledger();
    const nodes = ["a", "b", "c"].map((name) => jobOn(world, name, books, { ...lasting(2.5 * MINUTE), options: { drainMs: HOUR } }));
    await world.advance(20 * MINUTE + 5_000);
    expect(ticksOf(books)).toEqual(minutes(1, 20));
    expect(brokenOf(books, { alone: false })).toEqual([]);
    expect(mostAtOnce(books)).toBe(3);
    expect(stateIn(world).open).toHaveLength(3);
    expect(recordIn(world).state).toBe("released");
    for (const { stop } of nodes) stop.abort();
    await world.until(Promise.all(nodes.map(({ done }) => done)), 5 * MINUTE);
    const history = await world.until(schedulerOn(world, world.node("op"), ledger()).history("job"));
    expect(history.map(({ scheduledAt }) => +scheduledAt)).toEqual(minutes(1, 20).reverse());
    expect(history.filter(({ state }) => state === "succeeded")).toHaveLength(20);
  });

  it("a tick costs its node three writes: the place, the claim, the finish", async () => {
    const world = testWorld({ seed: 2 });
    const books = ledger();
    jobOn(world, "a", books, lasting(1_000));
    await world.advance(2 * MINUTE + 10_000);
    const before = sent(world, "a");
    await world.advance(20 * MINUTE);
    const after = sent(world, "a");
    expect([after.gets - before.gets, after.puts - before.puts]).toEqual([0, 60]);
    // Its places are used again and again.
    expect(world.keys().filter((key) => key.includes("~run"))).toEqual(["locks/tasks/job~run0"]);
  });

  it("no more than `parallel` at a time, over all nodes: then ticks wait, and are missed when they are late", async () => {
    const world = testWorld({ seed: 3 });
    const books = ledger();
    for (const name of ["a", "b"]) jobOn(world, name, books, lasting(4.5 * MINUTE, { parallel: 2 }));
    await world.advance(30 * MINUTE);
    expect(mostAtOnce(books)).toBe(2);
    expect(brokenOf(books, { alone: false })).toEqual([]);
    expect(books.runs.slice(0, 4).map((r) => [(r.tick - START) / MINUTE, r.catchUp])).toEqual([
      [1, false],
      [2, false],
      [5, { missed: 2 }],
      [6, false],
    ]);
    // A place that is free is used at once by the node that freed it, and by others when they look next.
    for (const [i, run] of books.runs.slice(2).entries()) expect(run.at - (books.runs[i]?.endedAt ?? 0)).toBeLessThan(MINUTE);
  });

  it("no more in one process than `concurrency` says", async () => {
    const world = testWorld({ seed: 4 });
    const books = ledger();
    jobOn(world, "a", books, { ...lasting(5 * MINUTE), options: { concurrency: 2 } });
    await world.advance(12 * MINUTE);
    expect(mostAtOnce(books)).toBe(2);
    expect(brokenOf(books, { alone: false })).toEqual([]);
  });

  it("runDue claims what is due, waits for its runs, and leaves nothing behind", async () => {
    const world = testWorld({ seed: 5 });
    const books = ledger();
    const o = lasting(5_000, { missed: { all: { max: 3, windowMs: HOUR } } });
    const node = world.node("f");
    await world.until(schedulerOn(world, node, books, o).runDue({ during: { remainingMs: 30_000 } }));
    await world.advance(5 * MINUTE);
    node.restart();
    const report = await world.until(schedulerOn(world, node, books, o).runDue({ during: { remainingMs: 30_000 } }));
    expect(report.ran.map(({ scheduledAt }) => +scheduledAt)).toEqual(minutes(2, 5));
    expect(mostAtOnce(books)).toBe(4);
    expect(node.timers + node.inFlight).toBe(0);
    await world.advance(MINUTE);
    await world.until(schedulerOn(world, node, books, o).runDue({ during: { remainingMs: 30_000 } }));
    expect(stateIn(world).history.map(({ state, tick }) => [state, (tick - START) / MINUTE])).toEqual([
      ["missed", 1],
      ["succeeded", 2],
      ["succeeded", 3],
      ["succeeded", 4],
      ["succeeded", 5],
    ]);
  });
});

describe("the end of one of them", () => {
  it("its process dies: abandoned within the bound and tried again with a higher token; those of others go on", async () => {
    const world = testWorld({ seed: 6 });
    const books = ledger();
    const o = lasting(10 * MINUTE, { cron: "*/2 * * * *", retries: 1 });
    jobOn(world, "a", books, o);
    await world.advance(4 * MINUTE + 5_000);
    expect(books.runs).toHaveLength(2);
    jobOn(world, "b", books, o);
    await world.advance(MINUTE);
    world.node("a").crash();
    const diedAt = START + world.nowMs;
    await world.advance(4 * MINUTE);
    const again = books.runs.filter(({ attempt }) => attempt === 2);
    expect(again.map(({ node, tick }) => [node, (tick - START) / MINUTE])).toEqual([
      ["b", 2],
      ["b", 4],
    ]);
    for (const { at } of again) expect(at - diedAt).toBeLessThan(2.5 * 33_000 + 2_000);
    expect(brokenOf(books, { alone: false })).toEqual([]);
    expect(taskEvents(books).filter((e) => e.startsWith("abandoned"))).toEqual(["abandoned 1 @2", "abandoned 1 @4"]);
    expect(books.runs.filter(({ attempt }) => attempt === 1).map(({ tick }) => (tick - START) / MINUTE)).toEqual([2, 4, 6, 8]);
  });

  it("its process was stopped beyond its lease: lost at waking, its finish refused, run elsewhere", async () => {
    const world = testWorld({ seed: 7 });
    const books = ledger();
    const seen: unknown[] = [];
    const o: JobOptions = {
      task: { ...ALLOW, cron: "0 * * * *", retries: 1 },
      work: async (r, node) => {
        await pause(node, 20_000);
        if (node.name === "a" && seen.length === 0) seen.push(r.isHeld(), (r.signal.reason as { code?: string }).code);
      },
    };
    const a = jobOn(world, "a", books, o);
    await world.advance(HOUR + 5_000);
    jobOn(world, "b", books, o);
    await world.advance(5_000);
    a.node.pause(3 * MINUTE);
    await world.advance(4 * MINUTE);
    expect(books.runs.map(({ node, attempt }) => [node, attempt])).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
    expect(seen).toEqual([false, "LEASE_LOST"]);
    await world.advance(HOUR);
    const history = await world.until(a.scheduler.history("job"));
    expect(history.slice(1).map(({ attempt, state, holder }) => [attempt, state, holder])).toEqual([
      [2, "succeeded", "b"],
      [1, "abandoned", "a"],
    ]);
  });

  it("failures are tried again, each after its own delay, beside the others", async () => {
    const world = testWorld({ seed: 8 });
    const books = ledger();
    const o: JobOptions = {
      task: { ...ALLOW, retries: 2, retryDelayMs: 20_000 },
      work: (r) => (+r.scheduledAt === START + MINUTE ? Promise.reject(new Error("no luck")) : undefined),
    };
    for (const name of ["a", "b"]) jobOn(world, name, books, o);
    await world.advance(5 * MINUTE + 5_000);
    const first = books.runs.filter(({ tick }) => tick === START + MINUTE);
    expect(first.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect((first[1]?.at ?? 0) - (first[0]?.endedAt ?? 0)).toBeGreaterThanOrEqual(20_000);
    expect((first[2]?.at ?? 0) - (first[1]?.endedAt ?? 0)).toBeGreaterThanOrEqual(40_000);
    expect(new Set(ticksOf(books))).toEqual(new Set(minutes(1, 5)));
    expect(brokenOf(books, { alone: false })).toEqual([]);
  });

  it("a timeout aborts the signal of that run alone; its place is kept until it settles", async () => {
    const world = testWorld({ seed: 9 });
    const books = ledger();
    const aborted: number[] = [];
    jobOn(world, "a", books, {
      task: { ...ALLOW, timeoutMs: 90_000, parallel: 3 },
      work: (r) => {
        r.signal.addEventListener("abort", () => aborted.push(+r.scheduledAt));
        return new Promise(() => {});
      },
    });
    await world.advance(10 * MINUTE);
    expect(books.runs).toHaveLength(3);
    expect(aborted).toEqual(minutes(1, 3));
    const [status] = await world.until(schedulerOn(world, world.node("op"), ledger()).status());
    expect(status?.running.map(({ state }) => state)).toEqual(["timed-out", "timed-out", "timed-out"]);
  });
});

describe("what operators want", () => {
  it("cancel tells all of them, wherever they run; trigger runs beside them at once; pause lets them end", async () => {
    const world = testWorld({ seed: 10 });
    const books = ledger();
    const o: JobOptions = { task: { ...ALLOW, cron: "*/2 * * * *" }, work: obeys };
    const a = jobOn(world, "a", books, o);
    await world.advance(4 * MINUTE + 5_000);
    const b = schedulerOn(world, world.node("b"), books, { ...o, work: () => undefined });
    await expect(world.until(b.trigger("job"))).resolves.toMatchObject({ kind: "trigger", state: "succeeded", holder: "b" });
    await world.until(b.pause("job"));
    await world.advance(3 * MINUTE);
    const [status] = await world.until(b.status());
    expect(status).toMatchObject({ running: [{ holder: "a" }, { holder: "a" }] });
    await world.until(b.cancel("job"));
    await world.advance(20_000);
    expect(books.runs.every(({ endedAt }) => endedAt !== undefined)).toBe(true);
    await expect(world.until(b.cancel("job"))).rejects.toMatchObject({ code: "NOT_HELD" });
    expect((await world.until(b.history("job"))).map(({ state }) => state).toSorted()).toEqual(["cancelled", "cancelled", "succeeded"]);
    await world.until(b.unpause("job"));
    await world.advance(2 * MINUTE);
    expect(books.runs).toHaveLength(4);
    a.stop.abort();
    await world.until(a.done);
  });

  it("another policy: nothing runs beside what is still under way", async () => {
    const world = testWorld({ seed: 11 });
    const [many, one] = [ledger(), ledger()];
    const a = jobOn(world, "a", many, lasting(5 * MINUTE));
    await world.advance(3 * MINUTE + 5_000);
    a.stop.abort();
    jobOn(world, "b", one, { work: (_r, node) => pause(node, 90_000) });
    await world.advance(30 * MINUTE);
    expect(many.runs).toHaveLength(3);
    expect(brokenOf(one)).toEqual([]);
    expect(one.runs[0]?.at).toBeGreaterThanOrEqual(Math.max(...many.runs.map(({ endedAt }) => endedAt ?? Infinity)));
    expect(stateIn(world).open).toEqual([]);
  });

  it("through a session: no renewals, and all end with it", async () => {
    const world = testWorld({ seed: 12 });
    const books = ledger();
    const node = world.node("a");
    const session = await world.until(Session.open({ store: node.store, node: "a", ttlMs: 15_000 }));
    const reasons: unknown[] = [];
    const run = async (r: TaskRun): Promise<void> => {
      books.runs.push({
        node: "a",
        at: START + world.nowMs,
        tick: +r.scheduledAt,
        token: r.fencingToken,
        attempt: r.attempt,
        catchUp: false,
        endedAt: undefined,
      });
      r.signal.addEventListener("abort", () => reasons.push(r.signal.reason));
      await obeys(r);
    };
    void session.scheduler({ tasks: [{ name: "job", cron: "* * * * *", overlap: "allow", run }] }).run();
    await world.advance(3 * MINUTE + 10_000);
    expect([0, 1, 2].map((i) => recordIn(world, `locks/tasks/job~run${i}`).session?.token)).toEqual([1, 1, 1]);
    await world.until(session.close());
    expect(reasons).toMatchObject([{ code: "LEASE_ENDED" }, { code: "LEASE_ENDED" }, { code: "LEASE_ENDED" }]);
    const history = await world.until(schedulerOn(world, world.node("op"), ledger()).history("job"));
    expect(history.map(({ state }) => state)).toEqual(["cancelled", "cancelled", "cancelled"]);
  });
});

describe("five nodes that crash, stop and freeze", () => {
  it.each([21, 22, 23])("each attempt once, tokens grow, no tick is lost or early, at most `parallel` at a time: seed %i", async (seed) => {
    const world = testWorld({ seed });
    const books = ledger();
    const random = randomOf(seed);
    const names = ["a", "b", "c", "d", "e"];
    const o = lasting(100_000, { retries: 50, parallel: 6, missed: { all: { max: 100, windowMs: 6 * HOUR } } });
    const start = (name: string): JobNode => jobOn(world, name, books, o);
    for (const [i, name] of names.entries()) world.node(name, { wallOffsetMs: (i - 2) * 12_000 });
    for (const name of names) start(name);
    for (let minute = 0; minute < 180; minute += 3) {
      const name = names[Math.floor(random() * names.length)] ?? "a";
      const what = random();
      await world.advance(random() * MINUTE);
      if (what < 0.4) world.node(name).crash();
      else if (what < 0.7) world.node(name).pause(1_000 + random() * 90_000);
      else if (what < 0.9) world.node(name).freeze(1_000 + random() * 90_000);
      await world.advance((minute + 3) * MINUTE - world.nowMs);
      if (what < 0.4) {
        world.node(name).restart();
        start(name);
      }
    }
    await world.advance(10 * MINUTE);
    expect(brokenOf(books, { alone: false })).toEqual([]);
    const succeeded = new Set(books.runs.filter(({ endedAt }) => endedAt !== undefined).map(({ tick }) => tick));
    for (const tick of minutes(1, 180)) expect(succeeded.has(tick), new Date(tick).toISOString()).toBe(true);
    expect(books.runs.some(({ attempt }) => attempt > 1)).toBe(true);
  });
});
