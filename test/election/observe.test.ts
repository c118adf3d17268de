import { describe, expect, it } from "vitest";
import type { Manager } from "../../src/election/manager.ts";
import { testWorld, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { tap } from "../lease/harness.ts";
import { contender, KEY, LIFE, managerOn, POLL, TTL, WATCH, when } from "./harness.ts";

/** What an observer has been told so far. */
function watching(manager: Manager, signal?: AbortSignal): { readonly told: (string | undefined)[]; readonly done: Promise<unknown> } {
  const told: (string | undefined)[] = [];
  const done = (async () => {
    for await (const { leader } of manager.observe(signal === undefined ? undefined : { signal })) told.push(leader?.holder);
  })().catch((e: unknown) => e);
  return { told, done };
}

function bytes(world: TestWorld): string {
  return JSON.stringify(world.keys().map((key) => [key, Array.from(world.peek(key) ?? [])]));
}

describe("leader() and lastLeader", () => {
  it("one GET, no write, no probe; the bucket stays as it was, byte for byte", async () => {
    const world = testWorld({ seed: 1 });
    contender(world.node("a"), { options: { metadata: { url: "http://a" } } });
    await world.advance(1_000);
    world.node("a").pause(60_000);
    await world.advance(1);
    const before = bytes(world);
    const b = world.node("b");
    const manager = managerOn(b);
    expect(manager.lastLeader).toBeUndefined();
    const leader = await world.until(manager.leader());
    expect(leader).toMatchObject({ key: KEY, holder: "a", fencingToken: 1, metadata: { url: "http://a" } });
    expect(leader?.acquiredAt).toBeInstanceOf(Date);
    expect(leader?.freeInMs).toBeGreaterThan(0);
    expect(leader?.freeInMs).toBeLessThanOrEqual(WATCH);
    expect(manager.lastLeader).toEqual(leader);
    expect(b.store.stats()).toEqual({ get: 1 });
    expect(bytes(world)).toBe(before);
    expect(b.timers + b.inFlight).toBe(0);
  });

  it("nobody: no object, released, or dead for certain", async () => {
    const world = testWorld({ seed: 1 });
    const manager = managerOn(world.node("b"));
    expect(await world.until(manager.leader())).toBeUndefined();
    const one = contender(world.node("a"));
    await world.advance(1_000);
    expect((await world.until(manager.leader()))?.holder).toBe("a");
    one.stop.abort();
    await world.until(one.done);
    expect(await world.until(manager.leader())).toBeUndefined();
    const again = contender(world.node("a"));
    await world.advance(1_000);
    again.node.crash();
    expect((await world.until(manager.leader()))?.holder).toBe("a");
    await world.advance(2 * TTL);
    expect(await world.until(managerOn(world.node("fresh")).leader())).toBeUndefined();
  });

  it("the store's stamps count only by a verdict that another process left: one more GET, once, and only when they call a leader dead", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    const fresh = world.node("fresh");
    const manager = managerOn(fresh);
    expect((await world.until(manager.leader()))?.holder).toBe("a");
    expect(fresh.store.stats()).toMatchObject({ get: 1 });
    one.node.crash();
    await world.advance(2 * TTL);
    // Watched for long enough, it is dead without a verdict, too: so this asks for one, but needs none.
    expect(await world.until(manager.leader())).toBeUndefined();
    const late = world.node("late");
    expect(await world.until(managerOn(late).leader())).toBeUndefined();
    expect(late.store.stats()).toEqual({ get: 2 });
    expect(await world.until(managerOn(late).leader())).toBeUndefined();
    expect(late.store.stats()).toMatchObject({ get: 3 });
  });

  it.each([
    ["a store whose Last-Modified is hours behind", { storeTime: false, lastModifiedLagMs: 7_200_000 }],
    ["a store whose clocks differ by more than a ttl", { storeTime: true, skewMs: 60_000 }],
  ])("%s: a living leader is never nobody, for readers, observers and candidates alike", async (_, profile) => {
    const world = testWorld({ seed: 1, profile });
    contender(world.node("a"));
    await world.advance(1_000);
    const reader = managerOn(world.node("reader"));
    const observed = watching(managerOn(world.node("observer")));
    const candidate = contender(world.node("candidate"));
    for (let i = 0; i < 40; i++) {
      expect((await world.until(reader.leader()))?.holder).toBe("a");
      await world.advance(POLL / 2);
      expect(candidate.manager.lastLeader?.holder).toBe("a");
    }
    expect(observed.told).toEqual(["a"]);
  });

  it("without a verdict only watching counts", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    one.node.crash();
    await world.advance(2 * TTL);
    const { store } = world.node("b");
    const manager = managerOn(world.node("b"), { store: tap(store) });
    expect((await world.until(manager.leader()))?.holder).toBe("a");
    await world.advance(WATCH - 100);
    expect((await world.until(manager.leader()))?.holder).toBe("a");
    await world.advance(200);
    expect(await world.until(manager.leader())).toBeUndefined();
  });

  it("says what hinders it", async () => {
    const world = testWorld({ seed: 1 });
    const b = world.node("b");
    const manager = managerOn(b);
    b.faults({ kind: "error-500", on: "get" });
    await expect(world.until(manager.leader())).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    world.overwrite(KEY, new TextEncoder().encode("hello"));
    await expect(world.until(manager.leader())).rejects.toMatchObject({ code: "RECORD", kind: "foreign" });
    await expect(manager.leader({ signal: AbortSignal.abort("no") })).rejects.toBe("no");
  });

  it("another node's metadata goes through parseMetadata; what that throws is told, and the leader is known all the same", async () => {
    const world = testWorld({ seed: 1 });
    contender(world.node("a"), { options: { metadata: { url: 7 } } });
    await world.advance(1_000);
    const failed: unknown[] = [];
    const manager = managerOn(world.node("b"), {
      parseMetadata: () => {
        throw new Error("not mine");
      },
      onEvent: (e) => e.type === "callback-failed" && failed.push(e),
    });
    expect(await world.until(manager.leader())).toMatchObject({ holder: "a", metadata: undefined });
    expect(failed).toMatchObject([{ name: "parseMetadata", error: { message: "not mine" } }]);
    // Told once for what it can't read, not at every look.
    for (let i = 0; i < 5; i++) await world.until(manager.leader());
    expect(failed).toHaveLength(1);
  });
});

describe("observe()", () => {
  it("the present leader first, then each change, at one GET a poll; a break ends it", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    const b = world.node("b");
    const manager = managerOn(b);
    const told: (string | undefined)[] = [];
    const reader = (async () => {
      for await (const { leader } of manager.observe()) {
        told.push(leader?.holder);
        if (told.length === 3) break;
      }
    })();
    await world.advance(100);
    expect(told).toEqual(["a"]);
    await world.advance(60_000);
    expect(told).toEqual(["a"]);
    expect(b.store.stats()["get"]).toBeLessThanOrEqual(14);
    one.stop.abort();
    await world.until(one.done);
    await world.advance(POLL + 100);
    expect(told).toEqual(["a", undefined]);
    contender(world.node("c"));
    await world.until(reader, 30_000);
    expect(told).toEqual(["a", undefined, "c"]);
    const requests = b.store.stats()["get"];
    await world.advance(60_000);
    expect(b.store.stats()["get"]).toBe(requests);
    expect(b.store.stats()["put"]).toBeUndefined();
    expect(b.timers + b.inFlight).toBe(0);
  });

  it("no leader yet is told, too", async () => {
    const world = testWorld({ seed: 1 });
    const { told } = watching(managerOn(world.node("b")));
    await world.advance(100);
    expect(told).toEqual([undefined]);
  });

  it("the present leader comes first also when it was known before", async () => {
    const world = testWorld({ seed: 1 });
    contender(world.node("a"));
    await world.advance(1_000);
    const manager = managerOn(world.node("b"));
    await world.until(manager.leader());
    const first = watching(manager);
    await world.advance(100);
    expect(first.told).toEqual(["a"]);
    const second = watching(manager);
    await world.advance(100);
    expect(second.told).toEqual(["a"]);
    await world.advance(60_000);
    expect([first.told, second.told]).toEqual([["a"], ["a"]]);
  });

  it("beside a run it adds no request", async () => {
    const world = testWorld({ seed: 1 });
    contender(world.node("a"));
    await world.advance(1_000);
    const two = contender(world.node("b"));
    await world.advance(1_000);
    const { told } = watching(two.manager);
    await world.advance(10);
    expect(told).toEqual(["a"]);
    const before = two.node.store.stats()["get"] ?? 0;
    await world.advance(20 * POLL);
    expect((two.node.store.stats()["get"] ?? 0) - before).toBeLessThanOrEqual(21);
  });

  it("a run that ends leaves the observer with polls of its own", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    const two = contender(world.node("b"));
    const { told } = watching(two.manager);
    await world.advance(10_000);
    two.stop.abort();
    await world.until(two.done);
    one.node.crash();
    await world.advance(WATCH + 2 * POLL);
    expect(told).toEqual(["a", undefined]);
  });

  it("as leader: itself, then nobody when it has stepped down", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"), { options: { cooldownMs: 60_000 } });
    await world.advance(1_000);
    const { told } = watching(one.manager);
    await world.advance(100);
    await world.until(one.manager.stepDown());
    await world.advance(100);
    expect(told).toEqual(["a", undefined]);
  });

  it("a slow reader gets the newest, never a backlog", async () => {
    const world = testWorld({ seed: 1 });
    const manager = managerOn(world.node("b"));
    const observer = manager.observe();
    expect((await world.until(observer.next())).value).toEqual({ leader: undefined });
    for (const name of ["a", "c", "d"]) {
      const leader = contender(world.node(name));
      await world.advance(2 * POLL);
      expect(leader.manager.isLeader()).toBe(true);
      if (name !== "d") {
        leader.stop.abort();
        await world.until(leader.done);
        await world.advance(2 * POLL);
      }
    }
    const { value } = await world.until(observer.next());
    expect(value).toMatchObject({ leader: { holder: "d" } });
    const pending = observer.next();
    await world.advance(60_000);
    await observer.return?.();
    expect(await pending).toEqual({ done: true, value: undefined });
    expect(world.node("b").timers + world.node("b").inFlight).toBe(0);
  });

  it("several reads that wait are all answered when it ends", async () => {
    const world = testWorld({ seed: 1 });
    const observer = managerOn(world.node("b")).observe();
    await world.until(observer.next());
    const waiting = [observer.next(), observer.next(), observer.next()];
    await world.advance(1);
    await observer.return?.();
    expect(await world.until(Promise.all(waiting), 1_000)).toEqual(waiting.map(() => ({ done: true, value: undefined })));
  });

  it("ends with the reason of the signal, also when it was aborted before", async () => {
    const world = testWorld({ seed: 1 });
    const b = world.node("b");
    const manager = managerOn(b);
    const stop = new AbortController();
    const { done } = watching(manager, stop.signal);
    await world.advance(7_000);
    stop.abort("enough");
    expect(await world.until(done, 1_000)).toBe("enough");
    expect(b.timers + b.inFlight).toBe(0);
    expect(await watching(manager, stop.signal).done).toBe("enough");
    expect(b.timers + b.inFlight).toBe(0);
  });

  it("outlives an outage, and rejects for a record that can't be read", async () => {
    const world = testWorld({ seed: 1 });
    contender(world.node("a"));
    await world.advance(1_000);
    const b = world.node("b");
    const { told, done } = watching(managerOn(b));
    await world.advance(1_000);
    const back = b.faults({ kind: "error-500", times: Infinity });
    await world.advance(60_000);
    back();
    await world.advance(60_000);
    expect(told).toEqual(["a"]);
    world.overwrite(KEY, new TextEncoder().encode("hello"));
    expect(await world.until(done, 10_000)).toMatchObject({ code: "RECORD" });
    expect(b.timers + b.inFlight).toBe(0);
  });

  it("a dead leader is nobody within W and a poll", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    const { told } = watching(managerOn(world.node("b")));
    await world.advance(20_000);
    one.node.crash();
    const crashed = world.nowMs;
    await when(world, () => told.length === 2);
    expect(told).toEqual(["a", undefined]);
    expect(world.nowMs - crashed).toBeGreaterThan(LIFE - POLL);
    expect(world.nowMs - crashed).toBeLessThan(WATCH + POLL + 100);
  });

  it("never writes and never keeps the process alive", async () => {
    const world = testWorld({ seed: 1 });
    contender(world.node("a"));
    await world.advance(1_000);
    const b = world.node("b");
    let kept = 0;
    const { clock } = b.store;
    const store = Object.create(b.store, {
      clock: {
        value: {
          ...clock,
          setTimer: (ms: number, fn: () => void, o?: { keepAlive?: boolean }) => (
            (kept += o?.keepAlive === true ? 1 : 0),
            clock.setTimer(ms, fn, o)
          ),
        },
      },
      random: { value: b.store.random },
      url: { value: "sim://observer" },
      get: { value: b.store.get.bind(b.store) },
      stats: { value: b.store.stats.bind(b.store) },
    }) as typeof b.store;
    watching(managerOn(b, { store }));
    await world.advance(60_000);
    expect(b.store.stats()["get"]).toBeGreaterThan(10);
    expect(b.store.stats()["put"]).toBeUndefined();
    expect(kept).toBe(0);
  });
});

describe("onLeaderChange", () => {
  it("a snapshot when a node joins, also when the leader was known before; then each change once", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    const manager = managerOn(world.node("b"));
    await world.until(manager.leader());
    const told: (string | undefined)[] = [];
    const stop = new AbortController();
    const done = manager.run({ onElected() {}, onLeaderChange: ({ leader }) => void told.push(leader?.holder) }, { signal: stop.signal });
    await world.advance(100);
    expect(told).toEqual(["a"]);
    await world.advance(60_000);
    expect(told).toEqual(["a"]);
    one.stop.abort();
    await world.advance(POLL + 1_000);
    expect(told.at(-1)).toBe("b");
    stop.abort();
    await world.until(done);
    const count = told.length;
    contender(world.node("c"));
    await world.advance(60_000);
    expect(told).toHaveLength(count);
  });
});
