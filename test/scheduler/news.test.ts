/** What is told of runs: events, the diagnostics channel, and nodes whose time-zone data differ. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, describe, expect, it } from "vitest";
import { encodeRecord } from "../../src/record/codec.ts";
import type { RunRecord, TaskEventKind } from "../../src/record/run-record.ts";
import { encodeState } from "../../src/scheduler/task-state.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { HOUR, jobOn, KEY, ledger, MINUTE, pause, recordIn, schedulerOn, START, stateIn, taskEvents } from "./harness.ts";

interface Told {
  readonly task: string;
  readonly kind: TaskEventKind;
  readonly run: RunRecord;
}

const told: Told[] = [];
const listen = (message: unknown): void => void told.push(message as Told);

afterEach(() => {
  unsubscribe("s3-consensus:task", listen);
  told.length = 0;
});

describe("events", () => {
  it("of every kind are told, to onEvent and on the channel s3-consensus:task, each of them once and in order", async () => {
    subscribe("s3-consensus:task", listen);
    const world = testWorld({ seed: 1 });
    const books = ledger();
    const o = { task: { cron: "*/10 * * * *", timeoutMs: 3 * MINUTE, missed: "skip" } as const };
    const work = async (minute: number): Promise<void> => {
      if (minute === 20) throw new Error("no luck");
      // Ignores its signal for a while, and beyond the next tick.
      if (minute === 30) await pause(world.node("a"), 12 * MINUTE);
      if (minute === 60) await new Promise(() => {});
    };
    jobOn(world, "a", books, { ...o, work: (r) => work((+r.scheduledAt - START) / MINUTE) });
    await world.advance(61 * MINUTE);
    world.node("a").crash();
    await world.advance(30 * MINUTE);
    world.node("a").restart();
    jobOn(world, "a", books, { ...o, work: () => undefined });
    await world.advance(20 * MINUTE);
    expect(taskEvents(books)).toEqual([
      "claimed 1 @10",
      "succeeded 1 @10",
      "claimed 1 @20",
      "failed 1 @20",
      "claimed 1 @30",
      "timed-out 1 @30",
      "skipped 1 @40",
      "claimed 1 @50",
      "succeeded 1 @50",
      "claimed 1 @60",
      "abandoned 1 @60",
      "missed 1 @70",
      "claimed 1 @100",
      "succeeded 1 @100",
      "claimed 1 @110",
      "succeeded 1 @110",
    ]);
    expect(told.map(({ kind, run, task }) => `${task}: ${kind} ${run.attempt} @${(+run.scheduledAt - START) / MINUTE}`)).toEqual(
      taskEvents(books).map((e) => `job: ${e}`),
    );
    expect(told.find(({ kind }) => kind === "missed")?.run).toMatchObject({ state: "missed", missed: 3 });
  });

  it("a cancelled run is told, too; what a listener throws changes nothing", async () => {
    const world = testWorld({ seed: 2 });
    const books = ledger();
    const onEvent = (e: (typeof books.events)[number]): never => {
      books.events.push(e);
      throw new Error("listener");
    };
    jobOn(world, "a", books, {
      task: { cron: "0 * * * *" },
      options: { onEvent },
      work: (r) => new Promise((_resolve, reject) => r.signal.addEventListener("abort", () => reject(r.signal.reason), { once: true })),
    });
    await world.advance(HOUR + 5_000);
    await world.until(schedulerOn(world, world.node("op"), ledger()).cancel("job"));
    await world.advance(15_000);
    expect(taskEvents(books)).toEqual(["claimed 1 @60", "cancelled 1 @60"]);
    await world.advance(HOUR);
    expect(taskEvents(books)).toHaveLength(3);
  });
});

describe("time-zone data", () => {
  it("of another version than the last run's is told once, with both versions; each run says its own", async () => {
    const world = testWorld({ seed: 3 });
    const books = ledger();
    const said: string[] = [];
    const logger = { debug() {}, info() {}, error() {}, warn: (_o: object, m?: string) => void said.push(m ?? "") };
    const a = jobOn(world, "a", books);
    await world.advance(2 * MINUTE + 5_000);
    expect(stateIn(world).run?.tz).toBe(process.versions["tz"]);
    a.stop.abort();
    await world.until(a.done);
    const { run, ...rest } = stateIn(world);
    const older = run === undefined ? undefined : { ...run, holder: "old", tz: "1999a" };
    world.overwrite(KEY, encodeRecord(KEY, { ...recordIn(world), payload: encodeState({ ...rest, run: older }) }));
    jobOn(world, "b", books, { options: { logger } });
    await world.advance(5 * MINUTE);
    expect(said).toEqual([
      `task "job": old has time-zone data 1999a, this node has ${process.versions["tz"] ?? ""}: they may differ about ticks`,
    ]);
  });
});
