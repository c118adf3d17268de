import { setTimeout as pass } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import { whenFinished } from "../support/finish.ts";

const log: string[] = [];
beforeEach(() => whenFinished(() => void log.push("of the hook")));

describe.concurrent("tests side by side tidy up each for itself, whenever they say what", () => {
  it("a slow one", async () => {
    await pass(50);
    whenFinished(() => void log.push("of the slow one"));
    await expect.poll(() => log).toContain("of the quick one");
    log.push("the slow one ends");
  });

  it("a quick one", async () => {
    await pass(100);
    whenFinished(async () => {
      await pass(20);
      log.push("of the quick one");
    });
    expect(log).toEqual([]);
    log.push("the quick one ends");
  });
});

it("and before anything else begins", () => {
  expect(log).toEqual([
    ...["the quick one ends", "of the quick one", "of the hook"],
    ...["the slow one ends", "of the slow one", "of the hook"],
  ]);
});
