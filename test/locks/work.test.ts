import { describe, expect, it } from "vitest";
import { LeaseEndedError, LeaseLostError, ReentrantLockError, WorkNotStoppedError } from "../../src/errors.ts";
import { bench, booksBalance, errorOf, held, LIFE, overwrite, pause, recordIn, refusalOf, types, when } from "./harness.ts";

describe("work under a lock", () => {
  it("the value comes back, the lock is given back, and the fencing token was at hand", async () => {
    const b = bench();
    const value = await b.world.until(
      b.locks.withLock("k", async (lock) => {
        await pause(b.node, 50_000);
        lock.assertHeld();
        return lock.fencingToken;
      }),
    );
    expect(value).toBe(1);
    expect(recordIn(b.world, "k")).toMatchObject({ state: "released", endedBy: "self" });
    expect(types(b.events)).toEqual(["acquired", "released released"]);
    expect(b.node.timers + b.node.inFlight).toBe(0);
    expect(await b.world.until(b.locks.tryWithLock("k", () => 7))).toEqual({ ran: true, value: 7 });
  });

  it("what the function throws comes out, and the lock is given back", async () => {
    const b = bench();
    const mine = new Error("mine");
    expect(
      await errorOf(
        b.world,
        b.locks.withLock("k", () => {
          throw mine;
        }),
      ),
    ).toBe(mine);
    expect(recordIn(b.world, "k").state).toBe("released");
  });

  it("lost while the function ran: LeaseLostError, also if it returned; its own error wins; nothing of another's is touched", async () => {
    for (const own of [false, true]) {
      const b = bench();
      const mine = new Error("mine");
      const call = b.locks.withLock("k", async () => {
        await pause(b.node, 25_000);
        if (own) throw mine;
        return "done";
      });
      await b.world.advance(1_000);
      const theirs = overwrite(b.world, "k", { holder: "z", instance: "z", holderNonce: "z", fencingToken: 9 });
      const error = await errorOf(b.world, call);
      if (own) expect(error).toBe(mine);
      else expect(error).toMatchObject({ code: "LEASE_LOST", key: "k", reason: "overtaken" });
      expect(recordIn(b.world, "k").nonce).toBe(theirs.nonce);
      expect(types(b.events)).toEqual(["acquired", "lost overtaken"]);
      expect(b.locks.stats()).toMatchObject({ acquired: 1, lost: 1, lost_overtaken: 1, released: 0, held: 0 });
    }
  });

  it("an outage longer than the lease loses it at the deadline, and the signal tells the work at once", async () => {
    const b = bench();
    let abortedAtMs = 0;
    const call = b.locks.withLock("k", async (lock) => {
      await new Promise<void>((resolve) => lock.signal.addEventListener("abort", () => resolve(), { once: true }));
      abortedAtMs = lock.heldForMs;
      throw lock.signal.reason;
    });
    await b.world.advance(1_000);
    b.node.faults({ kind: "lose-request", on: "put", times: Infinity });
    const error = await errorOf(b.world, call);
    expect(error).toBeInstanceOf(LeaseLostError);
    expect(abortedAtMs).toBeGreaterThan(LIFE - 2);
    expect(abortedAtMs).toBeLessThan(LIFE + 50);
  });

  it("the caller's signal stops the work, waits for it, releases, and its reason comes out", async () => {
    const b = bench();
    const stop = new AbortController();
    const log: string[] = [];
    const call = b.locks.withLock("k", { signal: stop.signal }, async (lock) => {
      await new Promise<void>((resolve) => lock.signal.addEventListener("abort", () => resolve(), { once: true }));
      log.push((lock.signal.reason as LeaseEndedError).reason);
      await pause(b.node, 3_000);
      log.push(recordIn(b.world, "k").state);
      return "late";
    });
    await b.world.advance(1_000);
    const reason = new Error("enough");
    stop.abort(reason);
    expect(await errorOf(b.world, call)).toBe(reason);
    expect(log).toEqual(["stopped", "held"]);
    expect(recordIn(b.world, "k").state).toBe("released");
  });

  it("aborted while it waits: rejects with the reason, and nothing is left behind", async () => {
    const b = bench();
    const c = b.other("b");
    await held(b.world, b.locks.acquire("k"));
    const stop = new AbortController();
    const call = c.locks.acquire("k", { signal: stop.signal });
    const queued = c.locks.acquire("k", { signal: stop.signal });
    await b.world.advance(3_000);
    stop.abort(new Error("no more"));
    const settled = await b.world.until(Promise.allSettled([call, queued]));
    expect(settled.map((s) => (s.status === "rejected" ? (s.reason as Error).message : ""))).toEqual(["no more", "no more"]);
    await b.world.advance(20);
    expect(c.node.timers + c.node.inFlight).toBe(0);
    expect(recordIn(b.world, "k").holder).toBe("a");
  });

  it("work that does not stop: WorkNotStoppedError after drainMs; held and renewed until it settles, and released then", async () => {
    const b = bench(1, { drainMs: 5_000 });
    const c = b.other("b");
    const stop = new AbortController();
    const call = b.locks.withLock("k", { signal: stop.signal }, () => pause(b.node, 100_000));
    await b.world.advance(1_000);
    stop.abort();
    const error = await errorOf(b.world, call);
    expect(error).toBeInstanceOf(WorkNotStoppedError);
    expect(error).toMatchObject({ key: "k", waitedMs: 5_000 });
    await b.world.advance(80_000);
    await refusalOf(b.world, c.locks.acquire("k", { waitMs: 0 }));
    expect(recordIn(b.world, "k")).toMatchObject({ state: "held", holder: "a" });
    await b.world.advance(20_000);
    expect(recordIn(b.world, "k").state).toBe("released");
    expect(booksBalance(b.locks.stats())).toBe(true);
  });

  it("maxHoldMs: the signal before it, no renewal beyond, and work that outlasts it was not covered", async () => {
    const b = bench();
    const at: number[] = [];
    const call = b.locks.withLock("k", { maxHoldMs: 60_000 }, async (lock) => {
      lock.signal.addEventListener("abort", () => at.push(lock.heldForMs), { once: true });
      await pause(b.node, 65_000);
      expect(lock.isHeld()).toBe(false);
      return "done";
    });
    const error = await errorOf(b.world, call);
    expect(error).toMatchObject({ code: "LEASE_ENDED", reason: "max-hold" });
    expect(at[0]).toBeGreaterThanOrEqual(53_999);
    expect(at[0]).toBeLessThan(54_100);
    // Renewals at 10, 20, 30 and 40 s: the last covers the 60 s.
    expect(recordIn(b.world, "k").version).toBe(1 + 4 + 1);
    const obeys = b.locks.withLock("k", { maxHoldMs: 60_000 }, async (lock) => {
      await when(b.world, () => false, 0).catch(() => {});
      await new Promise<void>((resolve) => lock.signal.addEventListener("abort", () => resolve(), { once: true }));
      return "in time";
    });
    expect(await b.world.until(obeys)).toBe("in time");
  });

  it("the same key inside its own withLock is an error, through another Locks too; another key is not, nor a call that comes after", async () => {
    const b = bench();
    const same = b.other("a");
    let later: Promise<string> | undefined;
    const call = b.locks.withLock("k", async () => {
      await pause(b.node, 10);
      await b.locks.withLock("other", async () => {
        for (const locks of [b.locks, same.locks]) {
          await expect(locks.withLock("k", () => {})).rejects.toBeInstanceOf(ReentrantLockError);
          await expect(locks.acquire("k")).rejects.toBeInstanceOf(ReentrantLockError);
          await expect(locks.tryAcquire("k")).rejects.toBeInstanceOf(ReentrantLockError);
          for (const keys of [
            ["z", "k"],
            ["a", "k"],
          ])
            await expect(locks.withLocks(keys, undefined, () => {})).rejects.toBeInstanceOf(ReentrantLockError);
        }
      });
      later = pause(b.node, 1_000).then(() => b.locks.withLock("k", () => "later"));
    });
    await b.world.until(call);
    expect(await b.world.until(later as Promise<string>)).toBe("later");
    for (const key of ["locks/locks/z", "locks/locks/a"]) expect(b.world.keys()).not.toContain(key);
  });

  it("a call that nobody awaited queues once its withLock has settled, also while the release is on its way", async () => {
    const b = bench();
    let later: Promise<string> | undefined;
    await b.world.until(
      b.locks.withLock("k", () => {
        later = pause(b.node, 200).then(() => b.locks.withLock("k", () => "later"));
        b.node.faults({ kind: "slow-reply", on: "put", times: 1, ms: 1_000 });
      }),
    );
    expect(b.world.nowMs).toBeGreaterThan(1_000);
    expect(await b.world.until(later as Promise<string>)).toBe("later");
  });

  it("a lock that the work itself gave back was not taken from it: its value counts, and the key is free meanwhile", async () => {
    const b = bench(1, { drainMs: 1_000 });
    const call = b.locks.withLock("k", async (lock) => {
      await lock.release();
      expect(await b.locks.withLock("k", () => "inner")).toBe("inner");
      await pause(b.node, 60_000);
      return "done";
    });
    expect(await b.world.until(call)).toBe("done");
  });

  it("withLocks: one that is lost while another is waited for starts no work; one that is asked for stops it at once", async () => {
    const b = bench();
    const c = b.other("b");
    let ran = 0;
    const both = (fn: (signal: AbortSignal) => Promise<void>): Promise<void> =>
      b.locks.withLocks(["x", "y"], { waitMs: 600_000 }, async ([x]) => {
        ran += 1;
        await fn(x.signal);
      });
    const lost = both(() => Promise.resolve());
    let theirs = await held(b.world, c.locks.acquire("y"));
    await b.world.advance(1_000);
    overwrite(b.world, "x", { holder: "z", instance: "z", holderNonce: "z", fencingToken: 9, state: "released", endedBy: "other" });
    await b.world.advance(15_000);
    await b.world.until(theirs.release());
    expect(await errorOf(b.world, lost)).toMatchObject({ code: "LEASE_LOST", key: "x" });
    expect([ran, recordIn(b.world, "y").state]).toEqual([0, "released"]);
    theirs = await held(b.world, c.locks.acquire("y"));
    const asked = both(
      (signal) =>
        new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve(), { once: true }))),
    );
    await b.world.advance(1_000);
    overwrite(b.world, "x", { flag: { kind: "revoke" } });
    await b.world.advance(15_000);
    await b.world.until(theirs.release());
    // Work that was told to stop, and did, has done what it could.
    await b.world.until(asked);
    expect([ran, recordIn(b.world, "x").state, recordIn(b.world, "y").state]).toEqual([1, "released", "released"]);
  });

  it("withLocks: sorted, all or none, and all end with one", async () => {
    const b = bench();
    const c = b.other("b");
    const tokens = await b.world.until(b.locks.withLocks(["to", "from"], undefined, ([to, from]) => [to.key, from.key]));
    expect(tokens).toEqual(["to", "from"]);
    const lock = await held(b.world, c.locks.acquire("y"));
    await refusalOf(
      b.world,
      b.locks.withLocks(["z", "x", "y"], { waitMs: 2_000 }, () => {}),
    );
    expect(recordIn(b.world, "x").state).toBe("released");
    expect(b.world.keys()).not.toContain("locks/locks/z");
    await b.world.until(lock.release());
    const reasons: unknown[] = [];
    const call = b.locks.withLocks(["x", "y"], undefined, async ([x]) => {
      await new Promise<void>((resolve) => x.signal.addEventListener("abort", () => resolve(), { once: true }));
      reasons.push(x.signal.reason);
    });
    await b.world.advance(1_000);
    overwrite(b.world, "y", { holder: "z", instance: "z", holderNonce: "z", fencingToken: 9 });
    expect(await errorOf(b.world, call)).toMatchObject({ code: "LEASE_LOST", key: "y" });
    expect(reasons[0]).toMatchObject({ code: "LEASE_ENDED", reason: "stopped" });
    expect(recordIn(b.world, "x").state).toBe("released");
    expect(
      (
        await errorOf(
          b.world,
          b.locks.withLocks(["x", "x"], undefined, () => {}),
        )
      ).code,
    ).toBe("CONFIG");
  });

  it("release by a stale handle, twice, or after a loss touches nothing and says what is true; disposing never throws", async () => {
    const b = bench();
    const c = b.other("b");
    const lock = await held(b.world, b.locks.acquire("k"));
    expect(await b.world.until(lock.release())).toBe("released");
    expect(await b.world.until(lock.release())).toBe("already-released");
    const theirs = await held(b.world, c.locks.acquire("k"));
    expect(await b.world.until(lock.release())).toBe("already-released");
    expect(theirs.isHeld()).toBe(true);
    overwrite(b.world, "k", { holder: "z", instance: "z", holderNonce: "z", fencingToken: 9 });
    expect(await b.world.until(theirs.release())).toBe("not-mine");
    const third = await held(b.world, b.locks.acquire("other"));
    b.node.faults({ kind: "lose-reply", on: "put", times: Infinity });
    await b.world.until((async () => third[Symbol.asyncDispose]())());
    expect(types(b.events).at(-1)).toBe("released unknown");
    for (const { locks } of [b, c]) expect(booksBalance(locks.stats())).toBe(true);
  });
});
