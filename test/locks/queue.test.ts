/** The callers of one process queue for a key, in order, and cost the store nothing. */
import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { LocalQueue, localQueueOf, type Turn } from "../../src/locks/local-queue.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { bench, held, refusalOf, requestsOf } from "./harness.ts";

const never = (): AbortSignal => new AbortController().signal;

function queue(): { readonly world: ReturnType<typeof testWorld>; readonly local: LocalQueue } {
  const world = testWorld();
  return { world, local: new LocalQueue(world.node("a").clock) };
}

/** Whatever can settle without time passing has settled. */
async function settled(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

async function turnOf(wanted: Promise<Turn | undefined>): Promise<Turn> {
  const turn = await wanted;
  if (turn === undefined) throw new Error("it was refused");
  return turn;
}

describe("the local queue", () => {
  it("gives one turn at a time, in order; a turn that is given back twice moves nobody up", async () => {
    const { local } = queue();
    const order: number[] = [];
    const first = await turnOf(local.enter("k", 1_000, never()));
    const waiting = [1, 2].map(async (n) => {
      const turn = await turnOf(local.enter("k", 60_000, never()));
      order.push(n);
      return turn;
    });
    first.leave();
    const second = await (waiting[0] as Promise<Turn>);
    first.leave();
    first.tell();
    await settled();
    expect(order).toEqual([1]);
    second.leave();
    (await (waiting[1] as Promise<Turn>)).leave();
    expect(order).toEqual([1, 2]);
    expect(local.size).toBe(0);
  });

  it("who would not wait waits for the news alone, and no longer than for them", async () => {
    const { local } = queue();
    const turn = await turnOf(local.enter("k", 1_000, never()));
    let refused = 0;
    for (const waitMs of [0, -1]) void local.enter("k", waitMs, never()).then((given) => (refused += given === undefined ? 1 : 100));
    await settled();
    expect(refused).toBe(0);
    turn.tell();
    await settled();
    expect(refused).toBe(2);
    expect(await local.enter("k", 0, never())).toBeUndefined();
  });

  it("the news end with the turn that they were told in", async () => {
    const { local } = queue();
    const first = await turnOf(local.enter("k", 1_000, never()));
    const next = turnOf(local.enter("k", 60_000, never()));
    first.tell();
    first.leave();
    const turn = await next;
    // Whether the key is held is being found out: who would not wait is not refused by what was known before.
    let answered = false;
    const impatient = local.enter("k", 0, never()).finally(() => (answered = true));
    await settled();
    expect(answered).toBe(false);
    turn.leave();
    (await turnOf(impatient)).leave();
  });

  it("a wait ends with its time or its signal, and leaves nothing behind", async () => {
    const { world, local } = queue();
    const turn = await turnOf(local.enter("k", 1_000, never()));
    const stop = new AbortController();
    const late = local.enter("k", 3_000, never());
    const stopped = local.enter("k", 60_000, stop.signal).catch((e: unknown) => e);
    stop.abort(new Error("enough"));
    expect(await world.until(late, 10_000)).toBeUndefined();
    expect(world.nowMs).toBeLessThan(3_100);
    expect(await stopped).toEqual(new Error("enough"));
    await expect((async () => local.enter("other", 1_000, stop.signal))()).rejects.toThrow("enough");
    turn.leave();
    expect([local.size, world.node("a").timers]).toEqual([0, 0]);
  });

  it("is bounded: whoever comes when it is full is refused at once", async () => {
    const { local } = queue();
    const turn = await turnOf(local.enter("k", 1_000, never()));
    const waiting = Array.from({ length: 10_000 }, () => local.enter("k", 60_000, never()));
    let given: unknown = "waits";
    void local.enter("k", 60_000, never()).then((answer) => (given = answer));
    await settled();
    expect(given).toBeUndefined();
    turn.leave();
    for (const each of waiting) (await turnOf(each)).leave();
    expect(local.size).toBe(0);
  });
});

describe("the locks of one process", () => {
  it("a stale handle that is released again lets nobody past the one that holds it now", async () => {
    const b = bench();
    const first = await held(b.world, b.locks.acquire("k"));
    await b.world.until(first.release());
    await held(b.world, b.locks.acquire("k"));
    await b.world.until(first.release());
    expect(await requestsOf(b, () => b.locks.tryAcquire("k"))).toEqual({});
    expect(localQueueOf(b.node.store).size).toBe(1);
  });

  it("several locks share one wait", async () => {
    const b = bench();
    const c = b.other("b");
    const x = await held(b.world, c.locks.acquire("x"));
    await held(b.world, c.locks.acquire("y"));
    const startMs = b.world.nowMs;
    const call = b.locks.withLocks(["x", "y"], { waitMs: 10_000 }, () => {});
    await b.world.advance(7_000);
    await b.world.until(x.release());
    expect((await refusalOf(b.world, call)).key).toBe("y");
    expect(b.world.nowMs - startMs).toBeLessThan(10_200);
  });

  it("however many calls share one signal, one listener is at it, and none when they are over", async () => {
    const b = bench();
    const c = b.other("b");
    await held(b.world, b.locks.acquire("k"));
    const stop = new AbortController();
    const { signal } = stop;
    const wait = { signal, waitMs: 600_000 };
    const calls = Array.from({ length: 30 }, (_, i) => [
      b.locks.acquire("k", wait),
      c.locks.acquire("k", wait),
      c.locks.slot(`slot-${i}`, { ...wait, slots: 2 }),
      c.locks.withLock(`work-${i}`, wait, (lock) => new Promise((resolve) => lock.signal.addEventListener("abort", resolve))),
    ]).flat();
    const over = Promise.allSettled(calls);
    await b.world.advance(20_000);
    expect(getEventListeners(signal, "abort").length).toBeLessThanOrEqual(2);
    stop.abort();
    await b.world.until(over);
    await b.world.advance(1);
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });
});
