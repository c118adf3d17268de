import { describe, expect, it } from "vitest";
import { booksBalance, contender, delta, eventTypes, LIFE, POLL, recordIn, terms, TTL, WATCH, when } from "./harness.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";

describe("an election", () => {
  it("one leads, the others know who; a hundred renewals are a hundred PUTs, a follower's poll is one GET", async () => {
    const world = testWorld({ seed: 1 });
    const [a, b] = [world.node("a"), world.node("b")];
    const one = contender(a);
    await world.advance(1_000);
    const two = contender(b);
    await world.advance(POLL + 1_000);
    expect([one.manager.isLeader(), two.manager.isLeader()]).toEqual([true, false]);
    expect(two.manager.lastLeader).toMatchObject({ holder: "a", fencingToken: 1, key: "locks/elections/x" });
    const before = { a: a.store.stats(), b: b.store.stats() };
    await world.advance(100 * 5_000);
    expect(delta(a.store.stats(), before.a)).toEqual({ put: 100 });
    const followed = delta(b.store.stats(), before.b);
    expect(followed["put"]).toBeUndefined();
    expect(followed["get"]).toBeLessThanOrEqual(100);
    expect(followed["get"]).toBeGreaterThanOrEqual(97);
    expect(terms(one)).toEqual(["elected 1"]);
    expect(two.log).toEqual(["leader a"]);
  });

  it("an idle follower's poll is answered without a body", async () => {
    const world = testWorld({ seed: 1 });
    const [a, b] = [world.node("a"), world.node("b")];
    contender(a, { options: { ttlMs: 600_000 } });
    await world.advance(1_000);
    contender(b, { options: { ttlMs: 600_000, pollMs: 1_000 } });
    await world.advance(2_000);
    const before = b.store.stats();
    await world.advance(100_000);
    const { get = 0, getNotModified = 0 } = delta(b.store.stats(), before);
    expect(get).toBeGreaterThan(95);
    expect(getNotModified).toBe(get);
  });

  it("wins a free key with two requests, and with one where it knows the ETag", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    const one = contender(a, { options: { cooldownMs: 0 }, onDone: "release", work: () => {} });
    await when(world, () => terms(one).length >= 2);
    // A GET and a create, the proof of rule W9 beside them; then the release.
    expect(a.store.stats()).toMatchObject({ get: 1, put: 3 });
    await when(world, () => terms(one).length >= 20);
    expect(a.store.stats()["get"]).toBe(1);
    expect(a.store.stats()["put"]).toBe(1 + 20);
  });

  it("a stop releases with one PUT, and the other takes over within a poll", async () => {
    const world = testWorld({ seed: 1 });
    const [a, b] = [world.node("a"), world.node("b")];
    const one = contender(a);
    await world.advance(1_000);
    const two = contender(b);
    await world.advance(11_000);
    const before = a.store.stats();
    one.stop.abort();
    const stopped = world.nowMs;
    await world.until(one.done);
    expect(delta(a.store.stats(), before)).toEqual({ put: 1 });
    expect(recordIn(world)).toMatchObject({ state: "released", endedBy: "self" });
    expect((await when(world, () => two.manager.isLeader())) - stopped).toBeLessThanOrEqual(POLL + 100);
    expect(one.log).toEqual(["leader -", "elected 1", "leader a", "demoted 1 stopped", "leader -"]);
    expect(terms(one)).toEqual(["elected 1", "demoted 1 stopped"]);
    expect(eventTypes(one)).toEqual(["acquired", "released"]);
    expect(two.manager.current?.fencingToken).toBe(2);
    two.stop.abort();
    await world.until(two.done);
    expect(a.timers + b.timers + a.inFlight + b.inFlight).toBe(0);
  });

  it("after a crash another leads within ttl + drift margin + poll + 1 s", async () => {
    let longest = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const world = testWorld({ seed });
      contender(world.node("a"));
      await world.advance(1_000);
      const two = contender(world.node("b"));
      await world.advance(20_000 + seed * 617);
      world.node("a").crash();
      const at = world.nowMs;
      await when(world, () => two.manager.isLeader(), 60_000, 20);
      longest = Math.max(longest, world.nowMs - at);
      expect(two.manager.current?.fencingToken).toBe(2);
    }
    expect(longest).toBeLessThanOrEqual(WATCH + POLL + 1_000);
    expect(longest).toBeGreaterThan(LIFE - 5_000);
  });

  it("a process that starts a ttl after the crash leads at its first look (store time)", async () => {
    const world = testWorld({ seed: 1 });
    contender(world.node("a"));
    await world.advance(1_000);
    world.node("a").crash();
    await world.advance(2 * TTL);
    const two = contender(world.node("b"));
    await world.advance(200);
    expect(two.manager.current?.fencingToken).toBe(2);
    expect(two.manager.stats()).toMatchObject({ takeoversByStoreTime: 1 });
  });

  it("five nodes, hundreds of crashes and restarts: tokens 1, 2, 3… and one leader at a time", async () => {
    const world = testWorld({ seed: 11 });
    const names = ["a", "b", "c", "d", "e"];
    const alive = new Map(names.map((n) => [n, contender(world.node(n), { options: { ttlMs: 3_000 } })]));
    const tokens: number[] = [];
    for (let i = 0; i < 200; i++) {
      await world.advance(50 + ((i * 7_919) % 4_000));
      const leaders = [...alive.values()].filter((c) => c.manager.isLeader());
      expect(leaders.length).toBeLessThanOrEqual(1);
      const leader = leaders[0];
      if (leader !== undefined && tokens.at(-1) !== leader.manager.current?.fencingToken)
        tokens.push(leader.manager.current?.fencingToken ?? 0);
      if (leader === undefined || i % 3 !== 0) continue;
      const { name } = leader.node;
      world.node(name).restart();
      alive.set(name, contender(world.node(name), { options: { ttlMs: 3_000 } }));
    }
    expect(tokens.length).toBeGreaterThan(20);
    expect(tokens).toEqual(tokens.map((_, i) => (tokens[0] ?? 0) + i));
  });
});

describe("a leader in trouble", () => {
  it.each(["freeze", "pause"] as const)(
    "%s: it is no leader at the first look, hears of one loss, and comes back as a follower",
    async (kind) => {
      const world = testWorld({ seed: 3 });
      const one = contender(world.node("a"));
      await world.advance(1_000);
      const two = contender(world.node("b"));
      await world.advance(60_000);
      const term = one.manager.current;
      world.node("a")[kind](40_000);
      await world.advance(39_999);
      expect(two.manager.isLeader()).toBe(true);
      await world.advance(2);
      expect([term?.signal.aborted, one.manager.isLeader(), one.manager.current]).toEqual([true, false, undefined]);
      await world.advance(60_000);
      expect(terms(one)).toEqual(["elected 1", "demoted 1 frozen"]);
      expect(eventTypes(one)).toEqual(["acquired", "lost"]);
      expect(one.manager.lastLeader?.holder).toBe("b");
      expect(terms(two)).toEqual(["elected 2"]);
      expect(one.manager.stats()).toMatchObject({ overtakenWhileValid: 0, lost: 1 });
      expect(booksBalance(one) && booksBalance(two)).toBe(true);
    },
  );

  it("does not notice the lost reply of any of its writes", async () => {
    const world = testWorld({ seed: 4 });
    const a = world.node("a");
    a.faults({ kind: "lose-reply", on: "put", times: 2 });
    const one = contender(a);
    await when(world, () => one.manager.isLeader());
    expect(one.manager.stats()).toMatchObject({ resolvedMine: 1, lost: 0 });
    a.faults({ kind: "lose-reply", on: "put", times: 1 });
    await world.advance(22_000);
    expect(one.manager.stats()).toMatchObject({ resolvedMine: 2, lost: 0 });
    a.faults({ kind: "lose-reply", on: "put", times: 1 });
    one.stop.abort();
    await world.until(one.done);
    expect(one.manager.stats()).toMatchObject({ resolvedMine: 3 });
    expect(recordIn(world)).toMatchObject({ state: "released", fencingToken: 1 });
    expect(terms(one)).toEqual(["elected 1", "demoted 1 stopped"]);
  });

  it("a black-holed store: belief ends before anyone else can lead; when it is back, it leads again", async () => {
    const world = testWorld({ seed: 5 });
    const [a, b] = [world.node("a"), world.node("b")];
    const one = contender(a);
    await world.advance(1_000);
    const two = contender(b);
    await world.advance(20_000);
    const back = a.faults({ kind: "lose-request", times: Infinity });
    const ended = await when(world, () => !one.manager.isLeader(), 60_000, 5);
    expect(two.manager.isLeader()).toBe(false);
    const taken = await when(world, () => two.manager.isLeader(), 60_000, 5);
    expect(taken).toBeGreaterThan(ended);
    back();
    await world.advance(30_000);
    expect(terms(one)).toEqual(["elected 1", "demoted 1 expired"]);
    expect(one.manager.lastLeader?.holder).toBe("b");
  });

  it("alone after an outage it leads again, with a new token", async () => {
    const world = testWorld({ seed: 5 });
    const a = world.node("a");
    const one = contender(a);
    await world.advance(10_000);
    const back = a.faults({ kind: "lose-request", times: Infinity });
    await world.advance(60_000);
    expect(one.manager.isLeader()).toBe(false);
    back();
    await world.advance(20_000);
    expect(terms(one)).toEqual(["elected 1", "demoted 1 expired", "elected 2"]);
  });

  it("wall clock +10 min: one clean loss and re-election; -10 min: nothing", async () => {
    const world = testWorld({ seed: 5 });
    const a = world.node("a");
    const one = contender(a);
    await world.advance(10_000);
    a.stepWallClock(600_000);
    expect(one.manager.isLeader()).toBe(false);
    await world.advance(20_000);
    expect(terms(one)).toEqual(["elected 1", "demoted 1 frozen", "elected 2"]);
    a.stepWallClock(-600_000);
    await world.advance(60_000);
    expect(one.manager.current?.fencingToken).toBe(2);
    expect(terms(one)).toHaveLength(3);
  });

  it("an outage from the start is outlived; it is not a reason for `run` to end", async () => {
    const world = testWorld({ seed: 5 });
    const a = world.node("a");
    const back = a.faults({ kind: "error-500", times: Infinity });
    const one = contender(a);
    await world.advance(600_000);
    expect(one.outcome).toBeUndefined();
    back();
    await world.advance(POLL + 1_000);
    expect(one.manager.isLeader()).toBe(true);
  });
});

describe("the record under a leader and a follower", () => {
  const garbage = new TextEncoder().encode("{not json");
  const newer = new TextEncoder().encode('{"format":7}');

  it.each([
    ["deleted", undefined, "deleted", "regressed"],
    ["garbage", garbage, "replaced", "foreign"],
    ["of a later format", newer, "replaced", "newer"],
  ])("%s: the leader loses at its next renewal, nobody leads, nothing is overwritten", async (_, body, reason, kind) => {
    const world = testWorld({ seed: 6 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    const two = contender(world.node("b"));
    await world.advance(20_000);
    world.overwrite("locks/elections/x", body);
    await world.advance(POLL + 200);
    expect(terms(one)).toEqual(["elected 1", `demoted 1 ${reason}`]);
    await world.advance(300_000);
    expect(world.peek("locks/elections/x")).toEqual(body);
    expect([one.manager.isLeader(), two.manager.isLeader()]).toEqual([false, false]);
    expect([one.outcome, two.outcome]).toEqual([undefined, undefined]);
    expect(two.manager.health()).toMatchObject({ ok: false, role: "follower", error: { code: "RECORD", kind } });
  });

  it("rolled back to an older copy: the leader loses at its deadline at the latest, and tokens never go back", async () => {
    const world = testWorld({ seed: 6 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    const old = world.peek("locks/elections/x");
    one.stop.abort();
    await world.until(one.done);
    const again = contender(world.node("a"));
    const two = contender(world.node("b"));
    await world.advance(40_000);
    const highest = recordIn(world).fencingToken;
    expect(highest).toBeGreaterThan(1);
    world.overwrite("locks/elections/x", old);
    await world.advance(300_000);
    expect(again.manager.isLeader() || two.manager.isLeader()).toBe(false);
    const all = [...terms(again), ...terms(two)].filter((t) => t.startsWith("elected")).map((t) => Number(t.split(" ")[1]));
    expect(Math.max(...all)).toBe(highest);
  });
});

describe("calls in the wrong state", () => {
  it("run twice, campaign while it runs: refused, and the first goes on", async () => {
    const world = testWorld({ seed: 7 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    await expect(one.manager.run({ onElected() {} })).rejects.toMatchObject({ code: "CONFIG" });
    await expect(one.manager.campaign()).rejects.toThrow(/in a run already/);
    await expect(world.until(one.manager.start({ onElected() {} }).done)).rejects.toMatchObject({ code: "CONFIG" });
    await world.advance(60_000);
    expect(terms(one)).toEqual(["elected 1"]);
  });

  it("once it has ended it may run again", async () => {
    const world = testWorld({ seed: 7 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    one.stop.abort();
    await world.until(one.done);
    const stop = new AbortController();
    const done = one.manager.run({ onElected: (t) => void one.log.push(`again ${t.fencingToken}`) }, { signal: stop.signal });
    await world.advance(1_000);
    expect(one.log).toContain("again 2");
    stop.abort();
    await world.until(done);
  });

  it("asked to run when it was stopped already, it returns and sends nothing", async () => {
    const world = testWorld({ seed: 7 });
    const a = world.node("a");
    const one = contender(a);
    one.stop.abort();
    await world.until(one.done);
    expect(terms(one)).toEqual([]);
    expect(a.store.stats()["put"] ?? 0).toBeLessThanOrEqual(1);
    const before = a.store.stats();
    await world.until(one.manager.run({ onElected() {} }, { signal: AbortSignal.abort() }));
    expect(a.store.stats()).toEqual(before);
  });

  it("an unsafe store ends the run with an error that names the step, and nothing was written", async () => {
    const world = testWorld({ seed: 7, profile: { conditions: "ignored" } });
    const one = contender(world.node("a"));
    await expect(world.until(one.done)).rejects.toMatchObject({ code: "STORE_UNSAFE" });
    expect(world.keys()).not.toContain("locks/elections/x");
    expect(one.manager.health()).toMatchObject({ ok: false, error: { code: "STORE_UNSAFE" } });
  });
});
