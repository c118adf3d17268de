import { describe, expect, it } from "vitest";
import { WorkNotStoppedError } from "../../src/errors.ts";
import { encodeRecord } from "../../src/record/codec.ts";
import type { Flag } from "../../src/record/record.ts";
import { testWorld, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { aborted, contender, eventTypes, KEY, managerOn, pause, POLL, recordIn, terms, when } from "./harness.ts";

/** What an operator's tool writes: a CAS that changes flag, nonce and version alone (rule O1). */
async function flag(world: TestWorld, value: Flag, by = "operator"): Promise<void> {
  const { store } = world.node(by);
  const read = await world.until(store.get(KEY));
  if (read.kind !== "found") throw new Error(read.kind);
  const now = recordIn(world);
  expect(now.flag).toBeUndefined();
  const body = encodeRecord(KEY, { ...now, flag: value, nonce: `flag-${now.version}`, version: now.version + 1 });
  const result = await world.until(store.replace(KEY, read.etag, body));
  expect(result.kind).toBe("applied");
}

describe("stepDown", () => {
  it("the work stops, the key is freed, another takes it within a poll, and this node stays out for its cooldown", async () => {
    const world = testWorld({ seed: 1 });
    const [a, b] = [world.node("a"), world.node("b")];
    const one = contender(a);
    await world.advance(1_000);
    const two = contender(b);
    await world.advance(1_000);
    await world.until(one.manager.stepDown());
    expect(terms(one)).toEqual(["elected 1", "demoted 1 stepped-down"]);
    expect(one.manager.isLeader()).toBe(false);
    await world.advance(POLL + 100);
    expect(terms(two)).toEqual(["elected 2"]);
    expect(one.outcome).toBeUndefined();
  });

  it("alone, it leads again after cooldownMs and not before", async () => {
    for (const cooldownMs of [undefined, 0, 1_000, 30_000]) {
      const world = testWorld({ seed: 1 });
      const one = contender(world.node("a"));
      await world.advance(1_000);
      await world.until(one.manager.stepDown({ cooldownMs }));
      const at = world.nowMs;
      const again = await when(world, () => one.manager.isLeader());
      const wanted = cooldownMs ?? 2 * POLL;
      expect(again - at).toBeGreaterThanOrEqual(wanted - 1);
      expect(again - at).toBeLessThan(wanted + 100);
    }
  });

  it("the named one takes it within a poll, whoever else waits", async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const world = testWorld({ seed });
      const one = contender(world.node("a"));
      await world.advance(1_000);
      const others = ["b", "c", "d"].map((name) => contender(world.node(name)));
      await world.advance(7_000);
      await world.until(one.manager.stepDown({ to: "c" }));
      const at = world.nowMs;
      expect(recordIn(world)).toMatchObject({ state: "released", reservedFor: "c", reserveMs: POLL + 2_000 });
      await when(world, () => others.some((c) => c.manager.isLeader()));
      expect(world.nowMs - at).toBeLessThanOrEqual(POLL + 100);
      expect(others.map((c) => c.manager.isLeader())).toEqual([false, true, false]);
      expect(recordIn(world).reservedFor).toBeUndefined();
    }
  });

  it("a dead successor costs reserveMs and no more", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"), { options: { cooldownMs: 60_000 } });
    await world.advance(1_000);
    const two = contender(world.node("b"));
    await world.advance(7_000);
    await world.until(one.manager.stepDown({ to: "nobody" }));
    const at = world.nowMs;
    await when(world, () => two.manager.isLeader());
    // Counted from b's own first read of it, which is within a poll.
    expect(world.nowMs - at).toBeGreaterThanOrEqual(POLL + 2_000);
    expect(world.nowMs - at).toBeLessThanOrEqual(2 * POLL + 2_000 + 100);
  });

  it("the reservation binds the node that gave it, too", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    await world.until(one.manager.stepDown({ to: "nobody", cooldownMs: 0 }));
    const at = world.nowMs;
    await when(world, () => one.manager.isLeader());
    expect(world.nowMs - at).toBeGreaterThanOrEqual(POLL + 2_000 - 10);
  });

  it("when not leader: says so and changes nothing", async () => {
    const world = testWorld({ seed: 1 });
    const manager = managerOn(world.node("b"));
    await expect(manager.stepDown()).rejects.toMatchObject({ code: "NOT_HELD", key: KEY });
    contender(world.node("a"));
    await world.advance(1_000);
    const before = world.peek(KEY);
    await expect(manager.stepDown({ to: "c" })).rejects.toThrow(/is not led by this node \(b\)/);
    expect(world.peek(KEY)).toEqual(before);
  });

  it.each([
    [{ cooldownMs: -1 }, "cooldownMs is -1"],
    [{ cooldownMs: Number.NaN }, "cooldownMs is NaN"],
    [{ to: "" }, "to is"],
    [{ too: "b" }, 'did you mean "to"'],
  ])("bad options %j are refused, and it leads on", async (options, words) => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    await expect(one.manager.stepDown(options as object)).rejects.toThrow(words);
    await world.advance(30_000);
    expect(terms(one)).toEqual(["elected 1"]);
  });

  it("work that does not stop: the call fails after drainMs, it leads on, and it is freed when the work settles", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    let finish = (): void => {};
    const one = contender(a, { work: () => new Promise<void>((resolve) => (finish = resolve)), options: { drainMs: 3_000 } });
    await world.advance(1_000);
    await expect(world.until(one.manager.stepDown())).rejects.toBeInstanceOf(WorkNotStoppedError);
    await world.advance(60_000);
    expect([one.manager.isLeader(), one.outcome]).toEqual([true, undefined]);
    finish();
    await world.advance(100);
    expect(recordIn(world).state).toBe("released");
    expect(terms(one)).toEqual(["elected 1", "demoted 1 stepped-down"]);
  });

  it("several at once end together; a stop among them ends the run", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    const calls = [one.manager.stepDown(), one.manager.stepDown({ to: "b" })];
    one.stop.abort();
    await world.until(Promise.all([...calls, one.done]));
    expect(terms(one)).toEqual(["elected 1", "demoted 1 stepped-down"]);
    expect(recordIn(world)).toMatchObject({ state: "released" });
  });

  it("always settles, whatever ends the term at the same moment", async () => {
    for (const end of ["throw", "return", "lose", "release"] as const) {
      const world = testWorld({ seed: 1 });
      const a = world.node("a");
      let finish: (fail: boolean) => void = () => {};
      const one = contender(a, {
        work: () => new Promise<void>((resolve, reject) => (finish = (fail) => (fail ? reject(new Error("end")) : resolve()))),
        onDone: "release",
      });
      await world.advance(1_000);
      const term = one.manager.current;
      if (end === "throw" || end === "return") finish(end === "throw");
      if (end === "lose") a.stepWallClock(60_000);
      if (end === "release") void term?.release();
      const calls: Promise<unknown>[] = [];
      // In every microtask that follows.
      for (let i = 0; i < 12; i++) {
        calls.push(one.manager.stepDown().catch((e: unknown) => e));
        await Promise.resolve();
      }
      await world.advance(1_000);
      finish(false);
      const settled = await world.until(Promise.all(calls), 60_000);
      expect(settled).toHaveLength(12);
    }
  });

  it("from inside onElected, not awaited: obeyed when the work returns", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"), {
      work: async (term) => {
        if (term.fencingToken === 1) void one.manager.stepDown({ cooldownMs: 0 });
        await aborted(term.signal);
      },
    });
    await world.advance(2_000);
    expect(terms(one)).toEqual(["elected 1", "demoted 1 stepped-down", "elected 2"]);
  });
});

describe("operators' flags (rules O1, H4)", () => {
  it("`asked` changes nothing for a leader", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"));
    await world.advance(1_000);
    await flag(world, { kind: "asked", by: "op" });
    await world.advance(60_000);
    expect(terms(one)).toEqual(["elected 1"]);
    expect(recordIn(world).flag).toBeUndefined();
    expect(one.manager.stats()).toMatchObject({ lost: 0, released: 0 });
  });

  it.each([{ kind: "step-down", to: "c" }, { kind: "step-down" }, { kind: "revoke", by: "op" }] as const)(
    "%j is obeyed at the next renewal, with the work stopped first",
    async (value) => {
      const world = testWorld({ seed: 1 });
      const order: string[] = [];
      const a = world.node("a");
      const one = contender(a, {
        options: { cooldownMs: 60_000 },
        work: async (term) => {
          await aborted(term.signal);
          await pause(a, 1_000);
          order.push(recordIn(world).state);
        },
      });
      await world.advance(1_000);
      const two = contender(world.node("c"));
      await world.advance(1_000);
      await flag(world, value);
      const at = world.nowMs;
      await when(world, () => recordIn(world).state === "released");
      expect(world.nowMs - at).toBeLessThan(5_000 + 1_000 + 200);
      expect(order).toEqual(["held"]);
      expect(recordIn(world).reservedFor).toBe("to" in value ? "c" : undefined);
      await world.advance(POLL + 100);
      expect(terms(one)).toEqual(["elected 1", "demoted 1 stepped-down"]);
      expect(eventTypes(one)).toEqual(["acquired", "released"]);
      expect(two.manager.isLeader()).toBe(true);
    },
  );

  it.each([0, 1_000, 40_000])("the leader stays out for the flag's cooldown of %d ms, not for its own", async (cooldownMs) => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"), { options: { cooldownMs: 15_000 } });
    await world.advance(1_000);
    await flag(world, { kind: "step-down", cooldownMs });
    await when(world, () => recordIn(world).state === "released");
    const at = world.nowMs;
    const again = await when(world, () => one.manager.isLeader());
    expect(again - at).toBeGreaterThanOrEqual(cooldownMs - 100);
    expect(again - at).toBeLessThan(cooldownMs + 200);
  });

  it("a term that was campaigned for stays out, too, from when its user gave it back", async () => {
    const world = testWorld({ seed: 1 });
    const manager = managerOn(world.node("a"));
    const term = await world.until(manager.campaign());
    await flag(world, { kind: "step-down", cooldownMs: 8_000 });
    await world.until(aborted(term.signal));
    await world.advance(20_000);
    await world.until(term.release());
    const at = world.nowMs;
    await world.until(manager.campaign());
    expect(world.nowMs - at).toBeGreaterThanOrEqual(8_000);
    expect(world.nowMs - at).toBeLessThan(8_500);
  });

  it("a flag at any moment around a renewal is obeyed and never a loss", async () => {
    for (let ms = 0; ms <= 60; ms += 3) {
      const world = testWorld({ seed: 2 });
      const one = contender(world.node("a"), { options: { cooldownMs: 60_000 } });
      await when(world, () => one.manager.isLeader());
      await world.advance(4_960 + ms);
      const before = recordIn(world).version;
      const { store } = world.node("operator");
      const read = await world.until(store.get(KEY));
      if (read.kind !== "found") throw new Error(read.kind);
      const now = recordIn(world);
      const body = encodeRecord(KEY, { ...now, flag: { kind: "revoke" }, nonce: "op", version: now.version + 1 });
      const result = await world.until(store.replace(KEY, read.etag, body));
      await world.advance(12_000);
      expect(one.manager.stats()).toMatchObject({ lost: 0 });
      if (result.kind === "applied") expect(terms(one), `${ms} ms`).toEqual(["elected 1", "demoted 1 stepped-down"]);
      else expect(recordIn(world).version).toBeGreaterThan(before);
    }
  });

  it("does not free a campaigned term under its user's work: the signal tells, the user gives it back, the successor is named", async () => {
    const world = testWorld({ seed: 1 });
    const manager = managerOn(world.node("a"));
    const term = await world.until(manager.campaign());
    await flag(world, { kind: "step-down", to: "b" });
    await world.advance(6_000);
    expect(term.signal.aborted).toBe(true);
    expect(term.signal.reason).toMatchObject({ code: "LEASE_ENDED", reason: "stepped-down" });
    await world.advance(60_000);
    expect(recordIn(world)).toMatchObject({ state: "held", fencingToken: 1 });
    expect(await world.until(term.release())).toBe("released");
    expect(recordIn(world)).toMatchObject({ state: "released", reservedFor: "b" });
  });
});
