/** docs/correctness.md has one row for each rule of the protocol, and what it names is there. (Its mutants of the code: test/mutants/patches.test.ts.) */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

interface Row {
  readonly rules: readonly string[];
  readonly cells: readonly string[];
}

/** "R4, W3 …", "C3, T1–T5 …", "M …": the rules that a row begins with. */
function rulesOf(cell: string): string[] {
  const names = /^(?:[A-Z]\d*(?:–[A-Z]\d+)?(?:, )?)+(?= |$)/.exec(cell)?.[0] ?? "";
  return names.split(", ").flatMap((name) => {
    const [first = "", last] = name.split("–");
    const count = last === undefined ? 1 : Number(last.slice(1)) - Number(first.slice(1)) + 1;
    return Array.from({ length: count }, (_, i) => (last === undefined ? first : `${first[0]}${Number(first.slice(1)) + i}`));
  });
}

function table(): Row[] {
  const text = read("docs/correctness.md");
  const lines = text.slice(text.indexOf("## Rule by rule"), text.indexOf("## Promise by promise")).split("\n");
  const rows = lines.filter((line) => line.startsWith("|") && !line.startsWith("| --")).slice(1);
  return rows.map((line) => {
    const cells = line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
    return { rules: rulesOf(cells[0] ?? ""), cells };
  });
}

const namedModels = (text: string): string[] => [...text.matchAll(/`([A-Za-z]\w*_\w+)`/g)].map(([, name]) => name as string);
/** Rules of docs/protocol.md; ✔ where a model checker has shown what their absence costs. */
const defined = new Map(
  [...read("docs/protocol.md").matchAll(/\*\*([A-Z]\d*)( ✔)?\*\*/g)].map(([, rule, mark]) => [rule, mark !== undefined]),
);

describe("the table of rules", () => {
  let models: readonly { readonly name: string; readonly expect: string }[] = [];
  beforeAll(async () => {
    ({ rows: models } = (await import(join(ROOT, "model/rows.mjs"))) as { readonly rows: typeof models });
  });

  it("has a row for each rule of the protocol, and each row's rules are the protocol's", () => {
    const rows = table().flatMap((row) => row.rules);
    expect(defined.size).toBeGreaterThan(50);
    expect([...defined.keys()].filter((rule) => !rows.includes(rule as string))).toEqual([]);
    expect(rows.filter((rule) => rule !== "" && !defined.has(rule))).toEqual([]);
  });

  it("every rule that the code names is in docs/protocol.md", () => {
    const named = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .flatMap((file) =>
        [...read(`src/${file}`).matchAll(/\brules? ((?:[A-Z]\d*(?:, | and | to )?)+)/g)].flatMap(
          ([, list]) => (list ?? "").match(/[A-Z]\d*/g) ?? [],
        ),
      );
    expect(named.length).toBeGreaterThan(100);
    expect([...new Set(named)].filter((rule) => !defined.has(rule))).toEqual([]);
  });

  it("each row names tests that exist, and mutants of the code, or why there are none", () => {
    for (const { cells } of table()) {
      const [rule, prevents, , tests = "", mutants] = cells;
      expect(cells.length, rule).toBe(5);
      expect([prevents, tests, mutants].filter((cell) => cell === "")).toEqual([]);
      const files = [...tests.matchAll(/`([\w-]+\/[\w-]*)`/g)].map(([, file]) => file as string);
      expect(files.length, rule).toBeGreaterThan(0);
      for (const file of files) expect(existsSync(join(ROOT, "test", file.endsWith("/") ? file : `${file}.test.ts`)), file).toBe(true);
    }
  });

  it("each mutant of the models stands in it, or among the ring's in docs/model.md, and no other", () => {
    const modelDoc = read("docs/model.md");
    const named = [
      ...table().flatMap(({ cells }) => namedModels(cells[2] ?? "")),
      ...namedModels(modelDoc.slice(modelDoc.indexOf("## Rule by rule"), modelDoc.indexOf("## Results"))),
    ];
    const caught = models.filter((row) => row.expect !== "holds").map((row) => row.name);
    expect(caught.length).toBeGreaterThan(90);
    expect(caught.filter((name) => !named.includes(name))).toEqual([]);
    expect(named.filter((name) => !models.some((row) => row.name === name))).toEqual([]);
    expect(new Set(models.map((row) => row.name)).size).toBe(models.length);
  });

  it("each rule that is marked as checked has a row of a model", () => {
    const modelled = new Set(table().flatMap(({ rules, cells }) => (cells[2] === "–" ? [] : rules)));
    expect([...defined].filter(([rule, checked]) => checked && !modelled.has(rule as string))).toEqual([]);
  });
});
