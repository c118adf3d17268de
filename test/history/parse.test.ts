import { expect, test } from "vitest";
import { checkHistory, HistoryFormatError, outcomeOf, parseHistory } from "../../src/testing/history/index.ts";

const read = { type: "attempt", key: "k", kind: "read", status: 200, etag: "e", sentMs: 1, answeredMs: 2 };

function parseOne(fields: object): unknown {
  return parseHistory(JSON.stringify(fields))[0];
}

test("times in milliseconds and in nanoseconds, as numbers and as texts", () => {
  expect(parseOne({ ...read, sentMs: undefined, answeredMs: undefined, sentNs: "1500000", answeredNs: 2_500_000 })).toMatchObject({
    sentMs: 1.5,
    answeredMs: 2.5,
  });
  expect(
    parseOne({ type: "belief", key: "k", node: "a", fencingToken: 1, fromNs: "9000000000000000", toNs: "9000000000500000" }),
  ).toMatchObject({
    fromMs: 9e9,
    toMs: 9e9 + 0.5,
  });
});

test("an attempt without an outcome, as JavaScript may have it, is not passed over", () => {
  const { type, key, kind, status, etag, sentMs } = read;
  expect(() => checkHistory([{ type, key, kind, status, etag, sentMs } as never])).toThrow(HistoryFormatError);
});

test("empty lines and lines of other types are passed over, and the rest keep their numbers", () => {
  const lines = parseHistory(`\n${JSON.stringify({ type: "note", text: "x" })}\n${JSON.stringify(read)}\n`);
  expect(lines.map((line) => line.line)).toEqual([3]);
});

test.each([
  ["read", 200, "found"],
  ["read", 304, "not-modified"],
  ["read", 404, "absent"],
  ["read", 503, "nothing"],
  ["read", undefined, "nothing"],
  ["create", 200, "applied"],
  ["create", 412, "refused"],
  ["create", 404, "nothing"],
  ["replace", 412, "refused"],
  ["replace", 404, "absent"],
  ["replace", 409, "unknown"],
  ["replace", 429, "unknown"],
  ["replace", 500, "unknown"],
  ["replace", undefined, "unknown"],
  ["replace", 403, "nothing"],
  ["delete", 204, "applied"],
] as const)("a %s answered %s is %s", (kind, status, outcome) => {
  expect(outcomeOf(kind, status)).toBe(outcome);
});

test.each([
  ["not JSON", "nonsense", /line 1 is not JSON/],
  ["not an object", "3", /line 1 is not a JSON object/],
  ["an unknown kind", JSON.stringify({ ...read, kind: "peek" }), /line 1: kind is "peek"; it must be one of read, create/],
  ["no key", JSON.stringify({ ...read, key: 7 }), /key is 7; it must be a text/],
  ["no time", JSON.stringify({ ...read, sentMs: "soon" }), /sentMs is "soon"; it must be a time/],
  ["an answer before the request", JSON.stringify({ ...read, answeredMs: 0 }), /answered.*not before sent/],
  ["a replace without its condition", JSON.stringify({ ...read, kind: "replace" }), /condition is undefined/],
  ["an object without its ETag", JSON.stringify({ ...read, etag: undefined }), /etag is undefined/],
  ["an outcome that a read can't have", JSON.stringify({ ...read, outcome: "applied" }), /outcome is "applied"/],
  [
    "a belief that ends before it begins",
    JSON.stringify({ type: "belief", key: "k", node: "a", fencingToken: 1, fromMs: 5, toMs: 4 }),
    /to.*not before from/,
  ],
  [
    "a token that is no number",
    JSON.stringify({ type: "belief", key: "k", node: "a", fencingToken: -1, fromMs: 5, toMs: 6 }),
    /fencingToken is -1/,
  ],
])("%s is named", (_what, text, message) => {
  expect(() => parseHistory(text)).toThrow(HistoryFormatError);
  expect(() => parseHistory(text)).toThrow(message);
});
