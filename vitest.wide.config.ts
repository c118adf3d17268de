/** The wide tier: more stores, more runtimes, longer races. Run once for each larger change; it may download servers and runtimes. */
import { defineConfig } from "vitest/config";
import { common, globalSetup, report, sources } from "./vitest.config.ts";

export default defineConfig({
  resolve: { alias: sources },
  test: {
    ...common,
    ...report("wide"),
    globalSetup,
    name: "wide",
    include: ["test/wide/**/*.test.ts"],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 600_000,
  },
});
