import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StoreUnavailableError } from "../../src/errors.ts";
import { Counters } from "../../src/lease/counters.ts";
import type { LogicalWrite } from "../../src/lease/settle.ts";
import { carryOut, type WriteContext, type WriteEnd, type WriteLimits } from "../../src/lease/write.ts";
import { WrittenNonces } from "../../src/lease/written.ts";
import { encodeRecord } from "../../src/record/codec.ts";
import type { ReadResult, WriteResult } from "../../src/store/object-store.ts";
import { testWorld, type TestNode, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { deniedWrite, LIFE, missing, noAnswer, recordIn, refused, tap, type TappedStore, unavailable, unknown } from "./harness.ts";
import { KEY, someRecord } from "./records.ts";

interface Setup {
  readonly world: TestWorld;
  readonly node: TestNode;
  readonly store: TappedStore;
  readonly context: WriteContext;
  readonly write: LogicalWrite;
  /** Begins it; time passes only when the test lets it. */
  start(limits?: Partial<WriteLimits>): Promise<WriteEnd>;
  /** Begins it and lets time pass to its end. */
  run(limits?: Partial<WriteLimits>): Promise<WriteEnd>;
}

/** A record in the store, and a write of mine that replaces it. */
async function setup(seed = 1): Promise<Setup> {
  const world = testWorld({ seed });
  const node = world.node("a");
  const store = tap(node.store);
  const base = someRecord({ nonce: "base", instance: "me", version: 3 });
  world.overwrite(KEY, encodeRecord(KEY, base));
  const read = await world.until(node.store.get(KEY));
  if (read.kind !== "found") throw new Error("there is a record");
  const record = someRecord({ nonce: "mine", instance: "me", version: 4 });
  const context: WriteContext = { store, key: KEY, counters: new Counters(), written: new WrittenNonces(), requestTimeoutMs: 3_000 };
  const write: LogicalWrite = { record, base: { etag: read.etag, record: base } };
  const start: Setup["start"] = (limits = {}) =>
    carryOut(context, write, { forMs: LIFE, abortRequests: false, explainRefusal: true, ...limits });
  return {
    world,
    node,
    store,
    context,
    write,
    start,
    run: (limits) => world.until(start(limits)),
  };
}

/** Answers of the store in the order of the writes; after the last one the real store answers. */
function answers(store: TappedStore, ...list: WriteResult[]): void {
  store.taps.write = (send) => {
    const next = list.shift();
    return next === undefined ? send() : Promise.resolve(next);
  };
}
const busy = (certain: boolean, retryAfterMs?: number): WriteResult => ({ kind: "busy", certain, retryAfterMs, error: unavailable });

describe("one write, carried to its end", () => {
  it("a write that is answered costs one PUT, under the ETag of its base", async () => {
    const { store, write, run, context } = await setup();
    expect(await run()).toMatchObject({ kind: "applied" });
    expect(store.calls).toMatchObject([{ kind: "replace", etag: write.base?.etag }]);
    expect(context.counters.snapshot()).toMatchObject({ writesApplied: 1, writesRefused: 0, resolvedMine: 0 });
  });

  it("a write without a base is a create, which never overwrites (rule W1)", async () => {
    const { world, store, context } = await setup();
    const write = { record: someRecord({ nonce: "mine" }), base: undefined };
    const end = await world.until(carryOut(context, write, { forMs: LIFE, abortRequests: false, explainRefusal: false }));
    expect(end).toEqual({ kind: "refused" });
    expect(store.calls).toMatchObject([{ kind: "create" }]);
    expect(recordIn(world).nonce).toBe("base");
  });

  it("its time counts from after `prepare`, and before the first send (rule H1)", async () => {
    const { world, store, run } = await setup();
    store.taps.prepare = () => new Promise((resolve) => void store.clock.setTimer(2_000, resolve));
    const before = store.clock.monotonicMs();
    const end = await run();
    if (end.kind !== "applied") throw new Error(end.kind);
    expect(end.firstSentAt.monotonicMs - before).toBeGreaterThanOrEqual(2_000);
    expect(end.firstSentAt.monotonicMs).toBe(store.calls[0]?.sentMs);
    expect(end.firstSentAt.monotonicMs).toBeLessThan(store.clock.monotonicMs());
    expect(world.nowMs).toBeGreaterThan(2_000);
  });

  it("its nonce is known as mine before anything is sent", async () => {
    const { store, run, context } = await setup();
    let known = false;
    store.taps.write = (send, call) => {
      known = context.written.has(call.record?.nonce ?? "");
      return send();
    };
    await run();
    expect(known).toBe(true);
  });

  it("what the store denies ends it at once", async () => {
    const { store, run } = await setup();
    answers(store, deniedWrite);
    expect(await run()).toMatchObject({ kind: "denied", mayLand: false });
    expect(store.calls).toHaveLength(1);
  });
});

describe("a reply that never came (rule W3)", () => {
  it("lost reply: the same bytes under the same condition again, the refusal is resolved by nonce, and time counts from the first send", async () => {
    const { node, store, write, run, context } = await setup();
    node.faults({ kind: "lose-reply", on: "put" });
    const end = await run();
    expect(store.calls.map((c) => c.kind)).toEqual(["replace", "replace", "get"]);
    const [first, second] = store.calls;
    expect(second?.body).toEqual(first?.body);
    expect([first?.etag, second?.etag]).toEqual([write.base?.etag, write.base?.etag]);
    expect(end).toMatchObject({ kind: "applied", firstSentAt: { monotonicMs: first?.sentMs } });
    expect(context.counters.snapshot()).toMatchObject({ writesUnknown: 1, writesRefused: 1, resolvedMine: 1, resolvedOther: 0 });
  });

  it("lost request: sent again and applied, time still counts from the first send (rule H1)", async () => {
    const { node, store, run } = await setup();
    node.faults({ kind: "lose-request", on: "put" });
    const end = await run();
    expect(store.calls.map((c) => c.kind)).toEqual(["replace", "replace"]);
    expect(end).toMatchObject({ kind: "applied", firstSentAt: { monotonicMs: store.calls[0]?.sentMs } });
    expect(store.calls[1]?.sentMs).toBeGreaterThan((store.calls[0]?.sentMs ?? 0) + 2_900);
  });

  it("a request that lands after its resend was applied changes nothing (rule W4)", async () => {
    const { world, node, run } = await setup();
    node.faults({ kind: "late", on: "put", ms: 8_000 });
    const end = await run();
    expect(end.kind).toBe("applied");
    const applied = world.peek(KEY);
    await world.advance(20_000);
    expect(world.peek(KEY)).toEqual(applied);
  });

  it("a refusal after an unknown attempt is no loss until a read says whose record it is", async () => {
    const { world, node, store, run, context } = await setup();
    node.faults({ kind: "lose-request", on: "put" });
    const theirs = someRecord({ nonce: "theirs", instance: "them", fencingToken: 2, version: 4 });
    await world.advance(1);
    const done = run({ explainRefusal: false });
    world.overwrite(KEY, encodeRecord(KEY, theirs));
    expect(await done).toMatchObject({ kind: "settled", as: { kind: "other", record: { nonce: "theirs" } } });
    expect(store.calls.map((c) => c.kind)).toEqual(["replace", "replace", "get"]);
    expect(context.counters.snapshot()).toMatchObject({ resolvedOther: 1 });
  });

  it("a 503 counts as unknown unless the store said that nothing was written", async () => {
    const uncertain = await setup();
    answers(uncertain.store, busy(false), refused);
    await uncertain.run({ explainRefusal: false, maxAttempts: 2 });
    expect(uncertain.store.calls.map((c) => c.kind)).toEqual(["replace", "replace", "get"]);

    const certain = await setup();
    answers(certain.store, busy(true), refused);
    expect(await certain.run({ explainRefusal: false })).toEqual({ kind: "refused" });
    expect(certain.store.calls.map((c) => c.kind)).toEqual(["replace", "replace"]);
  });

  it("a stale read after the refusal settles nothing: look again (rule W7)", async () => {
    const { node, store, run, context } = await setup();
    node.faults({ kind: "lose-reply", on: "put" });
    const older = { ...someRecord({ nonce: "older", version: 2 }) };
    const stale: ReadResult[] = [
      { kind: "found", etag: '"older"', body: encodeRecord(KEY, older), dateMs: undefined, lastModifiedMs: undefined },
      noAnswer,
    ];
    store.taps.read = (send) => {
      const next = stale.shift();
      return next === undefined ? send() : Promise.resolve(next);
    };
    expect(await run()).toMatchObject({ kind: "applied" });
    expect(store.calls.filter((c) => c.kind === "get")).toHaveLength(3);
    expect(context.counters.snapshot()).toMatchObject({ staleReads: 1, resolvedMine: 1 });
  });

  it("every unresolved attempt counts, however many there were", async () => {
    const lost = fc.array(fc.constantFrom<WriteResult["kind"]>("unknown", "busy"), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(lost, fc.nat(3), fc.nat(), async (kinds, at, seed) => {
        const { world, store, run } = await setup(seed);
        let n = 0;
        store.taps.write = async (send) => {
          const i = n++;
          if (i >= kinds.length) return send();
          // One of them was applied all the same; it does not matter which.
          if (i === at % kinds.length) await send();
          return kinds[i] === "unknown" ? unknown : busy(false);
        };
        const end = await run();
        expect(end).toMatchObject({ kind: "applied", firstSentAt: { monotonicMs: store.calls[0]?.sentMs } });
        expect(recordIn(world)).toMatchObject({ nonce: "mine", version: 4 });
        expect(new Set(store.calls.filter((c) => c.kind === "replace").map((c) => c.record?.nonce))).toEqual(new Set(["mine"]));
      }),
      { numRuns: 40 },
    );
  });
});

describe("a store in doubt (rule W6)", () => {
  it("404 to the right ETag while a read shows the record: looked at again, never created, until its time is over", async () => {
    const { store, run, world } = await setup();
    store.taps.write = () => Promise.resolve(missing);
    const begun = world.nowMs;
    expect(await run()).toMatchObject({ kind: "undecided", mayLand: false });
    expect(world.nowMs - begun).toBeGreaterThanOrEqual(LIFE);
    expect(world.nowMs - begun).toBeLessThan(LIFE + 1_500);
    expect(store.calls.filter((c) => c.kind === "create")).toEqual([]);
    // Paced: with a cap of a second between attempts, about two a second at most.
    expect(store.calls.filter((c) => c.kind === "replace").length).toBeLessThan(60);
  });

  it("404 and nothing there: gone", async () => {
    const { store, run, world } = await setup();
    world.overwrite(KEY, undefined);
    expect(await run()).toMatchObject({ kind: "settled", as: { kind: "gone" } });
    expect(store.calls.map((c) => c.kind)).toEqual(["replace", "get"]);
  });
});

describe("its end", () => {
  it("undecided at its deadline, on whichever clock that comes first, and what is on its way may land", async () => {
    for (const jump of [0, 60_000]) {
      const { world, node, store, start } = await setup();
      node.faults({ kind: "lose-request", times: Infinity });
      const done = start();
      await world.advance(1_000);
      node.stepWallClock(jump);
      const begun = store.calls[0]?.sentMs ?? 0;
      expect(await world.until(done)).toMatchObject({ kind: "undecided", mayLand: true, error: { code: "STORE_UNAVAILABLE" } });
      const took = store.clock.monotonicMs() - begun;
      if (jump === 0) expect(took).toBeGreaterThanOrEqual(LIFE - 1);
      else expect(took).toBeLessThan(5_000);
      for (const call of store.calls) expect(call.options.timeoutMs).toBeLessThanOrEqual(Math.min(3_000, begun + LIFE - call.sentMs));
    }
  });

  it("a signal ends it before the next attempt; the one under way is waited for, or aborted where that was asked", async () => {
    for (const abortRequests of [false, true]) {
      const { world, node, store, start } = await setup();
      node.faults({ kind: "slow-reply", on: "put", ms: 2_000 });
      const stop = new AbortController();
      const done = start({ signal: stop.signal, abortRequests });
      await world.advance(100);
      stop.abort();
      const at = world.nowMs;
      expect((await world.until(done)).kind).toBe(abortRequests ? "undecided" : "applied");
      if (abortRequests) expect(world.nowMs).toBe(at);
      expect(store.calls).toHaveLength(1);
      expect(node.inFlight).toBe(0);
    }
  });

  it("a signal ends the pause between two attempts", async () => {
    const { world, store, start } = await setup();
    answers(store, ...Array.from({ length: 9 }, () => busy(false, 60_000)));
    const stop = new AbortController();
    const done = start({ signal: stop.signal });
    await world.advance(100);
    stop.abort();
    expect(await world.until(done)).toMatchObject({ kind: "undecided", mayLand: true });
    expect(world.nowMs).toBeLessThan(200);
  });

  it("so many attempts and no more", async () => {
    const { node, store, run } = await setup();
    node.faults({ kind: "lose-request", times: Infinity });
    expect(await run({ maxAttempts: 3, forMs: 1e6 })).toMatchObject({ kind: "undecided" });
    expect(store.calls).toHaveLength(3);
  });

  it("hears of each attempt that had no answer that counts", async () => {
    const { store, context, world, write } = await setup();
    answers(store, unknown, busy(true));
    const heard: StoreUnavailableError[] = [];
    const end = carryOut({ ...context, onTrouble: (e) => heard.push(e) }, write, {
      forMs: LIFE,
      abortRequests: false,
      explainRefusal: true,
    });
    expect(await world.until(end)).toMatchObject({ kind: "applied" });
    expect(heard).toHaveLength(2);
  });
});

describe("pace (rule W5)", () => {
  const gaps = (store: TappedStore): number[] => store.calls.slice(1).map((c, i) => c.sentMs - (store.calls[i]?.sentMs ?? 0));

  it("first attempts are not paced", async () => {
    const { store, run } = await setup();
    const before = store.clock.monotonicMs();
    await run();
    expect(store.calls[0]?.sentMs).toBe(before);
  });

  it("after a 429 about one write a second, or as the store asked", async () => {
    const slow = await setup();
    answers(slow.store, ...Array.from({ length: 8 }, () => busy(true)));
    await slow.run();
    for (const gap of gaps(slow.store)) expect(gap).toBeGreaterThanOrEqual(500);
    const asked = await setup();
    answers(asked.store, busy(true, 2_500), busy(true, 2_500));
    await asked.run();
    for (const gap of gaps(asked.store)) expect(gap).toBeGreaterThanOrEqual(3_000);
  });

  it("a store that asks for an hour does not cost the lease", async () => {
    const { store, run } = await setup();
    answers(store, busy(true, 3_600_000));
    expect(await run()).toMatchObject({ kind: "applied" });
    expect(gaps(store)[0]).toBeLessThan(LIFE / 2);
  });

  it("retries are jittered: nodes that failed together do not come back together", async () => {
    const firstGaps = new Set<number>();
    for (let seed = 1; seed <= 20; seed++) {
      const { store, run } = await setup(seed);
      answers(store, unknown, unknown, unknown);
      await run();
      for (const gap of gaps(store)) expect(gap).toBeLessThanOrEqual(1_010);
      firstGaps.add(Math.round((gaps(store)[0] ?? 0) * 10));
    }
    expect(firstGaps.size).toBeGreaterThan(10);
  });
});
