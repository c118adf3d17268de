import { describe, expect, it } from "vitest";
import { Manager } from "../../src/election/manager.ts";
import { LEASE_COUNTERS } from "../../src/lease/counters.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { booksBalance, contender, managerOn, POLL, when } from "./harness.ts";

describe("health(): no request, ever", () => {
  it("idle, follower, leader, idle again; green all along", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    const b = world.node("b");
    const idle = managerOn(b);
    expect(idle.health()).toEqual({ ok: true, role: "idle", lastContactMs: undefined });
    const two = contender(b);
    await world.advance(POLL + 1_000);
    const before = b.store.stats();
    expect(one.manager.health()).toMatchObject({ ok: true, role: "leader" });
    const follower = two.manager.health();
    expect(follower).toMatchObject({ ok: true, role: "follower" });
    expect(follower.lastContactMs).toBeLessThanOrEqual(POLL + 100);
    expect(b.store.stats()).toEqual(before);
    two.stop.abort();
    await world.until(two.done);
    expect(two.manager.health()).toMatchObject({ ok: true, role: "idle" });
  });

  it("red as a leader that could not renew, with what hinders; green again when it could", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    const one = contender(a);
    await world.advance(2_000);
    const back = a.faults({ kind: "error-500", times: Infinity });
    await world.advance(4_000);
    // One failed attempt is no illness.
    expect(one.manager.health()).toMatchObject({ ok: true, role: "leader" });
    await world.advance(3_500);
    expect(one.manager.health()).toMatchObject({ ok: false, role: "leader", error: { code: "STORE_UNAVAILABLE", status: 500 } });
    expect(one.manager.health().lastContactMs).toBeGreaterThan(7_000);
    back();
    await world.advance(2_000);
    expect(one.manager.health()).toMatchObject({ ok: true, role: "leader" });
  });

  it("green as a follower in an outage: it does nothing that could be wrong", async () => {
    const world = testWorld({ seed: 1 });
    const b = world.node("b");
    b.faults({ kind: "error-500", times: Infinity });
    const two = contender(b);
    await world.advance(60_000);
    expect(two.manager.health()).toMatchObject({ ok: true, role: "follower", lastContactMs: undefined });
  });

  it("red as a follower that can't take part, until it can", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite("locks/elections/x", new TextEncoder().encode("hello"));
    const two = contender(world.node("b"));
    await world.advance(1_000);
    expect(two.manager.health()).toMatchObject({ ok: false, role: "follower", error: { code: "RECORD", kind: "foreign" } });
    world.overwrite("locks/elections/x", undefined);
    await world.advance(POLL + 100);
    expect(two.manager.health()).toMatchObject({ ok: true, role: "leader" });
  });

  it("a leader that lost is red no longer than it leads", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    const one = contender(a);
    await world.advance(1_000);
    a.faults({ kind: "lose-request", times: Infinity });
    await when(world, () => !one.manager.health().ok);
    await when(world, () => !one.manager.isLeader());
    await world.advance(1);
    expect(one.manager.health()).toMatchObject({ ok: true, role: "follower" });
  });
});

describe("stats()", () => {
  it("has every counter from the start, as plain numbers", () => {
    const world = testWorld({ seed: 1 });
    const stats = new Manager({ store: world.node("a").store, name: "x" }).stats();
    expect(Object.keys(stats).sort()).toEqual([...LEASE_COUNTERS].sort());
    expect(new Set(Object.values(stats))).toEqual(new Set([0]));
  });

  it("acquired = released + lost + held, at every instant of a troubled hour", async () => {
    for (let seed = 1; seed <= 3; seed++) {
      const world = testWorld({ seed });
      const nodes = ["a", "b", "c"].map((n) => world.node(n));
      const all = nodes.map((node) =>
        contender(node, {
          options: { ttlMs: 5_000, cooldownMs: 500 },
          work: (t) => new Promise((r) => t.signal.addEventListener("abort", () => r())),
        }),
      );
      for (let i = 0; i < 1_200; i++) {
        const node = nodes[(i * 7) % 3];
        const c = all[(i * 5) % 3];
        if (node === undefined || c === undefined) throw new Error("there are three");
        if (i % 11 === 0) node.faults({ kind: "lose-reply", on: "put", times: 2 });
        if (i % 17 === 0) node.faults({ kind: "lose-request", times: 3 });
        if (i % 23 === 0) node.faults({ kind: "late", on: "put", ms: 4_000 });
        if (i % 41 === 0) node.freeze(7_000);
        if (i % 43 === 0) node.pause(7_000, "answers-first");
        // Only forwards: a wall clock set back while the monotonic one stands still is beyond what any lease can bear.
        if (i % 47 === 0) node.stepWallClock(30_000);
        if (i % 13 === 0 && c.manager.isLeader()) c.manager.stepDown().catch(() => {});
        await world.advance(333);
        expect(all.every(booksBalance)).toBe(true);
        expect(all.filter((x) => x.manager.isLeader()).length).toBeLessThanOrEqual(1);
      }
      const total = all.map((c) => c.manager.stats());
      expect(total.reduce((n, s) => n + (s["acquired"] ?? 0), 0)).toBeGreaterThan(20);
      expect(total.reduce((n, s) => n + (s["overtakenWhileValid"] ?? 0), 0)).toBe(0);
      for (const c of all) c.stop.abort();
      await world.until(Promise.all(all.map((c) => c.done)), 120_000);
      for (const c of all) {
        const acquired = c.events.filter((e) => e.type === "acquired").length;
        const ended = c.events.filter((e) => e.type === "lost" || e.type === "released").length;
        expect(ended).toBe(acquired);
        expect(c.node.timers + c.node.inFlight).toBe(0);
      }
    }
  });
});
