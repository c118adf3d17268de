import { describe, expect, it } from "vitest";
import { Manager } from "../../src/election/manager.ts";
import type { ConsensusEvent } from "../../src/lease/wiring.ts";
import { decodeRecord } from "../../src/record/codec.ts";
import { testWorld, type TestNode, type TestWorld } from "../../src/testing/sim/test-world.ts";

const KEY = "locks/elections/x";
const TTL = 15_000;
const POLL = 5_000;

interface Seen {
  readonly manager: Manager;
  readonly log: string[];
  readonly events: ConsensusEvent[];
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/** A node that campaigns and notes what its callbacks hear. */
function contender(world: TestWorld, node: TestNode, extra: object = {}): Seen {
  const log: string[] = [];
  const events: ConsensusEvent[] = [];
  const manager = new Manager({ store: node.store, name: "x", node: node.name, onEvent: (e) => events.push(e), ...extra });
  const stop = new AbortController();
  const done = manager.run(
    {
      onElected: (term) => void log.push(`elected ${term.fencingToken}`),
      onDemoted: ({ term, reason }) => void log.push(`demoted ${term.fencingToken} ${reason.reason}`),
      onLeaderChange: ({ leader }) => void log.push(`leader ${leader?.holder ?? "-"}`),
    },
    { signal: stop.signal },
  );
  done.catch(() => {});
  return { manager, log, events, stop, done };
}

function record(world: TestWorld): ReturnType<typeof decodeRecord> {
  const body = world.peek(KEY);
  if (body === undefined) throw new Error("there is no record");
  return decodeRecord(KEY, body);
}

describe("Manager in virtual time", () => {
  it("elects the first, keeps it elected by one PUT each ttl/3, and lets followers look once a poll", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    const b = world.node("b");
    const one = contender(world, a);
    await world.advance(1_000);
    const two = contender(world, b);
    await world.advance(1_000);
    expect(one.manager.isLeader()).toBe(true);
    expect(two.manager.isLeader()).toBe(false);
    expect(two.manager.lastLeader).toMatchObject({ holder: "a", fencingToken: 1 });
    const before = { a: a.store.stats(), b: b.store.stats() };
    await world.advance(100 * 5_000);
    const delta = (now: Readonly<Record<string, number>>, then: Readonly<Record<string, number>>): Record<string, number> =>
      Object.fromEntries(
        Object.entries(now)
          .map(([k, v]) => [k, v - (then[k] ?? 0)])
          .filter(([, v]) => v !== 0),
      );
    console.log(delta(a.store.stats(), before.a), delta(b.store.stats(), before.b));
    expect(record(world)).toMatchObject({ state: "held", holder: "a", fencingToken: 1 });
    one.stop.abort();
    await world.until(one.done, 60_000);
    expect(record(world).state).toBe("released");
    await world.advance(POLL + 500);
    expect(two.manager.isLeader()).toBe(true);
    expect(one.log).toEqual(
      ["leader a", "elected 1", "leader -", "demoted 1 stopped"].sort((x, y) => one.log.indexOf(x) - one.log.indexOf(y)),
    );
    console.log(one.log, two.log, one.events, one.manager.stats());
    two.stop.abort();
    await world.until(two.done, 60_000);
    expect(a.timers + b.timers + a.inFlight + b.inFlight).toBe(0);
  });

  it("takes over from a crashed leader within ttl + drift margin + poll", async () => {
    const world = testWorld({ seed: 2 });
    const one = contender(world, world.node("a"));
    await world.advance(1_000);
    const two = contender(world, world.node("b"));
    await world.advance(60_000);
    world.node("a").crash();
    const at = world.nowMs;
    while (!two.manager.isLeader() && world.nowMs < at + 60_000) await world.advance(10);
    console.log("failover", world.nowMs - at);
    expect(world.nowMs - at).toBeLessThan(TTL * 1.1 + POLL + 1_000);
    expect(two.manager.current?.fencingToken).toBe(2);
    expect(one.manager).toBeDefined();
  });

  it.each(["freeze", "pause"] as const)("a leader that was held up (%s) loses at the first look", async (kind) => {
    const world = testWorld({ seed: 3 });
    const one = contender(world, world.node("a"));
    await world.advance(1_000);
    const two = contender(world, world.node("b"));
    await world.advance(60_000);
    const term = one.manager.current;
    world.node("a")[kind](40_000);
    await world.advance(39_000);
    expect(two.manager.isLeader()).toBe(true);
    await world.advance(5_000);
    expect(term?.signal.aborted).toBe(true);
    expect(one.log).toContain("demoted 1 frozen");
    expect(one.manager.isLeader()).toBe(false);
    await world.advance(60_000);
    expect(two.manager.isLeader()).toBe(true);
  });

  it("does not notice the lost reply of any of its writes", async () => {
    const world = testWorld({ seed: 4 });
    const a = world.node("a");
    a.faults({ kind: "lose-reply", on: "put", times: 1 });
    const one = contender(world, a);
    await world.advance(10_000);
    expect(one.manager.current?.fencingToken).toBe(1);
    console.log(one.manager.stats(), a.store.stats());
    expect(one.manager.stats()).toMatchObject({ resolvedMine: 1, lost: 0 });
    a.faults({ kind: "lose-reply", on: "put", times: 1 });
    await world.advance(20_000);
    expect(one.manager.current?.fencingToken).toBe(1);
    expect(one.manager.stats()).toMatchObject({ resolvedMine: 2, lost: 0 });
    a.faults({ kind: "lose-reply", on: "put", times: 1 });
    one.stop.abort();
    await world.until(one.done, 60_000);
    expect(record(world).state).toBe("released");
    console.log(one.manager.stats(), a.store.stats());
  });

  it("works on after the store was away, and re-elects after a wall clock jump", async () => {
    const world = testWorld({ seed: 5 });
    const a = world.node("a");
    const one = contender(world, a);
    await world.advance(10_000);
    const end = a.faults({ kind: "lose-request", times: Infinity });
    await world.advance(60_000);
    expect(one.manager.isLeader()).toBe(false);
    end();
    await world.advance(20_000);
    expect(one.manager.current?.fencingToken).toBe(2);
    a.stepWallClock(600_000);
    expect(one.manager.isLeader()).toBe(false);
    await world.advance(20_000);
    expect(one.manager.current?.fencingToken).toBe(3);
    a.stepWallClock(-600_000);
    await world.advance(60_000);
    expect(one.manager.current?.fencingToken).toBe(3);
    console.log(one.log);
  });
});
