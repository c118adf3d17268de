import { describe, expect, it } from "vitest";
import type { DueReport } from "../../src/scheduler/scheduler.ts";
import { testWorld, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { brokenOf, HOUR, type JobOptions, ledger, type Ledger, MINUTE, pause, schedulerOn, START, stateIn, ticksOf } from "./harness.ts";

/** One invocation: a fresh process, which is gone afterwards. */
async function invoke(world: TestWorld, name: string, books: Ledger, o: JobOptions = {}, remainingMs = 30_000): Promise<DueReport> {
  const node = world.node(name);
  node.restart();
  const report = await world.until(schedulerOn(world, node, books, o).runDue({ during: { remainingMs } }), 10 * MINUTE);
  expect(node.timers + node.inFlight).toBe(0);
  return report;
}

describe("runDue", () => {
  it("knows a new task from its first call on, runs what is due, and says when to come again", async () => {
    const world = testWorld({ seed: 1 });
    const books = ledger();
    expect(await invoke(world, "f", books)).toMatchObject({ ran: [], failed: [], elsewhere: 0, nextAt: new Date(START + MINUTE) });
    await world.advance(70_000);
    expect(await invoke(world, "f", books)).toMatchObject({ ran: [{ task: "job", state: "succeeded", attempt: 1 }], failed: [] });
    expect(ticksOf(books)).toEqual([START + MINUTE]);
    expect(await invoke(world, "f", books)).toMatchObject({ ran: [], failed: [] });
  });

  it("a failed task is data", async () => {
    const world = testWorld({ seed: 1 });
    const books = ledger();
    const o: JobOptions = { work: () => Promise.reject(new Error("boom")) };
    await invoke(world, "f", books, o);
    await world.advance(MINUTE);
    const report = await invoke(world, "f", books, o);
    expect(report).toMatchObject({ ran: [], failed: [{ state: "failed", error: "boom" }] });
  });

  it.each(["skip", "once", { all: { max: 5, windowMs: HOUR } }] as const)(
    "three functions at random seconds, %j: each tick once, none lost, none twice",
    async (missed) => {
      const world = testWorld({ seed: 7 });
      const books = ledger();
      const nodes = ["f", "g", "h"].map((name, i) => {
        const node = world.node(name, { wallOffsetMs: (i - 1) * 25_000 });
        const loop = async (): Promise<void> => {
          for (;;) {
            await schedulerOn(world, node, books, { task: { missed } }).runDue({ during: { remainingMs: 30_000 } });
            await pause(node, 20_000 + node.store.random.unit() * 40_000);
          }
        };
        void loop();
        return node;
      });
      await world.advance(3 * HOUR);
      expect(brokenOf(books)).toEqual([]);
      const ticks = ticksOf(books);
      const until = Math.floor(world.nowMs / MINUTE) - 1;
      // The first look made the task known; from then on nothing is lost.
      const from = (ticks[0] ?? 0) - START;
      expect(from).toBeLessThanOrEqual(2 * MINUTE);
      const expected = Array.from({ length: until - from / MINUTE + 1 }, (_, i) => START + from + i * MINUTE);
      if (missed === "skip" || typeof missed === "object") expect(ticks.slice(0, expected.length)).toEqual(expected);
      expect(nodes).toHaveLength(3);
    },
  );

  it("a timer each ten minutes and missed: skip: the first tick shows how far apart looks are, and none is lost after it", async () => {
    const world = testWorld({ seed: 9 });
    const books = ledger();
    const o: JobOptions = { task: { cron: "3 * * * *", missed: "skip" } };
    for (let i = 0; i < 36; i++) {
      await invoke(world, "f", books, o);
      await world.advance(10 * MINUTE - (world.nowMs % (10 * MINUTE)));
    }
    expect(ticksOf(books).map((t) => (t - START) / HOUR)).toEqual([1, 2, 3, 4, 5].map((h) => h + 3 / 60));
  });

  it("called twice at once: the tick runs once", async () => {
    const world = testWorld({ seed: 2 });
    const books = ledger();
    await invoke(world, "f", books);
    await world.advance(MINUTE);
    const o: JobOptions = { work: (_r, node) => pause(node, 2_000) };
    const twice = schedulerOn(world, world.node("f"), books, o);
    const other = schedulerOn(world, world.node("g"), books, o);
    const during = { remainingMs: 30_000 };
    const reports = await world.until(Promise.all([twice.runDue({ during }), twice.runDue({ during }), other.runDue({ during })]));
    expect(books.runs).toHaveLength(1);
    expect(reports.flatMap((r) => r.ran)).toHaveLength(1);
    expect(reports.reduce((n, r) => n + r.elsewhere, 0)).toBeGreaterThanOrEqual(1);
  });

  it("claims nothing that can't end in the remaining time, and nothing is renewed", async () => {
    const world = testWorld({ seed: 3 });
    const books = ledger();
    const o: JobOptions = { task: { timeoutMs: 60_000 } };
    await invoke(world, "f", books, o);
    await world.advance(MINUTE);
    expect((await invoke(world, "f", books, o, 30_000)).ran).toEqual([]);
    expect((await invoke(world, "f", books, o, 90_000)).ran).toHaveLength(1);
    await world.advance(MINUTE);
    const before = world.node("f").store.stats()["put"] ?? 0;
    const long: JobOptions = { work: (_r, node) => pause(node, 50_000) };
    await invoke(world, "f", books, long, 60_000);
    // The proof of the path, the claim, and the finish.
    expect((world.node("f").store.stats()["put"] ?? 0) - before).toBeLessThanOrEqual(3);
  });

  it("signals in time, before the invocation ends", async () => {
    const world = testWorld({ seed: 4 });
    const books = ledger();
    await invoke(world, "f", books);
    await world.advance(MINUTE);
    const at = world.nowMs;
    const o: JobOptions = {
      work: (r) => new Promise((_resolve, reject) => r.signal.addEventListener("abort", () => reject(r.signal.reason), { once: true })),
    };
    const report = await invoke(world, "f", books, o, 10_000);
    expect(world.nowMs - at).toBeLessThan(10_000);
    expect(report.failed).toMatchObject([{ state: "timed-out" }]);
  });

  it("killed by its limit: the next one recognises it by the store's time, and tries again", async () => {
    const world = testWorld({ seed: 5 });
    const books = ledger();
    const o: JobOptions = {
      task: { retries: 1, cron: "0 * * * *" },
      work: (_r, node) => (node.name === "f" ? new Promise(() => {}) : undefined),
    };
    await invoke(world, "f", books, o);
    await world.advance(HOUR);
    void schedulerOn(world, world.node("f"), books, o).runDue({ during: { remainingMs: 10_000 } });
    await world.advance(5_000);
    world.node("f").crash();
    await world.advance(1_000);
    expect(await invoke(world, "g", books, o)).toMatchObject({ ran: [], elsewhere: 1 });
    await world.advance(15_000);
    expect(await invoke(world, "g", books, o)).toMatchObject({ ran: [{ attempt: 2, state: "succeeded" }] });
    expect(stateIn(world).history).toMatchObject([{ state: "abandoned", attempt: 1 }]);
    expect(brokenOf(books, { alone: false })).toEqual([]);
  });

  it("where the store does not answer, it rejects", async () => {
    const world = testWorld({ seed: 6 });
    const node = world.node("f");
    node.faults({ kind: "lose-request", times: Infinity });
    const due = schedulerOn(world, node, ledger()).runDue({ during: { remainingMs: 30_000 } });
    await expect(world.until(due)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });
});
