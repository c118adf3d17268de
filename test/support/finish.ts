import { afterAll, onTestFinished } from "vitest";

const leftOver: (() => Promise<void> | void)[] = [];

/** Runs `tidy` when the current test has ended, or, called from a hook or from a file's top level, when all tests of the file have. */
export function whenFinished(tidy: () => Promise<void> | void): void {
  try {
    onTestFinished(tidy);
  } catch {
    leftOver.push(tidy);
  }
}

/** Called once for each test file by setup.ts. */
export function tidyAfterFile(): void {
  afterAll(async () => {
    for (const tidy of leftOver.splice(0).reverse()) await tidy();
  });
}
