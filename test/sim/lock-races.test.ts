/** The races that a lock's user meets, one by one, in virtual time: who wins is the store's business, and everybody is told the truth. */
import { describe, expect, it } from "vitest";
import { sleep } from "../../src/clock/wait.ts";
import { ConsensusError } from "../../src/errors.ts";
import type { Lock } from "../../src/locks/api.ts";
import { Locks } from "../../src/locks/locks.ts";
import { Session } from "../../src/session/session.ts";
import { type TestNode, testWorld, type TestWorld } from "../../src/testing/sim/test-world.ts";

const TTL = 15_000;
const KEY = "locks/locks/k";

function locksOn(node: TestNode): Locks {
  return new Locks({ store: node.store, node: node.name, drainMs: 5_000, defaults: { ttlMs: TTL, waitMs: 10 * TTL } });
}

function sessionOn(world: TestWorld, node: TestNode): Promise<Session> {
  return world.until(Session.open({ store: node.store, node: node.name, ttlMs: TTL, drainMs: 5_000 }));
}

function recordAt(world: TestWorld, key: string): { readonly state: string; readonly fencingToken: number; readonly endedBy?: string } {
  return JSON.parse(new TextDecoder().decode(world.peek(key))) as never;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "fulfilled";
  } catch (error) {
    return ConsensusError.is(error) ? error.code : String(error);
  }
}

/** Works until it is told to stop, and then for so long more. */
async function workUntilTold(node: TestNode, lock: Lock, moreMs: number): Promise<void> {
  await new Promise<void>((resolve) => lock.signal.addEventListener("abort", () => resolve(), { once: true }));
  await sleep(node.clock, moreMs, { keepAlive: true });
}

describe("a release that races", () => {
  it("with the loss of the lock: it touches nothing of the next holder, and says so", async () => {
    const world = testWorld({ seed: 1 });
    const [a, b] = [world.node("a"), world.node("b")];
    const lock = await world.until(locksOn(a).acquire("k"));
    // The release is under way when the process is stopped, and arrives after its lease is over and taken.
    a.faults({ kind: "lose-request", on: "put", times: Infinity });
    const next = locksOn(b).acquire("k");
    await world.advance(13_000);
    const release = lock.release();
    a.pause(20_000);
    const theirs = await world.until(next);
    expect(["not-mine", "unknown"]).toContain(await world.until(release));
    expect(lock.isHeld()).toBe(false);
    expect(theirs.isHeld()).toBe(true);
    expect(recordAt(world, KEY)).toMatchObject({ state: "held", fencingToken: 2 });
  });

  it("with a renewal of its own: the key is free afterwards, and no renewal brings it back", async () => {
    const world = testWorld({ seed: 2 });
    const a = world.node("a");
    const lock = await world.until(locksOn(a).acquire("k"));
    a.faults({ kind: "slow-reply", on: "put", times: 1, ms: 2_000 });
    const renewal = codeOf(lock.renew());
    await world.advance(50);
    expect(await world.until(lock.release())).toBe("released");
    expect(["fulfilled", "LEASE_ENDED"]).toContain(await world.until(renewal));
    await world.advance(3 * TTL);
    expect(recordAt(world, KEY)).toMatchObject({ state: "released", fencingToken: 1, endedBy: "self" });
  });

  it("with a renewal that lands late: the same", async () => {
    const world = testWorld({ seed: 3 });
    const a = world.node("a");
    const lock = await world.until(locksOn(a).acquire("k"));
    a.faults({ kind: "late", on: "put", times: 1, ms: 3_000 });
    const renewal = codeOf(lock.renew());
    await world.advance(50);
    expect(await world.until(lock.release())).toBe("released");
    await world.until(renewal);
    await world.advance(3 * TTL);
    expect(recordAt(world, KEY)).toMatchObject({ state: "released", fencingToken: 1 });
  });
});

describe("an acquisition that is under way", () => {
  it("when its session closes: the caller is refused, and what lands is free for others", async () => {
    const world = testWorld({ seed: 4 });
    const [a, b] = [world.node("a"), world.node("b")];
    const session = await sessionOn(world, a);
    await world.until(b.store.ensureSafe());
    a.faults({ kind: "slow-request", on: "put", times: 1, ms: 1_000 });
    const acquiring = codeOf(session.locks().acquire("k"));
    await world.advance(50);
    const closing = session.close();
    expect(await world.until(acquiring)).toBe("LEASE_ENDED");
    await world.until(closing);
    expect((await world.until(locksOn(b).acquire("k", { waitMs: 2_000 }))).isHeld()).toBe(true);
    expect([a.timers, a.inFlight]).toEqual([0, 0]);
  });

  it("when its session is lost: the caller is refused, and the late write closes the key for nobody longer than the session lived", async () => {
    const world = testWorld({ seed: 5 });
    const [a, b] = [world.node("a"), world.node("b")];
    const session = await sessionOn(world, a);
    await world.until(session.locks().withLock("warm", () => {}));
    a.faults({ kind: "late", on: "put", times: Infinity, ms: 2 * TTL });
    const acquiring = codeOf(session.locks().acquire("k"));
    expect(await world.until(acquiring)).toMatch(/LEASE_LOST|STORE_UNAVAILABLE/);
    const theirs = await world.until(locksOn(b).acquire("k", { waitMs: 10 * TTL }));
    expect(theirs.isHeld()).toBe(true);
    await world.advance(3 * TTL);
    expect(theirs.isHeld()).toBe(true);
  });

  it("behind a proxy that sends it twice: told refused of what was applied, a session gives it back, and does not keep it closed for life", async () => {
    const world = testWorld({ seed: 6 });
    const [a, b] = [world.node("a"), world.node("b")];
    const session = await sessionOn(world, a);
    await world.until(session.locks().withLock("k", () => {}));
    a.faults({ kind: "retry", on: "put", times: 1, ms: 500 });
    // The look after the refusal is under way when the caller gives up: it would have shown the record to be its own.
    a.faults({ kind: "slow-reply", on: "get", times: 1, ms: 1_000 });
    const enough = new AbortController();
    const acquiring = codeOf(session.locks().acquire("k", { signal: enough.signal }));
    await world.advance(800);
    enough.abort(new Error("enough"));
    expect(await world.until(acquiring)).toBe("Error: enough");
    const theirs = await world.until(locksOn(b).acquire("k", { waitMs: 2 * TTL }));
    expect(theirs.isHeld()).toBe(true);
    expect(session.signal.aborted).toBe(false);
  });
});

describe("an operator frees a lock while its holder works", () => {
  it.each(["plain", "session"])("gently, %s: nothing is freed under the work, and the holder's end is its own", async (kind) => {
    const world = testWorld({ seed: 7 });
    const [a, ops] = [world.node("a"), world.node("ops")];
    const locks = kind === "plain" ? locksOn(a) : (await sessionOn(world, a)).locks();
    let stopped = false;
    const working = locks.withLock("k", async (lock) => {
      await workUntilTold(a, lock, 2_000);
      stopped = recordAt(world, KEY).state === "held";
    });
    await world.advance(100);
    expect(await world.until(locksOn(ops).forceRelease("k", { token: 1 }))).toBe("released");
    expect(stopped).toBe(true);
    await world.until(working);
    expect(recordAt(world, KEY)).toMatchObject({ state: "released", endedBy: "self" });
  });

  it.each(["plain", "session"])("now, %s: the next one has it at once, and the holder hears of it within a renewal", async (kind) => {
    const world = testWorld({ seed: 8 });
    const [a, ops] = [world.node("a"), world.node("ops")];
    const locks = kind === "plain" ? locksOn(a) : (await sessionOn(world, a)).locks();
    const lock = await world.until(locks.acquire("k"));
    expect(await world.until(locksOn(ops).forceRelease("k", { token: 1, now: true }))).toBe("released");
    const next = await world.until(locksOn(ops).acquire("k", { waitMs: 1_000 }));
    await world.advance(TTL / 3 + 1_000);
    expect(lock.isHeld()).toBe(false);
    expect(lock.signal.reason.code).toBe("LEASE_LOST");
    expect(await world.until(lock.release())).toBe("not-mine");
    expect(next.isHeld()).toBe(true);
  });
});
