import { describe, expect, it } from "vitest";
import { sleep } from "../../src/clock/wait.ts";
import { Locks } from "../../src/locks/locks.ts";
import { Session } from "../../src/session/session.ts";
import { testWorld, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { aborted } from "../election/harness.ts";
import { counted, POLL, sessionRecordAt, timedRecordAt, TTL, WATCH } from "./harness.ts";

const KEY = "locks/locks/a";

async function opened(world: TestWorld, name: string): Promise<Session> {
  return await world.until(Session.open({ store: world.node(name).store, node: name, ttlMs: TTL }));
}

describe("forceRelease of a session's lock (S15, O2)", () => {
  it("gentle: the holder hears of it through its member, its work stops, that lock is freed, and the session lives on", async () => {
    const world = testWorld({ seed: 1 });
    const session = await opened(world, "a");
    const other = await world.until(session.locks().acquire("b"));
    const heard: string[] = [];
    const work = session.locks().withLock("a", async (lock) => {
      await aborted(lock.signal);
      await sleep(world.node("a").clock, 3_000);
      heard.push(lock.signal.reason.reason, `held ${lock.isHeld()}`);
    });
    work.catch(() => {});
    await world.advance(1_000);
    const operator = new Locks({ store: world.node("op").store, node: "op" });
    expect(await world.until(operator.forceRelease("a", { token: 1 }))).toBe("released");
    expect(heard).toEqual(["stepped-down", "held true"]);
    expect(timedRecordAt(world, KEY)).toMatchObject({ state: "released", endedBy: "self" });
    await world.advance(2 * POLL);
    expect(other.isHeld()).toBe(true);
    expect(timedRecordAt(world, sessionRecordAt(world, "locks/locks/b").session.member)).not.toHaveProperty("flag");
    expect(await world.until(operator.forceRelease("a", { token: 1 }))).toBe("already-released");
  });

  it("of another token it touches nothing", async () => {
    const world = testWorld({ seed: 1 });
    const session = await opened(world, "a");
    const lock = await world.until(session.locks().acquire("a"));
    const store = counted(world.node("op").store);
    expect(await world.until(new Locks({ store }).forceRelease("a", { token: 2, now: true }))).toBe("not-mine");
    expect(store.sent().every((call) => call.startsWith("get"))).toBe(true);
    expect(lock.isHeld()).toBe(true);
  });

  it("`now` ends the whole session: the lock is free at once, and the holder hears at its next renewal", async () => {
    const world = testWorld({ seed: 1 });
    const session = await opened(world, "a");
    const locks = await world.until(Promise.all(["a", "b"].map((key) => session.locks().acquire(key))));
    const operator = new Locks({ store: world.node("op").store });
    const began = world.nowMs;
    expect(await world.until(operator.forceRelease("a", { token: 1, now: true }))).toBe("released");
    expect(world.nowMs - began).toBeLessThan(1_000);
    await world.advance(POLL + 1_000);
    expect(locks.map((lock) => lock.isHeld())).toEqual([false, false]);
    expect(session.signal.reason).toMatchObject({ code: "LEASE_LOST", reason: "replaced" });
    const next = await world.until(operator.tryAcquire("b"));
    expect(next?.fencingToken).toBe(2);
  });

  it("a dead session's lock is freed when its member's time is over", async () => {
    const world = testWorld({ seed: 1 });
    const session = await opened(world, "a");
    await world.until(session.locks().acquire("a"));
    world.node("a").crash();
    const operator = new Locks({ store: world.node("op").store });
    expect(await world.until(operator.forceRelease("a", { token: 1 }))).toBe("released");
    expect(world.nowMs).toBeLessThan(2 * WATCH + POLL);
    expect(timedRecordAt(world, KEY)).toMatchObject({ state: "released", endedBy: "other", fencingToken: 1 });
  });
});

describe("askHolder of a session's lock", () => {
  it("reaches the holder through its member within a renewal, once", async () => {
    const world = testWorld({ seed: 1 });
    const session = await opened(world, "a");
    let asked = 0;
    const lock = await world.until(session.locks().acquire("a", { onAsked: () => void (asked += 1) }));
    await world.until(session.locks().acquire("b", { onAsked: () => void (asked += 100) }));
    const waiting = new Locks({ store: world.node("b").store }).acquire("a", { askHolder: true, waitMs: 10 * TTL });
    await world.advance(3 * POLL);
    expect(asked).toBe(1);
    await world.until(lock.release());
    expect((await world.until(waiting)).fencingToken).toBe(2);
  });
});

describe("inspect and list", () => {
  it("follow the member, and read it once for all of its locks", async () => {
    const world = testWorld({ seed: 1 });
    const session = await opened(world, "a");
    await world.until(Promise.all(Array.from({ length: 50 }, (_, i) => session.locks().acquire(`k${i}`))));
    const store = counted(world.node("b").store);
    const all = async (): Promise<number> => {
      let n = 0;
      for await (const holder of new Locks({ store }).list()) n += holder.holder === "a" ? 1 : 0;
      return n;
    };
    expect(await world.until(all())).toBe(50);
    const sent = store.sent();
    expect(sent.filter((call) => call === "get locks/member").length).toBeLessThanOrEqual(32);
    await world.until(session.close());
    await world.advance(2_000);
    expect(await world.until(all())).toBe(0);
  });
});
