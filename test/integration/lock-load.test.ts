/** Many waiters, many locks, and many callers under faults: on a real MinIO, counted at the wire. */
import { beforeAll, describe, expect, it } from "vitest";
import { LockHeldError } from "../../src/errors.ts";
import type { Lock } from "../../src/locks/api.ts";
import { Locks } from "../../src/locks/locks.ts";
import { Session } from "../../src/session/session.ts";
import type { ConsensusEvent } from "../../src/lease/wiring.ts";
import { KeyedRandom } from "../../src/testing/sim/keyed-random.ts";
import { hostMs } from "../support/host-clock.ts";
import { type LockParty, type LockStage, lockKey, lockStage, until } from "../support/lock-party.ts";
import { booksBalance } from "../locks/harness.ts";

let stage: LockStage;
let party: LockParty;

beforeAll(async () => {
  stage = await lockStage();
  party = await stage.party();
  await party.store.ensureSafe();
});

const pass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe("fifty waiters on one key, each as if in a process of its own", () => {
  const WAITERS = 50;
  const TTL_MS = 6_000;
  /** What they look at most as often as. */
  const POLL_MS = TTL_MS / 3;

  it("all get their turn, one at a time, at a bounded rate of requests", async () => {
    const waiters = Array.from(
      { length: WAITERS },
      (_, i) => new Locks({ store: party.another(), node: `w${i}`, defaults: { ttlMs: TTL_MS } }),
    );
    const tokens: number[] = [];
    let inside = 0;
    party.sent();
    const startMs = hostMs();
    await Promise.all(
      waiters.map((locks) =>
        locks.withLock("queue", { waitMs: 100_000 }, async ({ fencingToken }) => {
          expect(++inside).toBe(1);
          tokens.push(fencingToken);
          await pass(20);
          inside -= 1;
        }),
      ),
    );
    const seconds = (hostMs() - startMs) / 1_000;
    expect(tokens).toEqual(Array.from({ length: WAITERS }, (_, i) => i + 1));
    const sent = party.sent();
    const puts = sent.filter((line) => line.startsWith("PUT"));
    // Each: the looks that come quickly one after the other, then one in half a poll at the most; and two writes, with those that came too late.
    expect(sent.length - puts.length).toBeLessThan(WAITERS * (6 + seconds / (POLL_MS / 2_000)));
    // Where the server stood still for a moment, it may have carried out some without an answer.
    const [applied = 0, unanswered = 0] = ["200", "0"].map((status) => puts.filter((line) => line.endsWith(` ${status}`)).length);
    expect(applied).toBeLessThanOrEqual(2 * WAITERS);
    expect(applied + unanswered).toBeGreaterThanOrEqual(2 * WAITERS);
    expect(sent.length / seconds).toBeLessThan(2 * WAITERS);
  });

  it("are refused in time where it does not become free, and say who holds it", async () => {
    const holder = new Locks({ store: party.store, node: "holder" });
    await using lock = await holder.acquire("closed");
    const stores = Array.from({ length: WAITERS }, () => party.another());
    // Each has proven its own way to the store before.
    for (const store of stores) await store.ensureSafe();
    party.sent();
    const startMs = hostMs();
    const ends = await Promise.all(
      stores.map(async (store, i) => {
        const locks = new Locks({ store, node: `r${i}`, defaults: { ttlMs: TTL_MS } });
        return await locks.acquire("closed", { waitMs: 3_000 }).catch((e: unknown) => e);
      }),
    );
    expect(hostMs() - startMs).toBeLessThan(20_000);
    for (const end of ends) {
      expect(end).toBeInstanceOf(LockHeldError);
      expect((end as LockHeldError).holders[0]).toMatchObject({ holder: "holder", fencingToken: lock.fencingToken });
    }
    expect(party.sent().filter((line) => line.includes("closed")).length).toBeLessThan(WAITERS * 8);
  });
});

describe("a thousand locks of one session", () => {
  it("cost one PUT every third of the ttl in all, and end by one", { timeout: 240_000 }, async () => {
    const ttlMs = 30_000;
    const session = await Session.open({ store: party.store, node: "many", ttlMs });
    const locks = session.locks();
    const held: Lock[] = [];
    const names = Array.from({ length: 1_000 }, (_, i) => `device-${i}`);
    party.sent();
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let name = names.pop(); name !== undefined; name = names.pop()) held.push(await locks.acquire(name));
      }),
    );
    const writes = party.sent().filter((line) => line.startsWith("PUT device-"));
    expect([held.length, writes.length, session.signal.aborted]).toEqual([1_000, 1_000, false]);
    const startMs = hostMs();
    await until(() => hostMs() - startMs > 0.8 * ttlMs, "they are held for a while");
    const sent = party.sent();
    expect(new Set(sent.map((line) => line.replace(/ .* /, " ")))).toEqual(new Set(["PUT 200"]));
    expect(new Set(sent.map((line) => line.split(" ")[1])).size).toBe(1);
    expect(sent.length).toBeGreaterThanOrEqual(2);
    expect(sent.length).toBeLessThanOrEqual(3);
    expect(held.every((lock) => lock.isHeld())).toBe(true);
    party.sent();
    await session.close();
    expect(party.sent()).toHaveLength(1);
    expect(held.some((lock) => lock.isHeld())).toBe(false);
    expect((await new Locks({ store: party.another() }).tryAcquire("device-7"))?.fencingToken).toBe(2);
  });
});

describe("stats under many callers and faults", () => {
  it("add up at every moment at which they are read, and agree with the handles that live", async () => {
    const random = new KeyedRandom(7, "books");
    const live = new Set<Lock>();
    const problems: string[] = [];
    let reads = 0;
    // Acquired, and not yet in its caller's hands.
    let underWay = 0;
    const locks = new Locks({ store: party.store, onEvent: check, defaults: { ttlMs: 2_000 } });
    function check(event?: ConsensusEvent): void {
      const holding = [...live].filter((lock) => lock.isHeld()).length;
      const { held = -1, ...stats } = locks.stats();
      reads += 1;
      if (!booksBalance({ ...stats, held }) || stats["waitMs_count"] !== stats["acquired"] || held < holding || held > holding + underWay)
        problems.push(
          `${event?.type ?? "read"}: held ${held}, live ${holding}, under way ${underWay}: ${JSON.stringify(stats).slice(0, 200)}`,
        );
    }
    const endMs = hostMs() + 12_000;
    const keys = ["a", "b", "c", "d", "e"].map((name) => `books-${name}`);
    const caller = async (): Promise<void> => {
      while (hostMs() < endMs) {
        underWay += 1;
        const lock = await locks.acquire(random.pick(keys), { waitMs: random.between(0, 500) }).catch(() => undefined);
        if (lock !== undefined) live.add(lock);
        underWay -= 1;
        if (lock === undefined) continue;
        check();
        await pass(random.between(0, 100));
        const way = random.pick(["release", "handOff", "forget", "renew"] as const);
        if (way === "handOff") await lock.handOff().catch(() => undefined);
        if (way === "renew") await lock.renew().catch(() => undefined);
        if (way === "forget") await pass(random.between(1_500, 4_000));
        await lock.release();
        live.delete(lock);
        check();
      }
    };
    const reader = async (): Promise<void> => {
      for (; hostMs() < endMs; check()) await new Promise((resolve) => setImmediate(resolve));
    };
    const trouble = async (): Promise<void> => {
      const key = new RegExp(`^${lockKey("books-")}`);
      for (const kind of ["lose-request", "lose-reply", "lose-reply"] as const) {
        const fault = party.proxy.faults.add({ kind, key, probability: 0.3 });
        await pass(1_500);
        fault.remove();
        const hole = party.proxy.faults.add({ kind: "black-hole", key });
        await pass(2_500);
        hole.remove();
      }
    };
    await Promise.all([reader(), trouble(), ...Array.from({ length: 25 }, caller)]);
    party.proxy.faults.clear();
    expect(problems.slice(0, 3)).toEqual([]);
    const stats = locks.stats();
    expect(stats).toMatchObject({ held: 0, waitMs_count: stats["acquired"], holdMs_count: stats["acquired"] });
    // What was not seen was not tested.
    for (const name of ["acquired", "released", "lost", "refused", "renewals", "renewalsFailed"])
      expect([name, stats[name]]).not.toEqual([name, 0]);
    expect(reads).toBeGreaterThan(1_000);
  });
});
