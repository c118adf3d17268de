import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { RULES } from "../sim/proof/mutants.ts";
import { PROMISES } from "../sim/proof/promises.ts";
import { applied, misfits } from "./patch.ts";
import { TESTED, UNLISTED } from "./table.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

// The mutants themselves run by `npm run mutants:tests`; here only that the table has kept up with the sources.
describe("the mutants of the rules", () => {
  it("every patch fits the sources exactly once", () => {
    expect(misfits(ROOT, TESTED)).toEqual([]);
  });

  it("every mutant of the simulator is known to a unit test, too", () => {
    expect(UNLISTED).toEqual([]);
  });

  it("every one names tests that exist, and has an id of its own", () => {
    for (const { id, tests } of TESTED) {
      expect(tests.length, id).toBeGreaterThan(0);
      for (const file of tests) expect(existsSync(join(ROOT, file)), file).toBe(true);
    }
    expect(new Set(TESTED.map((m) => m.id)).size).toBe(TESTED.length);
  });

  it("docs/correctness.md lists every one, and none that is not there; ° marks those that the simulator finds, too", () => {
    const text = readFileSync(join(ROOT, "docs/correctness.md"), "utf8");
    const table = text.slice(text.indexOf("## Rule by rule"), text.indexOf("## Results"));
    const cells = table.split("\n").flatMap((line) => (line.startsWith("|") ? [line.split("|").at(-2) ?? ""] : []));
    const listed = cells.flatMap((cell) => [...cell.matchAll(/`([\w-]+)`(°?)/g)].map(([, id, mark]) => ({ id, found: mark === "°" })));
    expect(new Set(listed.map((l) => l.id))).toEqual(new Set(TESTED.map((m) => m.id)));
    const simulated = [...RULES, ...PROMISES].filter((m) => m.masked === undefined).map((m) => m.id);
    expect(new Set(listed.filter((l) => l.found).map((l) => l.id))).toEqual(new Set(simulated));
    for (const [, file] of table.matchAll(/`((?:record|lease|election|session|fencing)\/[\w-]+)`/g))
      expect(existsSync(join(ROOT, `test/${file}.test.ts`)), file).toBe(true);
  });

  it("a patch that does not fit is an error", () => {
    expect(() => applied("a b", { file: "f", find: "c", put: "d" })).toThrow(/found 0 times/);
    expect(() => applied("a a", { file: "f", find: "a", put: "d" })).toThrow(/found 2 times/);
    expect(applied("if (a &&\n  b) c", { file: "f", find: "a && b", put: "x" })).toBe("if (x) c");
  });
});
