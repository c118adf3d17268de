import { describe, expect, it } from "vitest";
import type { TaskRun } from "../../src/scheduler/options.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { HOUR, type JobOptions, jobOn, ledger, MINUTE, pause, schedulerOn, START, stateIn, taskEvents, ticksOf } from "./harness.ts";

const obeys = (r: TaskRun): Promise<never> =>
  new Promise((_resolve, reject) => r.signal.addEventListener("abort", () => reject(r.signal.reason), { once: true }));

describe("what operators want", () => {
  it("pause holds ticks back on all nodes at once; unpause lets them run from then on, none of the past", async () => {
    const world = testWorld({ seed: 1 });
    const books = ledger();
    for (const name of ["a", "b"]) jobOn(world, name, books);
    const operator = schedulerOn(world, world.node("op"), ledger());
    await world.advance(3 * MINUTE + 10_000);
    await world.until(operator.pause("job"));
    await world.advance(5 * MINUTE);
    expect(books.runs).toHaveLength(3);
    await world.until(operator.unpause("job"));
    await world.advance(2 * MINUTE);
    expect(ticksOf(books).map((t) => (t - START) / MINUTE)).toEqual([1, 2, 3, 9, 10]);
    expect(books.runs.every((r) => r.catchUp === false)).toBe(true);
  });

  it("one node alone that had the last tick hears of an unpause, too", async () => {
    const world = testWorld({ seed: 6 });
    const books = ledger();
    jobOn(world, "a", books);
    const operator = schedulerOn(world, world.node("op"), ledger());
    await world.advance(2 * MINUTE + 10_000);
    await world.until(operator.pause("job"));
    await world.advance(2 * MINUTE);
    await world.until(operator.unpause("job"));
    await world.advance(2 * MINUTE);
    expect(ticksOf(books).map((t) => (t - START) / MINUTE)).toEqual([1, 2, 5, 6]);
  });

  it("pause while a run is under way: it goes on, and none follows, even after its process died", async () => {
    const world = testWorld({ seed: 2 });
    const books = ledger();
    const o: JobOptions = { work: (_r, node) => pause(node, 45_000) };
    const a = jobOn(world, "a", books, o);
    await world.advance(MINUTE + 5_000);
    await world.until(schedulerOn(world, world.node("op"), ledger()).pause("job"));
    await world.advance(20_000);
    a.node.crash();
    jobOn(world, "b", books, o);
    await world.advance(10 * MINUTE);
    expect(books.runs).toHaveLength(1);
    expect(stateIn(world)).toMatchObject({ paused: true, history: [{ state: "abandoned" }] });
  });

  it("cancel reaches the running node within a renewal, and nothing is tried again", async () => {
    const world = testWorld({ seed: 3 });
    const books = ledger();
    jobOn(world, "a", books, { task: { cron: "0 * * * *", retries: 3 }, work: obeys });
    const operator = schedulerOn(world, world.node("op"), ledger());
    await world.advance(HOUR + 5_000);
    const before = world.nowMs;
    await world.until(operator.cancel("job"));
    await world.advance(15_000);
    expect((books.runs[0]?.endedAt ?? 0) - START - before).toBeLessThan(11_000);
    expect(stateIn(world).run).toMatchObject({ state: "cancelled" });
    await world.advance(30 * MINUTE);
    expect(books.runs).toHaveLength(1);
    await expect(world.until(operator.cancel("job"))).rejects.toMatchObject({ code: "NOT_HELD" });
  });

  it("a run that was knocked at, and is told to stop soon after, leaves no timer behind (seed 421043049)", async () => {
    const world = testWorld({ seed: 4 });
    const a = jobOn(world, "a", ledger(), { work: obeys });
    await world.advance(MINUTE + 5_000);
    await world.until(schedulerOn(world, world.node("op"), ledger()).pause("job"));
    await world.advance(7_000);
    expect(stateIn(world)).toMatchObject({ run: { state: "running" } });
    a.stop.abort();
    await world.until(a.done);
    expect(a.node.timers + a.node.inFlight).toBe(0);
  });

  it("history, status and preview say what is; progress is seen from the next renewal on", async () => {
    const world = testWorld({ seed: 5 });
    const books = ledger();
    const a = jobOn(world, "a", books, {
      task: { cron: "0 * * * *" },
      work: async (r, node) => {
        r.progress("half way", 0.5);
        await pause(node, 30_000);
        return { rows: 3 };
      },
    });
    const op = schedulerOn(world, world.node("op"), ledger());
    await world.advance(HOUR + 20_000);
    const [status] = await world.until(op.status());
    expect(status).toMatchObject({ task: "job", paused: false, error: undefined, schedule: "* * * * * (UTC)".replace("* *", "0 *") });
    expect(status?.run).toMatchObject({ state: "running", holder: "a", progress: { text: "half way", fraction: 0.5 } });
    await world.advance(HOUR);
    const history = await world.until(op.history("job"));
    expect(history[0]).toMatchObject({ state: "running" });
    expect(history[1]).toMatchObject({ state: "succeeded", value: { rows: 3 }, attempt: 1, kind: "tick", missed: 0 });
    const preview = await a.scheduler.preview("job", 2);
    expect(preview.map((p) => +p.at)).toEqual([START + 3 * HOUR, START + 4 * HOUR]);
    expect(preview[0]).toMatchObject({ utc: "2026-01-01T03:00:00.000Z", oddDay: false });
    a.node.crash();
    await world.advance(MINUTE);
    expect((await world.until(op.status()))[0]?.run).toMatchObject({ state: "abandoned" });
    expect(taskEvents(books).slice(0, 2)).toEqual(["claimed 1 @60", "succeeded 1 @60"]);
  });
});
