/** From one holder's release to the next one's start, in virtual time: the same on every machine, however loaded. */
import { Locks } from "s3-consensus";
import { type TestWorld, testWorld } from "s3-consensus/testing";
import { quantile, type Table } from "../table.ts";

/** There and back, in milliseconds: a store in the same region. */
const LATENCY = { minMs: 20, meanMs: 10 } as const;
const HOUR_MS = 3_600_000;
const TTL_MS = 30_000;

interface Samples {
  readonly delays: number[];
  /** Of the one that waits, until it holds the lock: without the PUT that takes it. */
  readonly requests: number[];
}

export async function handOver(rounds: number): Promise<Table> {
  const rows: (string | number)[][] = [];
  const tell = (what: string, heldS: number | string, { delays, requests }: Samples): void => {
    const seconds = (q: number): number => quantile(delays, q) / 1000;
    const mean = requests.reduce((a, b) => a + b, 0) / requests.length;
    rows.push([what, heldS, delays.length, seconds(0), seconds(0.5), seconds(0.99), mean]);
  };
  tell("the next caller of the same process", 1, await handedOver(rounds, 1_000, "same process"));
  for (const heldMs of [1_000, 10_000, 60_000])
    tell("another process, by polling", heldMs / 1000, await handedOver(rounds, heldMs, "two processes"));
  tell("another process, askHolder; from its call", "till asked", await asked(rounds));
  return {
    title: "Contended hand-over",
    note: `Seconds from the holder's release to the next one's start; with askHolder from the call of the one that wants it, and the holder releases as soon as it hears. ttl ${TTL_MS / 1000} s; virtual time, requests take ${LATENCY.minMs} ms and ${LATENCY.meanMs} ms more in the mean. Requests: GETs and PUTs of the one that waits, before the PUT that takes it.`,
    columns: ["Who is next", "Held, s", "Samples", "Least, s", "Median, s", "p99, s", "Requests"],
    rows,
  };
}

async function handedOver(rounds: number, heldMs: number, where: "same process" | "two processes"): Promise<Samples> {
  const { world, a, b, requestsOfB } = await two(where === "same process");
  const samples: Samples = { delays: [], requests: [] };
  for (let round = 0; round < rounds; round++) {
    const lock = await world.until(a.acquire("k"));
    const before = requestsOfB();
    const taken = timed(world, b.acquire("k", { waitMs: HOUR_MS }));
    // Any moment between two looks of the one that waits.
    await world.advance(heldMs * (0.75 + (0.5 * round) / rounds));
    const freed = world.nowMs;
    void lock.release();
    const next = await world.until(taken);
    samples.delays.push(next.atMs - freed);
    samples.requests.push(requestsOfB() - before - (where === "same process" ? 2 : 1));
    await world.until(next.value.release());
  }
  return samples;
}

async function asked(rounds: number): Promise<Samples> {
  const { world, a, b, requestsOfB } = await two(false);
  const samples: Samples = { delays: [], requests: [] };
  for (let round = 0; round < rounds; round++) {
    const held = await world.until(a.acquire("k", { onAsked: () => void held.release() }));
    // Any moment between two renewals of the holder.
    await world.advance((TTL_MS / 3) * (1 + round / rounds));
    const before = requestsOfB();
    const called = world.nowMs;
    const next = await world.until(timed(world, b.acquire("k", { waitMs: HOUR_MS, askHolder: true })));
    samples.delays.push(next.atMs - called);
    samples.requests.push(requestsOfB() - before - 1);
    await world.until(next.value.release());
  }
  return samples;
}

interface Two {
  readonly world: TestWorld;
  readonly a: Locks;
  readonly b: Locks;
  requestsOfB(): number;
}

async function two(together: boolean): Promise<Two> {
  const world = testWorld({ seed: 1, latency: LATENCY });
  const of = (name: string): Locks => new Locks({ store: world.node(name).store, node: name, defaults: { ttlMs: TTL_MS } });
  const a = of("a");
  const b = together ? of("a") : of("b");
  for (const locks of [a, b]) await world.until(locks.withLock("k", () => {}));
  const { store } = world.node(together ? "a" : "b");
  return { world, a, b, requestsOfB: () => (store.stats()["get"] ?? 0) + (store.stats()["put"] ?? 0) };
}

async function timed<T>(world: TestWorld, promise: Promise<T>): Promise<{ readonly value: T; readonly atMs: number }> {
  const value = await promise;
  return { value, atMs: world.nowMs };
}
