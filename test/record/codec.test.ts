import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RecordError } from "../../src/errors.ts";
import { decodeRecord, encodeRecord, MAX_LEAN_RECORD_BYTES, MAX_PAYLOAD_BYTES, MAX_RECORD_BYTES } from "../../src/record/codec.ts";
import { MAX_RECORD_MS } from "../../src/record/fields.ts";
import { compareRecords, type LeaseRecord } from "../../src/record/record.ts";
import { jsonBody, KEY, someBody, someRecord } from "../lease/records.ts";

const shortText = fc.string({ unit: "grapheme", maxLength: 40 });
const position = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER - 1 });
const durationMs = fc.double({ min: 0, max: MAX_RECORD_MS, noNaN: true, noDefaultInfinity: true }).map((ms) => ms + 0);
const date = fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }).map((d) => d.toISOString());
const json = fc.jsonValue({ maxDepth: 3 }).map((v) => JSON.parse(JSON.stringify(v)) as NonNullable<LeaseRecord["metadata"]>);

/** Names that no version of the format knows, among them those that hurt careless code. */
const unknownName = fc.oneof(
  fc.constantFrom("__proto__", "constructor", "toString", "session", "ack", "extra", ""),
  fc.string({ maxLength: 12 }).map((s) => `x-${s}`),
);
const extra = fc.array(fc.tuple(unknownName, json), { maxLength: 4 }).map((entries) => Object.fromEntries(entries));

const optional = <T>(name: string, value: fc.Arbitrary<T>): fc.Arbitrary<object> =>
  fc.option(value, { nil: undefined }).map((v) => (v === undefined ? {} : { [name]: v }));

const anyRecord: fc.Arbitrary<LeaseRecord> = fc
  .tuple(
    fc.record({
      state: fc.constantFrom("held", "released"),
      holder: shortText,
      instance: shortText,
      nonce: shortText,
      holderNonce: shortText,
      fencingToken: position,
      version: position,
      marginMs: fc.integer({ min: 0, max: 99 }),
      ttlMs: fc.integer({ min: 100, max: MAX_RECORD_MS }),
      acquiredAt: date,
      renewedAt: date,
      expiresAt: date,
      extra,
    }),
    optional("metadata", json),
    optional("payload", json),
    optional("endedBy", fc.constantFrom("self", "other")),
    optional("lockDelayMs", durationMs),
    optional("holdForMs", durationMs),
    optional("reservedFor", shortText),
    optional("reserveMs", durationMs),
    optional("flag", fc.constantFrom<object>({ kind: "asked" }, { kind: "step-down", to: "b" }, { kind: "revoke", by: "op" })),
  )
  .map(([own, ...more]) => Object.assign({}, own, ...more) as LeaseRecord)
  .filter((record) => JSON.stringify(record).length < MAX_LEAN_RECORD_BYTES / 4);

function errorOf(body: Uint8Array): RecordError {
  try {
    decodeRecord(KEY, body);
  } catch (e) {
    if (e instanceof RecordError) return e;
    throw e;
  }
  throw new Error("it was taken for a record");
}

const raw = (over: Record<string, unknown> = {}): Uint8Array => {
  const { extra: _, ...own } = someRecord();
  return jsonBody({ format: 1, ...own, ...over });
};

describe("codec", () => {
  it("gives back what it was given", () => {
    fc.assert(
      fc.property(anyRecord, (record) => {
        expect(decodeRecord(KEY, encodeRecord(KEY, record))).toEqual(record);
      }),
    );
  });

  it("keeps fields of a later version through every rewrite (rule R4)", () => {
    fc.assert(
      fc.property(anyRecord, extra, fc.array(shortText, { minLength: 1, maxLength: 5 }), (record, more, nonces) => {
        let seen = decodeRecord(KEY, encodeRecord(KEY, { ...record, extra: { ...record.extra, ...more } }));
        for (const nonce of nonces) seen = decodeRecord(KEY, encodeRecord(KEY, { ...seen, nonce, version: 7, state: "released" }));
        for (const [name, value] of Object.entries(more)) expect(Object.entries(seen.extra)).toContainEqual([name, value]);
      }),
    );
  });

  it("never lets a kept field shadow one of its own", () => {
    const sneaky = someRecord({ extra: { nonce: "theirs", format: 9, state: "released" } });
    expect(decodeRecord(KEY, encodeRecord(KEY, sneaky))).toMatchObject({ nonce: sneaky.nonce, state: "held" });
  });

  it("answers any bytes with a record or a RecordError", () => {
    const damaged = fc
      .tuple(anyRecord, fc.nat(), fc.integer({ min: 0, max: 255 }))
      .map(([record, at, byte]) => encodeRecord(KEY, record).map((old, i, all) => (i === at % all.length ? byte : old)));
    const cut = fc.tuple(anyRecord, fc.nat()).map(([record, at]) => {
      const body = encodeRecord(KEY, record);
      return body.slice(0, at % body.length);
    });
    const anyJson = fc.json({ maxDepth: 6 }).map((text) => new TextEncoder().encode(text));
    const anyFields = fc
      .dictionary(fc.constantFrom(...Object.keys(someRecord()), "format", "flag", "reserveMs", "metadata"), fc.jsonValue())
      .map((fields) => raw(fields));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged, cut, anyJson, anyFields), (body) => {
        try {
          const record = decodeRecord(KEY, body);
          expect(Number.isSafeInteger(record.fencingToken + 1) && record.fencingToken >= 1).toBe(true);
          expect(record.marginMs).toBeLessThan(record.ttlMs);
        } catch (e) {
          if (!(e instanceof RecordError)) throw e;
          expect(e).toMatchObject({ code: "RECORD", key: KEY });
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("survives JSON as deep as a record can hold", () => {
    const body = new TextEncoder().encode(`{"format":1,"x":${"[".repeat(4_000)}${"]".repeat(4_000)}}`);
    expect(errorOf(body)).toMatchObject({ kind: "damaged" });
  });

  it.each([
    ["empty", new Uint8Array(0), "foreign", "is empty"],
    ["not UTF-8", Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d), "foreign", "not UTF-8"],
    ["text", new TextEncoder().encode("hello"), "foreign", "not JSON"],
    ["an array", jsonBody([1]), "foreign", "not an object"],
    ["null", jsonBody(null), "foreign", "not an object"],
    ["another program's JSON", jsonBody({ leader: "me" }), "foreign", '"format"'],
    ["format of another program", raw({ format: "v2" }), "foreign", '"v2"'],
    ["format 0", raw({ format: 0 }), "foreign", "format 0"],
    ["format 1.5", raw({ format: 1.5 }), "foreign", "format 1.5"],
    ["a later format", raw({ format: 2 }), "newer", "format 2"],
    ["a later format, of which nothing else is known", jsonBody({ format: 99 }), "newer", "Upgrade"],
    ["cut off", someBody().slice(0, 100), "damaged", "not JSON"],
    ["without a nonce", raw({ nonce: undefined }), "damaged", "nonce"],
    ["a nonce that is a number", raw({ nonce: 5 }), "damaged", "nonce 5"],
    ["an unknown state", raw({ state: "locked" }), "damaged", '"locked"'],
    ["token 0", raw({ fencingToken: 0 }), "damaged", "fencingToken 0"],
    ["a broken token", raw({ fencingToken: 1.5 }), "damaged", "fencingToken 1.5"],
    ["a token that can't be counted on from", raw({ fencingToken: Number.MAX_SAFE_INTEGER }), "damaged", "fencingToken"],
    ["a token as text", raw({ fencingToken: "7" }), "damaged", "fencingToken"],
    ["version 0", raw({ version: 0 }), "damaged", "version 0"],
    ["ttl 0", raw({ ttlMs: 0 }), "damaged", "ttlMs 0"],
    ["a ttl of years", raw({ ttlMs: 1e12 }), "damaged", "ttlMs"],
    ["a negative margin", raw({ marginMs: -1 }), "damaged", "marginMs -1"],
    ["a margin as long as the ttl", raw({ marginMs: 15_000 }), "damaged", "marginMs 15000"],
    ["a date that is none", raw({ renewedAt: "soon" }), "damaged", "renewedAt"],
    ["a flag that is a text", raw({ flag: "revoke" }), "damaged", "flag"],
    ["an unknown flag", raw({ flag: { kind: "explode" } }), "damaged", '"explode"'],
    ["a reservation for nobody", raw({ reservedFor: 1 }), "damaged", "reservedFor"],
    ["a reservation without end", raw({ reserveMs: 1e15 }), "damaged", "reserveMs"],
    ["an unknown end", raw({ endedBy: "fate" }), "damaged", '"fate"'],
    ["too large", jsonBody({ format: 1, x: "x".repeat(MAX_RECORD_BYTES) }), "foreign", "at most 65536"],
    ["large without a payload", raw({ metadata: "x".repeat(MAX_LEAN_RECORD_BYTES) }), "foreign", "at most 8192"],
    ["a payload beyond its limit", raw({ payload: "x".repeat(MAX_PAYLOAD_BYTES) }), "foreign", "at most 57344"],
  ])("refuses %s by name, and says that it is left as it is", (_, body, kind, words) => {
    const error = errorOf(body);
    expect(error.kind).toBe(kind);
    expect(error.message).toContain(words);
    expect(error.message).toContain(KEY);
    expect(error.message).toContain("left as it is");
  });

  it("takes records of the first version: no margin, no holderNonce", () => {
    const seen = decodeRecord(KEY, raw({ marginMs: undefined, holderNonce: undefined, nonce: "n" }));
    expect(seen).toMatchObject({ marginMs: 0, holderNonce: "n" });
  });

  it("takes a record of exactly the limit and refuses to make one beyond it", () => {
    const room = MAX_LEAN_RECORD_BYTES - encodeRecord(KEY, someRecord({ nonce: "n", extra: { x: "" } })).length;
    const full = encodeRecord(KEY, someRecord({ nonce: "n", extra: { x: "x".repeat(room) } }));
    expect(full.length).toBe(MAX_LEAN_RECORD_BYTES);
    expect(decodeRecord(KEY, full).nonce).toBe("n");
    expect(() => encodeRecord(KEY, someRecord({ nonce: "n", extra: { x: "x".repeat(room + 1) } }))).toThrow(RecordError);
  });

  it("takes a payload of exactly its limit beside a record of its own", () => {
    const most = someRecord({ nonce: "n", payload: "x".repeat(MAX_PAYLOAD_BYTES - 2) });
    expect(decodeRecord(KEY, encodeRecord(KEY, most)).payload).toEqual(most.payload);
    expect(() => encodeRecord(KEY, { ...most, payload: `${most.payload as string}x` })).toThrow(/payload/);
  });

  it("counts bytes, not letters", () => {
    expect(() => encodeRecord(KEY, someRecord({ holder: "🦆".repeat(2_048) }))).toThrow(/bytes/);
  });
});

describe("the order of a key's records (rule W7)", () => {
  it("is by token, then by version", () => {
    fc.assert(
      fc.property(position, position, position, position, (t1, v1, t2, v2) => {
        const sign = Math.sign(compareRecords({ fencingToken: t1, version: v1 }, { fencingToken: t2, version: v2 }));
        expect(sign).toBe(t1 === t2 ? Math.sign(v1 - v2) : Math.sign(t1 - t2));
      }),
    );
  });
});
