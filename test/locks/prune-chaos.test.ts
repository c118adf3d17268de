/**
 * Ephemeral locks and pruners, many seeds in virtual time, days long. Each seed draws what goes wrong: lost, late and slow requests (late by up to half
 * an hour, as long as a signature lives), processes that are stopped, suspended or killed between any two steps, clocks that are set. Checked is that
 * nobody acquires what another believes in, and that tokens only grow.
 */
import { describe, expect, it } from "vitest";
import { sleep } from "../../src/clock/wait.ts";
import type { Lock } from "../../src/locks/api.ts";
import { Locks } from "../../src/locks/locks.ts";
import { KeyedRandom } from "../../src/testing/sim/keyed-random.ts";
import type { RequestClass, RequestFault } from "../../src/testing/sim/faults.ts";
import type { StoreProfile } from "../../src/testing/sim/sim-s3.ts";
import { testWorld, type TestNode } from "../../src/testing/sim/test-world.ts";
import { CARELESS, DAY, ephemeralKey, HOUR, MINUTE } from "./ephemeral-harness.ts";

const NAMES = ["a", "b", "c"];
const SEEDS = Number(process.env["CHAOS_SEEDS"] ?? "10");
const SPAN_MS = 3 * DAY;

interface Books {
  /** What some process believes in, by the name of the lock. */
  readonly believed: Map<Lock, { readonly name: string; readonly of: string }>;
  readonly highest: Map<string, number>;
  readonly seen: Map<string, number>;
  readonly violations: string[];
  readonly generation: Map<string, number>;
}

const note = (books: Books, what: string, times = 1): void => void books.seen.set(what, (books.seen.get(what) ?? 0) + times);

const whoIs = (books: Books, node: TestNode): string => `${node.name}${books.generation.get(node.name) ?? 0}`;

async function worker(node: TestNode, books: Books, random: KeyedRandom): Promise<void> {
  const of = whoIs(books, node);
  const locks = new Locks({ store: node.store, node: node.name, ephemeral: true, defaults: { ttlMs: 6_000 } });
  for (;;) {
    const name = NAMES[Math.floor(random.unit() * NAMES.length)] ?? "a";
    const work = async (lock: Lock): Promise<void> => {
      took(books, { lock, name, of });
      await sleep(node.clock, random.unit() * 20_000, { signal: lock.signal, keepAlive: true });
      books.believed.delete(lock);
    };
    await locks.withLock(name, { waitMs: random.unit() * HOUR }, work).catch((e: Error) => note(books, e.name));
    await sleep(node.clock, random.unit() < 0.5 ? random.unit() * 3 * HOUR : random.unit() * MINUTE, { keepAlive: true });
  }
}

function took(books: Books, { lock, name, of }: { readonly lock: Lock; readonly name: string; readonly of: string }): void {
  for (const [other, theirs] of books.believed) {
    const isAlive = [...books.generation].some(([node, n]) => theirs.of === `${node}${n}`);
    if (theirs.name === name && theirs.of !== of && isAlive && other.remainingMs > 0)
      books.violations.push(`${of} acquired ${name} (${lock.fencingToken}), and ${theirs.of} believes in it (${other.fencingToken})`);
  }
  const highest = books.highest.get(name) ?? 0;
  if (lock.fencingToken <= highest) books.violations.push(`${of} has token ${lock.fencingToken} of ${name} after ${highest}`);
  if (lock.fencingToken > highest + 1) note(books, "created");
  books.highest.set(name, Math.max(highest, lock.fencingToken));
  books.believed.set(lock, { name, of });
  note(books, "acquired");
}

async function pruner(node: TestNode, books: Books, random: KeyedRandom): Promise<void> {
  const locks = new Locks({ store: node.store, node: node.name });
  for (;;) {
    await locks.prune({ olderThanMs: HOUR }).then(
      (deleted) => note(books, "deleted", deleted),
      (e: Error) => note(books, e.name),
    );
    await sleep(node.clock, random.unit() * 20 * MINUTE, { keepAlive: true });
  }
}

/** One thing that goes wrong with a node, now. */
function trouble(node: TestNode, random: KeyedRandom, isCareless: boolean): void {
  const kinds: readonly RequestFault[] = ["lose-request", "lose-reply", "slow-reply", "late", "late", "error-500", "busy-503", "duplicate"];
  const kind = kinds[Math.floor(random.unit() * kinds.length)] ?? "late";
  const on = (["get", "put", "put", "delete"] as const)[Math.floor(random.unit() * 4)] as RequestClass;
  const times = 1 + Math.floor(random.unit() * 3);
  const ms = random.unit() * 28 * MINUTE;
  const which = random.unit();
  if (which < 0.1) node.pause(random.unit() * 3 * HOUR);
  else if (which < 0.2) node.freeze(random.unit() * 3 * HOUR);
  else if (which < 0.25) node.stepWallClock((random.unit() - 0.5) * DAY);
  // What a store that ignores the condition is trusted with: nothing on the way to it sends a DELETE twice.
  else if (kind !== "duplicate" || on !== "delete" || !isCareless) node.faults({ kind, on, times, ms });
}

async function chaos(seed: number, profile: Partial<StoreProfile>): Promise<Books> {
  const world = testWorld({ seed, profile });
  const random = new KeyedRandom(seed, "prune-chaos");
  const books: Books = { believed: new Map(), highest: new Map(), seen: new Map(), violations: [], generation: new Map() };
  const start = (name: string): void => {
    const node = world.node(name);
    books.generation.set(name, (books.generation.get(name) ?? 0) + 1);
    const run = name.startsWith("p") ? pruner : worker;
    void run(node, books, new KeyedRandom(seed, name, books.generation.get(name) ?? 0)).catch(() => {});
  };
  const names = ["w1", "w2", "w3", "p1", "p2"];
  names.forEach(start);
  for (let passedMs = 0; passedMs < SPAN_MS;) {
    const stepMs = random.unit() * 30 * MINUTE;
    // Some of the trouble comes right when a record has just been closed.
    const name = names[Math.floor(random.unit() * names.length)] ?? "w1";
    await world.advance(stepMs);
    passedMs += stepMs;
    if (random.unit() < 0.08) {
      world.node(name).restart();
      start(name);
    } else trouble(world.node(name), random, profile.conditionalDelete === false);
  }
  note(books, "left", world.keys().filter((key) => key.startsWith(ephemeralKey(""))).length);
  return books;
}

describe.each([
  ["that honours a DELETE's condition", {}],
  ["that ignores it", CARELESS],
] as const)("days of ephemeral locks and pruners on a store %s", (_, profile) => {
  it(`${SEEDS} seeds: one believes at a time, and tokens only grow`, async () => {
    const seen = new Map<string, number>();
    for (let seed = 1; seed <= SEEDS; seed++) {
      const books = await chaos(seed, profile);
      expect(books.violations, `seed ${seed}`).toEqual([]);
      for (const [what, n] of books.seen) seen.set(what, (seen.get(what) ?? 0) + n);
    }
    expect(seen.get("acquired") ?? 0).toBeGreaterThan(40 * SEEDS);
    expect(seen.get("deleted") ?? 0).toBeGreaterThan(5 * SEEDS);
    expect(seen.get("created") ?? 0).toBeGreaterThan(5 * SEEDS);
    // Somebody met a record that was closed for its deletion, and was told so.
    expect(seen.get("LockHeldError") ?? 0).toBeGreaterThan(0);
  }, 120_000);
});
