/** What Stryker runs for each mutant: the unit tests of the rooms whose decisions it changes. */
import { defineConfig } from "vitest/config";
import { common, sources } from "./vitest.config.ts";

export default defineConfig({
  resolve: { alias: sources },
  test: { ...common, name: "stryker", include: ["test/{record,lease,election}/**/*.test.ts"] },
});
