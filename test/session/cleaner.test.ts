import { describe, expect, it } from "vitest";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { contending, counted, locked, member, POLL, put, recordAt, timedRecordAt, TTL } from "./harness.ts";
import { someRecord } from "../lease/records.ts";

const KEY = "locks/locks/a";

describe("what nobody wants is never left to a living session (S14)", () => {
  it("an acquisition that was given up and had been applied is released", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node);
    node.faults({ kind: "lose-reply", on: "put", times: 1 });
    const attempt = contending(m.store, KEY, m);
    await world.advance(30);
    attempt.stop.abort(new Error("enough"));
    await expect(world.until(attempt.done)).rejects.toThrow("enough");
    await world.advance(TTL);
    expect(timedRecordAt(world, KEY)).toMatchObject({ state: "released" });
    expect(m.cleaner.size).toBe(0);
    const other = await world.until(contending(counted(world.node("b").store), KEY, undefined).done, 1_000);
    expect(other?.fencingToken).toBe(2);
  });

  it.each([
    ["nothing", undefined],
    ["a released record", someRecord({ state: "released", endedBy: "self", holdForMs: undefined })],
  ])("one that may still land on %s is killed by one rewrite, and lands on nothing", async (_, base) => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node);
    if (base !== undefined) put(world, KEY, base);
    const heal = node.faults({ kind: "late", on: "put", times: Infinity, ms: 10 * TTL });
    const attempt = contending(m.store, KEY, m, { untilMs: node.clock.monotonicMs() + 100 });
    expect(await world.until(attempt.done, 12_000)).toBeUndefined();
    heal();
    await world.advance(TTL);
    expect(timedRecordAt(world, KEY).state).toBe("released");
    expect(m.cleaner.size).toBe(0);
    await world.advance(15 * TTL);
    expect(timedRecordAt(world, KEY).state).toBe("released");
  });

  it("what is rewritten for that still says which release freed it: whoever waits for its answer hears of it (seed 421043433)", async () => {
    const world = testWorld({ seed: 1 });
    const [a, b] = [world.node("a"), world.node("b")];
    const [m, holder] = [await member(world, a), await member(world, b)];
    const lock = await locked(world, holder, KEY);
    b.faults({ kind: "lose-reply", on: "put" });
    const released = lock.release();
    await world.advance(100);
    // Another wants it, hears of a failure (of a write that was not applied), gives up, and rewrites what that write would need to land yet.
    a.faults({ kind: "error-500", on: "put" });
    const attempt = contending(m.store, KEY, m);
    await world.advance(30);
    attempt.stop.abort(new Error("enough"));
    await expect(world.until(attempt.done)).rejects.toThrow("enough");
    expect(await world.until(released)).toBe("released");
    expect(timedRecordAt(world, KEY)).toMatchObject({ state: "released", fencingToken: 1, version: 3 });
  });

  it("a release without an answer is looked after until the store has decided", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node);
    const lock = await locked(world, m, KEY);
    const heal = node.faults({ kind: "lose-request", times: Infinity });
    const released = lock.release();
    await world.advance(8_500);
    heal();
    expect(await world.until(released)).toBe("unknown");
    await world.advance(2 * POLL);
    expect(m.membership.isHeld()).toBe(true);
    expect(timedRecordAt(world, KEY)).toMatchObject({ state: "released", endedBy: "self" });
    expect(m.cleaner.size).toBe(0);
  });

  it("what can't be read for a while is trouble, and no end of it", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node);
    node.faults({ kind: "lose-reply", on: "put" });
    const attempt = contending(m.store, KEY, m);
    await world.advance(30);
    const written = world.peek(KEY);
    world.overwrite(KEY, new TextEncoder().encode("{"));
    attempt.stop.abort(new Error("enough"));
    await expect(world.until(attempt.done)).rejects.toThrow("enough");
    await world.advance(1_000);
    expect(m.cleaner.size).toBe(1);
    world.overwrite(KEY, written);
    await world.advance(TTL);
    expect(timedRecordAt(world, KEY)).toMatchObject({ state: "released" });
    expect(m.cleaner.size).toBe(0);
  });

  it("who no longer waits for the session's end does not hear of it", async () => {
    const world = testWorld({ seed: 1 });
    const m = await member(world, world.node("a"));
    const heard: string[] = [];
    const undo = m.tie.whenOver(() => heard.push("gone"));
    m.tie.whenOver(() => heard.push("there"));
    undo();
    await world.until(m.membership.release());
    expect(heard).toEqual(["there"]);
  });

  it("what has become another's is left alone", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node);
    node.faults({ kind: "late", on: "put", ms: 4_000 });
    const attempt = contending(m.store, KEY, m, { untilMs: node.clock.monotonicMs() + 10 });
    const other = await world.until(contending(counted(world.node("b").store), KEY, undefined).done);
    await world.until(attempt.done);
    await world.advance(3 * TTL);
    expect(other?.isHeld()).toBe(true);
    expect(recordAt(world, KEY)).toMatchObject({ state: "held", fencingToken: 1 });
    expect(m.cleaner.size).toBe(0);
  });

  it("ends with the session: nothing is stuck then", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node);
    node.faults({ kind: "lose-request", times: Infinity });
    const attempt = contending(m.store, KEY, m, { untilMs: node.clock.monotonicMs() + 10 });
    await world.advance(5 * TTL);
    await world.until(attempt.done.catch(() => undefined));
    expect(m.cleaner.size).toBe(0);
    expect([node.timers, node.inFlight]).toEqual([0, 0]);
  });

  it("looks no more often than a poll", async () => {
    const world = testWorld({ seed: 1 });
    const node = world.node("a");
    const m = await member(world, node);
    const lock = await locked(world, m, KEY);
    const key = "put" as const;
    node.faults({ kind: "lose-request", on: key, times: 4 });
    m.store.sent();
    const heal = node.faults({ kind: "lose-reply", on: "get", times: Infinity });
    void lock.release();
    await world.advance(20 * TTL);
    heal();
    expect(m.store.sent().filter((call) => call === `get ${KEY}`).length).toBeLessThan((20 * TTL) / POLL + 20);
  });
});
