import { describe, expect, it } from "vitest";
import { settle, type LogicalWrite, type Settlement } from "../../src/lease/settle.ts";
import type { TimedRecord } from "../../src/record/record.ts";
import type { ReadResult } from "../../src/store/object-store.ts";
import { KEY, jsonBody, someBody, someRecord } from "./records.ts";

const BASE = someRecord({ nonce: "old", instance: "me", fencingToken: 5, version: 10 });
const base = { etag: '"base"', record: BASE };

/** A renewal of mine, version 11, that was refused. */
const renewal: LogicalWrite<TimedRecord> = { record: { ...BASE, nonce: "new", holderNonce: "new", version: 11 }, base };
const acquisition: LogicalWrite<TimedRecord> = {
  record: someRecord({ nonce: "new", instance: "me", fencingToken: 6, version: 11 }),
  base: { etag: '"base"', record: { ...BASE, instance: "them" } },
};
const creation: LogicalWrite<TimedRecord> = {
  record: someRecord({ nonce: "new", instance: "me", fencingToken: 1, version: 1 }),
  base: undefined,
};

const mineOnce = new Set(["old", "new"]);

function found(over: Partial<TimedRecord>, etag = '"now"'): Extract<ReadResult, { kind: "found" }> {
  return { kind: "found", etag, body: someBody(over), dateMs: undefined, lastModifiedMs: undefined };
}
const absent: ReadResult & { kind: "absent" } = { kind: "absent", dateMs: undefined };

const kindOf = (s: Settlement): string => s.kind;

describe("settle: what a read says about a refused write (rule W3)", () => {
  it("my nonce there: it was applied", () => {
    for (const write of [renewal, acquisition, creation])
      expect(settle(KEY, write, found({ ...write.record }), mineOnce)).toEqual({ kind: "mine", etag: '"now"' });
  });

  it("my release below what another wrote over it without acquiring: it was applied (rule S14)", () => {
    const release = { ...renewal, record: { ...renewal.record, state: "released", endedBy: "self" } } as const;
    const over = { ...release.record, nonce: "t", version: 12 };
    expect(settle(KEY, release, found(over), mineOnce)).toEqual({ kind: "mine", etag: '"now"' });
    expect(kindOf(settle(KEY, release, found({ ...over, holderNonce: "old", endedBy: "other" }), mineOnce))).toBe("other");
    expect(kindOf(settle(KEY, release, found({ ...over, holderNonce: "t", fencingToken: 6 }), mineOnce))).toBe("other");
    expect(kindOf(settle(KEY, renewal, found(over), mineOnce))).toBe("other");
  });

  it("the version that the write named, or an older one: stale, nothing is settled (rule W7)", () => {
    expect(kindOf(settle(KEY, renewal, found({ ...BASE }, '"base"'), mineOnce))).toBe("again");
    expect(kindOf(settle(KEY, renewal, found({ ...BASE, nonce: "older", version: 9 }), mineOnce))).toBe("again");
    expect(kindOf(settle(KEY, renewal, found({ ...BASE, nonce: "older", fencingToken: 4, version: 99 }), mineOnce))).toBe("again");
  });

  it("another version in the very place of the one that the write named is no stale read: somebody put it there", () => {
    const copied = found({ ...BASE, nonce: "t", holderNonce: "t", instance: "them" });
    expect(kindOf(settle(KEY, renewal, copied, mineOnce))).toBe("other");
  });

  it("somebody else's later record settles it", () => {
    const theirs = found({ nonce: "t", instance: "them", fencingToken: 6, version: 11 });
    expect(settle(KEY, renewal, theirs, mineOnce)).toMatchObject({ kind: "other", record: { fencingToken: 6 } });
    expect(kindOf(settle(KEY, acquisition, theirs, mineOnce))).toBe("other");
    expect(kindOf(settle(KEY, creation, theirs, mineOnce))).toBe("other");
  });

  it("an operator's flag over my own newest write: still mine, and the write in question is not below it (rule H4)", () => {
    const flagged = found({ ...BASE, nonce: "op", holderNonce: "old", version: 11, flag: { kind: "revoke" } });
    expect(settle(KEY, renewal, flagged, mineOnce)).toMatchObject({ kind: "still-mine", applied: false });
  });

  it("a flag over the write in question: still mine, and it was applied", () => {
    const flagged = found({ ...BASE, nonce: "op", holderNonce: "new", version: 12, flag: { kind: "revoke" } });
    expect(settle(KEY, renewal, flagged, mineOnce)).toMatchObject({ kind: "still-mine", applied: true });
  });

  it("all nonces of mine whose fate was once open count as mine, not only the last", () => {
    const earlier = found({ ...BASE, nonce: "earlier", holderNonce: "earlier", version: 11 });
    expect(kindOf(settle(KEY, renewal, earlier, new Set(["old", "earlier", "new"])))).toBe("still-mine");
  });

  it("instance and token alone never prove that it is mine: a clone has them too (rules H4, H9)", () => {
    const clone = found({ ...BASE, nonce: "clone's", holderNonce: "clone's", version: 11 });
    expect(kindOf(settle(KEY, renewal, clone, mineOnce))).toBe("other");
  });

  it("another token, another instance or a released record is never still mine", () => {
    for (const over of [{ fencingToken: 6 }, { instance: "them" }, { state: "released" }] as const)
      expect(kindOf(settle(KEY, renewal, found({ ...BASE, nonce: "x", version: 11, ...over }), mineOnce))).toBe("other");
  });

  it("an earlier acquisition of mine is not this one (rule S4)", () => {
    const earlier = found({ ...acquisition.record, nonce: "first", holderNonce: "first", fencingToken: 5, version: 11 });
    const settled = settle(KEY, { ...acquisition, base: undefined }, earlier, new Set(["first", "new"]));
    expect(kindOf(settled)).toBe("other");
  });

  it("nothing there: gone for a CAS, unsettled for a create (rule W6)", () => {
    expect(kindOf(settle(KEY, renewal, absent, mineOnce))).toBe("gone");
    expect(kindOf(settle(KEY, creation, absent, mineOnce))).toBe("again");
  });

  it("what can't be read is a named error and no record", () => {
    const garbage = { ...found({}), body: jsonBody({ hello: 1 }) };
    expect(settle(KEY, renewal, garbage, mineOnce)).toMatchObject({ kind: "unreadable", error: { kind: "foreign" } });
    const large: ReadResult & { kind: "too-large" } = { kind: "too-large", etag: '"x"', size: 1e6 };
    expect(settle(KEY, renewal, large, mineOnce)).toMatchObject({ kind: "unreadable", error: { kind: "foreign" } });
    const newer = { ...found({}), body: jsonBody({ format: 3 }) };
    expect(settle(KEY, renewal, newer, mineOnce)).toMatchObject({ kind: "unreadable", error: { kind: "newer" } });
  });
});
