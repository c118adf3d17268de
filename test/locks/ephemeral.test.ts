import { describe, expect, it } from "vitest";
import { Locks } from "../../src/locks/locks.ts";
import { Session } from "../../src/session/session.ts";
import { CARELESS, DAY, ephemeralIn, ephemeralKey, HOUR, many, once, START_MS } from "./ephemeral-harness.ts";
import { errorOf, held, refusalOf, requestsOf, when } from "./harness.ts";

describe("an ephemeral lock", () => {
  it("begins with the store's time as token, goes on by one, and costs what every lock costs (P1)", async () => {
    const a = many().at("a");
    await once(a, "warm");
    expect(await requestsOf(a, () => a.locks.withLock("k", () => {}))).toEqual({ get: 1, put: 2 });
    const first = ephemeralIn(a.world, "k")?.fencingToken ?? 0;
    expect(first - START_MS).toBeGreaterThanOrEqual(0);
    expect(first - START_MS).toBeLessThan(a.world.nowMs + 2_000);
    expect(await requestsOf(a, () => a.locks.withLock("k", () => {}))).toEqual({ put: 2 });
    expect(ephemeralIn(a.world, "k")).toMatchObject({ state: "released", fencingToken: first + 1 });
  });

  it("is numbered by the store's clock, whatever this machine's says (C4)", async () => {
    const a = many().at("a");
    a.node.stepWallClock(-30 * DAY);
    const token = await once(a, "k");
    expect(token - START_MS).toBeGreaterThanOrEqual(0);
    expect(token - START_MS).toBeLessThan(a.world.nowMs + 2_000);
  });

  it("is another lock than the plain one of its name, and its handle says so", async () => {
    const a = many().at("a");
    const plain = new Locks({ store: a.node.store });
    const [one, other] = [await held(a.world, a.locks.acquire("k")), await held(a.world, plain.acquire("k"))];
    expect([one.key, other.key]).toEqual(["ephemeral:k", "k"]);
    expect(a.world.keys()).toEqual([ephemeralKey("k"), "locks/locks/k"]);
    // By either spelling it is the one lock.
    expect(await a.world.until(a.locks.tryAcquire("ephemeral:k"))).toBeUndefined();
    expect((await a.world.until(a.locks.inspect(one.key)))?.fencingToken).toBe(one.fencingToken);
    const refusal = await refusalOf(a.world, a.locks.acquire("k", { waitMs: 0 }));
    expect(refusal).toMatchObject({ key: "ephemeral:k", holders: [{ key: "ephemeral:k" }] });
    const mixed = await errorOf(a.world, plain.acquire(one.key));
    expect(mixed).toMatchObject({ code: "CONFIG" });
    expect(mixed.message).toContain("belongs to new Locks({ ephemeral: true })");
    const twice = await errorOf(
      a.world,
      a.locks.withLocks(["k", "ephemeral:k"], {}, () => {}),
    );
    expect(twice.message).toContain("different keys");
    expect((await errorOf(a.world, a.locks.acquire("ephemeral:"))).message).toContain("not empty");
  });

  it("is said of all locks of an object, not of a call", async () => {
    const a = many().at("a");
    const said = { ephemeral: true } as never;
    expect((await errorOf(a.world, a.locks.acquire("k", said))).message).toContain("an option of new Locks(…) itself");
    expect(() => new Locks({ store: a.node.store, defaults: said })).toThrow("an option of new Locks(…) itself");
    expect(() => new Locks({ store: a.node.store, ephemeral: 1 as never })).toThrow("ephemeral is 1: expected true or false");
    expect(a.node.store.stats()).toEqual({});
  });

  it("is refused where the store's times are unfit, or not told, and nothing is written", async () => {
    for (const profile of [{ storeTime: false }, { dates: false }]) {
      const a = many(profile).at("a");
      const error = await errorOf(a.world, a.locks.acquire("k"));
      expect(error).toMatchObject({ code: "STORE_UNSAFE", step: "times of the store" });
      expect(error.message).toContain("Use plain locks");
      expect(a.world.keys()).toEqual([]);
    }
  });

  it("is listed, freed by an operator, handed off, and had as places and permits and for one invocation under its own names", async () => {
    const b = many();
    const [a, c] = [b.at("a"), b.at("c")];
    const lock = await held(b.world, a.locks.acquire("job-1"));
    const place = await b.world.until(a.locks.slot("worker", { slots: 4 }));
    expect(place.key).toBe(`ephemeral:worker#${place.index}`);
    const gpu = c.locks.semaphore("gpu", { permits: 1 });
    await b.world.until(gpu.acquire());
    expect(await b.world.until(gpu.tryAcquire())).toBeUndefined();
    const found: string[] = [];
    await b.world.until(
      (async () => {
        for await (const holder of c.locks.list()) found.push(holder.key);
      })(),
    );
    expect(found).toEqual(["ephemeral:gpu#0", "ephemeral:job-1", place.key]);
    // A holder's key and token, as they are listed, are what an operator's call takes.
    const freed = c.locks.forceRelease(lock.key, { token: lock.fencingToken, now: true });
    expect(await b.world.until(freed)).toBe("released");
    const text = await b.world.until((await held(b.world, a.locks.acquire("ci"))).handOff());
    expect((await errorOf(b.world, new Locks({ store: c.node.store }).resume(text))).code).toBe("CONFIG");
    const resumed = await held(b.world, c.locks.resume(text));
    expect(resumed.key).toBe("ephemeral:ci");
    const plainText = await b.world.until((await held(b.world, new Locks({ store: a.node.store }).acquire("ci"))).handOff());
    expect((await errorOf(b.world, c.locks.resume(plainText))).message).toContain("a plain lock");
    const inFunction = await b.world.until(c.locks.oneShot({ remainingMs: 10_000 }).tryWithLock("hourly", (l) => l.key));
    expect(inFunction).toEqual({ ran: true, value: "ephemeral:hourly" });
  });

  it("is refused to a session by name: whatever a session holds, its member's end frees, and nobody would prune it", async () => {
    const a = many().at("a");
    const session = await a.world.until(Session.open({ store: a.node.store }));
    expect((await errorOf(a.world, session.locks().acquire("ephemeral:k"))).code).toBe("CONFIG");
    await a.world.until(session.close());
  });

  it("whoever creates it after a deletion goes on above every token, also where the deleted one is known (P1, H10)", async () => {
    const b = many(CARELESS);
    const [a, c] = [b.at("a"), b.at("c")];
    const before = [await once(a, "k"), await once(a, "k"), await once(c, "k")];
    await b.world.advance(2 * HOUR);
    expect(await b.world.until(a.locks.prune({ olderThanMs: HOUR }))).toBe(1);
    expect(b.world.keys()).toEqual([]);
    // The known version is gone: its CAS is refused, the look finds nothing, and the create is the first of a new row.
    expect(await requestsOf(c, () => c.locks.withLock("k", () => {}))).toEqual({ get: 1, put: 3 });
    const after = ephemeralIn(b.world, "k")?.fencingToken ?? 0;
    expect(after).toBeGreaterThan(Math.max(...before));
    expect(after).toBeGreaterThanOrEqual(START_MS + 2 * HOUR);
    expect(await once(a, "k")).toBe(after + 1);
  });

  it("a process that saw it held long ago is not kept waiting by that, once it is gone", async () => {
    const b = many();
    const [a, c] = [b.at("a"), b.at("c")];
    const lock = await held(b.world, a.locks.acquire("k", { ttlMs: DAY }));
    expect(await b.world.until(c.locks.tryAcquire("k"))).toBeUndefined();
    await b.world.until(lock.release());
    await b.world.advance(2 * HOUR);
    expect(await b.world.until(a.locks.prune({ olderThanMs: HOUR }))).toBe(1);
    expect(await b.world.until(c.locks.inspect("k"))).toBeUndefined();
    expect(await b.world.until(c.locks.forceRelease("k", { token: lock.fencingToken }))).toBe("not-mine");
    expect((await held(b.world, c.locks.tryAcquire("k"))).fencingToken).toBeGreaterThan(lock.fencingToken);
  });

  it("deleted by hand in the second of its tokens, it is acquired no sooner than the store's clock is beyond them (H10)", async () => {
    const b = many({ skewMs: 0 });
    const a = b.at("a");
    await once(a, "k");
    const known = await once(a, "k");
    b.world.overwrite(ephemeralKey("k"), undefined);
    expect(b.world.nowMs).toBeLessThan(900);
    expect(await once(a, "k", 60_000)).toBeGreaterThan(known);
    // Until the store's clock is beyond what was given out, nothing there is a contradiction.
    expect(b.world.nowMs).toBeGreaterThan(1_000);
  });

  it("a process that was stopped between its look and its create does not create with the old time (P2)", async () => {
    const b = many(CARELESS);
    const [a, c] = [b.at("a"), b.at("c")];
    await once(a, "warm");
    const wanted = a.locks.acquire("k", { waitMs: 2 * DAY });
    wanted.catch(() => {});
    await when(b.world, () => a.node.inFlight === 1);
    // The answer "nothing there" is on its way when the machine is suspended.
    await b.world.advance(3);
    a.node.pause(5 * HOUR);
    const theirs = await once(c, "k");
    await b.world.advance(3 * HOUR);
    expect(await b.world.until(c.locks.prune({ olderThanMs: HOUR }))).toBe(2);
    const lock = await held(b.world, wanted, DAY);
    expect(lock.fencingToken).toBeGreaterThan(theirs);
  });
});
