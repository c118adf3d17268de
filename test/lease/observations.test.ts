import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RecordError } from "../../src/errors.ts";
import { KeyView, Observations, observationsOf, type Sighting } from "../../src/lease/observations.ts";
import { WrittenNonces } from "../../src/lease/written.ts";
import { encodeRecord } from "../../src/record/codec.ts";
import type { TimedRecord } from "../../src/record/record.ts";
import type { ReadResult } from "../../src/store/object-store.ts";
import { jsonBody, KEY, someRecord } from "./records.ts";

const POLL = 5_000;
type Read = Parameters<KeyView["note"]>[0];

/** A version of the record, by its place; the same place is the same object. */
function found(
  fencingToken: number,
  version: number,
  over: Partial<TimedRecord> = {},
  dateMs?: number,
): Extract<ReadResult, { kind: "found" }> {
  const record = someRecord({ nonce: `n${fencingToken}.${version}`, fencingToken, version, ...over });
  return { kind: "found", etag: `"${fencingToken}.${version}"`, body: encodeRecord(KEY, record), dateMs, lastModifiedMs: 1_000 };
}
const absent: Read = { kind: "absent", dateMs: undefined };
const same: Read = { kind: "not-modified", dateMs: undefined };

function sighting(fencingToken: number, version: number, sinceMs = 0): Sighting {
  const record = someRecord({ fencingToken, version });
  return { etag: `"${fencingToken}.${version}"`, record, sinceMs, lastModifiedMs: undefined, dateMs: undefined };
}

function errorKind(noted: unknown): string | undefined {
  return noted instanceof RecordError ? noted.kind : undefined;
}

describe("what is known of a key", () => {
  it("counts a watch from the first reply that showed the version, whatever follows (rule C2)", () => {
    const view = new KeyView(KEY);
    expect(view.note(found(1, 1), 100)).toBe("new");
    expect(view.note(found(1, 1), 200)).toBe("same");
    expect(view.note(same, 300)).toBe("same");
    expect(view.current?.sinceMs).toBe(100);
    expect(view.note(found(1, 2), 400)).toBe("new");
    expect(view.current?.sinceMs).toBe(400);
  });

  it("keeps Last-Modified of the version, and the newest Date of an answer that showed it (rule T3)", () => {
    const view = new KeyView(KEY);
    view.note(found(1, 1, {}, 2_000), 0);
    view.note({ kind: "not-modified", dateMs: 9_000 }, 1);
    expect(view.current).toMatchObject({ lastModifiedMs: 1_000, dateMs: 9_000 });
    view.note(found(1, 1, {}, 12_000), 2);
    expect(view.current).toMatchObject({ lastModifiedMs: 1_000, dateMs: 12_000, sinceMs: 0 });
  });

  it("Last-Modified of another version never stands beside this one's ETag (rule T3)", () => {
    const view = new KeyView(KEY);
    view.note(found(1, 1, {}, 2_000), 0);
    view.note({ ...found(1, 2, {}, 30_000), lastModifiedMs: 29_000 }, 1);
    expect(view.current).toMatchObject({ etag: '"1.2"', lastModifiedMs: 29_000, dateMs: 30_000 });
    view.note({ ...found(1, 3, {}, 40_000), lastModifiedMs: undefined }, 2);
    expect(view.current?.lastModifiedMs).toBeUndefined();
  });

  it("an older version is ignored and extends nothing (rule W7)", () => {
    const view = new KeyView(KEY);
    view.note(found(2, 7), 100);
    for (const older of [found(2, 6), found(1, 99)]) {
      expect(view.note(older, 5_000)).toBe("stale");
      expect(view.current).toMatchObject({ etag: '"2.7"', sinceMs: 100 });
    }
  });

  it("a stale read does not begin the watch of the newest again when it is seen again", () => {
    const view = new KeyView(KEY);
    view.note(found(2, 7), 100);
    view.note(found(2, 6), 200);
    expect(view.note(found(2, 7), 300)).toBe("same");
    expect(view.current?.sinceMs).toBe(100);
    expect(view.contradiction).toBeUndefined();
  });

  it("reads in any order leave the highest by (token, version), and its highest never sinks", () => {
    const place = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }));
    fc.assert(
      fc.property(fc.array(place, { minLength: 1, maxLength: 30 }), (places) => {
        const view = new KeyView(KEY);
        const sorted = [...places].sort(([t1, v1], [t2, v2]) => t1 - t2 || v1 - v2);
        places.forEach(([t, v], i) => view.note(found(t, v), i));
        const [token, version] = sorted.at(-1) ?? [0, 0];
        expect(view.highest).toEqual({ fencingToken: token, version });
        expect(view.current?.record).toMatchObject({ fencingToken: token, version });
      }),
    );
  });

  it("`absent` only after a read of its own said so, and only where nothing was known (rule W6)", () => {
    const view = new KeyView(KEY);
    expect(view.absent).toBe(false);
    expect(view.note(absent, 0)).toBe("new");
    expect(view.absent).toBe(true);
    view.note(found(1, 1), 1);
    expect(view.absent).toBe(false);
    expect(view.note(absent, 2)).toBe("stale");
    expect(view.absent).toBe(false);
    expect(view.current?.etag).toBe('"1.1"');
  });

  it("a create that was refused means that there is an object: no second create without a look", () => {
    const view = new KeyView(KEY);
    view.note(absent, 0);
    view.noteRefused(undefined, 1);
    expect(view.absent).toBe(false);
  });

  it("what can't be read is an error of its kind, and changes nothing that is known (rule R4)", () => {
    const view = new KeyView(KEY);
    view.note(found(3, 3), 0);
    const garbage = { ...found(3, 4), body: jsonBody({ hi: 1 }) };
    expect(errorKind(view.note(garbage, 1))).toBe("foreign");
    expect(errorKind(view.note({ ...garbage, body: jsonBody({ format: 3 }) }, 1))).toBe("newer");
    expect(errorKind(view.note({ ...garbage, body: new Uint8Array(0) }, 1))).toBe("foreign");
    expect(errorKind(view.note({ kind: "too-large", etag: '"big"', size: 1e6 }, 1))).toBe("foreign");
    expect(view.current?.etag).toBe('"3.3"');
  });

  it("a version of one's own that turns out to be an older one does not hide a newer (rule W7)", () => {
    const view = new KeyView(KEY);
    view.note(found(2, 9), 100);
    view.accept(sighting(1, 8, 200));
    expect(view.current?.etag).toBe('"2.9"');
    expect(view.highest).toEqual({ fencingToken: 2, version: 9 });
  });
});

describe("equal places", () => {
  it("an absence that was known is no news", () => {
    const view = new KeyView(KEY);
    expect([view.note(absent, 0), view.note(absent, 1)]).toEqual(["new", "same"]);
  });

  it("another ETag at the same token and version is a version of its own, watched anew: the object was copied over itself", () => {
    const view = new KeyView(KEY);
    view.note(found(1, 1), 0);
    expect(view.note({ ...found(1, 1), etag: '"copied"' }, 500)).toBe("new");
    expect(view.current).toMatchObject({ etag: '"copied"', sinceMs: 500 });
    view.accept({ ...sighting(1, 1, 900), etag: '"again"' });
    expect(view.current).toMatchObject({ etag: '"again"', sinceMs: 900 });
  });

  it("an absence after an older version is another contradiction, counted from its own first sight", () => {
    const view = new KeyView(KEY);
    view.note(found(2, 2), 0);
    expect(view.note(found(1, 1), 100)).toBe("stale");
    expect(view.note(absent, 200)).toBe("stale");
    expect(view.contradiction).toEqual({ sighting: undefined, sinceMs: 200 });
    expect(view.note(absent, 300)).toBe("stale");
    expect(view.contradiction?.sinceMs).toBe(200);
  });
});

describe("contradictions: rolled back, deleted, or just a stale read (rules W7, H10)", () => {
  it("nothing is settled before it has persisted for a poll and a CAS on the newest was refused", () => {
    const view = new KeyView(KEY);
    view.note(found(5, 9), 0);
    view.note(found(4, 2), 1_000);
    expect(view.settleContradiction(1e6, POLL)).toBeUndefined();
    view.noteRefused('"5.9"', 2_000);
    expect(view.settleContradiction(1_000 + POLL - 1, POLL)).toBeUndefined();
    expect(errorKind(view.settleContradiction(1_000 + POLL, POLL))).toBe("regressed");
  });

  it("a refusal of another ETag settles nothing", () => {
    const view = new KeyView(KEY);
    view.note(found(5, 9), 0);
    view.note(found(4, 2), 1_000);
    view.noteRefused('"5.8"', 2_000);
    expect(view.settleContradiction(1e6, POLL)).toBeUndefined();
  });

  it("reads that flip between two versions settle nothing: each sight of the newest begins anew", () => {
    const view = new KeyView(KEY);
    view.note(found(5, 9), 0);
    view.noteRefused('"5.9"', 1);
    for (let t = 1_000; t < 100_000; t += 1_000) {
      view.note(t % 4_000 === 0 ? found(5, 9) : found(5, 8), t);
      expect(view.settleContradiction(t, POLL)).toBeUndefined();
    }
    expect(view.current?.sinceMs).toBe(0);
  });

  it("the same older version persists from when it was first seen; another one begins anew", () => {
    const view = new KeyView(KEY);
    view.note(found(5, 9), 0);
    view.noteRefused('"5.9"', 1);
    view.note(found(4, 1), 1_000);
    view.note(found(4, 1), 5_999);
    expect(errorKind(view.settleContradiction(6_000, POLL))).toBe("regressed");
    view.note(found(4, 2), 6_000);
    expect(view.settleContradiction(10_999, POLL)).toBeUndefined();
    expect(errorKind(view.settleContradiction(11_000, POLL))).toBe("regressed");
  });

  it("an older version of the same token is the truth then, watched from when it was first seen", () => {
    const view = new KeyView(KEY);
    view.note(found(5, 9), 0);
    view.noteRefused('"5.9"', 500);
    view.note(found(5, 4), 1_000);
    expect(view.settleContradiction(6_000, POLL)).toBeUndefined();
    expect(view.current).toMatchObject({ etag: '"5.4"', sinceMs: 1_000 });
    expect(view.highest).toEqual({ fencingToken: 5, version: 4 });
  });

  it("a deleted record is a regression, not a free key; the error says what to do", () => {
    const view = new KeyView(KEY);
    view.note(found(5, 9), 0);
    view.note(absent, 1_000);
    view.noteRefused('"5.9"', 1_000);
    const error = view.settleContradiction(6_000, POLL);
    expect(error).toMatchObject({ kind: "regressed", key: KEY });
    expect(error?.message).toContain("deleted");
    expect(error?.message).toContain("fencing token 5");
    expect(error?.message).toContain("released record with at least that token");
    expect(view.absent).toBe(false);
  });

  it("an operator's released record with at least that token ends it, with a lower one does not", () => {
    const token = fc.integer({ min: 1, max: 10 });
    fc.assert(
      fc.property(token, fc.integer({ min: 1, max: 20 }), (given, version) => {
        const view = new KeyView(KEY);
        view.note(found(5, 9), 0);
        view.noteRefused('"5.9"', 1);
        view.note(absent, 2);
        expect(errorKind(view.settleContradiction(POLL + 2, POLL))).toBe("regressed");
        const repaired = found(given, version, { state: "released", holder: "operator" });
        view.note({ ...repaired, etag: '"repaired"' }, 20_000);
        const error = view.settleContradiction(20_000 + POLL, POLL);
        if (given < 5) {
          expect(errorKind(error)).toBe("regressed");
          expect(view.current?.etag).toBe('"5.9"');
        } else {
          expect(error).toBeUndefined();
          expect(view.current?.etag).toBe('"repaired"');
        }
      }),
    );
  });
});

describe("the table of observations", () => {
  it("is bounded, and drops the least recently used key", () => {
    const table = new Observations(3);
    const [a, b] = [table.view("a"), table.view("b")];
    table.view("c");
    expect(table.view("a")).toBe(a);
    table.view("d");
    expect(table.view("a")).toBe(a);
    expect(table.view("b")).not.toBe(b);
  });

  it("never holds more than its limit", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 60 }), fc.integer({ min: 1, max: 6 }), (keys, limit) => {
        const table = new Observations(limit);
        const model: { key: string; view: KeyView }[] = [];
        for (const k of keys) {
          const key = String(k);
          const view = table.view(key);
          const at = model.findIndex((m) => m.key === key);
          if (at >= 0) expect(view).toBe(model[at]?.view);
          else for (const m of model) expect(view).not.toBe(m.view);
          if (at >= 0) model.splice(at, 1);
          model.push({ key, view });
          if (model.length > limit) model.shift();
        }
      }),
    );
  });

  it("is one for each store object", () => {
    const [one, two] = [{}, {}];
    expect(observationsOf(one)).toBe(observationsOf(one));
    expect(observationsOf(one)).not.toBe(observationsOf(two));
  });
});

describe("nonces of one lease object (rule W3)", () => {
  const at = { monotonicMs: 1, wallMs: 2 };

  it("remembers the newest, each with its first send", () => {
    const written = new WrittenNonces();
    for (let i = 0; i < 200; i++) written.add(`n${i}`, { monotonicMs: i, wallMs: i });
    expect(written.has("n199") && written.has("n136")).toBe(true);
    expect(written.has("n0")).toBe(false);
    expect(written.firstSentAt("n150")).toEqual({ monotonicMs: 150, wallMs: 150 });
    expect(written.firstSentAt("n0")).toBeUndefined();
  });

  it("does not take another's for its own", () => {
    const written = new WrittenNonces();
    written.add("mine", at);
    expect(written.has("theirs")).toBe(false);
  });
});
