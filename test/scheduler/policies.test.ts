import { describe, expect, it } from "vitest";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import type { TaskRun } from "../../src/scheduler/options.ts";
import type { TestNode } from "../../src/testing/sim/test-world.ts";
import { brokenOf, HOUR, type JobOptions, jobOn, ledger, MINUTE, pause, START, stateIn, taskEvents, ticksOf } from "./harness.ts";

describe("missed ticks", () => {
  const hourly = { cron: "0 * * * *" };
  it.each([
    ["skip", "skip", []],
    ["once", "once", [[4, 3]]],
    [
      "all, at most 2",
      { all: { max: 2, windowMs: 24 * HOUR } },
      [
        [3, 3],
        [4, 1],
      ],
    ],
    ["all, not older than an hour", { all: { max: 10, windowMs: HOUR } }, [[4, 3]]],
  ] as const)("down for 3 hours with an hourly job: %s", async (_, missed, expected) => {
    const world = testWorld({ seed: 3 });
    const books = ledger();
    const o: JobOptions = { task: { ...hourly, missed } };
    jobOn(world, "a", books, o);
    await world.advance(HOUR + 10 * MINUTE);
    expect(books.runs).toHaveLength(1);
    world.node("a").crash();
    await world.advance(3 * HOUR);
    world.node("a").restart();
    jobOn(world, "a", books, o);
    await world.advance(10 * MINUTE);
    const late = books.runs.slice(1).map((r) => [(r.tick - START) / HOUR, r.catchUp === false ? 0 : r.catchUp.missed]);
    expect(late).toEqual(expected);
    await world.advance(HOUR);
    expect(books.runs.at(-1)).toMatchObject({ tick: START + 5 * HOUR, catchUp: false });
    expect(brokenOf(books)).toEqual([]);
  });

  it("a task that was never seen runs nothing for the past", async () => {
    const world = testWorld({ seed: 1 });
    await world.advance(10 * HOUR + 30 * MINUTE);
    const books = ledger();
    jobOn(world, "a", books, { task: { ...hourly, missed: { all: { max: 100, windowMs: 100 * HOUR } } } });
    await world.advance(20 * MINUTE);
    expect(books.runs).toEqual([]);
    await world.advance(20 * MINUTE);
    expect(books.runs).toHaveLength(1);
  });
});

describe("a run that takes longer than to the next tick", () => {
  const long = (o: JobOptions): JobOptions => ({ ...o, work: (_r, node) => pause(node, 2.5 * MINUTE) });

  it("skip: what was due meanwhile is left out, and the history says so", async () => {
    const world = testWorld({ seed: 4 });
    const books = ledger();
    for (const name of ["a", "b"]) jobOn(world, name, books, long({}));
    await world.advance(8 * MINUTE);
    expect(books.runs.map((r) => (r.tick - START) / MINUTE)).toEqual([1, 4, 7]);
    expect(brokenOf(books)).toEqual([]);
    expect(stateIn(world).history).toMatchObject([
      { state: "succeeded" },
      { state: "skipped", missed: 2 },
      { state: "succeeded" },
      { state: "skipped", missed: 2 },
    ]);
    expect(taskEvents(books).filter((e) => e.startsWith("skipped"))).toHaveLength(2);
  });

  it("queue: one run follows for the newest", async () => {
    const world = testWorld({ seed: 4 });
    const books = ledger();
    for (const name of ["a", "b"]) jobOn(world, name, books, long({ task: { overlap: "queue" } }));
    await world.advance(8 * MINUTE);
    expect(books.runs.map((r) => (r.tick - START) / MINUTE)).toEqual([1, 3, 6]);
    expect(books.runs.map((r) => r.catchUp)).toEqual([false, false, false]);
    expect(brokenOf(books)).toEqual([]);
  });
});

describe("another attempt", () => {
  it("after a failure: with a higher token, after a growing delay, as often as was said", async () => {
    const world = testWorld({ seed: 5 });
    const books = ledger();
    jobOn(world, "a", books, {
      task: { cron: "0 * * * *", retries: 2, retryDelayMs: 5_000 },
      work: () => Promise.reject(new Error("no luck")),
    });
    await world.advance(HOUR + 2 * MINUTE);
    expect(books.runs.map((r) => r.attempt)).toEqual([1, 2, 3]);
    expect(new Set(books.runs.map((r) => r.tick)).size).toBe(1);
    const [first = 0, second = 0, third = 0] = books.runs.map((r) => r.at);
    expect(second - first).toBeGreaterThanOrEqual(5_000);
    expect(third - second).toBeGreaterThanOrEqual(10_000);
    expect(brokenOf(books)).toEqual([]);
    expect(stateIn(world)).toMatchObject({ run: { state: "failed", attempt: 3, error: "no luck" } });
    await world.advance(HOUR);
    expect(books.runs).toHaveLength(6);
  });

  it("after a crash: found by another node within the bound, and the late finish is refused", async () => {
    const world = testWorld({ seed: 6 });
    const books = ledger();
    const o: JobOptions = {
      task: { cron: "0 * * * *", retries: 1 },
      work: (_r, node) => pause(node, 3 * MINUTE),
    };
    jobOn(world, "a", books, o);
    await world.advance(HOUR + 20_000);
    expect(books.runs).toHaveLength(1);
    jobOn(world, "b", books, o);
    world.node("a").crash();
    const crashedAt = START + world.nowMs;
    await world.advance(2 * MINUTE);
    expect(books.runs).toHaveLength(2);
    expect(books.runs[1]).toMatchObject({ node: "b", attempt: 2, tick: START + HOUR });
    expect((books.runs[1]?.token ?? 0) > (books.runs[0]?.token ?? 0)).toBe(true);
    // ttl 30 s, watched for W, looked at within 1.5 W.
    expect((books.runs[1]?.at ?? 0) - crashedAt).toBeLessThan(1.5 * 33_000 + 33_000);
    expect(taskEvents(books)).toContain("abandoned 1 @60");
    await world.advance(3 * MINUTE);
    expect(stateIn(world)).toMatchObject({ run: { state: "succeeded", attempt: 2 }, history: [{ state: "abandoned", attempt: 1 }] });
  });

  it("lost by a process that goes on: abandoned for that process, too, and not as if it had never begun", async () => {
    const world = testWorld({ seed: 3 });
    const books = ledger();
    const untilLost = async ({ signal }: TaskRun, node: TestNode): Promise<void> => {
      if (books.runs.length > 1) return;
      const heal = node.faults({ kind: "lose-request", times: Infinity });
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      heal();
    };
    jobOn(world, "a", books, { task: { timeoutMs: 10 * MINUTE }, work: untilLost });
    await world.advance(5 * MINUTE);
    expect(books.runs.length).toBeGreaterThan(1);
    expect(brokenOf(books)).toEqual([]);
    expect(stateIn(world).history).toContainEqual(expect.objectContaining({ state: "abandoned", tick: books.runs[0]?.tick }));
  });

  it("a process that was stopped beyond its lease: lost at waking, its finish refused, run elsewhere", async () => {
    const world = testWorld({ seed: 7 });
    const books = ledger();
    const seen: unknown[] = [];
    const o: JobOptions = {
      task: { cron: "0 * * * *", retries: 1 },
      work: async (r, node) => {
        await pause(node, 20_000);
        if (node.name === "a") seen.push(r.isHeld(), r.signal.aborted, (r.signal.reason as { code?: string }).code);
      },
    };
    const a = jobOn(world, "a", books, o);
    await world.advance(HOUR + 5_000);
    jobOn(world, "b", books, o);
    a.node.pause(3 * MINUTE);
    await world.advance(4 * MINUTE);
    expect(books.runs.map((r) => r.node)).toEqual(["a", "b"]);
    expect(seen).toEqual([false, true, "LEASE_LOST"]);
    expect(stateIn(world)).toMatchObject({ run: { state: "succeeded", holder: "b", attempt: 2 } });
    expect(taskEvents(books).filter((e) => e.startsWith("abandoned"))).toHaveLength(2);
  });
});

describe("a function that behaves badly", () => {
  it.each([
    ["throws", () => Promise.reject(new Error("boom")), { state: "failed", error: "boom" }],
    // eslint-disable-next-line prefer-promise-reject-errors -- that is the case
    ["rejects with undefined", () => Promise.reject(undefined), { state: "failed", error: "it rejected with undefined" }],
    ["throws something without a text", () => Promise.reject(Object.create(null) as Error), { state: "failed" }],
    ["returns 10 MB", () => "x".repeat(10_000_000), { state: "succeeded" }],
    ["returns what is no JSON", () => 10n, { state: "succeeded" }],
    ["returns a small value", () => ({ rows: 7 }), { state: "succeeded", value: { rows: 7 } }],
  ])("%s: the record is right, and the next tick runs", async (_, work, expected) => {
    const world = testWorld({ seed: 8 });
    const books = ledger();
    const a = jobOn(world, "a", books, { work, task: { cron: "0 * * * *" } });
    await world.advance(HOUR + MINUTE);
    const { run } = stateIn(world);
    expect(run).toMatchObject(expected);
    expect(JSON.stringify(run).length).toBeLessThan(1_000);
    await world.advance(HOUR);
    expect(books.runs).toHaveLength(2);
    expect(a.outcome).toBeUndefined();
  });

  it("hangs and ignores its signal: signalled at the timeout, its lease kept, nothing beside it, the others go on", async () => {
    const world = testWorld({ seed: 9 });
    const books = ledger();
    const others: number[] = [];
    const abortedAt: number[] = [];
    const o: JobOptions = {
      task: { timeoutMs: 90_000 },
      work: (r) => {
        r.signal.addEventListener("abort", () => abortedAt.push(world.nowMs));
        return new Promise(() => {});
      },
      more: [{ name: "other", every: "60s", run: () => void others.push(world.nowMs) }],
    };
    for (const name of ["a", "b"]) jobOn(world, name, books, o);
    await world.advance(20 * MINUTE);
    expect(books.runs).toHaveLength(1);
    expect(abortedAt).toHaveLength(1);
    expect((abortedAt[0] ?? 0) - ((books.runs[0]?.at ?? 0) - START)).toBeGreaterThanOrEqual(90_000);
    expect(others.length).toBeGreaterThanOrEqual(19);
    expect(stateIn(world).run).toMatchObject({ state: "timed-out", attempt: 1 });
    expect(stateIn(world).run?.end).toBeUndefined();
  });

  it("obeys its timeout: timed out, and tried again where that was asked for", async () => {
    const world = testWorld({ seed: 10 });
    const books = ledger();
    jobOn(world, "a", books, {
      task: { cron: "0 * * * *", timeoutMs: 5_000, retries: 1 },
      work: (r) => new Promise((_resolve, reject) => r.signal.addEventListener("abort", () => reject(r.signal.reason), { once: true })),
    });
    await world.advance(HOUR + MINUTE);
    expect(books.runs.map((r) => r.attempt)).toEqual([1, 2]);
    expect(stateIn(world)).toMatchObject({ run: { state: "timed-out" }, history: [{ state: "timed-out", attempt: 1 }] });
  });
});

describe("the end of a process", () => {
  it("tells what runs to stop, waits for it, and hands on what was interrupted", async () => {
    const world = testWorld({ seed: 11 });
    const books = ledger();
    const o: JobOptions = {
      task: { cron: "0 * * * *", retries: 3 },
      work: (r, node) =>
        node.name === "a"
          ? new Promise((_resolve, reject) => r.signal.addEventListener("abort", () => reject(r.signal.reason), { once: true }))
          : undefined,
    };
    const a = jobOn(world, "a", books, o);
    await world.advance(HOUR + 10_000);
    a.stop.abort();
    await world.until(a.done, 5_000);
    expect(stateIn(world)).toMatchObject({ run: { state: "cancelled" }, retry: { attempt: 2 } });
    jobOn(world, "b", books, o);
    await world.advance(5_000);
    expect(books.runs.map((r) => [r.node, r.attempt])).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
  });

  it("comes while a claim is on its way, longer than drainMs: its answer is waited for, and the tick handed on (seed 726157194)", async () => {
    const world = testWorld({ seed: 13 });
    const books = ledger();
    const a = jobOn(world, "a", books, { options: { drainMs: 500 } });
    await world.advance(MINUTE - 1_000);
    a.node.faults({ kind: "slow-reply", on: "put", ms: 3_000 });
    await world.advance(1_500);
    a.stop.abort();
    await world.until(a.done, 5_000);
    expect(a.node.timers + a.node.inFlight).toBe(0);
    expect(books.runs).toEqual([]);
    jobOn(world, "b", books);
    await world.advance(5_000);
    expect(ticksOf(books)).toEqual([START + MINUTE]);
  });

  it("is not waited for longer than drainMs; the lease stays held", async () => {
    const world = testWorld({ seed: 12 });
    const books = ledger();
    const a = jobOn(world, "a", books, { work: () => new Promise(() => {}), options: { drainMs: 7_000 } });
    await world.advance(MINUTE + 5_000);
    a.stop.abort();
    await world.advance(6_000);
    expect(a.outcome).toBeUndefined();
    await world.advance(2_000);
    expect(a.outcome).toMatchObject({ error: { code: "WORK_NOT_STOPPED", waitedMs: 7_000 } });
    const b = jobOn(world, "b", books);
    await world.advance(5 * MINUTE);
    expect(books.runs).toHaveLength(1);
    b.stop.abort();
  });
});
