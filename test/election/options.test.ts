import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { Manager } from "../../src/election/manager.ts";
import { s3Store } from "../../src/store/s3.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";
import { KEY, managerOn, recordIn } from "./harness.ts";

const world = testWorld({ seed: 1 });
const { store } = world.node("a");

function faultsOf(options: object): readonly string[] {
  try {
    return managerOn(world.node("a"), options).isLeader() ? ["it leads"] : [];
  } catch (e) {
    if (e instanceof ConfigError) return e.faults;
    throw e;
  }
}

describe("new Manager(options): bad input is refused at construction", () => {
  const durations = ["ttlMs", "pollMs", "marginMs", "requestTimeoutMs", "drainMs", "cooldownMs"] as const;
  const wrong: unknown[] = [Number.NaN, -1, Infinity, -Infinity, "15000", "15s", null, true, {}, [], 15n, () => 1, Symbol.iterator];

  it.each(durations)("%s: NaN, negative, infinite, texts and all other types", (name) => {
    for (const value of wrong) {
      const faults = faultsOf({ [name]: value });
      expect(faults).toHaveLength(1);
      expect(faults[0]).toMatch(new RegExp(`^${name} is .*: expected milliseconds from \\d+ to \\d+$`));
    }
  });

  it.each([
    ["ttlMs", 99, 100],
    ["ttlMs", 86_400_001, 86_400_000],
    ["pollMs", 0, 1],
    ["marginMs", 0, 1_500],
    ["requestTimeoutMs", 0, 1],
    ["drainMs", 86_400_001, 0],
    ["cooldownMs", 86_400_001, 0],
  ])("%s %d is out of bounds, %d is not", (name, bad, good) => {
    expect(faultsOf({ [name]: bad })[0]).toContain(`${name} is ${bad}`);
    expect(faultsOf({ [name]: good })).toEqual([]);
  });

  it.each([
    ["store", undefined, "store is missing"],
    ["store", 5, "store is 5"],
    ["store", {}, "store is an object"],
    ["name", undefined, "name is missing"],
    ["name", "", 'name is "": expected not empty'],
    ["name", 7, "name is 7"],
    ["name", "a\nb", "control"],
    ["name", "a\u0000", "control"],
    ["name", "\ud83e", "surrogate"],
    ["node", "", "node is"],
    ["node", "n".repeat(257), "at most 256 bytes"],
    ["node", "🦆".repeat(65), "at most 256 bytes"],
    ["node", 5, "node is 5"],
    ["takeover", "steal", '"auto", "observe", "store-time"'],
    ["takeover", 1, "takeover is 1"],
    ["prefix", "locks", 'ends in "/"'],
    ["prefix", "/locks/", "leading"],
    ["prefix", "a//b/", "double"],
    ["prefix", "../", '".."'],
    ["prefix", "a/./b/", '"."'],
    ["prefix", "a\n/", "control"],
    ["prefix", 5, "prefix is 5"],
    ["logger", {}, "debug, info, warn and error"],
    ["logger", "console", "logger is"],
    ["onEvent", "log", "a function"],
    ["parseMetadata", {}, "a function"],
    ["metadata", undefined, undefined],
    ["metadata", () => 1, "plain JSON"],
    ["metadata", { when: new Date() }, "metadata.when is a Date"],
    ["metadata", { n: Number.NaN }, "metadata.n is NaN"],
    ["metadata", { n: 1n }, "metadata.n is a bigint"],
    ["metadata", { list: [1, undefined] }, "metadata.list[1] is undefined"],
    ["metadata", { m: new Map() }, "metadata.m is a Map"],
    ["metadata", { text: "x".repeat(2_048) }, "at most 2048 bytes of JSON, not 2059; publish a link"],
    ["metadata", { text: "🦆".repeat(600) }, "at most 2048 bytes"],
  ])("%s: %o", (name, value, words) => {
    const faults = faultsOf({ [name]: value });
    if (words === undefined) return expect(faults).toEqual([]);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(words);
  });

  it("metadata that refers to itself", () => {
    const self: Record<string, unknown> = {};
    self["self"] = self;
    expect(faultsOf({ metadata: self })[0]).toMatch(/refers to itself/);
  });

  it.each([
    [{ ttl: 5_000 }, '"ttl": did you mean "ttlMs"?'],
    [{ pollms: 5_000 }, '"pollms": did you mean "pollMs"?'],
    [{ drain_ms: 5_000 }, 'did you mean "drainMs"?'],
    [{ onEvents: () => {} }, 'did you mean "onEvent"?'],
    [{ metdata: {} }, 'did you mean "metadata"?'],
    [{ completelyUnrelated: 1 }, "known are store, node, logger"],
  ])("unknown option %o: the nearest name, or all that are known", (options, words) => {
    expect(faultsOf(options)[0]).toContain(words);
  });

  it("relations name both options and their values", () => {
    expect(faultsOf({ pollMs: 20_000 })[0]).toBe(
      "pollMs 20000 is above ttlMs 15000: a dead leader would go unseen for more than its ttl. Use a pollMs of at most 15000",
    );
    expect(faultsOf({ marginMs: 1_000 })[0]).toContain("marginMs 1000 is below a tenth of ttlMs 15000");
    expect(faultsOf({ requestTimeoutMs: 9_000 })[0]).toContain("requestTimeoutMs 9000 and marginMs 1500 do not fit into ttlMs 15000");
    expect(faultsOf({ ttlMs: 300, marginMs: 200 })[0]).toContain("marginMs 200 leaves no time");
  });

  it("several faults are one error with all of them", () => {
    const faults = faultsOf({ name: "", ttlMs: "15s", pollMs: -1, ttl: 1, takeover: "x", metadata: { a: 1n } });
    expect(faults).toHaveLength(6);
    const relations = faultsOf({ pollMs: 20_000, marginMs: 1_000, name: "x".repeat(1_024) });
    expect(relations).toHaveLength(3);
    expect(() => new Manager({ store, name: "", ttlMs: -1 })).toThrow(/2 faults\n {2}- .*\n {2}- /);
  });

  it.each([undefined, null, 5, "x", []])("options that are %o", (options) => {
    expect(() => new Manager(options as never)).toThrow(ConfigError);
  });

  it("the store's own prefix counts, too, and is known at construction", () => {
    const store = s3Store(`s3://bucket/${"p".repeat(500)}?region=us-east-1`);
    expect(() => new Manager({ store, name: "n".repeat(510) })).toThrow(/1027 bytes with its prefix: at most 1024/);
  });

  it("a key is at most 1,024 bytes, its prefix and escapes included", () => {
    const rest = 1_024 - "locks/elections/".length;
    expect(faultsOf({ name: "n".repeat(rest) })).toEqual([]);
    expect(faultsOf({ name: "n".repeat(rest + 1) })[0]).toMatch(/name gives a key of 1025 bytes .* at most 1024/);
    expect(faultsOf({ name: "🦆".repeat(Math.floor(rest / 12)) })).toEqual([]);
    expect(faultsOf({ name: "🦆".repeat(Math.floor(rest / 12) + 1) })).toHaveLength(1);
  });

  it("every option may be undefined", () => {
    const names = ["node", "logger", "onEvent", ...durations, "takeover", "prefix", "metadata", "parseMetadata"];
    expect(faultsOf(Object.fromEntries(names.map((n) => [n, undefined])))).toEqual([]);
  });
});

describe("names work as keys, each its own", () => {
  it("slashes, spaces, dots, emoji and other scripts, at once in one store", async () => {
    const many = testWorld({ seed: 2 });
    const a = many.node("a");
    const names = ["a/b", "a%2Fb", "a b", ".", "..", "🦆", "Ä", "A\u0308", "x", "X", "日本", "a\\b", "a:b", "a?b#c"];
    const terms = await many.until(Promise.all(names.map((name) => managerOn(a, { name }).campaign())));
    expect(terms.every((t) => t.fencingToken === 1 && t.isHeld())).toBe(true);
    expect(many.keys().filter((k) => k.startsWith("locks/"))).toHaveLength(names.length);
  });

  it("an empty prefix and one's own", async () => {
    const other = testWorld({ seed: 2 });
    await other.until(managerOn(other.node("a"), { prefix: "" }).campaign());
    await other.until(managerOn(other.node("a"), { prefix: "team/a/" }).campaign());
    expect(other.keys()).toEqual(["elections/x", "team/a/elections/x"]);
  });
});

describe("calls with bad input", () => {
  it.each([
    [{ signal: "stop" }, undefined, 'signal is "stop"'],
    [{ onDone: "leave" }, undefined, '"keep", "release", "stop"'],
    [{ singal: undefined }, undefined, 'did you mean "signal"'],
    [undefined, {}, "onElected is missing"],
    [undefined, { onElected: 5 }, "onElected is 5"],
    [undefined, { onElected() {}, onDemote() {} }, 'did you mean "onDemoted"'],
    [undefined, null, "an object of options"],
  ])("run: %o %o", async (options, handlers, words) => {
    const manager = managerOn(world.node("a"));
    const given = handlers === undefined ? { onElected() {} } : handlers;
    await expect(manager.run(given as never, options as never)).rejects.toThrow(words);
    await expect(manager.run(given as never, options as never)).rejects.toBeInstanceOf(ConfigError);
  });

  it.each([
    [{ waitMs: -1 }, "waitMs is -1"],
    [{ waitMs: "5s" }, 'waitMs is "5s"'],
    [{ waitMs: Number.NaN }, "waitMs is NaN"],
    [{ wait: 5 }, 'did you mean "waitMs"'],
    [{ signal: {} }, "an AbortSignal"],
  ])("campaign: %o", async (options, words) => {
    await expect(managerOn(world.node("a")).campaign(options as never)).rejects.toThrow(words);
  });

  it.each([{ onElected: 5 }, { onElected: undefined }])("run: an instance whose handler is none: %o", async (fields) => {
    class Service {
      readonly timer = "mine";
    }
    const given = Object.assign(new Service(), fields);
    await expect(managerOn(world.node("a")).run(given as never)).rejects.toThrow(/onElected (is 5|is missing)/);
  });

  it("nothing was sent for any of it", () => {
    expect(store.stats()).toEqual({});
  });
});

describe("different timings on one key at once", () => {
  it("each is judged by its own record: no overlap, and all take their turn", async () => {
    const mixed = testWorld({ seed: 3 });
    const settings = [
      { ttlMs: 2_000, takeover: "observe" },
      { ttlMs: 15_000, takeover: "auto" },
      { ttlMs: 60_000, marginMs: 20_000, takeover: "store-time" },
      { ttlMs: 5_000, marginMs: 3_000, takeover: "auto" },
    ] as const;
    const managers = settings.map((s, i) => managerOn(mixed.node(`n${i}`), s));
    const leaders = new Set<string>();
    for (const [i, manager] of managers.entries()) {
      manager.start({ onElected: (term) => new Promise((resolve) => term.signal.addEventListener("abort", () => resolve())) });
      void i;
    }
    for (let i = 0; i < 3_000; i++) {
      await mixed.advance(200);
      const held = managers.filter((m) => m.isLeader());
      expect(held.length).toBeLessThanOrEqual(1);
      const leader = recordIn(mixed).holder;
      leaders.add(leader);
      if (i % 60 === 59 && held.length === 1) mixed.node(leader).pause(i % 120 === 59 ? 90_000 : 1_000);
    }
    expect(leaders.size).toBe(4);
    expect(mixed.keys()).toContain(KEY);
  });
});
