import { describe, expect, it } from "vitest";
import { ConfigError } from "../src/errors.ts";
import {
  aBoolean,
  aNumber,
  anInteger,
  aString,
  checkOptions,
  nearestName,
  oneOf,
  optionFaults,
  parseDuration,
  required,
  show,
  unknownNames,
} from "../src/options.ts";

const SPEC = {
  name: required(aString("a name")),
  ttlMs: aNumber("milliseconds", 100, 1000),
  count: anInteger("a count", 1, 3),
  on: aBoolean,
  mode: oneOf("a", "b"),
};

describe("checkOptions", () => {
  it("tells every fault at once, with option, value and what would be right", () => {
    try {
      checkOptions("new Thing", { ttlMs: "100", count: 1.5, on: "true", mode: "c", tlMs: 5 }, SPEC, ["and this"]);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      const { faults, message } = error as ConfigError;
      expect(faults).toEqual([
        'unknown option "tlMs": did you mean "ttlMs"?',
        "name is missing: expected a name",
        'ttlMs is "100": expected milliseconds from 100 to 1000',
        "count is 1.5: expected a count, a whole number from 1 to 3",
        'on is "true": expected true or false',
        'mode is "c": expected one of "a", "b"',
        "and this",
      ]);
      expect(message).toContain("new Thing: 7 faults\n  - unknown option");
    }
  });

  it("takes what is right, and undefined for what may be left out", () => {
    expect(optionFaults({ name: "x", ttlMs: undefined, count: 2, on: false, mode: "a" }, SPEC)).toEqual([]);
  });

  it.each([null, undefined, "x", 5, ["a"]])("refuses %s as options", (given) => {
    expect(optionFaults(given, SPEC)).toHaveLength(1);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, -1, 99.9, 1000.1, null, "500", 500n])(
    "refuses %s as a number from 100 to 1000",
    (value) => {
      expect(optionFaults({ name: "x", ttlMs: value }, SPEC)).toHaveLength(1);
    },
  );
});

describe("nearestName", () => {
  const known = ["ttlMs", "pollMs", "metadata", "requestTimeoutMs", "endpoint", "pathStyle"];
  it.each([
    ["ttl", "ttlMs"],
    ["TTLMS", "ttlMs"],
    ["tltMs", "ttlMs"],
    ["path-style", "pathStyle"],
    ["forcePathStyle", undefined],
    ["endpont", "endpoint"],
    ["requestTimeout", "requestTimeoutMs"],
    ["meta", "metadata"],
    ["zebra", undefined],
    ["", undefined],
  ])("%s → %s", (given, expected) => {
    expect(nearestName(given, known)).toBe(expected);
  });

  it("lists what is known where nothing is near", () => {
    expect(unknownNames(["zebra"], ["a", "b"], "parameter")).toEqual(['unknown parameter "zebra"; known are a, b']);
  });
});

describe("parseDuration", () => {
  it.each([
    ["250ms", 250],
    ["30s", 30_000],
    ["1.5m", 90_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
    ["1m30s", 90_000],
    ["0s", 0],
  ])("%s is %d ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(["", "30", "s", "-5s", "5 s", "5sec", "1e3s", "5s,", "NaNs", "Infinitys", `${"9".repeat(39)}s`])("%j is none", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

it("show never prints a whole object, nor a long text", () => {
  expect([show({ secret: 1 }), show([1, 2]), show("x".repeat(200)).length, show(() => 1), show(null)]).toEqual([
    "an object",
    "an array of 2",
    82,
    "a function",
    "null",
  ]);
});
