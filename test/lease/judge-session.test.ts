/** What is decided about a lock that names a member's tenancy (rules S1, S5 to S10, S16), by the member's record alone. */
import { describe, expect, it } from "vitest";
import { RecordError } from "../../src/errors.ts";
import { judge, type Judge } from "../../src/lease/judge.ts";
import { endedMember, fateOf, tombstone, type MemberView } from "../../src/lease/member.ts";
import { KeyView, type Sighting } from "../../src/lease/observations.ts";
import type { SessionRecord, SessionRef, TimedRecord } from "../../src/record/record.ts";
import { someRecord } from "./records.ts";

const SINCE = 1_000_000;
const POLL = 5_000;
const LM = 1_767_225_600_000;
const REF: SessionRef = { member: "locks/members/m", token: 4 };

function sessionLock(over: Partial<TimedRecord> = {}): Sighting<SessionRecord> {
  const { ttlMs: _ttl, marginMs: _margin, ...rest } = someRecord(over);
  const record = { ...rest, session: REF } as unknown as SessionRecord;
  return { etag: '"lock"', record, sinceMs: 0, lastModifiedMs: LM, dateMs: LM + 1e9 };
}

function member(over: Partial<TimedRecord> = {}, stamps: { lm?: number; date?: number } = {}): Sighting<TimedRecord> {
  return {
    etag: '"member"',
    record: someRecord({ fencingToken: REF.token, ...over }),
    sinceMs: SINCE,
    lastModifiedMs: stamps.lm,
    dateMs: stamps.date,
  };
}

function viewOf(current: Sighting | undefined, over: Partial<MemberView> = {}): MemberView {
  return { key: REF.member, current, absent: false, contradiction: undefined, ...over };
}

function by(view: MemberView, over: Partial<Judge> = {}): Judge {
  return { node: "b", takeover: "auto", storeSkewMs: 1_000, isMyOrphan: () => false, memberOf: () => view, pollMs: POLL, ...over };
}

describe("judge: a lock held through a session", () => {
  it("has no age of its own: while the member is alive it is held, however old it is (rule S9)", () => {
    expect(judge(sessionLock(), by(viewOf(member())), SINCE)).toEqual({ kind: "held", freeInMs: 16_500 });
    expect(judge(sessionLock(), by(viewOf(member())), SINCE + 16_499)).toEqual({ kind: "held", freeInMs: 1 });
  });

  it("asks for the member that the lock names, and no other", () => {
    const asked: SessionRef[] = [];
    judge(sessionLock(), { ...by(viewOf(member())), memberOf: (ref) => (asked.push(ref), viewOf(member())) }, SINCE);
    expect(asked).toEqual([REF]);
  });

  it("a member that is dead by watching or by the store's time has to be ended first (rule S7)", () => {
    const seen = member();
    expect(judge(sessionLock(), by(viewOf(seen)), SINCE + 16_500)).toEqual({ kind: "end", ref: REF, member: seen });
    const old = member({}, { lm: LM, date: LM + 17_000 });
    expect(judge(sessionLock(), by(viewOf(old)), SINCE)).toEqual({ kind: "end", ref: REF, member: old });
    expect(judge(sessionLock(), by(viewOf(old), { takeover: "observe" }), SINCE)).toMatchObject({ kind: "held" });
  });

  it("free when its tenancy is over: at once by its own end, after the lock's delay by another's (rules S5, S16)", () => {
    const own = viewOf(member({ state: "released", endedBy: "self" }));
    expect(judge(sessionLock({ lockDelayMs: 700 }), by(own), SINCE)).toEqual({ kind: "free", by: "session" });
    expect(judge(sessionLock({ lockDelayMs: 700 }), by(viewOf(member({ state: "released" }))), SINCE)).toEqual({
      kind: "free",
      by: "session",
    });
    const other = viewOf(member({ state: "released", endedBy: "other" }));
    expect(judge(sessionLock(), by(other), SINCE)).toEqual({ kind: "free", by: "session" });
    expect(judge(sessionLock({ lockDelayMs: 700 }), by(other), SINCE + 699)).toEqual({ kind: "held", freeInMs: 1 });
    expect(judge(sessionLock({ lockDelayMs: 700 }), by(other), SINCE + 700)).toEqual({ kind: "free", by: "observation" });
    const later = viewOf(member({ fencingToken: 5 }));
    expect(judge(sessionLock({ lockDelayMs: 700 }), by(later), SINCE)).toMatchObject({ kind: "held" });
    expect(judge(sessionLock(), by(later), SINCE)).toEqual({ kind: "free", by: "session" });
  });

  it("a member that is missing has to be confirmed by a create; one of which nothing is known is waited for", () => {
    expect(judge(sessionLock(), by(viewOf(undefined, { absent: true })), SINCE)).toEqual({ kind: "end", ref: REF, member: undefined });
    expect(judge(sessionLock(), by(viewOf(undefined)), SINCE)).toEqual({ kind: "held", freeInMs: undefined });
  });

  it("what can't be the member makes the lock untouchable", () => {
    const judged = judge(sessionLock(), by(viewOf(member({ fencingToken: 3 }))), SINCE + POLL);
    expect(judged).toMatchObject({ kind: "untouchable", error: { code: "RECORD", kind: "regressed", key: REF.member } });
  });

  it("my own orphan is free, through a session too", () => {
    expect(judge(sessionLock(), by(viewOf(member()), { isMyOrphan: () => true }), SINCE)).toEqual({ kind: "free", by: "orphan" });
  });
});

describe("fateOf: by id and token (rule S1)", () => {
  const fate = (view: MemberView, nowMs = SINCE): string => fateOf(view, REF, nowMs, POLL).kind;

  it.each([
    [3, "held", "unknown"],
    [4, "held", "alive"],
    [4, "released", "ended"],
    [5, "held", "ended"],
    [5, "released", "ended"],
  ] as const)("token %i, %s: %s", (fencingToken, state, kind) => {
    expect(fate(viewOf(member({ fencingToken, state })))).toBe(kind);
  });

  it("says by whom", () => {
    expect(fateOf(viewOf(member({ fencingToken: 5, endedBy: "self" })), REF, SINCE, POLL)).toMatchObject({ by: "other" });
    expect(fateOf(viewOf(member({ state: "released" })), REF, SINCE, POLL)).toMatchObject({ by: "self" });
    expect(fateOf(viewOf(member({ state: "released", endedBy: "other" })), REF, SINCE, POLL)).toMatchObject({ by: "other" });
  });

  it("a lower token is a stale read until it has stood for a poll (rule S10)", () => {
    const view = viewOf(member({ fencingToken: 3 }));
    expect(fate(view, SINCE + POLL - 1)).toBe("unknown");
    expect(fate(view, SINCE + POLL)).toBe("strange");
  });

  it("gone: never seen and absent, or an absence that contradicts what was seen; but what is ended stays ended", () => {
    const gone = { sighting: undefined, sinceMs: SINCE };
    expect(fate(viewOf(undefined, { absent: true }))).toBe("missing");
    expect(fate(viewOf(undefined))).toBe("unknown");
    expect(fate(viewOf(member(), { contradiction: gone }))).toBe("missing");
    expect(fate(viewOf(member(), { contradiction: { sighting: member({ version: 0 }), sinceMs: SINCE } }))).toBe("alive");
    // An absence is only news about what was never seen: `absent` beside a record is left from before it.
    expect(fate(viewOf(member(), { absent: true }))).toBe("alive");
    expect(fate(viewOf(member({ state: "released" }), { contradiction: gone }))).toBe("ended");
    expect(fate(viewOf(member({ fencingToken: 5 }), { contradiction: gone }))).toBe("ended");
  });

  it("a member record that names a session itself is foreign", () => {
    const result = fateOf(viewOf({ ...sessionLock(), sinceMs: SINCE }), REF, SINCE, POLL);
    expect(result).toMatchObject({ kind: "strange", error: { kind: "foreign", key: REF.member } });
    expect(result.kind === "strange" && result.error).toBeInstanceOf(RecordError);
  });
});

describe("what is written in a member's place", () => {
  it("END keeps the token, moves the version, drops the flag, and says that another did it (rules S5, S6, S16)", () => {
    const before = someRecord({ fencingToken: 4, version: 9, flag: { kind: "revoke", to: undefined, by: "op" } as never });
    expect(endedMember(before, "n")).toEqual({
      ...before,
      state: "released",
      endedBy: "other",
      flag: undefined,
      nonce: "n",
      holderNonce: "n",
      version: 10,
    });
  });

  it.each([
    [undefined, 4, 1],
    [{ fencingToken: 3, version: 7 }, 4, 8],
    [{ fencingToken: 6, version: 7 }, 6, 8],
  ])("a tombstone is above all that was seen (%o)", (highest, fencingToken, version) => {
    const view = Object.assign(new KeyView(REF.member), { highest });
    expect(tombstone(sessionLock().record, view, "n", LM)).toEqual({
      ...{ state: "released", endedBy: "other", holder: "a", instance: "n", nonce: "n", holderNonce: "n", fencingToken, version },
      ...{ ttlMs: 1, marginMs: 0, extra: {} },
      ...{ acquiredAt: "2026-01-01T00:00:00.000Z", renewedAt: "2026-01-01T00:00:00.000Z", expiresAt: "2026-01-01T00:00:00.000Z" },
    });
  });
});
