/** What a test world does not take: whatever would leave a test green because nothing went wrong in it. */
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { testWorld } from "../../src/testing/index.ts";

/** As JavaScript has it. */
const any = (value: unknown): never => value as never;
const node = () => testWorld().node("a");

describe("a test world refuses, with the option and what would be right", () => {
  it.each<readonly [string, () => unknown, string]>([
    ["an unknown option", () => testWorld(any({ sed: 7 })), 'testWorld: unknown option "sed": did you mean "seed"?'],
    ["a broken seed", () => testWorld({ seed: 1.5 }), "seed is 1.5: expected a seed, a whole number"],
    ["half a latency", () => testWorld({ latency: { minMs: -5, meanMs: Number.NaN } }), "latency: minMs is -5: expected milliseconds"],
    ["a latency without its mean", () => testWorld({ latency: any({ minMs: 5 }) }), "latency: meanMs is missing: expected milliseconds"],
    ["a time limit of no time", () => testWorld({ timeoutMs: 0 }), "timeoutMs is 0: expected milliseconds from 1"],
    ["a beginning that is no time", () => testWorld({ startWallMs: Number.NaN }), "startWallMs is NaN"],
    ["a way of the store that is none", () => testWorld({ profile: any({ condition: "ignored" }) }), 'profile: unknown option "condition"'],
    ["a node without a name", () => testWorld().node(""), "its name must be a text"],
    ["a clock that stands still", () => testWorld().node("a", { rate: 0 }), "rate is 0: expected a rate above 0"],
    ["an unknown option of a node", () => testWorld().node("a", any({ ttlMs: 3 })), 'node "a": unknown option "ttlMs"'],
    ["an unknown fault", () => node().faults({ kind: any("lose-rqeuest") }), 'kind is "lose-rqeuest": expected one of "lose-request"'],
    ["no fault at all", () => node().faults(any({})), "kind is missing"],
    [
      "a class of requests that is none",
      () => node().faults({ kind: "late", on: any("PUT") }),
      'on is "PUT": expected one of "get", "put"',
    ],
    ["a fault that never strikes", () => node().faults({ kind: "late", times: 0 }), "times is 0"],
    ["a fault of no length", () => node().faults({ kind: "late", ms: Number.NaN }), "ms is NaN"],
    ["a pause that is over", () => node().pause(-1), "pause: -1"],
    ["an endless freeze", () => node().freeze(Infinity), "freeze: Infinity"],
    ["a step to nowhere", () => node().stepWallClock(Number.NaN), "stepWallClock: NaN"],
    ["a rate backwards", () => node().setClockRate(-1), "setClockRate: -1: expected a rate above 0"],
    ["time that runs back", () => testWorld().advance(-1), "advance: -1: expected milliseconds"],
    ["a limit that is a text", () => testWorld().until(Promise.resolve(), any("5")), 'until: "5": expected milliseconds'],
  ])("%s", (_, act, said) => {
    expect(act).toThrow(ConfigError);
    expect(act).toThrow(said);
  });

  it("a node's options that are not those it was made with", () => {
    const world = testWorld();
    const a = world.node("a", { rate: 1.05 });
    expect(world.node("a")).toBe(a);
    expect(world.node("a", { rate: 1.05 })).toBe(a);
    expect(() => world.node("a", { rate: 1 })).toThrow("it is there already, with other options");
  });
});
