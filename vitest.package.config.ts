/** The package as its users get it: packed, installed somewhere else, looked at and run. Needs the build (npm run build:test). */
import { defineConfig } from "vitest/config";
import { common, report } from "./vitest.config.ts";

export default defineConfig({
  test: {
    ...common,
    ...report("package"),
    name: "package",
    include: ["test/package/**/*.test.ts"],
    // One at a time: each of them runs npm, which takes both cores.
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 300_000,
  },
});
