import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, beforeEach, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const suite = { numPassedTests: 10, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [] };
const checks = (...ok: boolean[]): object => ({ checks: ok.map((is, i) => ({ name: `check ${i}`, ok: is })) });

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "s3-consensus-count-"));
  mkdirSync(join(dir, ".ci"));
  mkdirSync(join(dir, ".cache/report"), { recursive: true });
  cpSync(join(ROOT, ".ci/count.mjs"), join(dir, ".ci/count.mjs"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** The last line and the exit status of a run whose steps left these reports. */
function counted(reports: Readonly<Record<string, object>>, ...broken: string[]): Promise<[string, number]> {
  for (const [name, report] of Object.entries(reports)) writeFileSync(join(dir, `.cache/report/${name}.json`), JSON.stringify(report));
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [join(dir, ".ci/count.mjs"), ...broken], (_, stdout) => {
      resolve([stdout.trim().split("\n").at(-1) ?? "", child.exitCode ?? -1]);
    });
  });
}

const all = { tests: suite, package: suite, model: checks(true, true, true), "campaign-checks": checks(true, true) };

it("adds up the tests, the rows of the models, and what the campaign had to show", async () => {
  expect(await counted(all)).toEqual(["25 passed, 0 failed", 0]);
});

it.each([
  ["a row that is not as expected", { ...all, model: checks(true, false, true) }, "24 passed, 1 failed"],
  ["a negative control that stayed green", { ...all, "campaign-checks": checks(true, false) }, "24 passed, 1 failed"],
  ["a model without a row", { ...all, model: checks() }, "22 passed, 1 failed"],
  ["a skipped test", { ...all, tests: { ...suite, numPendingTests: 1 } }, "25 passed, 1 failed"],
])("%s counts as failed", async (_, reports, words) => {
  expect(await counted(reports)).toEqual([words, 1]);
});

it("a step that ended with an error, or left no report, is a failure, whatever its report says", async () => {
  expect(await counted(all, "npm run model")).toEqual(["25 passed, 1 failed", 1]);
  expect(await counted(all, "npm ci")).toEqual(["25 passed, 1 failed", 1]);
  rmSync(join(dir, ".cache/report/campaign-checks.json"));
  expect(await counted({ tests: suite, package: suite, model: checks(true) })).toEqual(["21 passed, 1 failed", 1]);
  rmSync(join(dir, ".cache/report"), { recursive: true });
  mkdirSync(join(dir, ".cache/report"));
  expect(await counted({})).toEqual(["0 passed, 4 failed", 1]);
});
