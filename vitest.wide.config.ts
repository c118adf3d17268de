/** The wide tier: more stores, more runtimes, longer races. Run once for each larger change; it may download servers and runtimes. */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { leftOutFiles } from "./test/wide/servers/left-out.ts";
import { common, globalSetup, report, sources } from "./vitest.config.ts";

export default defineConfig({
  resolve: { alias: sources },
  test: {
    ...common,
    ...report("wide"),
    globalSetup: [...globalSetup, fileURLToPath(new URL("test/wide/global-setup.ts", import.meta.url))],
    name: "wide",
    include: ["test/wide/**/*.test.ts"],
    exclude: leftOutFiles(),
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 900_000,
  },
});
