import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const TESTS = ["test/locks/trouble.test.ts", "test/integration/lock-trouble.test.ts", "test/integration/locks.test.ts"];

it("each row of the table of troubles in docs/locks.md has a test whose title begins with it", () => {
  const [, table = ""] = /^## When things go wrong\n\n([^]*?)\n\n/m.exec(readFileSync(join(ROOT, "docs/locks.md"), "utf8")) ?? [];
  const rows = table.split("\n").slice(2);
  const tests = TESTS.map((path) => readFileSync(join(ROOT, path), "utf8")).join("\n");
  const titles = [...tests.matchAll(/(?:describe|it)(?:\.concurrent)?(?:\.each\([^)]*\))?\(\s*"([^"]+)"/g)].map((match) => match[1] ?? "");
  const untested = rows.map((row) => row.split("|")[1]?.trim() ?? "").filter((row) => !titles.some((title) => title.startsWith(row)));
  expect([rows.length > 12, untested]).toEqual([true, []]);
});
