import { describe, expect, it } from "vitest";
import { StoreAccessError } from "../../src/errors.ts";
import { Locks } from "../../src/locks/locks.ts";
import { CLOSED_MS } from "../../src/locks/prunable.ts";
import { encodeRecord } from "../../src/record/codec.ts";
import type { ObjectStore } from "../../src/store/object-store.ts";
import type { StoreProfile } from "../../src/testing/sim/sim-s3.ts";
import { CARELESS, DAY, ephemeralIn, ephemeralKey, HOUR, many, MINUTE, once, putEphemeral, START_MS } from "./ephemeral-harness.ts";
import { delta, errorOf, held, refusalOf, requestsOf, when } from "./harness.ts";

/** The store with one of its calls made into another. */
function over<K extends keyof ObjectStore>(store: ObjectStore, name: K, make: (inner: ObjectStore[K]) => unknown): ObjectStore {
  return new Proxy(store, {
    get(target, asked) {
      const value: unknown = Reflect.get(target, asked);
      const bound: unknown = typeof value === "function" ? value.bind(target) : value;
      return asked === name ? make(bound as ObjectStore[K]) : bound;
    },
  });
}

const AWS: Partial<StoreProfile> = {};
const KINDS = [
  ["that honours a DELETE's condition", AWS],
  ["that ignores a DELETE's condition", CARELESS],
] as const;

describe("prune", () => {
  it("deletes what was released long enough ago, and nothing else", async () => {
    const b = many();
    const a = b.at("a");
    const plain = new Locks({ store: a.node.store });
    await b.world.until(plain.withLock("old-1", () => {}));
    const names = ["old-1", "old-2", "flagged", "hold", "delay", "extra", "payload", "ahead", "foreign", "newer", "damaged", "other.old"];
    for (const name of names) await once(a, name);
    await held(b.world, a.locks.acquire("held", { ttlMs: DAY, autoRenew: false }));
    putEphemeral(b.world, "flagged", { flag: { kind: "step-down" } });
    putEphemeral(b.world, "hold", { holdForMs: 2 * DAY });
    putEphemeral(b.world, "delay", { lockDelayMs: 2 * DAY, endedBy: "other" });
    putEphemeral(b.world, "extra", { extra: { someday: 1 } });
    putEphemeral(b.world, "payload", { payload: { of: "a task" } });
    putEphemeral(b.world, "ahead", { fencingToken: START_MS + DAY });
    const text = (name: string): string => new TextDecoder().decode(b.world.peek(ephemeralKey(name)));
    const spoil = (name: string, to: string): void => b.world.overwrite(ephemeralKey(name), new TextEncoder().encode(to));
    spoil("foreign", "hello");
    spoil("newer", text("newer").replace('"format":1', '"format":3'));
    spoil("damaged", text("damaged").slice(0, 60));
    await b.world.advance(2 * HOUR);
    await once(a, "young");
    const before = new Map(b.world.keys().map((key) => [key, b.world.peek(key)]));
    expect(await b.world.until(a.locks.prune({ olderThanMs: HOUR, prefix: "old" }))).toBe(2);
    for (const name of ["old-1", "old-2"]) before.delete(ephemeralKey(name));
    const left = (): unknown => new Map(b.world.keys().map((key) => [key, b.world.peek(key)]));
    expect(left()).toEqual(before);
    expect(await b.world.until(a.locks.prune({ olderThanMs: HOUR }))).toBe(1);
    before.delete(ephemeralKey("other.old"));
    expect(left()).toEqual(before);
    const told = a.events.flatMap((e) => (e.type === "unreadable" ? [`${e.error.kind} ${e.error.key}`] : []));
    expect(told.sort()).toEqual(["damaged", "foreign", "newer"].map((kind) => `${kind} ${ephemeralKey(kind)}`));
    // The plain lock of the same name lives on, with its token.
    expect(await b.world.until(plain.withLock("old-1", (lock) => lock.fencingToken))).toBe(2);
    // What is closed for a time is due when that is over.
    await b.world.advance(2 * DAY);
    expect(await b.world.until(plain.prune({ olderThanMs: HOUR }))).toBe(4);
    expect(b.world.keys().filter((key) => key.startsWith("locks/ephemeral/"))).toEqual(
      ["damaged", "extra", "flagged", "foreign", "held", "newer", "payload"].map(ephemeralKey),
    );
  });

  it("costs a LIST a thousand names, a GET for what is old enough, a PUT and a DELETE for what goes; sixteen at a time, and nothing is learnt by heart", async () => {
    const b = many();
    const a = b.at("a");
    await once(a, "one");
    const body = ephemeralIn(b.world, "one");
    if (body === undefined) throw new Error("it is not there");
    for (let i = 0; i < 2_500; i++) {
      const key = ephemeralKey(`n${i}`);
      b.world.overwrite(key, encodeRecord(key, { ...body, nonce: `n${i}` }));
    }
    await b.world.advance(DAY);
    for (let i = 0; i < 40; i++) await once(a, `young${i}`);
    let most = 0;
    let deleted: number | undefined;
    const before = a.node.store.stats();
    void a.locks.prune({ olderThanMs: HOUR }).then((n) => (deleted = n));
    await when(b.world, () => ((most = Math.max(most, a.node.inFlight)), deleted !== undefined));
    // One DELETE more, of nothing, tells that deleting is allowed before anything is closed.
    expect(delta(a.node.store.stats(), before)).toEqual({ list: 3, get: 2_501, put: 2_501, delete: 2_502 });
    expect([deleted, most]).toEqual([2_501, 16]);
    expect(b.world.keys()).toHaveLength(40);
    // A key that this process works with is known as before.
    expect(await requestsOf(a, () => a.locks.withLock("young1", () => {}))).toEqual({ put: 2 });
  });

  it("says at the door what is wrong, before any request", async () => {
    const a = many().at("a");
    const error = await errorOf(a.world, a.locks.prune({ olderThanMs: 5, prefix: 7, now: true } as never));
    expect(error.code).toBe("CONFIG");
    expect(error.message).toMatch(/"now"[\s\S]*olderThanMs is 5: expected milliseconds from 3600000[\s\S]*prefix is 7/);
    expect((await errorOf(a.world, a.locks.prune({} as never))).message).toContain("olderThanMs is missing");
    expect(a.node.store.stats()).toEqual({});
  });

  it("is refused where the store's times are unfit", async () => {
    const a = many({ storeTime: false }).at("a");
    expect(await errorOf(a.world, a.locks.prune({ olderThanMs: HOUR }))).toMatchObject({ code: "STORE_UNSAFE" });
  });

  it("an abort ends it with its reason, no record is left closed, and what was deleted stays so", async () => {
    const b = many(CARELESS);
    const a = b.at("a");
    for (let i = 0; i < 60; i++) await once(a, `n${i}`);
    await b.world.advance(2 * HOUR);
    const stop = new AbortController();
    const pruned = a.locks.prune({ olderThanMs: HOUR, signal: stop.signal });
    pruned.catch(() => {});
    await when(b.world, () => b.world.keys().length < 50);
    stop.abort(new Error("enough"));
    expect((await errorOf(b.world, pruned)).message).toBe("enough");
    const left = b.world.keys().length;
    expect(left).toBeGreaterThan(20);
    for (let i = 0; i < 60; i++) expect(ephemeralIn(b.world, `n${i}`)?.holdForMs).toBeUndefined();
    expect(await b.world.until(a.locks.prune({ olderThanMs: HOUR }))).toBe(left);
    expect(a.node.timers + a.node.inFlight).toBe(0);
  });
});

describe.each(KINDS)("prune on a store %s", (_, profile) => {
  it("of two pruners at once each record is deleted by one (P3)", async () => {
    const b = many(profile);
    const [a, c] = [b.at("a"), b.at("c")];
    for (let i = 0; i < 50; i++) await once(a, `n${i}`);
    await b.world.advance(2 * HOUR);
    const both = await b.world.until(Promise.all([a.locks.prune({ olderThanMs: HOUR }), c.locks.prune({ olderThanMs: HOUR })]));
    expect(both[0] + both[1]).toBe(50);
    expect(b.world.keys()).toEqual([]);
  });

  it("killed between closing and deleting: the key is closed for the others for its time, then free with the next token; a later prune deletes it", async () => {
    const b = many(profile);
    const [a, c, d] = [b.at("a"), b.at("c"), b.at("d")];
    const token = await once(c, "k");
    await b.world.advance(2 * HOUR);
    void a.locks.prune({ olderThanMs: HOUR });
    const closedAtMs = await when(b.world, () => ephemeralIn(b.world, "k")?.holdForMs !== undefined);
    a.node.crash();
    await b.world.advance(MINUTE);
    const refusal = await refusalOf(b.world, c.locks.acquire("k", { waitMs: 0 }));
    expect(refusal.message).toMatch(/was released by c, and stays closed for/);
    expect(refusal.holders[0].freeInMs).toBeGreaterThan(CLOSED_MS - MINUTE);
    // Another pruner leaves it alone: a second DELETE would be under way longer than the first.
    expect(await b.world.until(d.locks.prune({ olderThanMs: HOUR }))).toBe(0);
    const next = await held(b.world, d.locks.acquire("k", { waitMs: 2 * HOUR }), DAY);
    expect(b.world.nowMs - closedAtMs).toBeGreaterThan(CLOSED_MS);
    expect(b.world.nowMs - closedAtMs).toBeLessThan(1.25 * CLOSED_MS);
    expect(next.fencingToken).toBe(token + 1);
    expect(ephemeralIn(b.world, "k")?.holdForMs).toBeUndefined();
    await b.world.until(next.release());
    await b.world.advance(2 * HOUR);
    expect(await b.world.until(c.locks.prune({ olderThanMs: HOUR }))).toBe(1);
  });

  it("a DELETE that lands half an hour late hits the closed record, and nobody's lock (P3)", async () => {
    const b = many(profile);
    const [a, c] = [b.at("a"), b.at("c")];
    const token = await once(c, "k");
    await b.world.advance(2 * HOUR);
    const pruned = a.locks.prune({ olderThanMs: HOUR });
    await when(b.world, () => ephemeralIn(b.world, "k")?.holdForMs !== undefined);
    a.node.faults({ kind: "late", on: "delete", ms: 30 * MINUTE });
    expect(await b.world.until(pruned)).toBe(0);
    const sentAtMs = b.world.nowMs;
    const lock = await held(b.world, c.locks.acquire("k", { waitMs: 2 * HOUR }), DAY);
    expect(b.world.nowMs - sentAtMs).toBeGreaterThan(29 * MINUTE);
    expect(lock.fencingToken).toBeGreaterThan(token + 1);
    await b.world.advance(HOUR);
    expect(lock.isHeld()).toBe(true);
  });

  it("a pruner that is stopped right after closing does not send its DELETE when it goes on, hours later (P3)", async () => {
    for (const stop of ["pause", "freeze"] as const) {
      const b = many(profile);
      const [a, c] = [b.at("a"), b.at("c")];
      await once(c, "k");
      await b.world.advance(2 * HOUR);
      const pruned = a.locks.prune({ olderThanMs: HOUR });
      await when(b.world, () => ephemeralIn(b.world, "k")?.holdForMs !== undefined);
      a.node[stop](3 * HOUR);
      const deleted = a.node.store.stats()["delete"];
      const lock = await held(b.world, c.locks.acquire("k", { waitMs: 2 * HOUR }), DAY);
      expect(await b.world.until(pruned, DAY)).toBe(0);
      await b.world.advance(HOUR);
      expect(lock.isHeld()).toBe(true);
      expect(a.node.store.stats()["delete"]).toBe(deleted);
      b.world.node("a").crash();
    }
  });

  it("lost replies, to the write that closes and to the DELETE, change nothing", async () => {
    const b = many(profile);
    const [a, c] = [b.at("a"), b.at("c")];
    const token = await once(c, "k");
    await b.world.advance(2 * HOUR);
    a.node.faults({ kind: "lose-reply", on: "put", times: 1 });
    const pruned = a.locks.prune({ olderThanMs: HOUR });
    await when(b.world, () => ephemeralIn(b.world, "k")?.holdForMs !== undefined);
    a.node.faults({ kind: "lose-reply", on: "delete", times: 1 });
    expect(await b.world.until(pruned)).toBe(1);
    expect(b.world.keys()).toEqual([]);
    expect(await once(c, "k")).toBeGreaterThan(token + HOUR);
  });

  it("acquired at any moment of it, the lock is had by one at a time, with growing tokens", async () => {
    for (let atMs = 0; atMs <= 60; atMs += 2) {
      const b = many(profile, 7 + atMs);
      const [a, c, d] = [b.at("a"), b.at("c"), b.at("d")];
      const tokens = [await once(c, "k"), await once(d, "k")];
      await b.world.advance(2 * HOUR);
      const pruned = a.locks.prune({ olderThanMs: HOUR });
      await b.world.advance(atMs);
      let inside = 0;
      const work = async (bench: typeof c): Promise<void> => {
        for (let i = 0; i < 5; i++)
          await bench.locks.withLock("k", { waitMs: HOUR }, async (lock) => {
            tokens.push(lock.fencingToken);
            expect(++inside).toBe(1);
            await new Promise<void>((resolve) => void bench.node.clock.setTimer(20, resolve, { keepAlive: true }));
            inside--;
          });
      };
      await b.world.until(Promise.all([pruned, work(c), work(d)]), 2 * HOUR);
      expect(tokens).toEqual([...new Set(tokens)].sort((x, y) => x - y));
    }
  });
});

describe("prune, and what no store may do to it", () => {
  it("a proxy that sends a DELETE twice harms nobody where its condition is honoured", async () => {
    const b = many(AWS);
    const [a, c] = [b.at("a"), b.at("c")];
    await once(c, "k");
    await b.world.advance(2 * HOUR);
    const pruned = a.locks.prune({ olderThanMs: HOUR });
    await when(b.world, () => ephemeralIn(b.world, "k")?.holdForMs !== undefined);
    a.node.faults({ kind: "duplicate", on: "delete", ms: 10_000 });
    expect(await b.world.until(pruned)).toBe(1);
    const lock = await held(b.world, c.locks.acquire("k"));
    await b.world.advance(HOUR);
    expect(lock.isHeld()).toBe(true);
  });

  it("where the store has no word for the condition of a DELETE, it goes without", async () => {
    const b = many(CARELESS);
    const c = b.at("c");
    await once(c, "k");
    await b.world.advance(2 * HOUR);
    const error = new StoreAccessError("501", { hint: "none" });
    const sent: boolean[] = [];
    const odd = over(b.world.node("a").store, "remove", (remove) => async (key: string, o: Parameters<ObjectStore["remove"]>[1] = {}) => {
      sent.push(o.ifMatch !== undefined);
      return o.ifMatch === undefined ? await remove(key, o) : { kind: "denied", error };
    });
    expect(await b.world.until(new Locks({ store: odd }).prune({ olderThanMs: HOUR }))).toBe(1);
    // Asked once with it and once without, and then without.
    expect(sent).toEqual([true, false, false]);
    expect(b.world.keys()).toEqual([]);
  });

  it("without the right to delete, nothing is closed", async () => {
    const b = many();
    const c = b.at("c");
    await once(c, "k");
    await b.world.advance(2 * HOUR);
    const error = new StoreAccessError("denied", { hint: "allow s3:DeleteObject" });
    const denying = over(b.world.node("a").store, "remove", () => () => Promise.resolve({ kind: "denied", error }));
    expect(await errorOf(b.world, new Locks({ store: denying }).prune({ olderThanMs: HOUR }))).toBe(error);
    expect(ephemeralIn(b.world, "k")?.holdForMs).toBeUndefined();
    expect(await requestsOf(c, () => c.locks.withLock("k", () => {}))).toEqual({ put: 2 });
  });

  it("an outage in its middle says how many were deleted", async () => {
    const b = many(CARELESS);
    const a = b.at("a");
    for (let i = 0; i < 40; i++) await once(a, `n${i}`);
    await b.world.advance(2 * HOUR);
    const pruned = a.locks.prune({ olderThanMs: HOUR });
    pruned.catch(() => {});
    await when(b.world, () => b.world.keys().length < 30);
    a.node.faults({ kind: "lose-request", on: "get", times: Infinity });
    const error = await errorOf(b.world, pruned);
    expect(error).toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(error.message).toMatch(/\. \d+ were deleted before: call again for the rest/);
    expect(Number(/(\d+) were deleted/.exec(error.message)?.[1])).toBe(40 - b.world.keys().length);
  });
});
