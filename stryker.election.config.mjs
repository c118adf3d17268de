/** The second half of `npm run stryker`: the pure decisions of the election room, whose tests run whole managers in virtual time. */
import lease from "./stryker.config.mjs";

export default {
  ...lease,
  vitest: { configFile: "test/mutants/stryker/vitest.election.ts", related: false },
  mutate: ["src/election/{inbox,leader-watch,metadata}.ts"],
  jsonReporter: { fileName: ".cache/stryker/election.json" },
};
