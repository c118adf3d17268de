/** What is counted, in virtual time and under faults: it adds up whenever it is read, and agrees with the handles that live. */
import { describe, expect, it } from "vitest";
import { sleep } from "../../src/clock/wait.ts";
import type { ConsensusEvent } from "../../src/lease/wiring.ts";
import type { Lock } from "../../src/locks/api.ts";
import { Locks } from "../../src/locks/locks.ts";
import { KeyedRandom } from "../../src/testing/sim/keyed-random.ts";
import { testWorld, type TestNode } from "../../src/testing/sim/test-world.ts";
import { bench, booksBalance, held } from "./harness.ts";

const ROUNDS = 2_000;
const KEYS = ["a", "b", "c"];
const TTL_MS = 6_000;

/** Locks of one node, with every handle that it gave out. */
class Books {
  readonly node: TestNode;
  readonly locks: Locks;
  readonly problems: string[] = [];
  readonly #live = new Set<Lock>();
  #texts: string[] = [];
  reads = 0;

  constructor(node: TestNode) {
    this.node = node;
    this.locks = new Locks({ store: node.store, node: node.name, onEvent: (e) => this.check(e), defaults: { ttlMs: TTL_MS } });
  }

  /** Between two events all that was acquired is in its caller's hands; inside of one it may be on its way there. */
  check(during?: ConsensusEvent): void {
    this.reads += 1;
    for (const lock of this.#live) if (!lock.isHeld()) this.#live.delete(lock);
    const holding = this.#live.size;
    const stats = this.locks.stats();
    const { held: now = -1, waitMs_count: waits, holdMs_count: holds = -1, acquired = -1 } = stats;
    const agrees = during === undefined ? now === holding : now >= holding;
    const reasons = Object.entries(stats).reduce((sum, [name, n]) => (name.startsWith("lost_") ? sum + n : sum), 0);
    const counted = waits === acquired && holds === acquired - now && reasons === stats["lost"];
    if (!booksBalance(stats) || !agrees || !counted)
      this.problems.push(
        `${this.node.name}, ${during?.type ?? "read"}: held ${now}, live ${holding}, waits ${waits}, holds ${holds}; ${JSON.stringify(stats).slice(0, 160)}`,
      );
  }

  async act(random: KeyedRandom, others: readonly Books[]): Promise<void> {
    const lock = this.#live.size === 0 ? undefined : random.pick([...this.#live]);
    const kind = random.pick(["acquire", "acquire", "try", "release", "release", "renew", "handOff", "resume", "force", "slot"] as const);
    const key = random.pick(KEYS);
    if (kind === "acquire") this.#keep(await this.locks.acquire(key, { waitMs: random.magnitude(1, 20_000) }));
    else if (kind === "try") this.#keep(await this.locks.tryAcquire(key));
    else if (kind === "release") await lock?.release();
    else if (kind === "renew") await lock?.renew();
    else if (kind === "handOff" && lock !== undefined) random.pick([...others]).#texts.push(await lock.handOff());
    else if (kind === "resume") this.#keep(await this.locks.resume(this.#texts.pop() ?? ""));
    else if (kind === "slot") await (await this.locks.slot("s", { slots: 2, waitMs: 0 })).release();
    else if (kind === "force") {
      const holder = await this.locks.inspect(key);
      if (holder !== undefined) await this.locks.forceRelease(key, { token: holder.fencingToken, now: true });
    }
  }

  #keep(lock: Lock | undefined): void {
    if (lock !== undefined) this.#live.add(lock);
  }
}

function strike(node: TestNode, random: KeyedRandom): void {
  const kind = random.pick(["lose-request", "lose-reply", "late", "slow-reply", "pause", "freeze"] as const);
  if (kind === "pause" || kind === "freeze") node[kind](random.magnitude(10, 2 * TTL_MS));
  else {
    const heal = node.faults({ kind, times: Infinity, ms: random.magnitude(10, 2 * TTL_MS) });
    void sleep(node.clock, random.magnitude(100, 2 * TTL_MS)).then(heal);
  }
}

describe("stats", () => {
  it(
    `${ROUNDS} rounds of calls, faults and stops: acquired = released + lost + held, whenever they are read, and held is what lives`,
    { timeout: 120_000 },
    async () => {
      const world = testWorld({ seed: 13 });
      const random = new KeyedRandom(13, "stats");
      const all = ["a", "b", "c"].map((name) => new Books(world.node(name)));
      for (let round = 0; round < ROUNDS; round++) {
        const books = random.pick(all);
        void books.act(random, all).catch(() => undefined);
        if (random.chance(0.1)) strike(books.node, random);
        await world.advance(random.magnitude(1, 2_000));
        for (const each of all) each.check();
        const problems = all.flatMap((each) => each.problems);
        if (problems.length > 0) throw new Error(`round ${round}: ${problems.slice(0, 3).join("\n")}`);
      }
      const sum = (name: string): number => all.reduce((total, { locks }) => total + (locks.stats()[name] ?? 0), 0);
      for (const name of [
        "acquired",
        "released",
        "lost",
        "refused",
        "renewals",
        "renewalsFailed",
        "lost_expired",
        "lost_overtaken",
        "lost_frozen",
      ])
        expect(sum(name), name).toBeGreaterThan(0);
      expect(all.reduce((total, { reads }) => total + reads, 0)).toBeGreaterThan(3 * ROUNDS);
    },
  );

  it("times of waiting and holding as histograms: each bound counts all that is not above it", async () => {
    const b = bench();
    for (const ms of [5, 50, 50, 2_000]) {
      const lock = await held(b.world, b.locks.acquire("k"));
      await b.world.advance(ms);
      await b.world.until(lock.release());
    }
    const stats = b.locks.stats();
    expect(stats).toMatchObject({
      holdMs_count: 4,
      holdMs_le_1: 0,
      holdMs_le_30: 1,
      holdMs_le_100: 3,
      holdMs_le_1000: 3,
      holdMs_le_3000: 4,
    });
    expect(stats["holdMs_sum"]).toBeGreaterThan(2_105);
    expect(stats).toMatchObject({ waitMs_count: 4, waitMs_le_3000000: 4 });
    expect(stats["requests_put"]).toBe(b.node.store.stats()["put"]);
  });
});
