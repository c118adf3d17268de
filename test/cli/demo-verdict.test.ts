/** The demo's verdict must be able to go red: each promise, broken on its own, is named. */
import { describe, expect, it } from "vitest";
import { demoOptions, boundsOf } from "../../src/cli/demo/options.ts";
import { type Belief, type History, overlapNs, verdict } from "../../src/cli/demo/verdict.ts";
import { ConfigError } from "../../src/errors.ts";

const bounds = boundsOf({ ttlMs: 6000, pollMs: 2000 });
const ns = (ms: number): bigint => BigInt(Math.round(ms * 1e6));

function belief(node: string, token: number, fromMs: number, untilMs: number | undefined, end: Belief["end"]): Belief {
  return { node, token, fromNs: ns(fromMs), electedNs: ns(fromMs + 5), untilNs: untilMs === undefined ? undefined : ns(untilMs), end };
}

const killed = belief("A", 4, 100, 5000, "killed");
const stopped = belief("B", 5, 11_000, 14_000, "stopped");
const third = belief("C", 6, 15_500, 18_000, "stopped");

const good: History = {
  beliefs: [killed, stopped, third],
  kill: { node: "A", atNs: ns(4990) },
  stop: { node: "B", atNs: ns(13_990) },
  exits: [
    { node: "A", code: null, signal: "SIGKILL" },
    { node: "B", code: 0, signal: null },
    { node: "C", code: 0, signal: null },
  ],
  requests: {},
};

/** The names of the checks that failed. */
function red(history: Partial<History>): string[] {
  return verdict({ ...good, ...history }, bounds)
    .filter((check) => !check.ok)
    .map((check) => check.name);
}

describe("the demo's verdict", () => {
  it("a good history is green in every check", () => {
    expect(verdict(good, bounds).map((check) => [check.name, check.ok])).toEqual([
      ["tenancies", true],
      ["tokens", true],
      ["overlap", true],
      ["failover", true],
      ["hand-over", true],
      ["endings", true],
    ]);
  });

  const bad: [why: string, history: Partial<History>, checks: string[]][] = [
    ["two believed at once, for a nanosecond", { beliefs: [{ ...killed, untilNs: stopped.fromNs + 1n }, stopped, third] }, ["overlap"]],
    ["the first and the third believed at once", { beliefs: [{ ...killed, untilNs: ns(15_600) }, stopped, third] }, ["overlap"]],
    ["a belief that never ended", { beliefs: [killed, stopped, { ...third, untilNs: undefined }] }, ["overlap"]],
    ["a token used twice", { beliefs: [killed, { ...stopped, token: 4 }, { ...third, token: 5 }] }, ["tokens"]],
    ["a token that went back", { beliefs: [killed, stopped, { ...third, token: 1 }] }, ["tokens"]],
    ["a token left out", { beliefs: [killed, stopped, { ...third, token: 7 }] }, ["tokens"]],
    ["nobody took over", { beliefs: [killed] }, ["tenancies", "failover", "hand-over"]],
    ["nobody was ever elected", { beliefs: [] }, ["tenancies", "tokens", "failover", "hand-over"]],
    ["the third never led", { beliefs: [killed, stopped] }, ["tenancies", "hand-over"]],
    ["the stopped one led again", { beliefs: [killed, stopped, { ...third, node: "B" }] }, ["tenancies"]],
    ["a fourth term", { beliefs: [killed, stopped, third, belief("C", 7, 19_000, 20_000, "stopped")] }, ["tenancies"]],
    ["failover a millisecond too late", { kill: { node: "A", atNs: stopped.electedNs - ns(bounds.failoverMs + 1) } }, ["failover"]],
    ["a leader before the kill", { kill: { node: "A", atNs: stopped.electedNs + 1n } }, ["failover"]],
    ["hand-over a millisecond too late", { stop: { node: "B", atNs: third.electedNs - ns(bounds.handOverMs + 1) } }, ["hand-over"]],
    ["leadership lost unasked", { beliefs: [killed, { ...stopped, end: "lost" }, third] }, ["endings"]],
    ["an exit code", { exits: good.exits.map((e) => (e.node === "B" ? { ...e, code: 1 } : e)) }, ["endings"]],
    [
      "killed where it should have stopped",
      { exits: good.exits.map((e) => (e.node === "C" ? { ...e, code: null, signal: "SIGKILL" } : e)) },
      ["endings"],
    ],
    [
      "stopped where it should have been killed",
      { exits: good.exits.map((e) => (e.node === "A" ? { ...e, code: 0, signal: null } : e)) },
      ["endings"],
    ],
    ["a process that was not seen to end", { exits: good.exits.slice(0, 2) }, ["endings"]],
  ];
  it.each(bad)("%s", (_why, history, checks) => {
    expect(red(history)).toEqual(checks);
  });

  it("exactly at the bounds is within them", () => {
    expect(red({ kill: { node: "A", atNs: stopped.electedNs - ns(bounds.failoverMs) } })).toEqual([]);
    expect(red({ stop: { node: "B", atNs: third.electedNs - ns(bounds.handOverMs) } })).toEqual([]);
  });

  it("overlap adds up over all pairs", () => {
    expect(overlapNs([belief("A", 1, 0, 100, "stopped"), belief("B", 2, 90, 200, "stopped"), belief("C", 3, 195, 300, "stopped")])).toBe(
      ns(15),
    );
    expect(overlapNs([belief("A", 1, 0, 100, "stopped"), belief("B", 2, 100, 200, "stopped")])).toBe(0n);
  });

  it("the bounds are those that the documentation states", () => {
    // The watch is rounded up to a whole millisecond.
    expect(Math.abs(bounds.failoverMs - (6000 + 600 + 2000 + 1000))).toBeLessThanOrEqual(1);
    expect(bounds.handOverMs).toBe(2000 + 1000);
  });
});

describe("the demo's options", () => {
  it("has defaults, and derives the poll from the ttl", () => {
    expect(demoOptions([])).toEqual({ prize: "election", ttlMs: 6000, pollMs: 2000, store: undefined });
    expect(demoOptions(["--ttl", "9s"])).toMatchObject({ ttlMs: 9000, pollMs: 3000 });
    expect(demoOptions(["--ttl", "3s", "--poll", "500ms", "--store", "s3://bucket/p"])).toEqual({
      prize: "election",
      ttlMs: 3000,
      pollMs: 500,
      store: "s3://bucket/p",
    });
  });

  it("help is asked for", () => {
    expect(demoOptions(["--help"])).toBeUndefined();
    expect(demoOptions(["-h", "--ttl", "nonsense"])).toBeUndefined();
  });

  it("names every fault at once", () => {
    const wrong = (...args: string[]): readonly string[] => {
      try {
        demoOptions(args);
      } catch (e) {
        if (e instanceof ConfigError) return e.faults;
        throw e;
      }
      return [];
    };
    expect(wrong("--ttl", "6", "--poll", "1h", "--store", "http://x", "more")).toHaveLength(4);
    expect(wrong("--ttl", "1s")[0]).toContain("--ttl");
    expect(wrong("--poll", "7s")[0]).toContain("--poll");
    expect(wrong("--tll", "6s")[0]).toContain("--tll");
    expect(wrong("--ttl")[0]).toContain("--ttl");
  });
});
