import { describe, expect, it } from "vitest";
import { fateInPruning } from "../../src/session/prune.ts";
import type { PruneMembersOptions } from "../../src/session/options.ts";
import { Session } from "../../src/session/session.ts";
import type { TimedRecord } from "../../src/record/record.ts";
import { testWorld, type TestNode, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { someRecord } from "../lease/records.ts";
import { DAY, HOUR, MINUTE } from "../locks/ephemeral-harness.ts";
import { delta, errorOf, held, when } from "../locks/harness.ts";
import { timedRecordAt } from "./harness.ts";

const TTL = 15_000;

function open(world: TestWorld, node: TestNode): Promise<Session> {
  return world.until(Session.open({ store: node.store, node: node.name, ttlMs: TTL }));
}

const membersIn = (world: TestWorld): string[] => world.keys().filter((key) => key.startsWith("locks/members/"));

function prune(world: TestWorld, node: TestNode, over: Partial<PruneMembersOptions> = {}): Promise<number> {
  return world.until(Session.prune({ store: node.store, olderThanMs: HOUR, ...over }));
}

describe("Session.prune", () => {
  it("deletes the members of sessions that were closed long enough ago; living and young ones stay, and everything that they hold", async () => {
    const world = testWorld();
    const [a, b] = [world.node("a"), world.node("b")];
    const closed = await open(world, a);
    const orphaned = await held(world, closed.locks().acquire("left"));
    await world.until(closed.close());
    const alive = await open(world, a);
    const lock = await held(world, alive.locks().acquire("kept"));
    const [first, second] = membersIn(world);
    expect(first).not.toBe(second);
    expect(await prune(world, b)).toBe(0);
    await world.advance(2 * HOUR);
    const young = await open(world, b);
    await world.until(young.close());
    const before = b.store.stats();
    expect(await prune(world, b)).toBe(1);
    // The living one was renewed, so the listing shows that it is young.
    expect(delta(b.store.stats(), before)).toEqual({ list: 1, get: 1, delete: 2 });
    expect(membersIn(world)).toHaveLength(2);
    expect([lock.isHeld(), alive.signal.aborted]).toEqual([true, false]);
    // A lock that names what is gone counts as its session's end did, confirmed by a create in its place (S10).
    const other = await open(world, b);
    expect((await held(world, other.locks().tryAcquire("left"))).fencingToken).toBe(orphaned.fencingToken + 1);
    await world.until(Promise.all([alive.close(), other.close()]));
  });

  it("a session that died without a word is ended by the store's time, and deleted a week later", async () => {
    const world = testWorld();
    const [a, b] = [world.node("a"), world.node("b")];
    const dead = await open(world, a);
    const lock = await held(world, dead.locks().acquire("k", { lockDelayMs: 2 * DAY }));
    const [member = ""] = membersIn(world);
    a.crash();
    await world.advance(30 * MINUTE);
    expect(await prune(world, b)).toBe(0);
    expect(timedRecordAt(world, member).state).toBe("held");
    await world.advance(HOUR);
    expect(await prune(world, b)).toBe(0);
    expect(timedRecordAt(world, member)).toMatchObject({ state: "released", endedBy: "other", fencingToken: 1 });
    await world.advance(DAY);
    expect(await prune(world, b)).toBe(0);
    // The lock delay counts from that end, and no deletion begins it anew.
    await world.advance(DAY + HOUR);
    const next = await open(world, b);
    expect((await held(world, next.locks().tryAcquire("k"))).fencingToken).toBe(lock.fencingToken + 1);
    await world.until(next.close());
    await world.advance(5 * DAY);
    expect(await prune(world, b)).toBe(2);
    expect(membersIn(world)).toEqual([]);
  });

  it("a DELETE that lands half an hour late, on a store that ignores its condition, hits nothing that lives (S12)", async () => {
    const world = testWorld({ profile: { conditionalDelete: false } });
    const [a, b] = [world.node("a"), world.node("b")];
    const old = await open(world, a);
    await world.until(old.close());
    await world.advance(2 * HOUR);
    const pruned = Session.prune({ store: b.store, olderThanMs: HOUR });
    await when(world, () => b.store.stats()["get"] === 1 && b.inFlight === 1);
    b.faults({ kind: "late", on: "delete", times: Infinity, ms: 30 * MINUTE });
    pruned.catch(() => {});
    // The same node comes back while it is on its way.
    const back = await open(world, a);
    const lock = await held(world, back.locks().acquire("k"));
    await errorOf(world, pruned);
    await world.advance(HOUR);
    expect([lock.isHeld(), membersIn(world).length]).toEqual([true, 2]);
    await world.until(back.close());
  });

  it("says at the door what is wrong", async () => {
    const world = testWorld();
    const error = await errorOf(world, Session.prune({ store: world.node("a").store, olderThanMs: 1, prefix: "x", node: "n" } as never));
    expect(error.message).toMatch(/unknown option "node"[\s\S]*olderThanMs is 1: expected milliseconds from 3600000[\s\S]*prefix is "x"/);
    expect(world.node("a").store.stats()).toEqual({});
  });
});

describe("the fate of a member record", () => {
  const NOW = Date.UTC(2026, 5, 1);
  const RECORD = someRecord({
    state: "released",
    version: 3,
    ttlMs: DAY,
    marginMs: DAY / 10,
    acquiredAt: "2026-05-20T00:00:00.000Z",
    renewedAt: "2026-05-20T00:00:00.000Z",
    expiresAt: "2026-05-21T00:00:00.000Z",
  });
  const fate = (ageMs: number, over: Partial<TimedRecord> = {}, olderThanMs = HOUR): string =>
    fateInPruning({ record: { ...RECORD, ...over }, dateMs: NOW, lastModifiedMs: NOW - ageMs }, { olderThanMs, skewMs: 1_000 });

  it("goes by the store's stamps, and by them alone", () => {
    expect([fate(HOUR + 1_999), fate(HOUR + 2_000), fate(HOUR + 2_000, {}, DAY)]).toEqual(["keep", "delete", "keep"]);
    expect([fate(7 * DAY + 1_999, { endedBy: "other" }), fate(7 * DAY + 2_000, { endedBy: "other" })]).toEqual(["keep", "delete"]);
    // A long ttl lives longer than an hour: 0.9 days over 0.9, a second and the skew.
    expect([fate(DAY + 1_999, { state: "held" }), fate(DAY + 2_000, { state: "held" })]).toEqual(["keep", "end"]);
    const unstamped = { record: RECORD, dateMs: NOW, lastModifiedMs: undefined };
    expect(fateInPruning(unstamped, { olderThanMs: HOUR, skewMs: 1_000 })).toBe("keep");
  });
});
