import { fileURLToPath } from "node:url";
import { defineConfig, type TestUserConfig } from "vitest/config";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Tests in this process see the sources, so that there is one copy of each class; programs that tests start see the build, as users do. */
export const sources: { find: RegExp; replacement: string }[] = [
  { find: /^s3-consensus$/, replacement: here("src/index.ts") },
  { find: /^s3-consensus\/node$/, replacement: here("src/node.ts") },
  { find: /^s3-consensus\/memory$/, replacement: here("src/store/memory-store.ts") },
  { find: /^s3-consensus\/testing$/, replacement: here("src/testing/index.ts") },
];

/** Finds, builds and starts the real servers. */
export const globalSetup: string[] = [here("test/support/global-setup.ts")];

/** The same in all three tiers. */
export const common: { setupFiles: string[]; testTimeout: number; hookTimeout: number; expect: { poll: { timeout: number } } } = {
  setupFiles: [here("test/support/setup.ts")],
  testTimeout: 60_000,
  hookTimeout: 60_000,
  // A machine that does other things, too, is seconds late.
  expect: { poll: { timeout: 20_000 } },
};

/** For a person, and as a file that .ci/run counts by. A run without a test, or with one picked out, is not a run. */
export function report(tier: string): Pick<TestUserConfig, "reporters" | "allowOnly" | "passWithNoTests"> {
  return {
    reporters: ["default", ["json", { outputFile: here(`.cache/report/${tier}.json`) }]],
    allowOnly: false,
    passWithNoTests: false,
  };
}

export default defineConfig({
  test: {
    ...report("tests"),
    globalSetup,
    coverage: { provider: "v8", include: ["src/**"], reporter: ["text-summary", "html"] },
    projects: [
      {
        resolve: { alias: sources },
        test: {
          ...common,
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/integration/**", "test/package/**", "test/wide/**"],
          // Two cores are what a small CI machine has; more workers make the timings of real servers worse, not better.
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        resolve: { alias: sources },
        test: {
          ...common,
          name: "integration",
          include: ["test/integration/**/*.test.ts", "example_test.ts"],
          // Several processes each, on real servers, mostly waiting for a ttl to pass: two files at a time, after the rest.
          maxWorkers: 2,
          testTimeout: 120_000,
          // Those of one file that may run side by side (`describe.concurrent`) wait for a ttl to pass, all of them at the same time.
          maxConcurrency: 10,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
