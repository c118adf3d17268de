import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RecordError } from "../../src/errors.ts";
import { fromBase64, toBase64 } from "../../src/fencing/base64.ts";
import {
  decodePointer,
  encodePointer,
  MAX_BEFORE,
  MAX_INLINE_BYTES,
  MAX_POINTER_BYTES,
  type Content,
  type Pointer,
  tokenOfBody,
} from "../../src/fencing/pointer.ts";
import { decodeRecord } from "../../src/record/codec.ts";
import { KEY, overwrite } from "./harness.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";

const nonce = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((b) => Buffer.from(b).toString("hex"));
const token = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER - 1 });
const name = fc.tuple(token, nonce).map(([t, n]) => `${t}-${n}`);
const content: fc.Arbitrary<Content> = fc.oneof(
  fc.constant<Content>({ kind: "none" }),
  fc.uint8Array({ maxLength: 300 }).map((body): Content => ({ kind: "inline", body })),
  fc.record({ name, bytes: fc.integer({ min: 1, max: 1e9 }) }).map((o): Content => ({ kind: "object", ...o })),
);
const pointers: fc.Arbitrary<Pointer> = fc.record(
  {
    leaseKey: fc.string(),
    fencingToken: token,
    version: token,
    nonce,
    before: fc.array(nonce, { maxLength: MAX_BEFORE }),
    content,
    kept: name,
    writtenAt: fc.constant("2026-01-01T00:00:00.000Z"),
    extra: fc.dictionary(
      fc.string().map((s) => `x-${s}`),
      fc.jsonValue().map((v) => JSON.parse(JSON.stringify(v)) as unknown),
      { maxKeys: 3 },
    ),
  },
  { requiredKeys: ["leaseKey", "fencingToken", "version", "nonce", "before", "content", "writtenAt", "extra"] },
);

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const good = JSON.parse(new TextDecoder().decode(encodePointer(KEY, overwrite(testWorld(), {})))) as Record<string, unknown>;
const kindOf = (body: Uint8Array): string => {
  try {
    decodePointer(KEY, body);
    return "none";
  } catch (error) {
    if (error instanceof RecordError && error.message.includes(KEY)) return error.kind;
    throw error;
  }
};

describe("the pointer record", () => {
  it("comes back as it was written, with the fields of a later version (rule R4)", () => {
    fc.assert(
      fc.property(pointers, (pointer) => {
        const decoded = decodePointer(KEY, encodePointer(KEY, pointer));
        expect(decoded).toEqual(pointer);
        expect(encodePointer(KEY, decoded)).toEqual(encodePointer(KEY, pointer));
      }),
    );
  });

  it("has room for the largest inline body, the longest key and more fields", () => {
    const body = new Uint8Array(MAX_INLINE_BYTES).fill(255);
    const before = Array.from({ length: MAX_BEFORE }, () => "f".repeat(32));
    const kept = `${Number.MAX_SAFE_INTEGER}-${"f".repeat(32)}`;
    const pointer = { ...overwrite(testWorld(), {}), leaseKey: "k".repeat(1024), before, kept, content: { kind: "inline", body } as const };
    expect(encodePointer(KEY, pointer).length).toBeLessThan(MAX_POINTER_BYTES * 0.75);
    expect(() => encodePointer(KEY, { ...pointer, extra: { big: "x".repeat(60_000) } })).toThrow(/would take \d+ bytes/);
  });

  it("whatever stands there is a pointer or a named error, and nothing else", () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.jsonValue().map(json)), (body) => {
        expect(["foreign", "damaged", "newer"]).toContain(kindOf(body));
      }),
    );
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["a newer format", { fencedFormat: 2 }, "newer"],
    ["no format", { fencedFormat: undefined }, "foreign"],
    ["a format that is none", { fencedFormat: "1" }, "foreign"],
    ["no lease key", { leaseKey: undefined }, "damaged"],
    ["token 0", { fencingToken: 0 }, "damaged"],
    ["a version that is no number", { version: "7" }, "damaged"],
    ["a number for a nonce", { nonce: 7 }, "damaged"],
    ["no nonces before", { before: undefined }, "damaged"],
    ["too many nonces before", { before: Array.from({ length: MAX_BEFORE + 1 }, () => "n") }, "damaged"],
    ["something else among the nonces", { before: [7] }, "damaged"],
    ["a body that is not base64", { inline: "AA=A" }, "damaged"],
    ["a body with a line break", { inline: "AAAA\nAAAA" }, "damaged"],
    ["two bodies", { inline: "AAAA", object: `1-${"a".repeat(32)}`, bytes: 3 }, "damaged"],
    ["a body of no size", { object: `1-${"a".repeat(32)}` }, "damaged"],
    ["a body's name that leads elsewhere", { object: "../../locks/report", bytes: 3 }, "damaged"],
    ["a kept body's name that leads elsewhere", { kept: "../../locks/report" }, "damaged"],
    ["a date that is none", { writtenAt: "yesterday" }, "damaged"],
  ])("%s", (_what, over, kind) => {
    expect(kindOf(json(good))).toBe("none");
    expect(kindOf(json({ ...good, ...over }))).toBe(kind);
  });

  it("one that was cut off is damaged, and none is a lease's record, nor the other way round", () => {
    const body = json(good);
    expect(kindOf(body.subarray(0, body.length - 5))).toBe("damaged");
    expect(() => decodeRecord(KEY, body)).toThrow(expect.objectContaining({ kind: "foreign" }));
    expect(kindOf(json({ format: 1, state: "held" }))).toBe("foreign");
  });

  it("the name of a body tells its token", () => {
    fc.assert(
      fc.property(token, nonce, (t, n) => {
        expect(tokenOfBody(`${t}-${n}`)).toBe(t);
      }),
    );
    for (const not of [
      "",
      "1",
      "0-",
      `01-${"a".repeat(32)}`,
      `1-${"A".repeat(32)}`,
      `1-${"a".repeat(31)}`,
      `9999999999999999-${"a".repeat(32)}`,
    ])
      expect(tokenOfBody(not)).toBeUndefined();
  });
});

describe("base64", () => {
  it("is what everybody else means by it", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString("base64"));
        expect(fromBase64(toBase64(bytes))).toEqual(bytes);
      }),
    );
    const long = Uint8Array.from({ length: 100_001 }, (_, i) => i % 256);
    expect(fromBase64(toBase64(long))).toEqual(long);
  });
});
