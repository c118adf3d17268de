import { describe, expect, it } from "vitest";
import { RecordError } from "../../src/errors.ts";
import { mend, type Mended, type MendOptions } from "../../src/lease/mend.ts";
import { remainsOf } from "../../src/lease/remains.ts";
import { watchMs } from "../../src/lease/timing.ts";
import { decodeRecord, encodeRecord } from "../../src/record/codec.ts";
import type { TimedRecord } from "../../src/record/record.ts";
import { testWorld, type TestWorld } from "../../src/testing/sim/test-world.ts";
import {
  acquired,
  contending,
  leaseOn,
  missing,
  noAnswer,
  POLL,
  proven,
  recordIn,
  refused,
  type TappedStore,
  TTL,
  unknown,
} from "./harness.ts";
import { KEY, someBody, someRecord } from "./records.ts";

/** W where the margin is not known. */
const WATCH_ALL = watchMs({ ttlMs: TTL, marginMs: 0 });
const GARBAGE = new TextEncoder().encode("not a record");

interface Attempt {
  readonly store: TappedStore;
  readonly kept: Uint8Array[];
  readonly done: Promise<Mended>;
}

/** An operator who has looked at what stands there now. */
function mending(world: TestWorld, over: Partial<MendOptions> = {}, store: TappedStore = proven(world.node("op"))): Attempt {
  const body = world.peek(KEY);
  const kept: Uint8Array[] = [];
  const done = (async () => {
    const read = await store.get(KEY);
    store.calls.length = 0;
    return await mend(store, KEY, {
      seen: read.kind === "found" ? read : undefined,
      remains: remainsOf(KEY, body === undefined ? [] : [body]),
      fencingToken: 8,
      ttlMs: TTL,
      keep: async (bytes) => void kept.push(bytes),
      by: "op",
      ...over,
    });
  })();
  done.catch(() => {});
  return { store, kept, done };
}

const writes = (store: TappedStore): string[] => store.calls.flatMap(({ kind }) => (kind === "get" ? [] : [kind]));

describe("a damaged key is mended", () => {
  it("when it has been seen unchanged for W, by one CAS, and not before it is kept; the next gets the token above", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, GARBAGE);
    const order: string[] = [];
    const { store, done } = mending(world, { keep: async (bytes) => void order.push(new TextDecoder().decode(bytes)) });
    store.taps.write = (send) => (order.push("write"), send());
    await world.advance(WATCH_ALL - 100);
    expect(writes(store)).toEqual([]);
    expect(await world.until(done)).toEqual({ kind: "mended", fencingToken: 8 });
    expect(world.nowMs).toBeLessThan(WATCH_ALL + 2_000);
    expect(order).toEqual(["not a record", "write"]);
    expect(writes(store)).toEqual(["replace"]);
    expect(recordIn(world)).toMatchObject({ state: "released", endedBy: "other", fencingToken: 8, holder: "op" });
    const next = await acquired(world, leaseOn(proven(world.node("a"))));
    expect(next.tenancy.fencingToken).toBe(9);
  });

  it("what can be read of it goes on: holder, payload, lock delay, and fields of a later version (R4)", async () => {
    const world = testWorld({ seed: 1 });
    const before = someBody({ fencingToken: 7, version: 3, payload: { kept: 1 }, lockDelayMs: 5, holder: "z", extra: { later: true } });
    world.overwrite(KEY, GARBAGE);
    const { done } = mending(world, { remains: remainsOf(KEY, [GARBAGE, before]) });
    await world.until(done);
    expect(recordIn(world)).toMatchObject({ holder: "z", payload: { kept: 1 }, lockDelayMs: 5, version: 4, extra: { later: true } });
  });

  it("not when somebody else writes meanwhile: what stands there then is left", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, GARBAGE);
    const { store, kept, done } = mending(world);
    await world.advance(10_000);
    world.overwrite(KEY, someBody({ fencingToken: 3, holder: "z" }));
    expect(await world.until(done)).toMatchObject({ kind: "changed", record: { holder: "z", fencingToken: 3 } });
    expect([writes(store), kept]).toEqual([[], []]);
  });

  it("nor when somebody writes after the last look: the CAS is refused", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, GARBAGE);
    const { done } = mending(world, { keep: async () => world.overwrite(KEY, someBody({ fencingToken: 3 })) });
    expect(await world.until(done)).toMatchObject({ kind: "changed", record: { fencingToken: 3 } });
    expect(recordIn(world).fencingToken).toBe(3);
  });

  it("not a living holder's: its renewal shows that it can be written", async () => {
    const world = testWorld({ seed: 1 });
    const holder = await acquired(world, leaseOn(proven(world.node("a"))));
    const { done } = mending(world);
    expect(await world.until(done)).toMatchObject({ kind: "changed", record: { holder: "a", state: "held" } });
    expect(holder.tenancy.isHeld()).toBe(true);
  });

  it("not when it can't be kept", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, GARBAGE);
    const { store, done } = mending(world, { keep: () => Promise.reject(new Error("no room")) });
    await expect(world.until(done)).rejects.toThrow("no room");
    expect(writes(store)).toEqual([]);
  });

  it("a lost answer is settled by what stands there (W3)", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, GARBAGE);
    const { store, done } = mending(world);
    store.taps.write = async (send) => {
      store.taps.write = undefined;
      await send();
      return unknown;
    };
    expect(await world.until(done)).toEqual({ kind: "mended", fencingToken: 8 });
  });

  it("no answer at all: not known, and never created on top of what may still land", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, GARBAGE);
    const { store, done } = mending(world);
    store.taps.write = () => Promise.resolve(unknown);
    expect(await world.until(done)).toEqual({ kind: "unknown" });
    expect(new Set(writes(store))).toEqual(new Set(["replace"]));
  });

  it("looks that are not answered do not count, and end it when nothing else comes", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, GARBAGE);
    const { store, done } = mending(world);
    store.taps.read = () => Promise.resolve(noAnswer);
    await expect(world.until(done)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(writes(store)).toEqual([]);
  });
});

describe("a key that can't be written (W6, W7)", () => {
  /** A store that answers 404 to the right ETag and lets a create overwrite; reads show the record all the while. */
  const inDoubt = (world: TestWorld): TappedStore => {
    const store = proven(world.node("op"));
    store.taps.write = (_, { kind, body }) => {
      if (kind === "replace") return Promise.resolve(missing);
      world.overwrite(KEY, body);
      return Promise.resolve({ kind: "applied", etag: '"created"', dateMs: undefined });
    };
    return store;
  };

  it("is created anew after W, when the CAS is refused and reads go on showing the very version", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, someBody({ fencingToken: 7, version: 30 }));
    const { store, done } = mending(world, {}, inDoubt(world));
    expect(await world.until(done)).toEqual({ kind: "mended", fencingToken: 8 });
    const created = store.calls.find(({ kind }) => kind === "create");
    expect(created?.sentMs).toBeGreaterThan(WATCH_ALL);
    expect(writes(store).filter((kind) => kind === "create")).toHaveLength(1);
    expect(recordIn(world)).toMatchObject({ state: "released", fencingToken: 8, version: 31 });
  });

  it("an older version that reads show now and then is a stale read, and no change", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, someBody({ fencingToken: 7, version: 30 }));
    const { store, done } = mending(world);
    const older = someBody({ fencingToken: 6, version: 20 });
    let reads = 0;
    store.taps.read = async (send) =>
      ++reads % 3 === 0 ? { kind: "found", etag: '"older"', body: older, lastModifiedMs: undefined, dateMs: undefined } : await send();
    expect(await world.until(done)).toEqual({ kind: "mended", fencingToken: 8 });
  });

  it("a store that takes neither says so", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, someBody({ fencingToken: 7 }));
    const { store, done } = mending(world);
    store.taps.write = () => Promise.resolve(refused);
    expect(await world.until(done)).toMatchObject({ kind: "refused" });
    expect(recordIn(world).fencingToken).toBe(7);
  });
});

describe("a record that went back behind a known token (H10)", () => {
  /** Who has seen token 7, and will not take what shows token 3. */
  async function regressed(world: TestWorld, now: TimedRecord | undefined): Promise<ReturnType<typeof contending>> {
    world.overwrite(KEY, someBody({ fencingToken: 7, version: 40, holder: "dead" }));
    const who = contending(leaseOn(proven(world.node("a"))));
    await world.advance(6_000);
    world.overwrite(KEY, now && encodeRecord(KEY, now));
    await world.advance(4 * TTL);
    const last = who.troubles.at(-1);
    expect(last).toBeInstanceOf(RecordError);
    expect(last?.message).toMatch(/The way out: s3-consensus accept-regression --kind election --token 7 --ttl 15000ms x$/);
    return who;
  }

  it.each([
    ["held by somebody long gone", someRecord({ fencingToken: 3, version: 20 })],
    ["released", someRecord({ state: "released", fencingToken: 3, version: 20 })],
    ["deleted", undefined],
  ])("%s: refused by name, accepted after W by the token that the message names, and it goes on above", async (_, now) => {
    const world = testWorld({ seed: 1 });
    const who = await regressed(world, now);
    const before = world.nowMs;
    const { store, done } = mending(world, { fencingToken: 7, keep: undefined });
    expect(await world.until(done)).toEqual({ kind: "mended", fencingToken: 7 });
    expect(world.nowMs - before).toBeGreaterThanOrEqual(WATCH_ALL);
    expect(writes(store)).toEqual([now === undefined ? "create" : "replace"]);
    expect((await world.until(who.done))?.fencingToken).toBe(8);
    expect(world.nowMs - before).toBeLessThan(WATCH_ALL + 4 * POLL);
    expect(decodeRecord(KEY, world.peek(KEY) ?? new Uint8Array())).toMatchObject({ state: "held", fencingToken: 8, holder: "a" });
  });

  it("a holder of the higher token that is still at work has ended before anybody else can begin", async () => {
    const world = testWorld({ seed: 1 });
    world.overwrite(KEY, someBody({ state: "released", fencingToken: 6, version: 1 }));
    const holder = await acquired(world, leaseOn(proven(world.node("h"))));
    expect(holder.tenancy.fencingToken).toBe(7);
    world.overwrite(KEY, someBody({ state: "released", fencingToken: 3, version: 1 }));
    const { done } = mending(world, { fencingToken: 7 });
    let endedAt: number | undefined;
    void holder.tenancy.ended.then((error) => {
      endedAt = world.nowMs;
      expect(error.message).toContain("accept-regression --kind election --token 7 --ttl 15000ms x");
    });
    expect(await world.until(done)).toMatchObject({ kind: "mended" });
    expect(endedAt).toBeLessThan(world.nowMs);
  });
});
