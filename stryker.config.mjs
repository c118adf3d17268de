/** `npm run stryker`: small changes of the pure decisions, one by one; their own unit tests must notice each. Results: docs/correctness.md. */
const folder = ".cache/stryker";

export default {
  testRunner: "vitest",
  plugins: ["@stryker-mutator/vitest-runner", "./test/mutants/stryker/texts.mjs"],
  ignorers: ["texts"],
  vitest: { configFile: "test/mutants/stryker/vitest.lease.ts", related: false },
  mutate: ["src/record/{codec,fields,keys,record}.ts", "src/lease/{judge,member,settle,timing,observations,written}.ts"],
  // Stryker rewrites the paths in a tsconfig with TypeScript's old API, which version 7 no longer has. vitest needs no tsconfig here: there is none of this name.
  tsconfigFile: "none.json",
  coverageAnalysis: "perTest",
  concurrency: 2,
  timeoutMS: 20_000,
  tempDirName: `${folder}/work`,
  reporters: ["clear-text", "json", "progress-append-only"],
  clearTextReporter: { allowColor: false, allowEmojis: false, logTests: false },
  jsonReporter: { fileName: `${folder}/report.json` },
  thresholds: { high: 95, low: 90, break: 90 },
  ignorePatterns: ["/.cache", "/dist", "/docs", "/bench", "/model", "/coverage", "/.ci"],
};
