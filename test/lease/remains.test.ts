import { describe, expect, it } from "vitest";
import { remainsOf } from "../../src/lease/remains.ts";
import { encodeRecord } from "../../src/record/codec.ts";
import { commandFor, wayOut } from "../../src/record/way-out.ts";
import { jsonBody, KEY, someBody, someRecord } from "./records.ts";

const session = { member: "locks/members/m1", token: 3 };
const sessionBody = (fencingToken: number): Uint8Array => {
  const { holder, instance, nonce, holderNonce, version, acquiredAt, renewedAt, extra } = someRecord();
  const common = { holder, instance, nonce, holderNonce, version, acquiredAt, renewedAt, extra };
  return encodeRecord(KEY, { ...common, fencingToken, state: "held", session });
};

describe("what remains of a record", () => {
  it("of one cut at any place: what is still whole, and never a number that was cut", () => {
    const whole = someBody({ fencingToken: 1234, version: 5678, ttlMs: 15_000 });
    const told = new Set<number | undefined>();
    for (let length = 0; length < whole.length; length++) {
      const { fencingToken, version, ttlMs, record } = remainsOf(KEY, [whole.slice(0, length)]);
      expect([undefined, 1234]).toContain(fencingToken);
      expect([undefined, 5678]).toContain(version);
      expect([undefined, 15_000]).toContain(ttlMs);
      expect(record).toBeUndefined();
      told.add(fencingToken);
    }
    expect(told).toEqual(new Set([undefined, 1234]));
  });

  it("of a session's lock cut at any place: its session or none", () => {
    const whole = sessionBody(4);
    for (let length = 0; length < whole.length; length++)
      expect([[], [session]]).toContainEqual(remainsOf(KEY, [whole.slice(0, length)]).sessions);
    expect(remainsOf(KEY, [whole.slice(0, -1)]).sessions).toEqual([session]);
  });

  it("the highest token and version, the longest ttl of all versions; the record with the highest token is what goes on", () => {
    const bodies = [
      new TextEncoder().encode("garbage"),
      someBody({ fencingToken: 3, version: 9, ttlMs: 15_000, holder: "restored" }),
      someBody({ fencingToken: 7, version: 4, ttlMs: 5_000, marginMs: 500, holder: "newest", payload: { kept: 1 } }),
      someBody({ fencingToken: 2, version: 1, ttlMs: 60_000 }),
    ];
    expect(remainsOf(KEY, bodies)).toMatchObject({
      fencingToken: 7,
      version: 9,
      ttlMs: 60_000,
      sessions: [],
      record: { holder: "newest", payload: { kept: 1 } },
      newer: false,
    });
  });

  it("whoever the newest legible version names, and whoever had the highest token: both may believe", () => {
    const released = someBody({ state: "released", fencingToken: 3 });
    expect(remainsOf(KEY, [released, sessionBody(5)]).sessions).toEqual([session]);
    expect(remainsOf(KEY, [sessionBody(3), someBody({ fencingToken: 5 })]).sessions).toEqual([session]);
    expect(remainsOf(KEY, [sessionBody(5), sessionBody(4)]).sessions).toEqual([session]);
    expect(remainsOf(KEY, [someBody({ fencingToken: 6 }), sessionBody(5)]).sessions).toEqual([]);
  });

  it("a newer format is seen in any version, also in one that was cut", () => {
    expect(remainsOf(KEY, [jsonBody({ format: 3 })]).newer).toBe(true);
    expect(remainsOf(KEY, [new TextEncoder().encode("x"), jsonBody({ format: 3, state: "held" }).slice(0, -3)]).newer).toBe(true);
    expect(remainsOf(KEY, [new TextEncoder().encode('{"format":2,"sta')]).newer).toBe(false);
  });

  it("numbers beyond all sense count for nothing", () => {
    const text = (body: string): Uint8Array => new TextEncoder().encode(body);
    expect(remainsOf(KEY, [text('{"fencingToken":9007199254740991,"version":0,"ttlMs":99999999999,')])).toMatchObject({
      fencingToken: undefined,
      version: undefined,
      ttlMs: undefined,
    });
    expect(remainsOf(KEY, [])).toMatchObject({ fencingToken: undefined, record: undefined, sessions: [], newer: false });
  });
});

describe("the way out that a message names", () => {
  it.each([
    ["locks/locks/deploy", "s3-consensus repair deploy"],
    ["locks/elections/billing", "s3-consensus repair --kind election billing"],
    ["locks/ephemeral/job-7", "s3-consensus repair --kind ephemeral job-7"],
    ["locks/members/abc", "s3-consensus repair --kind member abc"],
    ["locks/ephemeral/invoice-42", "s3-consensus repair --kind ephemeral invoice-42"],
    ["jobs/prod/tasks/report", "s3-consensus repair --prefix jobs/prod/ --kind task report"],
    ["tasks/report", "s3-consensus repair --prefix '' --kind task report"],
    ["locks/locks/it%27s%20mine", String.raw`s3-consensus repair 'it'\''s mine'`],
    ["locks/locks/--force", "s3-consensus repair -- --force"],
  ])("%s", (key, command) => {
    expect(commandFor(key, "repair")).toBe(command);
  });

  it("says what else the command has to be told, before the name", () => {
    expect(wayOut("locks/locks/-x", "accept-regression", "--token 7 --ttl 15000ms")).toBe(
      ". The way out: s3-consensus accept-regression --token 7 --ttl 15000ms -- -x",
    );
  });

  it.each(["reports/latest.json", "locks/others/x", "locks/locks/a/b", "locks/locks/"])("%s is no lease's: there is none", (key) => {
    expect(commandFor(key, "repair")).toBeUndefined();
    expect(wayOut(key, "repair")).toBe("");
  });
});
