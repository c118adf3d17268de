/** What Stryker runs for each mutant of a pure decision: the tests that look at that decision itself, not those that may happen to pass by it. */
import { defineConfig } from "vitest/config";
import { common, sources } from "../../../vitest.config.ts";

export default defineConfig({
  resolve: { alias: sources },
  test: {
    ...common,
    name: "stryker",
    include: ["test/record/*.test.ts", "test/lease/{judge,judge-session,settle,timing,observations}.test.ts"],
  },
});
