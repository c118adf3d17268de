/** A scheduler of a session: its runs cost no renewals, live as long as the session, and their records say how they ended all the same. */
import { describe, expect, it } from "vitest";
import type { Task, TaskRun } from "../../src/scheduler/options.ts";
import type { Scheduler } from "../../src/scheduler/scheduler.ts";
import { Session, type SessionSchedulerOptions } from "../../src/session/session.ts";
import type { ObjectStore } from "../../src/store/object-store.ts";
import { testWorld, type TestNode, type TestWorld } from "../../src/testing/sim/test-world.ts";
import {
  brokenOf,
  HOUR,
  jobOn,
  KEY,
  type Ledger,
  ledger,
  MINUTE,
  pause,
  recordIn,
  schedulerOn,
  START,
  stateIn,
} from "../scheduler/harness.ts";
import { counted, TTL, WATCH } from "./harness.ts";

interface Tied {
  readonly session: Session;
  readonly scheduler: Scheduler;
  readonly run: Promise<void>;
  readonly seen: unknown[];
}

/** A node whose scheduler runs through a session. */
async function tied(
  world: TestWorld,
  node: TestNode,
  books: Ledger,
  work: (run: TaskRun) => unknown,
  over: Partial<Task> = {},
  store: ObjectStore = node.store,
): Promise<Tied> {
  const session = await world.until(Session.open({ store, node: node.name, ttlMs: TTL, onEvent: (e) => books.events.push(e) }));
  const seen: unknown[] = [];
  const run = async (r: TaskRun): Promise<never> => {
    const noted = { node: node.name, at: START + world.nowMs, tick: +r.scheduledAt, token: r.fencingToken, attempt: r.attempt };
    const entry = { ...noted, catchUp: r.catchUp, endedAt: undefined as number | undefined };
    books.runs.push(entry);
    r.signal.addEventListener("abort", () => seen.push(r.signal.reason), { once: true });
    try {
      return (await work(r)) as never;
    } finally {
      entry.endedAt = START + world.nowMs;
    }
  };
  const task = { name: "job", cron: "0 * * * *", run, ...over } as Task;
  const scheduler = session.scheduler<readonly Task[]>({ tasks: [task] });
  const running = scheduler.run();
  running.catch(() => {});
  return { session, scheduler, run: running, seen };
}

const obeys = (r: TaskRun): Promise<never> =>
  new Promise((_resolve, reject) => r.signal.addEventListener("abort", () => reject(r.signal.reason), { once: true }));

describe("session.scheduler", () => {
  it("a run names the session in its record, and costs two writes however long it takes", async () => {
    const world = testWorld({ seed: 1 });
    const books = ledger();
    const node = world.node("a");
    const store = counted(node.store);
    const { scheduler } = await tied(world, node, books, () => pause(node, 6 * MINUTE), { cron: "*/20 * * * *" }, store);
    await world.advance(39 * MINUTE);
    store.sent();
    await world.advance(5 * MINUTE);
    expect(recordIn(world)).toMatchObject({ state: "held", session: { token: 1 } });
    await world.advance(5 * MINUTE);
    expect(store.sent().filter((call) => !call.endsWith("member"))).toEqual([`replace ${KEY}`, `replace ${KEY}`]);
    expect(stateIn(world).run).toMatchObject({ state: "succeeded", attempt: 1, token: 3 });
    expect(recordIn(world).session).toBeUndefined();
    await world.advance(11 * MINUTE + 10_000);
    expect(brokenOf(books)).toEqual([]);
    expect((await world.until(scheduler.history("job"))).map(({ state }) => state)).toEqual(["running", "succeeded", "succeeded"]);
  });

  it("what belongs to the session is refused, by the compiler and at the door", async () => {
    const world = testWorld({ seed: 2 });
    const session = await world.until(Session.open({ store: world.node("a").store, ttlMs: TTL }));
    const tasks = [{ name: "job", every: "1h", run: () => {} }] as const;
    // @ts-expect-error -- the session has a ttl, its tasks have none
    const wrong: SessionSchedulerOptions<typeof tasks> = { tasks, ttlMs: 5_000 };
    expect(() => session.scheduler(wrong)).toThrow(/unknown option "ttlMs"/);
    expect(() => session.scheduler({ tasks, prefix: "x/" } as typeof wrong)).toThrow(/unknown option "prefix"/);
  });

  it("the session is lost: its runs end, each with a signal and a reason of its own, `run` rejects, and another node tries them again", async () => {
    const world = testWorld({ seed: 3 });
    const books = ledger();
    const a = await tied(world, world.node("a"), books, obeys, { retries: 1 });
    await world.advance(HOUR + 10_000);
    expect(books.runs).toHaveLength(1);
    world.node("a").faults({ kind: "lose-request", times: Infinity });
    jobOn(world, "b", books, { task: { cron: "0 * * * *", retries: 1 } });
    const deafAt = START + world.nowMs;
    await world.advance(3 * MINUTE);
    expect(a.seen).toMatchObject([{ code: "LEASE_LOST", key: KEY }]);
    await expect(a.run).rejects.toMatchObject({ code: "LEASE_LOST" });
    expect(books.runs.map(({ node, attempt }) => [node, attempt])).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
    // Watched for W of the session, looked at within 1.5 W.
    expect((books.runs[1]?.at ?? 0) - deafAt).toBeLessThan(2.5 * WATCH + 5_000);
    expect(stateIn(world)).toMatchObject({ run: { holder: "b", state: "succeeded" }, history: [{ state: "abandoned", attempt: 1 }] });
    expect(brokenOf(books)).toEqual([]);
  });

  it("close() stops the runs and waits for their records, which say so before the session is over", async () => {
    const world = testWorld({ seed: 4 });
    const books = ledger();
    const slowly = async (r: TaskRun): Promise<never> => await obeys(r).finally(async () => void (await pause(world.node("a"), 4_000)));
    const a = await tied(world, world.node("a"), books, slowly, { retries: 1 });
    await world.advance(HOUR + 10_000);
    await world.until(a.session.close());
    expect(books.runs[0]?.endedAt).toBeLessThanOrEqual(START + world.nowMs);
    await world.until(a.run);
    expect(a.seen).toMatchObject([{ code: "LEASE_ENDED" }]);
    expect(stateIn(world)).toMatchObject({ run: { state: "cancelled", attempt: 1 }, retry: { attempt: 2 } });
    expect(recordIn(world).state).toBe("released");
    // What was interrupted is handed on at once.
    jobOn(world, "b", books, { task: { cron: "0 * * * *", retries: 1 } });
    await world.advance(5_000);
    expect(books.runs).toMatchObject([{ node: "a" }, { node: "b", attempt: 2 }]);
    await expect(world.until(a.scheduler.trigger("job"))).rejects.toMatchObject({ code: "LEASE_ENDED" });
  });

  it("cancel and trigger reach the run through the member's record", async () => {
    const world = testWorld({ seed: 5 });
    const books = ledger();
    const a = await tied(world, world.node("a"), books, obeys);
    const op = schedulerOn(world, world.node("op"), ledger());
    await world.advance(HOUR + 7_000);
    const asked = op.trigger("job", { here: false });
    await world.advance(1_000);
    await world.until(op.cancel("job"));
    await world.advance(TTL);
    expect(a.seen).toMatchObject([{ code: "LEASE_ENDED", reason: "cancelled" }]);
    // What was asked for follows it at once.
    expect(books.runs).toHaveLength(2);
    await world.until(op.cancel("job"));
    await expect(world.until(asked)).resolves.toMatchObject({ kind: "trigger", state: "cancelled" });
  });

  it("a finish without an answer is made up for: the record says how it ended, and nothing runs again", async () => {
    const world = testWorld({ seed: 6 });
    const books = ledger();
    const node = world.node("a");
    await tied(
      world,
      node,
      books,
      async () => {
        await pause(node, 5_000);
        // The write that finishes it, and all that are sent for it in the next seconds; not those of the session.
        node.faults({ kind: "lose-request", on: "put", times: 5 });
        return { rows: 1 };
      },
      { retries: 3 },
    );
    await world.advance(HOUR + MINUTE);
    expect(stateIn(world).run).toMatchObject({ state: "succeeded", value: { rows: 1 } });
    await world.advance(30 * MINUTE);
    expect(books.runs).toHaveLength(1);
  });

  it("its process dies: a member that is missing from the renewals is ended, and the tick is tried again with a higher token", async () => {
    const world = testWorld({ seed: 7 });
    const books = ledger();
    await tied(world, world.node("a"), books, () => new Promise(() => {}), { retries: 1 });
    await world.advance(HOUR + 6_000);
    jobOn(world, "b", books, { task: { cron: "0 * * * *", retries: 1 } });
    world.node("a").crash();
    await world.advance(2 * MINUTE);
    expect(books.runs).toMatchObject([{ node: "a" }, { node: "b", attempt: 2, tick: books.runs[0]?.tick }]);
    expect(books.runs[1]?.token).toBeGreaterThan(books.runs[0]?.token ?? 0);
  });
});
