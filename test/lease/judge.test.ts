import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judge, type Judge, type Judgement, type Takeover } from "../../src/lease/judge.ts";
import { KeyView, type Sighting } from "../../src/lease/observations.ts";
import type { TimedRecord } from "../../src/record/record.ts";
import { someRecord } from "./records.ts";

const SINCE = 1_000_000;
const LM = 1_767_225_600_000;

function seen(over: Partial<TimedRecord> = {}, stamps: { lm?: number | undefined; date?: number | undefined } = {}): Sighting {
  return { etag: '"e"', record: someRecord(over), sinceMs: SINCE, lastModifiedMs: stamps.lm, dateMs: stamps.date };
}

function by(over: Partial<Judge> = {}): Judge {
  return {
    node: "b",
    takeover: "auto",
    storeSkewMs: 1_000,
    isMyOrphan: () => false,
    memberOf: (ref) => new KeyView(ref.member),
    pollMs: 5_000,
    ...over,
  };
}

const after = (ms: number): number => SINCE + ms;
const kindOf = (j: Judgement): string => (j.kind === "free" ? `free by ${j.by}` : "held");

describe("judge: free or not", () => {
  it("a released record is free at once, a held one is not (rule C1)", () => {
    expect(kindOf(judge(seen({ state: "released" }), by(), SINCE))).toBe("free by released");
    expect(judge(seen(), by(), SINCE)).toEqual({ kind: "held", freeInMs: 16_500 });
  });

  it("a time to reserve it for nobody reserves nothing (rule C7)", () => {
    expect(kindOf(judge(seen({ state: "released", reserveMs: 500 }), by(), SINCE))).toBe("free by released");
  });

  it("my own orphan is free at once; whose it is, the lease object says and never the node name (rules C1, H9)", () => {
    expect(kindOf(judge(seen({ holder: "b" }), by(), SINCE))).toBe("held");
    expect(kindOf(judge(seen({ holder: "z" }), by({ isMyOrphan: () => true }), SINCE))).toBe("free by orphan");
  });

  it("an orphan is a held record: one that was released with a hold binds me too (rule C6)", () => {
    expect(kindOf(judge(seen({ state: "released", holdForMs: 500 }), by({ isMyOrphan: () => true }), SINCE))).toBe("held");
  });

  it("my own orphan with a lock delay is closed for me as for everybody (rule C6)", () => {
    expect(judge(seen({ lockDelayMs: 4_000 }), by({ isMyOrphan: () => true }), SINCE)).toEqual({ kind: "held", freeInMs: 20_500 });
  });

  it("dead by observation at W of the record, and not a millisecond before (rule C2)", () => {
    const record = { ttlMs: 5_000, marginMs: 1_000 };
    expect(judge(seen(record), by(), after(5_499))).toEqual({ kind: "held", freeInMs: 1 });
    expect(kindOf(judge(seen(record), by(), after(5_500)))).toBe("free by observation");
  });

  it("watches longer for a holder without a margin", () => {
    expect(kindOf(judge(seen({ marginMs: 0 }), by(), after(18_333)))).toBe("held");
    expect(kindOf(judge(seen({ marginMs: 0 }), by(), after(18_334)))).toBe("free by observation");
  });

  it("dead by the store's time at X of the record, and not a millisecond before (rules C3, T1)", () => {
    // (15,000 - 1,500) / 0.9 + 1,000 + s
    for (const skew of [0, 1_000, 2_500]) {
      const x = 16_000 + skew;
      expect(kindOf(judge(seen({}, { lm: LM, date: LM + x - 1 }), by({ storeSkewMs: skew }), SINCE))).toBe("held");
      expect(kindOf(judge(seen({}, { lm: LM, date: LM + x }), by({ storeSkewMs: skew }), SINCE))).toBe("free by store-time");
    }
  });

  it("says nothing by the store's time where its times are unfit, or one of the two is missing (rule T4)", () => {
    const old = { lm: LM, date: LM + 1e9 };
    expect(kindOf(judge(seen({}, old), by({ storeSkewMs: undefined }), SINCE))).toBe("held");
    expect(kindOf(judge(seen({}, { date: LM }), by(), SINCE))).toBe("held");
    expect(kindOf(judge(seen({}, { lm: LM }), by(), SINCE))).toBe("held");
    // A Date before Last-Modified (two servers that differ) only waits longer.
    expect(kindOf(judge(seen({}, { lm: LM, date: LM - 60_000 }), by(), SINCE))).toBe("held");
  });

  it("`takeover` chooses the evidence", () => {
    const old = { lm: LM, date: LM + 1e9 };
    const table: [Takeover, string, string][] = [
      ["auto", "free by store-time", "free by observation"],
      ["observe", "held", "free by observation"],
      ["store-time", "free by store-time", "held"],
    ];
    for (const [takeover, byStamps, byWatch] of table) {
      expect(kindOf(judge(seen({}, old), by({ takeover }), SINCE)), takeover).toBe(byStamps);
      expect(kindOf(judge(seen(), by({ takeover }), after(1e6))), takeover).toBe(byWatch);
    }
    expect(judge(seen(), by({ takeover: "store-time" }), after(1e6))).toEqual({ kind: "held", freeInMs: undefined });
  });

  it("never looks at a time of day in the record (rule C4)", () => {
    const date = fc.date({ noInvalidDate: true }).map((d) => d.toISOString());
    fc.assert(
      fc.property(date, date, date, fc.integer({ min: 0, max: 16_499 }), (acquiredAt, renewedAt, expiresAt, ms) => {
        expect(judge(seen({ acquiredAt, renewedAt, expiresAt }), by(), after(ms))).toEqual({ kind: "held", freeInMs: 16_500 - ms });
      }),
    );
  });
});

describe("judge: closed after its end (rule C6)", () => {
  it("a lock delay comes on top of a death, however it is told", () => {
    const record = { lockDelayMs: 4_000 };
    expect(kindOf(judge(seen(record), by(), after(20_499)))).toBe("held");
    expect(kindOf(judge(seen(record), by(), after(20_500)))).toBe("free by observation");
    expect(kindOf(judge(seen(record, { lm: LM, date: LM + 20_999 }), by(), SINCE))).toBe("held");
    expect(kindOf(judge(seen(record, { lm: LM, date: LM + 21_000 }), by(), SINCE))).toBe("free by store-time");
  });

  it("a lock delay applies to a release by another, not to the holder's own", () => {
    const record = { state: "released", lockDelayMs: 4_000 } as const;
    expect(kindOf(judge(seen({ ...record, endedBy: "self" }), by(), SINCE))).toBe("free by released");
    expect(kindOf(judge(seen({ ...record, endedBy: "other" }), by(), after(3_999)))).toBe("held");
    expect(kindOf(judge(seen({ ...record, endedBy: "other" }), by(), after(4_000)))).toBe("free by observation");
  });

  it("a minimum hold binds everybody, the named successor too", () => {
    const record = { state: "released", endedBy: "self", holdForMs: 2_000, reservedFor: "b", reserveMs: 9_000 } as const;
    expect(kindOf(judge(seen(record), by(), after(1_999)))).toBe("held");
    expect(kindOf(judge(seen(record), by(), after(2_000)))).toBe("free by observation");
    expect(kindOf(judge(seen(record, { lm: LM, date: LM + 3_999 }), by(), SINCE))).toBe("held");
    expect(kindOf(judge(seen(record, { lm: LM, date: LM + 4_000 }), by(), SINCE))).toBe("free by store-time");
  });
});

describe("judge: a named successor (rule C7)", () => {
  const record = { state: "released", endedBy: "self", reservedFor: "b", reserveMs: 7_000 } as const;

  it("takes it at once", () => {
    expect(kindOf(judge(seen(record), by(), SINCE))).toBe("free by released");
  });

  it("the others treat it as held until `reserveMs` after their first read, and not longer", () => {
    expect(judge(seen(record), by({ node: "c" }), after(6_999))).toEqual({ kind: "held", freeInMs: 1 });
    expect(kindOf(judge(seen(record), by({ node: "c" }), after(7_000)))).toBe("free by observation");
    expect(kindOf(judge(seen(record, { lm: LM, date: LM + 8_999 }), by({ node: "c" }), SINCE))).toBe("held");
    expect(kindOf(judge(seen(record, { lm: LM, date: LM + 9_000 }), by({ node: "c" }), SINCE))).toBe("free by store-time");
  });

  it("the longest of hold, delay and reservation counts", () => {
    fc.assert(
      fc.property(fc.nat(9_999), fc.nat(9_999), fc.nat(9_999), fc.boolean(), (holdForMs, lockDelayMs, reserveMs, other) => {
        const closed = Math.max(holdForMs, reserveMs, other ? lockDelayMs : 0);
        const s = seen({ state: "released", endedBy: other ? "other" : "self", holdForMs, lockDelayMs, reservedFor: "z", reserveMs });
        if (closed > 0) expect(judge(s, by(), after(closed - 1))).toEqual({ kind: "held", freeInMs: 1 });
        expect(judge(s, by(), after(closed)).kind).toBe("free");
      }),
    );
  });
});
