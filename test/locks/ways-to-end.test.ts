import { describe, expect, it } from "vitest";
import { NotHeldError } from "../../src/errors.ts";
import { bench, delta, errorOf, held, overwrite, pause, recordIn, refusalOf, requestsOf, TTL, types, WATCH, when } from "./harness.ts";

describe("how a lock passes on", () => {
  it("a waiter gets it soon after the release, and a long wait looks seldom", async () => {
    const b = bench();
    const c = b.other("b");
    const lock = await held(b.world, b.locks.acquire("k"));
    const waiting = c.locks.acquire("k", { waitMs: 600_000 });
    await b.world.advance(300);
    await b.world.until(lock.release());
    const freedMs = b.world.nowMs;
    const theirs = await held(b.world, waiting);
    expect(b.world.nowMs - freedMs).toBeLessThan(1_000);
    await b.world.until(theirs.release());
    await held(b.world, b.locks.acquire("k"));
    const before = c.node.store.stats()["get"] ?? 0;
    await refusalOf(b.world, c.locks.acquire("k", { waitMs: 120_000 }));
    expect((c.node.store.stats()["get"] ?? 0) - before).toBeLessThan(120_000 / 5_000 + 8);
  });

  it("fifty waiters of fifty processes all get their turn, at a bounded rate of requests", async () => {
    const b = bench(3);
    const nodes = Array.from({ length: 50 }, (_, i) => b.other(`n${i}`));
    const tokens: number[] = [];
    const startMs = b.world.nowMs;
    await b.world.until(
      Promise.all(
        nodes.map((n) =>
          n.locks.withLock("k", { waitMs: 3_000_000 }, async (lock) => {
            await pause(n.node, 100);
            tokens.push(lock.fencingToken);
          }),
        ),
      ),
    );
    expect(tokens).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
    const requests = nodes.reduce((sum, n) => sum + (n.node.store.stats()["get"] ?? 0) + (n.node.store.stats()["put"] ?? 0), 0);
    expect(requests / ((b.world.nowMs - startMs) / 1_000)).toBeLessThan(50);
  });

  it("killed: a waiter has it after the watch, a fresh process a little later at its first look (store time), and no sooner", async () => {
    const b = bench();
    const c = b.other("b");
    await held(b.world, b.locks.acquire("k"));
    const waiting = c.locks.acquire("k", { waitMs: 600_000, takeover: "observe" });
    await b.world.advance(9_000);
    b.node.crash();
    await held(b.world, waiting);
    expect(b.world.nowMs).toBeGreaterThan(WATCH - 100);
    // At the end of the watch, and not at the next poll.
    expect(b.world.nowMs).toBeLessThan(WATCH + 1_000);
    c.node.crash();
    const crashedMs = b.world.nowMs;
    await b.world.advance(20_000);
    const d = b.other("d");
    expect(await b.world.until(d.locks.tryAcquire("k"))).toBeUndefined();
    await b.world.advance(crashedMs + TTL + 5_000 - b.world.nowMs);
    const e = b.other("e");
    expect((await held(b.world, e.locks.tryAcquire("k"))).fencingToken).toBe(3);
  });

  it("minHoldMs keeps the key closed after the release, for everybody, the releasing process too; the release does not wait", async () => {
    const b = bench();
    const c = b.other("b");
    await b.world.until(b.locks.withLock("k", { minHoldMs: 60_000 }, () => pause(b.node, 10_000)));
    expect(b.world.nowMs).toBeLessThan(11_000);
    // What was left of it, by the fastest clock.
    expect(recordIn(b.world, "k").holdForMs).toBeGreaterThanOrEqual(54_900);
    for (const locks of [b.locks, c.locks]) {
      const refusal = await refusalOf(b.world, locks.acquire("k", { waitMs: 0 }));
      expect(refusal.message).toMatch(/was released by a, and stays closed for/);
    }
    const again = held(b.world, b.locks.acquire("k", { waitMs: 100_000 }));
    await again;
    expect(b.world.nowMs).toBeGreaterThan(60_000);
    expect(b.world.nowMs).toBeLessThan(67_000);
  });

  it("lockDelayMs: after a death the key stays closed that much longer, for the dead holder's own process too", async () => {
    const b = bench();
    const c = b.other("b");
    const lock = await held(b.world, b.locks.acquire("k", { lockDelayMs: 40_000 }));
    b.node.faults({ kind: "lose-request", on: "put", times: Infinity });
    await when(b.world, () => !lock.isHeld(), 60_000, 100);
    b.node.restart();
    const own = b.other("a");
    const first = await b.world.until(
      Promise.race([own.locks.acquire("k", { waitMs: 600_000 }), c.locks.acquire("k", { waitMs: 600_000 })]),
    );
    expect(b.world.nowMs).toBeGreaterThan(27_000 / 0.9 + 40_000);
    expect(first.fencingToken).toBe(2);
  });

  it("after a clean release there is no lock delay", async () => {
    const b = bench();
    await b.world.until(b.locks.withLock("k", { lockDelayMs: 40_000 }, () => {}));
    expect((await held(b.world, b.other("b").locks.tryAcquire("k"))).fencingToken).toBe(2);
  });

  it("the delay of a lost lock binds a process that lost it and lives on", async () => {
    const b = bench();
    const lock = await held(b.world, b.locks.acquire("k", { lockDelayMs: 40_000 }));
    const faultless = b.node.faults({ kind: "lose-request", on: "put", times: Infinity });
    await when(b.world, () => !lock.isHeld(), 60_000, 100);
    faultless();
    expect((await refusalOf(b.world, b.locks.acquire("k", { waitMs: 35_000 }))).key).toBe("k");
  });

  it("askHolder: the holder hears within a renewal, once, and is not harmed", async () => {
    const b = bench();
    const c = b.other("b");
    let asked = 0;
    const lock = await held(b.world, b.locks.acquire("k", { onAsked: () => void asked++ }));
    const waiting = c.locks.acquire("k", { askHolder: true, waitMs: 600_000 });
    await b.world.advance(11_000);
    expect(asked).toBe(1);
    await b.world.advance(100_000);
    expect(asked).toBe(1);
    expect(lock.isHeld()).toBe(true);
    await b.world.until(lock.release());
    await held(b.world, waiting);
  });

  it("askHolder: who asked looks when the holder hears, by the store's own stamps", async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const b = bench(seed);
      const c = b.other("b");
      let heardAtMs = Infinity;
      const onAsked = (): void => {
        heardAtMs = b.world.nowMs;
        void lock.release();
      };
      const lock = await held(b.world, b.locks.acquire("k", { onAsked }));
      await b.world.until(c.locks.withLock("warm", () => {}));
      await b.world.advance(700 * seed);
      const before = c.node.store.stats();
      await held(b.world, c.locks.acquire("k", { askHolder: true, waitMs: 600_000 }));
      // Stamps are cut to the second; polls alone would be up to five seconds late.
      expect(b.world.nowMs - heardAtMs).toBeLessThan(1_500);
      const { get = 0, put = 0 } = delta(c.node.store.stats(), before);
      expect(put).toBe(2);
      expect(get).toBeLessThanOrEqual(12);
    }
  });

  it("onAsked that throws changes nothing for the holder", async () => {
    const b = bench();
    const c = b.other("b");
    const onAsked = (): void => {
      throw new Error("not now");
    };
    const lock = await held(b.world, b.locks.acquire("k", { onAsked }));
    const waiting = c.locks.acquire("k", { askHolder: true, waitMs: 600_000 });
    await b.world.advance(100_000);
    expect(lock.isHeld()).toBe(true);
    expect(types(b.events)).toContain("callback-failed");
    await b.world.until(lock.release());
    await held(b.world, waiting);
  });

  it("askHolder does not keep a dead holder alive", async () => {
    const b = bench();
    await held(b.world, b.locks.acquire("k"));
    b.node.crash();
    const waiting = ["b", "c", "d"].map((n) => b.other(n).locks.withLock("k", { askHolder: true, waitMs: 600_000 }, () => {}));
    await b.world.until(Promise.all(waiting));
    expect(b.world.nowMs).toBeLessThan(2 * WATCH);
  });

  it("handOff and resume: one PUT each; of two that resume one wins; the text of what is gone is refused", async () => {
    const b = bench();
    const c = b.other("b");
    const d = b.other("d");
    for (const n of [c, d]) await n.world.until(n.locks.withLock("warm", () => {}));
    const lock = await held(b.world, b.locks.acquire("k", { metadata: { build: 7 } }));
    let text = "";
    expect(await requestsOf(b, async () => (text = await lock.handOff()))).toEqual({ put: 1 });
    expect(lock.isHeld()).toBe(false);
    expect(await b.world.until(lock.release())).toBe("not-mine");
    expect(await b.world.until(b.locks.tryAcquire("k"))).toBeUndefined();
    await b.world.advance(20_000);
    let resumed: Awaited<ReturnType<typeof c.locks.resume>> | undefined;
    expect(await requestsOf(c, async () => (resumed = await c.locks.resume(text)))).toEqual({ put: 1 });
    expect(resumed).toMatchObject({ key: "k", fencingToken: 2 });
    expect(recordIn(b.world, "k")).toMatchObject({ state: "held", holder: "b", metadata: { build: 7 }, ttlMs: TTL });
    expect(await errorOf(b.world, d.locks.resume(text))).toBeInstanceOf(NotHeldError);
    await b.world.advance(100_000);
    expect(resumed?.isHeld()).toBe(true);
    expect((await errorOf(b.world, d.locks.resume(`${text}x`))).code).toBe("CONFIG");
    expect((await errorOf(b.world, d.locks.resume("s3c1.e30"))).code).toBe("CONFIG");
  });

  it("two resume at once: one wins; a flag on top is no hindrance; leaving withLock releases nothing", async () => {
    const b = bench();
    const [c, d] = [b.other("b"), b.other("d")];
    const text = await b.world.until(b.locks.withLock("k", (lock) => lock.handOff()));
    expect(recordIn(b.world, "k").state).toBe("held");
    overwrite(b.world, "k", { flag: { kind: "asked" } });
    const both = await b.world.until(Promise.allSettled([c.locks.resume(text), d.locks.resume(text)]));
    expect(both.filter((r) => r.status === "fulfilled").length).toBe(1);
    const lost = both.find((r) => r.status === "rejected");
    expect(lost?.reason).toBeInstanceOf(NotHeldError);
  });

  it("a hand-off that is not known to be applied gives no text, and the ttl decides", async () => {
    const b = bench();
    const lock = await held(b.world, b.locks.acquire("k"));
    b.node.faults({ kind: "lose-request", on: "put", times: Infinity });
    expect((await errorOf(b.world, lock.handOff())).code).toBe("STORE_UNAVAILABLE");
    expect(types(b.events)).toContain("released unknown");
    await held(b.world, b.other("b").locks.acquire("k"));
  });

  it("a hand-off is given up at the deadline of what it hands off", async () => {
    const b = bench();
    const lock = await held(b.world, b.locks.acquire("k"));
    await b.world.advance(9_000);
    b.node.faults({ kind: "lose-request", on: "put", times: Infinity });
    await b.world.advance(11_000);
    await errorOf(b.world, lock.handOff());
    expect(b.world.nowMs).toBeLessThan(28_000);
  });

  it("forceRelease asks, waits until the work has stopped, and frees nothing under it", async () => {
    const b = bench();
    const ops = b.other("ops");
    const log: string[] = [];
    const call = b.locks.withLock("k", async (lock) => {
      await new Promise<void>((resolve) => lock.signal.addEventListener("abort", () => resolve(), { once: true }));
      await pause(b.node, 5_000);
      log.push(`stopped ${recordIn(b.world, "k").state}`);
    });
    await b.world.advance(1_000);
    expect(await b.world.until(ops.locks.forceRelease("k", { token: 7 }))).toBe("not-mine");
    expect(await b.world.until(ops.locks.forceRelease("k", { token: 1 }))).toBe("released");
    expect(log).toEqual(["stopped held"]);
    await b.world.until(call);
    expect(recordIn(b.world, "k")).toMatchObject({ state: "released", endedBy: "self", fencingToken: 1 });
    expect(await b.world.until(ops.locks.forceRelease("k", { token: 1 }))).toBe("already-released");
  });

  it("forceRelease frees a dead holder when its time is over, and its lock delay applies", async () => {
    const b = bench();
    const ops = b.other("ops");
    await held(b.world, b.locks.acquire("k", { lockDelayMs: 50_000 }));
    b.node.crash();
    expect(await b.world.until(ops.locks.forceRelease("k", { token: 1 }))).toBe("released");
    expect(b.world.nowMs).toBeGreaterThan(27_000 / 0.9);
    expect(recordIn(b.world, "k")).toMatchObject({ state: "released", endedBy: "other" });
    const freedMs = b.world.nowMs;
    const next = await held(b.world, ops.locks.acquire("k", { waitMs: 600_000 }));
    expect(b.world.nowMs - freedMs).toBeGreaterThanOrEqual(49_900);
    expect(next.fencingToken).toBe(2);
  });

  it("forceRelease now cuts: the holder hears at its next renewal, and the next one's record is left alone", async () => {
    const b = bench();
    const ops = b.other("ops");
    const lock = await held(b.world, b.locks.acquire("k"));
    expect(await b.world.until(ops.locks.forceRelease("k", { token: 1, now: true }))).toBe("released");
    const next = await held(b.world, ops.locks.acquire("k"));
    await b.world.advance(11_000);
    expect(lock.isHeld()).toBe(false);
    expect(types(b.events)).toContain("lost overtaken");
    expect(next.isHeld()).toBe(true);
  });

  it("list: pages, only held ones, and a GET for what changed alone", async () => {
    const b = bench();
    const reader = b.other("reader");
    for (const name of ["job/1", "job/2", "job/3", "other", ".", "..x"]) await held(b.world, b.locks.acquire(name));
    await b.world.until(b.locks.withLock("job/9", () => {}));
    const names = async (prefix?: string): Promise<string[]> => {
      const found: string[] = [];
      for await (const h of reader.locks.list(prefix === undefined ? {} : { prefix })) found.push(`${h.key} ${h.holder} ${h.fencingToken}`);
      return found;
    };
    expect(await requestsOf(reader, async () => expect(await names("job/")).toEqual(["job/1 a 1", "job/2 a 1", "job/3 a 1"]))).toEqual({
      list: 1,
      get: 4,
    });
    expect(await requestsOf(reader, async () => expect(await names("job/")).toHaveLength(3))).toEqual({ list: 1 });
    expect(await b.world.until(names("."))).toEqual([". a 1", "..x a 1"]);
    expect(await b.world.until(names())).toHaveLength(6);
    await b.world.advance(11_000);
    expect(await requestsOf(reader, () => names())).toEqual({ list: 1, get: 6 });
  });

  it("a damaged record is named, and never overwritten", async () => {
    const b = bench();
    b.world.overwrite("locks/locks/k", new TextEncoder().encode("{"));
    expect(await errorOf(b.world, b.locks.tryAcquire("k"))).toMatchObject({ code: "RECORD", kind: "foreign" });
    expect((await errorOf(b.world, b.locks.inspect("k"))).code).toBe("RECORD");
    expect(new TextDecoder().decode(b.world.peek("locks/locks/k"))).toBe("{");
    const next = b.locks.acquire("k");
    expect((await errorOf(b.world, next)).code).toBe("RECORD");
  });
});
