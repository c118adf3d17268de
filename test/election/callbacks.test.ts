import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import type { Term } from "../../src/election/term.ts";
import { aborted, booksBalance, contender, eventTypes, LIFE, managerOn, pause, POLL, recordIn, terms, WATCH, when } from "./harness.ts";

const never = (): Promise<never> => new Promise(() => {});
const throwing = (): never => {
  throw new Error("from user code");
};
const rejecting = (): Promise<never> => Promise.reject(new Error("from user code"));

let unhandled: unknown[] = [];
const note = (e: unknown): void => void unhandled.push(e);
beforeEach(() => {
  unhandled = [];
  process.on("unhandledRejection", note);
});
afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", note);
  if (unhandled.length > 0) throw new Error(`${unhandled.length} unhandled rejections`, { cause: unhandled[0] });
});

it("handlers may be an instance of the user's own class: its methods are called on it, its other fields are its own", async () => {
  class Service {
    readonly heard: string[] = [];
    readonly interval = 5;
    #secret = "kept";
    onElected(term: Term): Promise<void> {
      this.heard.push(`elected ${term.fencingToken} ${this.#secret}`);
      return aborted(term.signal);
    }
    onDemoted(): void {
      this.heard.push("demoted");
    }
    onLeaderChange({ leader }: { leader: { holder: string } | undefined }): void {
      this.heard.push(`leader ${leader?.holder}`);
    }
  }
  class Derived extends Service {
    readonly more = true;
  }
  for (const service of [new Service(), new Derived()]) {
    const world = testWorld({ seed: 1 });
    const stop = new AbortController();
    const done = managerOn(world.node("a")).run(service, { signal: stop.signal });
    await world.advance(1_000);
    stop.abort();
    await world.until(done);
    await world.advance(1);
    expect(service.heard).toEqual(["leader undefined", "elected 1 kept", "leader a", "demoted", "leader undefined"]);
  }
});

describe("what user code does changes nothing for the lease (rule H6)", () => {
  it.each<[string, () => void]>([
    ["throws", throwing],
    ["rejects", rejecting],
    ["hangs", never],
  ])("onLeaderChange, onEvent and every method of the logger: %s", async (_, fn) => {
    const world = testWorld({ seed: 1 });
    const logger = { debug: fn, info: fn, warn: fn, error: fn };
    const one = contender(world.node("a"), { options: { onEvent: fn, logger }, handlers: { onLeaderChange: fn } });
    await world.advance(300_000);
    expect(one.manager.stats()).toMatchObject({ acquired: 1, lost: 0, renewals: 59 });
    world.node("a").faults({ kind: "lose-request", times: 6 });
    await world.advance(120_000);
    expect(one.manager.stats()).toMatchObject({ acquired: 2, lost: 1 });
    one.stop.abort();
    await world.until(one.done);
    expect(recordIn(world).state).toBe("released");
    expect(world.node("a").timers + world.node("a").inFlight).toBe(0);
  });

  it.each([
    ["throws", throwing],
    ["rejects", rejecting],
  ])("onDemoted %s: it is told, the key is freed, and the run goes on", async (_, fn) => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"), { handlers: { onDemoted: fn } });
    await world.advance(1_000);
    await world.until(one.manager.stepDown({ cooldownMs: 0 }));
    await world.advance(1_000);
    expect(terms(one)).toEqual(["elected 1", "elected 2"]);
    expect(eventTypes(one)).toEqual(["acquired", "callback-failed", "released", "acquired"]);
  });

  it("onDemoted hangs: nothing is freed under it, the run goes on after drainMs, and the ttl frees the key", async () => {
    const world = testWorld({ seed: 1 });
    const [a, b] = [world.node("a"), world.node("b")];
    const one = contender(a, { handlers: { onDemoted: never }, options: { drainMs: 3_000, cooldownMs: 120_000 } });
    await world.advance(1_000);
    const two = contender(b);
    await world.advance(500);
    await world.until(one.manager.stepDown());
    expect(recordIn(world)).toMatchObject({ state: "held", fencingToken: 1 });
    await world.advance(WATCH + POLL + 1_000);
    expect(two.manager.isLeader()).toBe(true);
    // Every "acquired" is followed by exactly one "lost" or "released".
    expect(eventTypes(one)).toEqual(["acquired", "released"]);
    expect(one.events.find((e) => e.type === "released")).toMatchObject({ outcome: "unknown", error: { code: "WORK_NOT_STOPPED" } });
    expect(booksBalance(one)).toBe(true);
  });

  it("onDemoted hangs after a loss: the loss is its one end", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    const one = contender(a, { handlers: { onDemoted: never }, options: { drainMs: 3_000 } });
    await world.advance(1_000);
    a.stepWallClock(60_000);
    await world.advance(10_000);
    expect(eventTypes(one)).toEqual(["acquired", "lost", "acquired"]);
    expect(booksBalance(one)).toBe(true);
  });

  it("a slow onDemoted is waited for before the key is freed", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    const one = contender(a, {
      handlers: {
        onDemoted: async () => {
          await pause(a, 2_000);
          one.log.push(`${recordIn(world).state} when onDemoted ended`);
        },
      },
    });
    await world.advance(1_000);
    one.stop.abort();
    await world.until(one.done);
    expect(terms(one)).toEqual(["elected 1", "held when onDemoted ended"]);
    expect(recordIn(world).state).toBe("released");
  });

  it("work that hangs past the deadline of a lost lease: demoted at once, told once, and the run ends with WorkNotStoppedError", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    const one = contender(a, { work: never, options: { drainMs: 4_000 } });
    await world.advance(1_000);
    a.faults({ kind: "lose-request", times: Infinity });
    await when(world, () => terms(one).length === 2);
    expect(world.nowMs).toBeLessThan(LIFE + 1_000);
    expect(terms(one)).toEqual(["elected 1", "demoted 1 expired"]);
    await expect(world.until(one.done, 10_000)).rejects.toMatchObject({ code: "WORK_NOT_STOPPED", waitedMs: 4_000 });
    await world.advance(60_000);
    expect(terms(one)).toHaveLength(2);
    expect(a.timers + a.inFlight).toBe(0);
  });

  it("an onElected that returns at once keeps leading", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"), { work: () => {} });
    await world.advance(300_000);
    expect(one.manager.current?.fencingToken).toBe(1);
    one.stop.abort();
    await world.until(one.done);
    expect(terms(one)).toEqual(["elected 1", "demoted 1 stopped"]);
  });

  it("an event loop that is blocked longer than the lease loses it, and the first check says so", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    let checked: unknown;
    const one = contender(a, {
      work: async (term) => {
        await pause(a, 2_000);
        a.pause(30_000, "timers-first");
        await pause(a, 1);
        try {
          term.assertHeld();
        } catch (e) {
          checked = e;
        }
        await aborted(term.signal);
      },
    });
    await world.advance(60_000);
    expect(checked).toMatchObject({ code: "LEASE_LOST" });
    expect(terms(one)[1]).toBe("demoted 1 frozen");
  });
});

describe("onElected that throws", () => {
  it.each([
    ["throws", throwing],
    ["rejects after a while", undefined],
  ])("%s: leadership is given back at once, this node cools down, and another takes over within its poll", async (_, fn) => {
    const world = testWorld({ seed: 1 });
    const [a, b] = [world.node("a"), world.node("b")];
    const one = contender(a, { work: fn ?? (() => pause(a, 2_000).then(throwing)) });
    await world.advance(500);
    const two = contender(b);
    await world.advance(2_100 + POLL + 200);
    expect(two.manager.isLeader()).toBe(true);
    expect(terms(one)).toEqual(["elected 1", "demoted 1 released"]);
    expect(eventTypes(one)).toEqual(["acquired", "callback-failed", "released"]);
    expect(one.events.find((e) => e.type === "callback-failed")).toMatchObject({ name: "onElected", error: { message: "from user code" } });
    expect(one.outcome).toBeUndefined();
  });

  it("alone, it leads again after the cooldown, not before: no storm", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"), { work: throwing });
    await world.advance(100_000);
    const elected = terms(one).filter((t) => t.startsWith("elected")).length;
    // The cooldown is two polls.
    expect(elected).toBeGreaterThanOrEqual(9);
    expect(elected).toBeLessThanOrEqual(11);
    expect(booksBalance(one)).toBe(true);
  });

  it("with the reason of its signal, or an AbortError after it, it has just obeyed", async () => {
    for (const how of ["reason", "AbortError"] as const) {
      const world = testWorld({ seed: 1 });
      const one = contender(world.node("a"), {
        work: async (term) => {
          await aborted(term.signal);
          throw how === "reason" ? (term.signal.reason as Error) : new DOMException("aborted", "AbortError");
        },
      });
      await world.advance(1_000);
      one.stop.abort();
      await world.until(one.done);
      expect(eventTypes(one), how).toEqual(["acquired", "released"]);
    }
  });

  it("an AbortError before anybody asked is a failure", async () => {
    const world = testWorld({ seed: 1 });
    const one = contender(world.node("a"), { work: () => Promise.reject(new DOMException("aborted", "AbortError")) });
    await world.advance(1_000);
    expect(eventTypes(one)).toEqual(["acquired", "callback-failed", "released"]);
  });
});

describe("when onElected returns (onDone)", () => {
  it("`release` gives way: another leads in between, then it campaigns again", async () => {
    const world = testWorld({ seed: 1 });
    const [a, b] = [world.node("a"), world.node("b")];
    const one = contender(a, { work: () => pause(a, 1_000).then(() => {}), onDone: "release" });
    await world.advance(500);
    const two = contender(b, { work: () => pause(b, 1_000).then(() => {}), onDone: "release" });
    await world.advance(120_000);
    expect(terms(one).slice(0, 2)).toEqual(["elected 1", "demoted 1 released"]);
    expect(terms(two)[0]).toBe("elected 2");
    expect(terms(one).length).toBeGreaterThan(4);
    expect(one.manager.stats()["lost"]).toBe(0);
  });

  it("`stop` releases, and run returns", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    const one = contender(a, { work: () => pause(a, 1_000).then(() => {}), onDone: "stop" });
    await world.until(one.done, 10_000);
    expect(terms(one)).toEqual(["elected 1", "demoted 1 released"]);
    expect(recordIn(world).state).toBe("released");
    expect(a.timers + a.inFlight).toBe(0);
  });

  it("`stop` and an onElected that throws: it has not done its work, and campaigns again", async () => {
    const world = testWorld({ seed: 1 });
    let calls = 0;
    const one = contender(world.node("a"), { work: () => (++calls < 3 ? throwing() : undefined), onDone: "stop" });
    await world.until(one.done, 60_000);
    expect(calls).toBe(3);
  });
});

describe("the user's own release of a term", () => {
  it("inside onElected: demoted once, campaigns again after the cooldown", async () => {
    const world = testWorld({ seed: 1 });
    const outcomes: string[] = [];
    const one = contender(world.node("a"), {
      options: { cooldownMs: 1_000 },
      work: async (term) => {
        if (term.fencingToken > 1) return aborted(term.signal);
        outcomes.push(await term.release(), await term.release());
      },
    });
    await world.advance(10_000);
    expect(outcomes).toEqual(["released", "already-released"]);
    expect(terms(one)).toEqual(["elected 1", "demoted 1 released", "elected 2"]);
    expect(eventTypes(one)).toEqual(["acquired", "released", "acquired"]);
    expect(booksBalance(one)).toBe(true);
  });
});

describe("order", () => {
  it("of a whole life: signal, then onDemoted, then the key is freed; each once", async () => {
    const world = testWorld({ seed: 1 });
    const order: string[] = [];
    const one = contender(world.node("a"), {
      work: async (term) => {
        order.push("elected");
        term.signal.addEventListener("abort", () => order.push(`signal, held ${term.isHeld()}, ${recordIn(world).state}`));
        await aborted(term.signal);
        await pause(world.node("a"), 500);
        order.push(`work over, held ${term.isHeld()}, ${recordIn(world).state}`);
      },
      handlers: { onDemoted: ({ term }) => void order.push(`demoted, held ${term.isHeld()}, ${recordIn(world).state}`) },
    });
    await world.advance(1_000);
    one.stop.abort();
    await world.until(one.done);
    order.push(recordIn(world).state);
    expect(order).toEqual(["elected", "signal, held true, held", "work over, held true, held", "demoted, held false, held", "released"]);
  });

  it("events come in order, never inside one another, and after the run nothing comes", async () => {
    const world = testWorld({ seed: 1 });
    const a = world.node("a");
    let inside = 0;
    const seen: string[] = [];
    const one = contender(a, {
      options: {
        cooldownMs: 100,
        onEvent: (e) => {
          expect(inside++).toBe(0);
          seen.push(e.type);
          inside--;
        },
      },
    });
    for (let i = 0; i < 5; i++) {
      await world.advance(6_000);
      await world.until(one.manager.stepDown());
    }
    one.stop.abort();
    await world.until(one.done);
    const lives = seen.filter((type) => type !== "leader");
    expect(lives.join(" ")).toMatch(/^(acquired released ?)+$/);
    const count = seen.length;
    await world.advance(120_000);
    expect(seen).toHaveLength(count);
  });
});
