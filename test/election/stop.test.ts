import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { WorkNotStoppedError } from "../../src/errors.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import {
  aborted,
  booksBalance,
  contender,
  eventTypes,
  LIFE,
  managerOn,
  pause,
  POLL,
  recordIn,
  terms,
  when,
  type Contender,
} from "./harness.ts";

const never = (): Promise<never> => new Promise(() => {});

/** What must be true after every `run` that was stopped, whenever that was. */
function expectClean(c: Contender, label: string): void {
  expect(c.outcome, label).toBe("returned");
  expect(c.manager.isLeader(), label).toBe(false);
  expect(c.node.timers + c.node.inFlight, label).toBe(0);
  expect(booksBalance(c), label).toBe(true);
  // Elected and demoted alternate, and so do acquired and its end.
  expect(terms(c).join(" "), label).toMatch(/^(elected (\d+) demoted \2 \S+ ?)*$/);
  expect(eventTypes(c).join(" "), label).toMatch(/^(acquired (renewal-failed )*(lost|released) ?)*$/);
}

describe("stop at any moment", () => {
  it("of the first 200 ms", async () => {
    const states = new Set<string>();
    for (let ms = 0; ms <= 200; ms++) {
      const world = testWorld({ seed: 5 });
      const one = contender(world.node("a"));
      await world.advance(ms);
      one.stop.abort();
      const before = world.nowMs;
      await world.until(one.done, 30_000);
      expect(world.nowMs - before, `${ms} ms`).toBeLessThan(500);
      expectClean(one, `${ms} ms`);
      const state = world.keys().includes("locks/elections/x") ? recordIn(world).state : "absent";
      states.add(state);
      expect(state, `${ms} ms`).not.toBe("held");
      const count = one.log.length;
      await world.advance(60_000);
      expect(one.log).toHaveLength(count);
    }
    expect(states).toEqual(new Set(["absent", "released"]));
  });

  it("around a renewal", async () => {
    for (let ms = -3; ms <= 40; ms++) {
      const world = testWorld({ seed: 5 });
      const one = contender(world.node("a"));
      await when(world, () => one.manager.isLeader());
      await when(world, () => recordIn(world).version === 2, 20_000);
      await world.advance(4_980);
      await world.advance(20 + ms);
      one.stop.abort();
      await world.until(one.done, 30_000);
      expectClean(one, `${ms} ms`);
      expect(recordIn(world), `${ms} ms`).toMatchObject({ state: "released", fencingToken: 1 });
    }
  });

  it.each(["lose-reply", "lose-request", "error-500", "slow-reply", "late", "duplicate"] as const)(
    "while a request goes wrong (%s)",
    async (kind) => {
      for (let ms = 0; ms <= 5_000; ms += 193) {
        const world = testWorld({ seed: 8 });
        const a = world.node("a");
        a.faults({ kind, times: 1, ms: 3_000, on: "put" });
        const back = ms > 2_500 ? undefined : a.faults({ kind, times: 1, ms: 3_000 });
        const one = contender(a);
        await world.advance(ms);
        one.stop.abort();
        const before = world.nowMs;
        await world.until(one.done, 60_000);
        back?.();
        // The request under way has its time limit, and so have the look and the release after it.
        expect(world.nowMs - before, `${ms} ms`).toBeLessThan(16_000);
        expectClean(one, `${ms} ms`);
      }
    },
  );

  it("during a release that another end has begun", async () => {
    for (let ms = 0; ms <= 40; ms += 2) {
      const world = testWorld({ seed: 5 });
      const one = contender(world.node("a"));
      await world.advance(1_000);
      const down = one.manager.stepDown({ cooldownMs: 60_000 });
      await world.advance(ms);
      one.stop.abort();
      await world.until(Promise.all([down, one.done]), 30_000);
      expectClean(one, `${ms} ms`);
      expect(recordIn(world).state).toBe("released");
    }
  });

  it("with start: stop() waits, and again is no harm; `await using` too", async () => {
    const world = testWorld({ seed: 5 });
    const manager = managerOn(world.node("a"));
    const running = manager.start({ onElected: (term) => aborted(term.signal) });
    await world.advance(1_000);
    expect(manager.isLeader()).toBe(true);
    await world.until(Promise.all([running.stop(), running.stop(), running.done]));
    expect(recordIn(world).state).toBe("released");
    let inside = false;
    const block = async (): Promise<void> => {
      await using again = manager.start({ onElected: (term) => aborted(term.signal) });
      await pause(world.node("a"), 1_000);
      inside = manager.isLeader();
      void again;
    };
    await world.until(block());
    expect(inside).toBe(true);
    expect(recordIn(world)).toMatchObject({ state: "released", fencingToken: 2 });
    expect(world.node("a").timers + world.node("a").inFlight).toBe(0);
  });

  it("a signal that lives as long as the process gathers no listeners", async () => {
    const world = testWorld({ seed: 5 });
    const forever = new AbortController();
    const count = (): number => getEventListeners(forever.signal, "abort").length;
    const a = world.node("a");
    const manager = managerOn(a, { cooldownMs: 0 });
    for (let i = 0; i < 5; i++) {
      await world.until(manager.run({ onElected() {} }, { signal: forever.signal, onDone: "stop" }));
      const term = await world.until(manager.campaign({ signal: forever.signal }));
      await world.until(term.verify({ signal: forever.signal }));
      await world.until(manager.leader({ signal: forever.signal }));
      await world.until(term.release());
      const observer = manager.observe({ signal: forever.signal });
      await world.until(observer.next());
      await observer.return?.();
      await world.advance(0);
      expect(count()).toBe(0);
    }
    // While it runs, a bounded number, however long and however often it leads.
    const stop = new AbortController();
    const done = manager.run({ onElected: () => pause(a, 500).then(() => {}) }, { signal: stop.signal, onDone: "release" });
    for (let i = 0; i < 50; i++) {
      await world.advance(997);
      expect(getEventListeners(stop.signal, "abort").length).toBeLessThanOrEqual(2);
    }
    stop.abort();
    await world.until(done);
    expect(manager.stats()["acquired"]).toBeGreaterThan(30);
  });

  it("disposing never throws", async () => {
    const world = testWorld({ seed: 5, profile: { conditions: "ignored" } });
    const running = managerOn(world.node("a")).start({ onElected() {} });
    await world.advance(1_000);
    await world.until(Promise.resolve(running[Symbol.asyncDispose]()));
    await expect(running.done).rejects.toMatchObject({ code: "STORE_UNSAFE" });
  });

  it("work that stops slowly is waited for, and nothing is released under it", async () => {
    const world = testWorld({ seed: 5 });
    const [a, b] = [world.node("a"), world.node("b")];
    let working = false;
    const one = contender(a, {
      work: async (term) => {
        working = true;
        await aborted(term.signal);
        await pause(a, 18_000);
        working = false;
      },
    });
    await world.advance(1_000);
    const two = contender(b);
    await world.advance(1_000);
    one.stop.abort();
    for (let i = 0; i < 1_900; i++) {
      await world.advance(10);
      if (working) expect([recordIn(world).state, two.manager.isLeader()]).toEqual(["held", false]);
    }
    await world.until(one.done);
    expectClean(one, "slow");
    await world.advance(POLL + 100);
    expect(two.manager.isLeader()).toBe(true);
  });
});

describe("work that does not stop (WorkNotStoppedError, rule H7)", () => {
  it("the stopping call fails after drainMs; the lease stays held and renewed until the work settles, then it is released", async () => {
    const world = testWorld({ seed: 5 });
    const [a, b] = [world.node("a"), world.node("b")];
    let finish = (): void => {};
    const one = contender(a, { work: () => new Promise<void>((resolve) => (finish = resolve)) });
    await world.advance(1_000);
    const two = contender(b);
    await world.advance(1_000);
    one.stop.abort();
    const stopped = world.nowMs;
    await expect(world.until(one.done)).rejects.toBeInstanceOf(WorkNotStoppedError);
    expect(world.nowMs - stopped).toBeGreaterThanOrEqual(20_000);
    expect(world.nowMs - stopped).toBeLessThan(20_100);
    await world.advance(300_000);
    expect(recordIn(world)).toMatchObject({ state: "held", fencingToken: 1 });
    expect([one.manager.isLeader(), two.manager.isLeader()]).toEqual([true, false]);
    expect(terms(one)).toEqual(["elected 1"]);
    finish();
    await world.advance(100);
    expect(recordIn(world)).toMatchObject({ state: "released", fencingToken: 1 });
    expect(terms(one)).toEqual(["elected 1", "demoted 1 stopped"]);
    expect(eventTypes(one)).toEqual(["acquired", "released"]);
    await world.advance(POLL);
    expect(two.manager.isLeader()).toBe(true);
    expect(a.timers + a.inFlight).toBe(0);
  });

  it("its message says what to do and names the lease", async () => {
    const world = testWorld({ seed: 5 });
    const one = contender(world.node("a"), { work: never, options: { drainMs: 500 } });
    await world.advance(1_000);
    one.stop.abort();
    await expect(world.until(one.done)).rejects.toMatchObject({ key: "locks/elections/x", waitedMs: 500, code: "WORK_NOT_STOPPED" });
    await expect(one.done).rejects.toThrow(/stays held until it does, or this process ends/);
    expect(one.manager.health()).toMatchObject({ ok: true, role: "leader" });
  });

  it("a stepDown after it does not release under the work either", async () => {
    const world = testWorld({ seed: 5 });
    const a = world.node("a");
    let finish = (): void => {};
    const one = contender(a, { work: () => new Promise<void>((resolve) => (finish = resolve)), options: { drainMs: 500 } });
    await world.advance(1_000);
    one.stop.abort();
    await expect(world.until(one.done)).rejects.toBeInstanceOf(WorkNotStoppedError);
    const down = one.manager.stepDown();
    down.catch(() => {});
    await world.advance(100);
    expect(recordIn(world).state).toBe("held");
    await expect(world.until(down)).rejects.toBeInstanceOf(WorkNotStoppedError);
    expect(recordIn(world).state).toBe("held");
    const again = one.manager.stepDown();
    await world.advance(100);
    finish();
    await world.until(again);
    expect(recordIn(world).state).toBe("released");
  });

  it("lost meanwhile: demoted once, and nothing is sent for it any more", async () => {
    const world = testWorld({ seed: 5 });
    const a = world.node("a");
    let finish = (): void => {};
    const one = contender(a, { work: () => new Promise<void>((resolve) => (finish = resolve)), options: { drainMs: 500 } });
    await world.advance(1_000);
    one.stop.abort();
    await expect(world.until(one.done)).rejects.toBeInstanceOf(WorkNotStoppedError);
    a.faults({ kind: "lose-request", times: Infinity });
    await world.advance(LIFE + 5_000);
    expect(terms(one)).toEqual(["elected 1", "demoted 1 expired"]);
    finish();
    await world.advance(60_000);
    expect(terms(one)).toHaveLength(2);
    expect(a.timers + a.inFlight).toBe(0);
  });

  it("while it holds on, the manager can neither run nor campaign anew", async () => {
    const world = testWorld({ seed: 5 });
    const one = contender(world.node("a"), { work: never, options: { drainMs: 500 } });
    await world.advance(1_000);
    one.stop.abort();
    await expect(world.until(one.done)).rejects.toBeInstanceOf(WorkNotStoppedError);
    await expect(one.manager.run({ onElected() {} })).rejects.toThrow(/already leads/);
    await expect(one.manager.campaign()).rejects.toThrow(/already leads/);
  });
});
