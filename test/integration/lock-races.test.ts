/** Races of locks on a real MinIO: every request passes a fault proxy, which holds back just the one that the race is about. */
import { beforeAll, describe, expect, it } from "vitest";
import { LeaseLostError } from "../../src/errors.ts";
import type { ConsensusEvent } from "../../src/lease/wiring.ts";
import type { Lock, LockApi } from "../../src/locks/api.ts";
import { Locks } from "../../src/locks/locks.ts";
import { Session } from "../../src/session/session.ts";
import { hostMs } from "../support/host-clock.ts";
import { lockKey, type LockParty, type LockStage, lockStage, until } from "../support/lock-party.ts";

/** Long enough for a holder to live through a machine that stands still for three seconds: all of these wait side by side. */
const TTL_MS = 10_000;
/** How long a holder believes. */
const LIFE_MS = 9_000;

interface Side extends LockParty {
  readonly locks: Locks;
  readonly events: string[];
}

let stage: LockStage;
let keys = 0;

beforeAll(async () => {
  stage = await lockStage();
});

interface Sides {
  readonly a: Side;
  readonly b: Side;
  /** A key that no other test has. */
  readonly k: string;
  /** The writes of that key. */
  readonly put: { readonly method: "PUT"; readonly key: string };
}

async function sides(): Promise<Sides> {
  const side = async (node: string): Promise<Side> => {
    const party = await stage.party();
    // The store is proven safe for both, so that what follows is on the wire alone.
    await party.store.ensureSafe();
    const events: string[] = [];
    const onEvent = (e: ConsensusEvent): void => void events.push(textOf(e));
    return { ...party, events, locks: new Locks({ store: party.store, node, onEvent, defaults: { ttlMs: TTL_MS, waitMs: 100_000 } }) };
  };
  const k = `k${++keys}`;
  return { a: await side("a"), b: await side("b"), k, put: { method: "PUT", key: lockKey(k) } };
}

function textOf(e: ConsensusEvent): string {
  return e.type === "lost" ? `lost ${e.error.reason}` : e.type === "released" ? `released ${e.outcome}` : e.type;
}

const settled = async (call: Promise<unknown>): Promise<unknown> => await call.catch((e: unknown) => e);

describe.concurrent("a release that races", () => {
  it("its own loss: sent in time, carried out when another holds it: unknown, and the new holder is untouched", async () => {
    const { a, b, k, put } = await sides();
    const lock = await a.locks.acquire(k);
    const held = a.proxy.faults.add({ kind: "late", ...put });
    expect(await lock.release()).toBe("unknown");
    const next = await b.locks.acquire(k);
    expect(next.fencingToken).toBe(2);
    const before = await stage.bucket.outside.peek(stage.bucket.bucket, lockKey(k));
    expect(await held.deliver()).toBeGreaterThan(0);
    expect(await stage.bucket.outside.peek(stage.bucket.bucket, lockKey(k))).toEqual(before);
    expect(await stage.record(k)).toMatchObject({ state: "held", holder: "b", fencingToken: 2 });
    await next.verify();
    expect(await next.release()).toBe("released");
    expect(a.events.slice(-2)).toEqual(["acquired", "released unknown"]);
  });

  it("its own loss, found first: not-mine, and nothing is sent", async () => {
    const { a, b, k } = await sides();
    const lock = await a.locks.acquire(k);
    const cut = a.proxy.faults.add({ kind: "lose-request", key: lockKey(k) });
    const waiting = b.locks.acquire(k);
    const outcome = await new Promise((resolve) =>
      lock.signal.addEventListener("abort", () => {
        a.sent();
        cut.remove();
        resolve(lock.release());
      }),
    );
    expect([outcome, lock.signal.reason.reason, a.sent()]).toEqual(["not-mine", "expired", []]);
    expect((await waiting).fencingToken).toBe(2);
    expect(await stage.record(k)).toMatchObject({ holder: "b", state: "held" });
    expect(await lock.release()).toBe("not-mine");
  });

  it("its answer is lost, and another has taken the key before it is looked for: the outcome does not claim it, and touches nothing", async () => {
    const { a, b, k, put } = await sides();
    const lock = await a.locks.acquire(k);
    const waiting = b.locks.acquire(k);
    a.proxy.faults.add({ kind: "lose-reply", ...put, times: 1 });
    const looks = a.proxy.faults.add({ kind: "delay", method: "GET", key: lockKey(k) });
    const resends = a.proxy.faults.add({ kind: "delay", ...put, after: 1 });
    const outcome = lock.release();
    expect((await waiting).fencingToken).toBe(2);
    for (const fault of [looks, resends]) {
      fault.remove();
      await fault.deliver();
    }
    expect(await outcome).toBe("not-mine");
    expect(await stage.record(k)).toMatchObject({ state: "held", holder: "b", fencingToken: 2 });
  });

  it("a renewal that is on its way: the release stands, and the renewal changes nothing when it arrives", async () => {
    const { a, b, k, put } = await sides();
    const lock = await a.locks.acquire(k);
    const renewal = a.proxy.faults.add({ kind: "late", ...put, times: 1 });
    await until(() => renewal.held === 1, "the renewal is sent");
    a.sent();
    expect(await lock.release()).toBe("released");
    expect(await renewal.deliver()).toBe(1);
    expect(await stage.record(k)).toMatchObject({ state: "released", endedBy: "self", fencingToken: 1 });
    expect((await b.locks.tryAcquire(k))?.fencingToken).toBe(2);
  });

  it("a renewal that was applied and not answered yet: the release looks, and goes on top of it", async () => {
    const { a, k, put } = await sides();
    const lock = await a.locks.acquire(k);
    a.sent();
    const renewal = a.proxy.faults.add({ kind: "delay", ...put, side: "reply", times: 1 });
    await until(() => renewal.held === 1, "the renewal is carried out");
    expect(await lock.release()).toBe("released");
    expect(await stage.record(k)).toMatchObject({ state: "released", endedBy: "self", fencingToken: 1 });
    expect(a.sent()).toEqual([`PUT ${k} 0`, `PUT ${k} 412`, `GET ${k} 200`, `PUT ${k} 200`]);
    await renewal.deliver();
    expect(await stage.record(k)).toMatchObject({ state: "released" });
  });

  it("an operator's cut: whichever was first, the key is free once, and the outcome says what is true", async () => {
    const { a, b, k, put } = await sides();
    const lock = await a.locks.acquire(k);
    const release = a.proxy.faults.add({ kind: "delay", ...put, times: 1 });
    const outcome = lock.release();
    await until(() => release.held === 1, "the release is on its way");
    expect(await b.locks.forceRelease(k, { token: 1, now: true })).toBe("released");
    const next = await b.locks.acquire(k);
    await release.deliver();
    expect(await outcome).toBe("not-mine");
    expect(await stage.record(k)).toMatchObject({ state: "held", holder: "b", fencingToken: 2 });
    await next.verify();
  });
});

describe.concurrent("an acquisition that is given up while its write is under way", () => {
  it("by the caller's signal: rejects with its reason at once; what lands later is free for this process at once, for others after its ttl", async () => {
    const { a, b, k, put } = await sides();
    const write = a.proxy.faults.add({ kind: "delay", ...put, times: 1 });
    const stop = new AbortController();
    const call = settled(a.locks.acquire(k, { signal: stop.signal }));
    await until(() => write.held === 1, "the write is on its way");
    const startMs = hostMs();
    stop.abort(new Error("given up"));
    expect(await call).toMatchObject({ message: "given up" });
    expect(hostMs() - startMs).toBeLessThan(3_000);
    await write.deliver();
    expect(await stage.record(k)).toMatchObject({ state: "held", holder: "a", fencingToken: 1 });
    expect(await b.locks.tryAcquire(k)).toBeUndefined();
    const again = await a.locks.tryAcquire(k);
    expect(again?.fencingToken).toBe(2);
    expect(a.locks.stats()).toMatchObject({ acquired: 1, released: 0, held: 1, lost: 0 });
    await again?.release();
  });

  it("and another has taken the key before it lands: it is refused by its condition", async () => {
    const { a, b, k, put } = await sides();
    const write = a.proxy.faults.add({ kind: "delay", ...put, times: 1 });
    const stop = new AbortController();
    const call = settled(a.locks.acquire(k, { signal: stop.signal }));
    await until(() => write.held === 1, "the write is on its way");
    stop.abort(new Error("given up"));
    await call;
    const theirs = await b.locks.acquire(k);
    await write.deliver();
    expect(theirs.fencingToken).toBe(1);
    await theirs.verify();
    expect(await stage.record(k)).toMatchObject({ state: "held", holder: "b", fencingToken: 1 });
  });

  it("by the close of its session: rejects with that end, and whatever lands names a session that is over", async () => {
    const { a, b, k, put } = await sides();
    const session = await Session.open({ store: a.store, node: "a", ttlMs: TTL_MS });
    const write = a.proxy.faults.add({ kind: "delay", ...put });
    const call = settled(session.locks().acquire(k, { waitMs: 60_000 }));
    await until(() => write.held > 0, "the write is on its way");
    await session.close();
    expect(await call).toMatchObject({ code: "LEASE_ENDED", reason: "stopped" });
    write.remove();
    await write.deliver();
    const theirs = await b.locks.tryAcquire(k);
    expect(theirs?.isHeld()).toBe(true);
    expect(await stage.record(k)).toMatchObject({ holder: "b", state: "held" });
    expect(session.locks().stats()).toMatchObject({ acquired: 0, held: 0 });
  });
});

describe.concurrent("an operator frees a lock while its holder works", () => {
  /** Work that needs a moment to stop after it was told to. */
  function work(
    locks: Pick<LockApi, "withLock">,
    key: string,
    log: string[],
  ): { readonly done: Promise<unknown>; readonly begun: Promise<void> } {
    let begin!: () => void;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    const run = async (lock: Lock): Promise<void> => {
      begin();
      await new Promise<void>((resolve) => lock.signal.addEventListener("abort", () => resolve(), { once: true }));
      log.push(`${key} told ${lock.signal.reason.reason}`);
      await new Promise((resolve) => setTimeout(resolve, 500));
      log.push(`${key} stopped, held: ${lock.isHeld()}`);
    };
    return { done: settled(locks.withLock(key, run)), begun };
  }

  async function twoOfOneSession() {
    const { a, b, k } = await sides();
    const other = `${k}-other`;
    const session = await Session.open({ store: a.store, node: "a", ttlMs: TTL_MS });
    const log: string[] = [];
    const works = [k, other].map((key) => work(session.locks(), key, log));
    await Promise.all(works.map(({ begun }) => begun));
    return { b, k, other, session, works, log };
  }

  it("a plain lock, gently: it is free when the work has stopped, and not before", async () => {
    const { a, b, k } = await sides();
    const log: string[] = [];
    const { begun, done } = work(a.locks, k, log);
    await begun;
    expect(await b.locks.forceRelease(k, { token: 1 })).toBe("released");
    expect(log).toEqual([`${k} told stepped-down`, `${k} stopped, held: true`]);
    expect(await stage.record(k)).toMatchObject({ state: "released", endedBy: "self", fencingToken: 1 });
    await done;
  });

  it("a plain lock, now: it is free at once, and the holder hears at its next renewal that it is lost", async () => {
    const { a, b, k } = await sides();
    const log: string[] = [];
    const { begun, done } = work(a.locks, k, log);
    await begun;
    const cutAt = hostMs();
    expect(await b.locks.forceRelease(k, { token: 1, now: true })).toBe("released");
    expect(await stage.record(k)).toMatchObject({ state: "released", endedBy: "other" });
    const next = await b.locks.acquire(k);
    expect(hostMs() - cutAt).toBeLessThan(LIFE_MS);
    expect(await done).toBeInstanceOf(LeaseLostError);
    expect(log).toEqual([`${k} told overtaken`, `${k} stopped, held: false`]);
    await next.verify();
    expect(await next.release()).toBe("released");
  });

  it("a session's lock, gently: that one alone, and when its work has stopped", async () => {
    const { b, k, other, session, works, log } = await twoOfOneSession();
    expect(await b.locks.forceRelease(k, { token: 1 })).toBe("released");
    expect(log).toEqual([`${k} told stepped-down`, `${k} stopped, held: true`]);
    expect(await stage.record(k)).toMatchObject({ state: "released", fencingToken: 1 });
    expect((await b.locks.tryAcquire(k))?.fencingToken).toBe(2);
    expect(await b.locks.tryAcquire(other)).toBeUndefined();
    await session.close();
    expect(log.slice(2)).toEqual([`${other} told stopped`, `${other} stopped, held: true`]);
    await Promise.all(works.map(({ done }) => done));
  });

  it("a session's lock, now: the whole session is cut, and all of its work hears it", async () => {
    const { b, k, other, session, works, log } = await twoOfOneSession();
    expect(await b.locks.forceRelease(k, { token: 1, now: true })).toBe("released");
    const theirs = [await b.locks.acquire(k), await b.locks.acquire(other)];
    expect(theirs.map((lock) => lock.fencingToken)).toEqual([2, 2]);
    for (const { done } of works) expect(await done).toMatchObject({ code: "LEASE_LOST", reason: "replaced" });
    expect(log.filter((line) => line.includes("held: true"))).toEqual([]);
    expect(session.signal.aborted).toBe(true);
    for (const lock of theirs) await lock.verify();
  });
});
