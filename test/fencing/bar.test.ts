import { describe, expect, it } from "vitest";
import { ConfigError, FencedOutError } from "../../src/errors.ts";
import { checkBar, nextPointer, settlePointer, type Version } from "../../src/fencing/bar.ts";
import { type Content, encodePointer, MAX_BEFORE, type Pointer } from "../../src/fencing/pointer.ts";
import { by, KEY } from "./harness.ts";

const BASE: Pointer = {
  leaseKey: "locks/report",
  fencingToken: 5,
  version: 10,
  nonce: "base",
  before: [],
  content: { kind: "none" },
  writtenAt: "2026-01-01T00:00:00.000Z",
  extra: {},
};
const object = (n: string): Content => ({ kind: "object", name: `5-${n.repeat(32)}`, bytes: 1e6 });
const nameOf = (c: Content): string => (c.kind === "object" ? c.name : "");

describe("the bar", () => {
  const thrown = (seen: Pointer | undefined, token: number, key?: string): unknown => {
    try {
      return checkBar("report", seen, by(token, key));
    } catch (error) {
      return error;
    }
  };

  it("lets a higher and an equal token write, and whatever comes first", () => {
    expect(thrown(BASE, 6)).toBeUndefined();
    expect(thrown(BASE, 5)).toBeUndefined();
    expect(thrown(undefined, 1)).toBeUndefined();
  });

  it("refuses a lower one, with both tokens", () => {
    const error = thrown(BASE, 4);
    expect(error).toBeInstanceOf(FencedOutError);
    expect(error).toMatchObject({ code: "FENCED_OUT", mine: by(4), theirs: by(5) });
    expect((error as Error).message).toMatch(/"report".*token 4.*"locks\/report".*token 5/);
  });

  it("refuses another lease's key by name, however high its token: tokens of two keys can't be compared", () => {
    const error = thrown(BASE, 99, "elections/other");
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as Error).message).toMatch(/"locks\/report".*"elections\/other"/);
  });
});

describe("the next pointer", () => {
  const next = (base: Pointer | undefined, content: Content): Pointer =>
    nextPointer(base, { fence: by(6), nonce: "new", writtenAt: "2026-01-01T00:00:01.000Z" }, content);

  it("has the writer's token and a nonce of its own, and one version more (rules R1, R2)", () => {
    expect(next(undefined, { kind: "none" })).toMatchObject({
      fencingToken: 6,
      leaseKey: "locks/report",
      version: 1,
      nonce: "new",
      before: [],
    });
    expect(next({ ...BASE, extra: { later: 1 } }, BASE.content)).toMatchObject({
      fencingToken: 6,
      version: 11,
      before: ["base"],
      extra: { later: 1 },
    });
  });

  it("differs in its bytes from the one before, also with an equal body", () => {
    expect(encodePointer(KEY, next(BASE, BASE.content))).not.toEqual(encodePointer(KEY, BASE));
  });

  it("remembers so many nonces and no more, the newest first", () => {
    let pointer = BASE;
    for (let i = 1; i <= 12; i++) pointer = nextPointer(pointer, { fence: by(6), nonce: `n${i}`, writtenAt: BASE.writtenAt }, BASE.content);
    expect(pointer.before).toEqual(Array.from({ length: MAX_BEFORE }, (_, i) => `n${11 - i}`));
  });

  it("keeps the large body that it replaces, for one write", () => {
    const first = next(BASE, object("a"));
    expect(first.kept).toBeUndefined();
    const second = next(first, object("b"));
    expect(second.kept).toBe(nameOf(object("a")));
    expect(next(second, object("c")).kept).toBe(nameOf(object("b")));
    expect(next(second, { kind: "inline", body: new Uint8Array(3) }).kept).toBe(nameOf(object("b")));
    expect(next(next(second, { kind: "none" }), object("c")).kept).toBeUndefined();
  });

  it("an open replaces nothing, and what was kept stays kept", () => {
    const second = next(next(BASE, object("a")), object("b"));
    expect(next(second, second.content).kept).toBe(nameOf(object("a")));
  });
});

describe("what a read after a refusal says", () => {
  const base: Version = { etag: '"base"', pointer: BASE };
  const found = (over: Partial<Pointer>, etag = '"x"'): Parameters<typeof settlePointer>[2] => ({
    kind: "found",
    etag,
    body: encodePointer(KEY, { ...BASE, ...over }),
    dateMs: undefined,
    lastModifiedMs: undefined,
  });
  const settled = (read: Parameters<typeof settlePointer>[2], over: { base?: Version | undefined } = { base }): unknown =>
    settlePointer(KEY, { nonce: "mine", base: over.base, highest: over.base?.pointer }, read);

  it("my nonce: it was applied", () => {
    expect(settled(found({ nonce: "mine", version: 11 }))).toEqual({ kind: "mine", etag: '"x"' });
  });

  it("my nonce among those before: it was applied, and written over since", () => {
    expect(settled(found({ nonce: "y", before: ["x", "mine"], fencingToken: 7, version: 13 }))).toMatchObject({
      kind: "settled",
      as: { kind: "superseded" },
      applied: true,
    });
  });

  it("another's later version: mine can never be applied any more", () => {
    expect(settled(found({ nonce: "y", version: 11 }))).toMatchObject({ kind: "settled", as: { kind: "other" }, applied: false });
    expect(settled(found({ nonce: "y" }), { base: undefined })).toMatchObject({ as: { kind: "other" } });
  });

  it("the version that I wrote over: nothing is settled (rule W6)", () => {
    expect(settled(found({}, '"base"'))).toEqual({ kind: "again" });
  });

  it("an older version by token or by version: a stale read (rule W7)", () => {
    expect(settled(found({ nonce: "y", version: 9 }))).toMatchObject({ as: { kind: "older" } });
    expect(settled(found({ nonce: "y", fencingToken: 4, version: 99 }))).toMatchObject({ as: { kind: "older" } });
  });

  it("nothing there: gone for a CAS, unsettled for a create (rule W6)", () => {
    expect(settled({ kind: "absent", dateMs: undefined })).toMatchObject({ as: { kind: "gone" } });
    expect(settled({ kind: "absent", dateMs: undefined }, { base: undefined })).toEqual({ kind: "again" });
  });

  it("what is no pointer is named", () => {
    expect(settled({ ...(found({}) as object), body: new Uint8Array(3) } as Parameters<typeof settlePointer>[2])).toMatchObject({
      as: { kind: "unreadable", error: { kind: "foreign" } },
    });
    expect(settled({ kind: "too-large", etag: '"x"', size: 1e6 })).toMatchObject({
      as: { kind: "unreadable", error: { kind: "foreign" } },
    });
  });
});
