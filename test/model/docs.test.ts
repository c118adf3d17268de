import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

interface Row {
  readonly name: string;
  readonly expect: string;
}

const ROOT = join(import.meta.dirname, "../..");

test("docs/model.md names every mutant of the models, and no other", async () => {
  const { rows } = (await import(join(ROOT, "model/rows.mjs"))) as { readonly rows: readonly Row[] };
  const text = readFileSync(join(ROOT, "docs/model.md"), "utf8");
  const table = text.slice(text.indexOf("## Rule by rule"), text.indexOf("## What the models leave out"));
  const named = [...new Set([...table.matchAll(/`([A-Za-z]\w*_\w+)`/g)].map((match) => match[1] as string))];
  const caught = rows.filter((row) => row.expect !== "holds").map((row) => row.name);
  expect(caught.length).toBeGreaterThan(90);
  expect(caught.filter((name) => !named.includes(name))).toEqual([]);
  expect(named.filter((name) => !rows.some((row) => row.name === name))).toEqual([]);
  expect(new Set(rows.map((row) => row.name)).size).toBe(rows.length);
});
