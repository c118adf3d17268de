import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { escapedPrefix, escapeName, leaseKey, memberFromPath, memberKey, nameFault, unescapeName } from "../../src/record/keys.ts";

const name = fc.string({ unit: "binary", minLength: 1, maxLength: 60 }).filter((s) => nameFault(s) === undefined);

describe("keys", () => {
  it("no two names share a key, and the name can be read back", () => {
    fc.assert(
      fc.property(name, name, (one, two) => {
        expect(unescapeName(escapeName(one))).toBe(one);
        expect(escapeName(one) === escapeName(two)).toBe(one === two);
      }),
    );
  });

  it("a name is one path segment of harmless characters, and never one that climbs", () => {
    fc.assert(
      fc.property(name, (one) => {
        expect(escapeName(one)).toMatch(/^(?:[A-Za-z0-9\-_.]|%[0-9A-F]{2})+$/);
        expect(escapeName(one)).not.toMatch(/^\.+$/);
      }),
    );
  });

  it.each([
    [".", "%2E"],
    ["..", "%2E%2E"],
    ["...", "%2E%2E%2E"],
    [".a", ".a"],
    ["a/b", "a%2Fb"],
    ["a b", "a%20b"],
    ["a+b", "a%2Bb"],
    ["a%2Fb", "a%252Fb"],
    ["*!'()~", "%2A%21%27%28%29%7E"],
    ["🦆", "%F0%9F%A6%86"],
    ["Ä", "%C3%84"],
    ["A\u0308", "A%CC%88"],
  ])("%s becomes %s", (given, segment) => {
    expect(escapeName(given)).toBe(segment);
    expect(unescapeName(segment)).toBe(given);
  });

  it.each(["a/b", "a b", "~", "%2f", "%zz", "%F0", "%41", "", "."])("%s is no segment that is ever made", (segment) => {
    expect(unescapeName(segment)).toBe(segment === "" ? "" : undefined);
  });

  it("elections, locks and tasks have name spaces of their own", () => {
    const keys = (["elections", "locks", "tasks"] as const).map((space) => leaseKey("p/", space, "locks/x"));
    expect(keys).toEqual(["p/elections/locks%2Fx", "p/locks/locks%2Fx", "p/tasks/locks%2Fx"]);
  });

  it.each([
    ["", "not empty"],
    ["a\nb", "control"],
    ["\u0000", "control"],
    ["\u007f", "control"],
    ["a\u0085b", "control"],
    ["\ud83e", "surrogate"],
    ["\udd86\ud83e", "surrogate"],
    ["x\udd86", "surrogate"],
    [7, "a text"],
    [null, "a text"],
  ])("%j is refused as a name", (given, words) => {
    expect(nameFault(given)).toContain(words);
  });

  it("a name without fault can always be made a key", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((c) => String.fromCharCode(c)), maxLength: 8 }), (any) => {
        if (nameFault(any) === undefined) expect(unescapeName(escapeName(any))).toBe(any);
        else expect(any === "" || /[\u0000-\u001f\u007f-\u009f\ud800-\udfff]/.test(any)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("the edges of keys and paths", () => {
  it("what is listed for a prefix of names is as much of it as every such name begins with when it is escaped", () => {
    expect(["", "job", "job/1", "a_b-C9.x", ".x", "ä"].map((prefix) => escapedPrefix(prefix))).toEqual([
      "",
      "job",
      "job",
      "a_b-C9",
      "",
      "",
    ]);
  });

  it("only names of nothing but dots have theirs escaped", () => {
    expect([escapeName("a.."), escapeName("..a"), escapeName("..")]).toEqual(["a..", "..a", "%2E%2E"]);
  });

  it("members live beside the locks, below the same prefix", () => {
    expect([memberKey("locks/", "abc"), memberKey("", "abc")]).toEqual(["locks/members/abc", "members/abc"]);
  });

  it("a path to a member is one as a whole, and never begins or ends with something else", () => {
    const deep = `${"a/".repeat(12)}k`;
    expect(memberFromPath("locks/a/k", "../../members/m")).toBe("members/m");
    for (const path of ["x../members/m", "../members/m/more", "nonsense", ""]) expect(memberFromPath(deep, path), path).toBeUndefined();
  });
});
