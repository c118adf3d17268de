import { describe, expect, it } from "vitest";
import { sleep } from "../../src/clock/wait.ts";
import { LockHeldError } from "../../src/errors.ts";
import { Locks } from "../../src/locks/locks.ts";
import { Session } from "../../src/session/session.ts";
import type { SessionOptions } from "../../src/session/options.ts";
import { testWorld, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { aborted } from "../election/harness.ts";
import { counted, type CountedStore, LIFE, POLL, sessionRecordAt, timedRecordAt, TTL, WATCH } from "./harness.ts";

const KEY = "locks/locks/a";

async function opened(
  world: TestWorld,
  name: string,
  over: Partial<SessionOptions> = {},
): Promise<{ session: Session; store: CountedStore }> {
  const store = counted(world.node(name).store);
  const session = await world.until(Session.open({ store, node: name, ttlMs: TTL, ...over }));
  store.sent();
  return { session, store };
}

describe("session.locks()", () => {
  it("a lock cycle on a known key is two PUTs, the first on a key three requests, and holding costs nothing", async () => {
    const world = testWorld({ seed: 1 });
    const { session, store } = await opened(world, "a");
    const first = await world.until(session.locks().acquire("a"));
    expect(sessionRecordAt(world, KEY).session.token).toBe(1);
    await world.until(first.release());
    expect(store.sent()).toEqual([`get ${KEY}`, `create ${KEY}`, `replace ${KEY}`]);
    const lock = await world.until(session.locks().acquire("a", { metadata: { why: 1 } }));
    expect(lock.fencingToken).toBe(2);
    await world.until(lock.release());
    expect(store.sent()).toEqual([`replace ${KEY}`, `replace ${KEY}`]);
  });

  it("1,000 locks of one process: one request a third of the ttl in all, and one PUT frees them", async () => {
    const world = testWorld({ seed: 1 });
    const { session, store } = await opened(world, "a");
    const all = Array.from({ length: 1_000 }, (_, i) => session.locks().acquire(`k${i}`));
    const locks = await world.until(Promise.all(all));
    expect(store.sent()).toHaveLength(2_000);
    await world.advance(20 * TTL);
    const sent = store.sent();
    expect(new Set(sent)).toEqual(new Set(["replace locks/member"]));
    expect(sent.length).toBeGreaterThanOrEqual(59);
    expect(sent.length).toBeLessThanOrEqual(61);
    expect(locks.every((lock) => lock.isHeld())).toBe(true);
    await world.until(session.close());
    expect(store.sent()).toEqual(["replace locks/member"]);
    expect(locks.every((lock) => !lock.isHeld() && lock.signal.aborted)).toBe(true);
    expect(await world.until(locks[0]?.release() ?? Promise.reject(new Error()))).toBe("released");
    const again = await world.until(new Locks({ store: world.node("b").store }).tryAcquire("k7"));
    expect(again?.fencingToken).toBe(2);
  });

  it("what was seen of a session before it closed refuses nobody afterwards: a try and a look ask anew", async () => {
    const world = testWorld({ seed: 1 });
    const { session } = await opened(world, "a");
    const other = new Locks({ store: world.node("b").store });
    const lock = await world.until(session.locks().acquire("a"));
    expect(await world.until(other.tryAcquire("a"))).toBeUndefined();
    expect((await world.until(other.inspect("a")))?.holder).toBe("a");
    await world.until(session.close());
    expect(lock.isHeld()).toBe(false);
    expect(await world.until(other.inspect("a"))).toBeUndefined();
    const { session: again } = await opened(world, "a");
    await world.until(again.locks().acquire("b"));
    expect(await world.until(other.tryAcquire("b"))).toBeUndefined();
    await world.until(again.close());
    expect((await world.until(other.tryAcquire("b")))?.fencingToken).toBe(2);
  });

  it("never more than 32 requests for locks at a time", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const { session } = await opened(world, "a");
    let most = 0;
    const all = Promise.all(Array.from({ length: 300 }, (_, i) => session.locks().acquire(`k${i}`)));
    const watch = (): void => {
      most = Math.max(most, node.inFlight);
      node.clock.setTimer(1, watch);
    };
    watch();
    await world.until(all);
    expect(most).toBeGreaterThan(20);
    expect(most).toBeLessThanOrEqual(33);
  });

  it("plain locks and those of a session exclude each other, and the refusal says who holds it", async () => {
    const world = testWorld({ seed: 1 });
    const { session } = await opened(world, "a");
    const plain = new Locks({ store: world.node("b").store, node: "b" });
    const lock = await world.until(session.locks().acquire("a"));
    const refused = await world.until(plain.acquire("a", { waitMs: 0 }).catch((e: unknown) => e));
    expect(refused).toBeInstanceOf(LockHeldError);
    expect(refused).toMatchObject({ holders: [{ holder: "a", fencingToken: 1 }] });
    expect(await world.until(plain.inspect("a"))).toMatchObject({ holder: "a", fencingToken: 1 });
    await world.until(lock.release());
    const theirs = await world.until(plain.acquire("a"));
    expect(await world.until(session.locks().tryAcquire("a"))).toBeUndefined();
    await world.until(theirs.release());
  });

  it("who looks twice sees that the holder is alive: it was renewed when its session was", async () => {
    const world = testWorld({ seed: 1 });
    const { session } = await opened(world, "a");
    await world.until(session.locks().acquire("a"));
    const other = new Locks({ store: world.node("b").store, node: "b" });
    const renewedAt = async (): Promise<number | undefined> => (await world.until(other.inspect("a")))?.renewedAt.getTime();
    const refusedWith = async (): Promise<number | undefined> => {
      const attempt = await world.until(other.tryWithLock("a", () => {}));
      return attempt.ran ? undefined : attempt.held.holders[0].renewedAt.getTime();
    };
    for (const look of [renewedAt, refusedWith]) {
      const before = await look();
      await world.advance(TTL);
      expect((await look()) ?? 0).toBeGreaterThan((before ?? Infinity) + TTL / 2);
    }
  });

  it("waits for a dead session's lock, by default long enough", async () => {
    const world = testWorld({ seed: 1 });
    const { session } = await opened(world, "a");
    await world.until(session.locks().acquire("a"));
    world.node("a").crash();
    const lock = await world.until(new Locks({ store: world.node("b").store }).acquire("a"));
    expect(lock.fencingToken).toBe(2);
    expect(world.nowMs).toBeLessThan(WATCH + 2 * POLL);
  });

  it("lost during an acquire: the wait ends with the session's loss, and nothing is believed", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const { session } = await opened(world, "a");
    const plain = new Locks({ store: world.node("b").store });
    await world.until(plain.acquire("a"));
    const waiting = session.locks().acquire("a", { waitMs: 10 * TTL });
    waiting.catch(() => {});
    await world.advance(1_000);
    const heal = node.faults({ kind: "lose-request", on: "put", times: Infinity });
    await world.advance(LIFE + POLL);
    await expect(world.until(waiting)).rejects.toMatchObject({ code: "LEASE_LOST" });
    heal();
    await expect(world.until(session.locks().acquire("b"))).rejects.toMatchObject({ code: "LEASE_LOST" });
  });

  it("withLock: work is told of a loss of the session, and of its close, and closing waits for it", async () => {
    const world = testWorld({ seed: 1 });
    const { session, store } = await opened(world, "a");
    const heard: string[] = [];
    const work = session.locks().withLock("a", async (lock) => {
      await aborted(lock.signal);
      await sleep(store.clock, 2_000);
      heard.push(`held ${lock.isHeld()}`, lock.signal.reason.reason);
    });
    work.catch(() => {});
    await world.advance(1_000);
    const began = world.nowMs;
    await world.until(session.close());
    expect(world.nowMs - began).toBeGreaterThanOrEqual(2_000);
    expect(heard).toEqual(["held true", "stopped"]);
    await world.until(work.catch(() => {}));
    expect(session.locks().stats()).toMatchObject({ acquired: 1, released: 1, lost: 0 });
  });

  it("a minimum hold outlives the close: that lock is rewritten with a time of its own (S16)", async () => {
    const world = testWorld({ seed: 1 });
    const { session } = await opened(world, "a");
    await world.until(session.locks().acquire("a", { minHoldMs: 60_000 }));
    await world.advance(10_000);
    await world.until(session.close());
    const { holdForMs = 0 } = timedRecordAt(world, KEY);
    expect(holdForMs).toBeGreaterThan(50_000);
    const plain = new Locks({ store: world.node("b").store });
    expect(await world.until(plain.tryAcquire("a"))).toBeUndefined();
    const lock = await world.until(plain.acquire("a", { waitMs: 120_000 }));
    expect(world.nowMs).toBeGreaterThan(60_000);
    await world.until(lock.release());
  });

  it("a longest hold asks, ends belief, and leaves the key closed for a ttl of its own: work may still run", async () => {
    const world = testWorld({ seed: 1 });
    const { session } = await opened(world, "a");
    const lock = await world.until(session.locks().acquire("a", { maxHoldMs: 30_000 }));
    await world.advance(28_500);
    expect(lock.signal.aborted).toBe(true);
    expect(lock.isHeld()).toBe(true);
    await world.advance(2_000);
    expect(lock.isHeld()).toBe(false);
    expect(lock.signal.reason).toMatchObject({ reason: "max-hold" });
    expect(timedRecordAt(world, KEY)).toMatchObject({ state: "held", fencingToken: 1 });
    const plain = new Locks({ store: world.node("b").store });
    const next = await world.until(plain.acquire("a", { waitMs: 60_000, takeover: "observe" }));
    expect(next.fencingToken).toBe(2);
    expect(session.signal.aborted).toBe(false);
  });

  it("a hand-off leaves the session, and a session can resume one", async () => {
    const world = testWorld({ seed: 1 });
    const a = await opened(world, "a");
    const b = await opened(world, "b");
    const lock = await world.until(a.session.locks().acquire("a"));
    const text = await world.until(lock.handOff());
    await world.until(a.session.close());
    expect(timedRecordAt(world, KEY).state).toBe("held");
    const resumed = await world.until(b.session.locks().resume(text));
    expect(resumed.fencingToken).toBe(2);
    expect(sessionRecordAt(world, KEY).holder).toBe("b");
    await world.until(b.session.close());
    expect(resumed.isHeld()).toBe(false);
  });

  it("options that belong to the session are refused", async () => {
    const world = testWorld({ seed: 1 });
    const { session } = await opened(world, "a");
    for (const option of [{ ttlMs: 1_000 }, { autoRenew: false }, { takeover: "auto" }])
      await expect(session.locks().acquire("a", option as object)).rejects.toMatchObject({ code: "CONFIG" });
  });

  it("each acquired has its released, also where the session gives the lock back and nobody else does", async () => {
    const world = testWorld({ seed: 1 });
    const told: string[] = [];
    const onEvent: SessionOptions["onEvent"] = (e) => {
      if (e.type === "acquired" || e.type === "released")
        told.push(`${e.type} ${e.lease.key}${e.type === "released" ? ` ${e.outcome}` : ""}`);
    };
    const { session } = await opened(world, "a", { onEvent });
    const locks = session.locks();
    await world.until(locks.acquire("plain"));
    const closed = await world.until(locks.acquire("closed", { minHoldMs: 60_000 }));
    const released = await world.until(locks.acquire("released"));
    await world.until(released.release());
    await world.until(session.close());
    expect(await world.until(closed.release())).toBe("already-released");
    const ends = told.filter((line) => line.startsWith("released") && !line.includes("members/"));
    expect(ends.sort()).toEqual(["released closed released", "released plain released", "released released released"]);
  });

  it("a longest hold that a process sleeps through, its warning and its end, ends once", async () => {
    const world = testWorld({ seed: 1 });
    const { session } = await opened(world, "a");
    const lock = await world.until(session.locks().acquire("a", { maxHoldMs: 4_000 }));
    world.node("a").pause(6_000);
    await world.advance(7_000);
    expect(lock.isHeld()).toBe(false);
    expect(lock.signal.reason).toMatchObject({ code: "LEASE_ENDED", reason: "max-hold" });
    expect(session.signal.aborted).toBe(false);
  });
});
