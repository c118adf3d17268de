import { AsyncLocalStorage } from "node:async_hooks";
import { afterAll, aroundEach, type TestContext } from "vitest";

/** The test that is running. Vitest's own global hooks know no more than one, and so nothing of tests that run side by side. */
const running = new AsyncLocalStorage<TestContext>();
const leftOver: (() => Promise<void> | void)[] = [];

/** Runs `tidy` when the current test has ended, or, called from a hook or from a file's top level, when all tests of the file have. */
export function whenFinished(tidy: () => Promise<void> | void): void {
  const test = running.getStore();
  if (test === undefined) leftOver.push(tidy);
  else test.onTestFinished(tidy);
}

/** Runs `tell` if the current test fails. From a hook there is no single test whose failure it could be. */
export function whenFailed(tell: () => void): void {
  running.getStore()?.onTestFailed(tell);
}

/** Called once for each test file by setup.ts. */
export function tidyAfterFile(): void {
  aroundEach(async (run, context) => await running.run(context, run));
  afterAll(async () => {
    for (const tidy of leftOver.splice(0).reverse()) await tidy();
  });
}
