/**
 * Prints the true count of a run of .ci/run as one line, "N passed, N failed", from the reports that vitest wrote, and those of the models and the
 * campaign, whose every check counts as a test. Its arguments are the steps that ended with an error. Exits with 1 unless every test ran and passed:
 * - a test that was skipped counts as failed: what did not run proves nothing;
 * - a file of tests that could not be loaded counts as one failed test, as does a step that failed without any failed test (the compiler, the
 *   linter), and a step that left no report;
 * - no test at all is a failure.
 */
import { readFileSync } from "node:fs";

/** Which report each step has to leave. */
const REPORTS = { "npm test": "tests", "npm run test:package": "package", "npm run model": "model", "npm run campaign": "campaign-checks" };

const broken = new Set(process.argv.slice(2));
let passed = 0;
let failed = 0;

for (const [step, name] of Object.entries(REPORTS)) {
  const counted = count(name);
  passed += counted.passed;
  failed += broken.has(step) || !counted.found ? Math.max(counted.failed, 1) : counted.failed;
  broken.delete(step);
}
// What is left has no report: npm ci.
failed += broken.size;

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

function count(name) {
  let report;
  try {
    report = JSON.parse(readFileSync(new URL(`../.cache/report/${name}.json`, import.meta.url), "utf8"));
  } catch {
    return { found: false, passed: 0, failed: 0 };
  }
  if (report.checks !== undefined) {
    const ok = report.checks.filter((check) => check.ok === true).length;
    // A step that checked nothing has shown nothing.
    return { found: report.checks.length > 0, passed: ok, failed: report.checks.length - ok };
  }
  const unloaded = report.testResults.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.every((test) => test.status !== "failed"),
  );
  const skipped = report.numPendingTests + report.numTodoTests;
  if (skipped > 0) console.log(`${skipped} tests of the report "${name}" were skipped`);
  return { found: true, passed: report.numPassedTests, failed: report.numFailedTests + skipped + unloaded.length };
}
