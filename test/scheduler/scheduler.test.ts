import { describe, expect, it } from "vitest";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { brokenOf, HOUR, jobOn, ledger, MINUTE, recordIn, START, stateIn, taskEvents, ticksOf } from "./harness.ts";

describe("each tick once", () => {
  it("on one node: every minute, not before its time, and the history says so", async () => {
    const world = testWorld({ seed: 1 });
    const books = ledger();
    const a = jobOn(world, "a", books);
    await world.advance(10 * MINUTE + 5_000);
    expect(ticksOf(books)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((m) => START + m * MINUTE));
    expect(brokenOf(books)).toEqual([]);
    expect(stateIn(world).history).toHaveLength(9);
    expect(stateIn(world).run).toMatchObject({ state: "succeeded", holder: "a", attempt: 1 });
    a.stop.abort();
    await world.until(a.done);
    expect(world.node("a").timers).toBe(0);
  });

  it("on three nodes: each on one of them, and each runs none for the past", async () => {
    const world = testWorld({ seed: 2 });
    const books = ledger();
    const nodes = ["a", "b", "c"].map((name) => jobOn(world, name, books));
    await world.advance(HOUR + 5_000);
    expect(ticksOf(books)).toEqual(Array.from({ length: 60 }, (_, i) => START + (i + 1) * MINUTE));
    expect(brokenOf(books)).toEqual([]);
    for (const node of nodes) node.stop.abort();
    await world.until(Promise.all(nodes.map(({ done }) => done)));
    expect(recordIn(world).state).toBe("released");
    expect(taskEvents(books).filter((e) => e.startsWith("succeeded"))).toHaveLength(60);
  });
});
