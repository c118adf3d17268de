import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RecordError } from "../../src/errors.ts";
import {
  decodeRecord,
  encodeRecord,
  MAX_LEAN_RECORD_BYTES,
  MAX_METADATA_BYTES,
  MAX_PAYLOAD_BYTES,
  MAX_RECORD_BYTES,
} from "../../src/record/codec.ts";
import { MAX_RECORD_MS } from "../../src/record/fields.ts";
import { compareRecords, type LeaseRecord, type SessionRecord, type TimedRecord } from "../../src/record/record.ts";
import { jsonBody, KEY, someBody, someRecord } from "../lease/records.ts";

const shortText = fc.string({ unit: "grapheme", maxLength: 40 });
const position = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER - 1 });
const durationMs = fc.double({ min: 0, max: MAX_RECORD_MS, noNaN: true, noDefaultInfinity: true }).map((ms) => ms + 0);
const date = fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }).map((d) => d.toISOString());
const json = fc.jsonValue({ maxDepth: 3 }).map((v) => JSON.parse(JSON.stringify(v)) as NonNullable<LeaseRecord["metadata"]>);

/** Names that no version of the format knows, among them those that hurt careless code. */
const unknownName = fc.oneof(
  fc.constantFrom("__proto__", "constructor", "toString", "ack", "extra", ""),
  fc.string({ maxLength: 12 }).map((s) => `x-${s}`),
);
const extra = fc.array(fc.tuple(unknownName, json), { maxLength: 4 }).map((entries) => Object.fromEntries(entries));

const optional = <T>(name: string, value: fc.Arbitrary<T>): fc.Arbitrary<object> =>
  fc.option(value, { nil: undefined }).map((v) => (v === undefined ? {} : { [name]: v }));

const ONE_LOCK = { kind: "revoke", lock: { key: "k", fencingToken: 3 } } as const;

const anyTimed: fc.Arbitrary<TimedRecord> = fc
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
    optional("flag", fc.constantFrom<object>({ kind: "asked" }, { kind: "step-down", to: "b" }, { kind: "revoke", by: "op" }, ONE_LOCK)),
  )
  .map(([own, ...more]) => Object.assign({}, own, ...more) as TimedRecord)
  .filter((record) => JSON.stringify(record).length < MAX_LEAN_RECORD_BYTES / 4);

/** As many folders deep as a face may want, and below whatever prefix. */
const anySessionKey = fc.constantFrom(KEY, "locks/locks/gpu/3", "members/locks/x", "a/b/locks/locks/members/0");
const anySession: fc.Arbitrary<SessionRecord> = fc
  .tuple(anyTimed, fc.stringMatching(/^[0-9a-f]{32}$/), position)
  .map(([timed, id, token]) => withSession(timed, { member: `locks/members/${id}`, token }));
const anyRecord: fc.Arbitrary<LeaseRecord> = fc.oneof(anyTimed, anySession);

function withSession(timed: TimedRecord, session: SessionRecord["session"]): SessionRecord {
  const { ttlMs: _1, marginMs: _2, expiresAt: _3, endedBy: _4, holdForMs: _5, reservedFor: _6, reserveMs: _7, flag: _8, ...rest } = timed;
  return { ...rest, state: "held", session };
}

function errorOf(body: Uint8Array): RecordError {
  try {
    decodeRecord(KEY, body);
  } catch (e) {
    if (e instanceof RecordError) return e;
    throw e;
  }
  throw new Error("it was taken for a record");
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

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
        for (const nonce of nonces) seen = decodeRecord(KEY, encodeRecord(KEY, { ...seen, nonce, version: 7 }));
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
          if (record.session === undefined) expect(record.marginMs).toBeLessThan(record.ttlMs);
          else expect(record.session.member).toMatch(/members\/[\w-]+$/);
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
    ["text", bytes("hello"), "foreign", "not JSON"],
    ["an array", jsonBody([1]), "foreign", "not an object"],
    ["null", jsonBody(null), "foreign", "not an object"],
    ["a number", jsonBody(5), "foreign", "not an object"],
    ["another program's file, cut off", bytes('{"leader":'), "foreign", "not JSON"],
    ["a text about a format", bytes('see {"format": 1}'), "foreign", "not JSON"],
    ["cut off, behind a blank", bytes(' \n{"format": 1'), "damaged", "not JSON"],
    ["another program's JSON", jsonBody({ leader: "me" }), "foreign", '"format"'],
    ["format of another program", raw({ format: "v2" }), "foreign", '"v2"'],
    ["format 0", raw({ format: 0 }), "foreign", "format 0"],
    ["format 1.5", raw({ format: 1.5 }), "foreign", "format 1.5"],
    ["a later format", raw({ format: 3 }), "newer", "format 3"],
    ["a later format, of which nothing else is known", jsonBody({ format: 99 }), "newer", "Upgrade"],
    ["cut off", someBody().slice(0, 100), "damaged", "not JSON"],
    ["without a nonce", raw({ nonce: undefined }), "damaged", "nonce undefined"],
    ["a long nonce that is none", raw({ nonce: ["x".repeat(100)] }), "damaged", `nonce ["${"x".repeat(58)} where`],
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
    ["a flag that is null", raw({ flag: null }), "damaged", "flag null"],
    ["a flag for a lock that is a text", raw({ flag: { kind: "revoke", lock: "k" } }), "damaged", 'lock "k"'],
    ["a flag with an endless cooldown", raw({ flag: { kind: "step-down", cooldownMs: 1e15 } }), "damaged", "cooldownMs 1000000000000000"],
    ["a flag for a lock without a token", raw({ flag: { kind: "revoke", lock: { key: "k" } } }), "damaged", "fencingToken undefined"],
    ["a flag for a lock without a key", raw({ flag: { kind: "revoke", lock: { fencingToken: 1 } } }), "damaged", "key undefined"],
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
    expect(() => encodeRecord(KEY, someRecord({ nonce: "n", extra: { x: "x".repeat(room + 1) } }))).toThrow(/would take.*\(damaged record/);
  });

  it("takes what is as large as anything may be: a record of its limit beside a payload of its limit", () => {
    const payload = "x".repeat(MAX_PAYLOAD_BYTES - 2);
    const room = MAX_RECORD_BYTES - encodeRecord(KEY, someRecord({ nonce: "n", payload, extra: { x: "" } })).length;
    const full = encodeRecord(KEY, someRecord({ nonce: "n", payload, extra: { x: "x".repeat(room) } }));
    expect(full.length).toBe(MAX_RECORD_BYTES);
    expect(decodeRecord(KEY, full).payload).toBe(payload);
  });

  it("has the limits that its documents name", () => {
    expect([MAX_RECORD_BYTES, MAX_LEAN_RECORD_BYTES, MAX_PAYLOAD_BYTES, MAX_METADATA_BYTES]).toEqual([65_536, 8_192, 57_344, 2_048]);
    expect(MAX_RECORD_MS).toBe(604_800_000);
  });

  it("keeps whom a flag means, and for how long", () => {
    const cooling = { kind: "step-down", cooldownMs: 60_000 } as const;
    for (const flag of [ONE_LOCK, cooling]) expect(decodeRecord(KEY, encodeRecord(KEY, someRecord({ flag }))).flag).toEqual(flag);
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

describe("records that name a session (rules S9, R4)", () => {
  const MEMBER = "locks/members/0123456789abcdef0123456789abcdef";
  const lock = withSession(someRecord(), { member: MEMBER, token: 3 });
  const fields = (over: Record<string, unknown>): Uint8Array => {
    const { extra: _, ...own } = lock;
    return jsonBody({ format: 2, ...own, session: { member: "../members/abc", token: 3 }, ...over });
  };

  it("are of format 2, everything else stays of format 1: versions that know only that refuse a lock that they would misjudge", () => {
    fc.assert(
      fc.property(anyRecord, (record) => {
        const written = JSON.parse(new TextDecoder().decode(encodeRecord(KEY, record))) as Record<string, unknown>;
        expect(written["format"]).toBe(record.session === undefined ? 1 : 2);
        expect("ttlMs" in written).toBe(record.session === undefined);
      }),
    );
  });

  it("say where the member is from the lock's own folder, so that a store of another prefix finds the same one", () => {
    fc.assert(
      fc.property(anySessionKey, fc.stringMatching(/^[0-9a-f]{32}$/), fc.constantFrom("", "p/", "deep/down/"), (key, id, prefix) => {
        const at = key.startsWith("members/") ? "" : key.startsWith("a/") ? "a/b/locks/" : "locks/";
        const record = withSession(someRecord(), { member: `${at}members/${id}`, token: 1 });
        const body = encodeRecord(key, record);
        expect(decodeRecord(`${prefix}${key}`, body).session?.member).toBe(`${prefix}${at}members/${id}`);
      }),
    );
  });

  it("are damaged where they have a time of their own as well, are released, or name what can be no member", () => {
    for (const over of [
      { ttlMs: 15_000 },
      { flag: { kind: "asked" } },
      { state: "released" },
      { session: undefined },
      { session: { member: "../members/abc" } },
      { session: { member: "../members/abc", token: 0 } },
      { session: { member: "members/abc", token: 1 } },
      { session: { member: "../../../../members/abc", token: 1 } },
      { session: { member: "../members/../x", token: 1 } },
    ])
      expect(errorOf(fields(over)).kind, JSON.stringify(over)).toBe("damaged");
    expect(decodeRecord(KEY, fields({})).session).toEqual({ member: "locks/members/abc", token: 3 });
  });

  it("no record of format 1 names a session", () => {
    expect(errorOf(raw({ session: { member: "../members/abc", token: 1 } })).kind).toBe("damaged");
  });

  it("a member that has no place beside the lock is never written", () => {
    expect(() => encodeRecord("elsewhere/locks/x", lock)).toThrow(/no place beside it.*\(damaged record/);
  });
});
