import { describe, expect, it } from "vitest";
import type { Aged } from "../../src/lease/pruning.ts";
import { CLOSED_MS, closedForDeletion, isPrunable } from "../../src/locks/prunable.ts";
import type { TimedRecord } from "../../src/record/record.ts";
import { someRecord } from "../lease/records.ts";
import { DAY, HOUR, MINUTE } from "./ephemeral-harness.ts";

const NOW = Date.UTC(2026, 5, 1);
const SKEW = 1_000;

const RECORD = someRecord({
  state: "released",
  fencingToken: NOW - 10 * DAY,
  version: 7,
  ttlMs: 30_000,
  marginMs: 3_000,
  acquiredAt: "2026-05-20T00:00:00.000Z",
  renewedAt: "2026-05-20T00:00:00.000Z",
  expiresAt: "2026-05-20T00:00:30.000Z",
});

const aged = (ageMs: number, over: Partial<TimedRecord> = {}): Aged => ({
  record: { ...RECORD, ...over },
  dateMs: NOW,
  lastModifiedMs: NOW - ageMs,
});
const isDue = (seen: Aged, olderThanMs = HOUR): boolean => isPrunable(seen, { olderThanMs, skewMs: SKEW });

describe("what may be deleted (P2, P4)", () => {
  it("what was released longer ago than asked for, by a second and the skew, to the millisecond", () => {
    expect(isDue(aged(DAY + 2_000), DAY)).toBe(true);
    expect(isDue(aged(DAY + 1_999), DAY)).toBe(false);
    // Never within an hour, whatever is asked for.
    expect(isDue(aged(HOUR + 2_000), 0)).toBe(true);
    expect(isDue(aged(HOUR + 1_999), 0)).toBe(false);
  });

  it("nothing without both of the store's stamps", () => {
    expect(isDue({ ...aged(DAY), dateMs: undefined })).toBe(false);
    expect(isDue({ ...aged(DAY), lastModifiedMs: undefined })).toBe(false);
  });

  it("nothing that is held, flagged, or has in it what this version does not know", () => {
    expect(isDue(aged(DAY))).toBe(true);
    const { ttlMs: _, marginMs: __, expiresAt: ___, ...common } = RECORD;
    const session = { ...common, state: "held", session: { member: "locks/members/m", token: 1 } } as const;
    expect(isDue({ ...aged(DAY), record: session as never })).toBe(false);
    const others: readonly Partial<TimedRecord>[] = [
      { state: "held" },
      { flag: { kind: "asked" } },
      { payload: 0 },
      { payload: null },
      { extra: { later: true } },
    ];
    for (const other of others) expect(isDue(aged(DAY, other)), JSON.stringify(other)).toBe(false);
  });

  it("nothing that is still closed for somebody, whoever ended it", () => {
    for (const closed of [{ holdForMs: 2 * DAY }, { lockDelayMs: 2 * DAY }, { reservedFor: "b", reserveMs: 2 * DAY }]) {
      expect(isDue(aged(2 * DAY + 1_999, closed))).toBe(false);
      expect(isDue(aged(2 * DAY + 2_000, closed))).toBe(true);
    }
  });

  it("nothing whose token the store's clock is not a minute and twice its skew beyond", () => {
    expect(isDue(aged(DAY, { fencingToken: NOW - MINUTE - 2 * SKEW }))).toBe(true);
    expect(isDue(aged(DAY, { fencingToken: NOW - MINUTE - 2 * SKEW + 1 }))).toBe(false);
  });

  it("a record that is to be deleted stays as it was, but closed for longer than a DELETE may be under way, by fast clocks too (P3)", () => {
    const closed = closedForDeletion({ ...RECORD, endedBy: "self", reservedFor: "b", reserveMs: 5_000 }, "fresh");
    expect(closed).toEqual({ ...RECORD, endedBy: "self", nonce: "fresh", version: 8, holdForMs: 1.1 * CLOSED_MS, reservedFor: undefined });
    expect(CLOSED_MS).toBeGreaterThanOrEqual(MINUTE + 30 * MINUTE + 4 * MINUTE);
    // The next pruner's age is above it, so that no two DELETEs of one key are under way.
    expect(isDue(aged(1.1 * CLOSED_MS + MINUTE, closed))).toBe(false);
    expect(isDue(aged(HOUR + 2_000, closed))).toBe(true);
  });
});
