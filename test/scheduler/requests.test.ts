/** Requests, counted where they are sent: winner 2 PUTs, a GET first if another had the last tick; loser one GET; nothing between ticks. */
import { describe, expect, it } from "vitest";
import { testWorld, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { HOUR, type JobOptions, jobOn, ledger, MINUTE, pause } from "./harness.ts";

interface Counted {
  readonly gets: number;
  readonly puts: number;
}

function countOn(world: TestWorld, name: string): Counted {
  const { get = 0, put = 0 } = world.node(name).store.stats();
  return { gets: get, puts: put };
}

async function during(world: TestWorld, names: readonly string[], act: () => Promise<void>): Promise<Counted[]> {
  const before = names.map((name) => countOn(world, name));
  await act();
  return names.map((name, i) => {
    const now = countOn(world, name);
    return { gets: now.gets - (before[i]?.gets ?? 0), puts: now.puts - (before[i]?.puts ?? 0) };
  });
}

describe("requests", () => {
  it("one node: two PUTs a tick, and none between ticks", async () => {
    const world = testWorld({ seed: 1 });
    const books = ledger();
    jobOn(world, "a", books);
    await world.advance(2 * MINUTE + 10_000);
    const [ticks] = await during(world, ["a"], () => world.advance(20 * MINUTE));
    expect(ticks).toEqual({ gets: 0, puts: 40 });
    const [idle] = await during(world, ["a"], () => world.advance(45_000));
    expect(idle).toEqual({ gets: 0, puts: 0 });
    expect(books.runs).toHaveLength(22);
  });

  it("three nodes: who had the last tick claims the next by two PUTs, the others look once", async () => {
    const world = testWorld({ seed: 2, profile: { skewMs: 0 } });
    const books = ledger();
    const names = ["a", "b", "c"];
    for (const name of names) jobOn(world, name, books);
    // Until each knows the store's time well: a node that is late by half a second may be overtaken.
    await world.advance(30 * MINUTE + 10_000);
    const winner = books.runs.at(-1)?.node ?? "";
    const counted = await during(world, names, () => world.advance(30 * MINUTE));
    expect(new Set(books.runs.slice(30).map((r) => r.node))).toEqual(new Set([winner]));
    // All servers of this store have one time: then no tick is early at all.
    expect(Math.min(...books.runs.map((r) => r.at - r.tick))).toBeGreaterThanOrEqual(0);
    for (const [i, name] of names.entries()) expect(counted[i]).toEqual(name === winner ? { gets: 0, puts: 60 } : { gets: 30, puts: 0 });
  });

  it("when the one that had the last tick is gone, another pays a GET first", async () => {
    const world = testWorld({ seed: 3 });
    const books = ledger();
    for (const name of ["a", "b"]) jobOn(world, name, books);
    await world.advance(5 * MINUTE + 10_000);
    const winner = books.runs.at(-1)?.node ?? "";
    const other = winner === "a" ? "b" : "a";
    world.node(winner).crash();
    const [first] = await during(world, [other], () => world.advance(MINUTE));
    expect(first).toEqual({ gets: 1, puts: 2 });
    const [next] = await during(world, [other], () => world.advance(MINUTE));
    expect(next).toEqual({ gets: 0, puts: 2 });
  });

  it("a longer run adds its renewals, and its watchers a look each time it could have died", async () => {
    const world = testWorld({ seed: 4 });
    const books = ledger();
    const o: JobOptions = { task: { cron: "0 * * * *" }, work: (_r, node) => pause(node, 10 * MINUTE) };
    for (const name of ["a", "b"]) jobOn(world, name, books, o);
    await world.advance(HOUR - 10_000);
    const counted = await during(world, ["a", "b"], () => world.advance(15 * MINUTE));
    const [runner, watcher] = books.runs[0]?.node === "a" ? counted : [...counted].reverse();
    // A renewal each ttl/3 = 10 s.
    expect(runner?.puts).toBeGreaterThanOrEqual(60);
    expect(runner?.puts).toBeLessThanOrEqual(63);
    expect(watcher?.puts).toBe(0);
    expect(watcher?.gets).toBeLessThanOrEqual(1 + Math.ceil((10 * MINUTE) / 33_000));
    expect(watcher?.gets).toBeGreaterThanOrEqual((10 * MINUTE) / 50_000);
  });

  it("a fleet does not look in the same moment", async () => {
    const world = testWorld({ seed: 5 });
    const books = ledger();
    const names = Array.from({ length: 20 }, (_, i) => `n${i}`);
    for (const name of names) jobOn(world, name, books);
    await world.advance(3 * MINUTE - 100);
    const total = (): number => names.reduce((n, name) => n + countOn(world, name).gets, 0);
    let most = 0;
    for (let ms = 0; ms < 1_500; ms += 50) {
      const before = total();
      await world.advance(50);
      most = Math.max(most, total() - before);
    }
    expect(most).toBeLessThanOrEqual(8);
    expect(books.runs).toHaveLength(3);
  });

  it("status of a thousand tasks: one LIST, and a GET for each that changed", async () => {
    const world = testWorld({ seed: 6 });
    const books = ledger();
    const more = Array.from({ length: 99 }, (_, i) => ({ name: `t${i}`, every: "1h", run: () => {} }));
    const a = jobOn(world, "a", books, { more });
    await world.advance(MINUTE + 10_000);
    await world.until(a.scheduler.status());
    await world.advance(MINUTE);
    const before = world.node("a").store.stats();
    const statuses = await world.until(a.scheduler.status());
    const now = world.node("a").store.stats();
    expect(statuses).toHaveLength(100);
    expect((now["list"] ?? 0) - (before["list"] ?? 0)).toBe(1);
    expect((now["get"] ?? 0) - (before["get"] ?? 0)).toBeLessThanOrEqual(1);
  });
});
