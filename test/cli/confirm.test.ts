/** What changes other people's things says first what it will do, and is not done without a yes. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PassThrough } from "node:stream";
import { confirmed } from "../../src/cli/frame/confirm.ts";
import type { Context } from "../../src/cli/frame/context.ts";
import { Output } from "../../src/cli/frame/output.ts";

const stdin = Object.getOwnPropertyDescriptor(process, "stdin");
let typed: PassThrough;
let said: string;

function context(isTerminal: boolean): Context {
  Object.assign(typed, { isTTY: isTerminal });
  const err = new Output({ isTTY: isTerminal, write: (text) => (said += text) }, false);
  return { err, signals: { stop: new AbortController().signal } } as unknown as Context;
}

beforeEach(() => {
  typed = new PassThrough();
  said = "";
  Object.defineProperty(process, "stdin", { configurable: true, get: () => typed });
});

afterEach(() => {
  if (stdin !== undefined) Object.defineProperty(process, "stdin", stdin);
});

describe("a plan", () => {
  it("is told before anything, with --yes too", async () => {
    expect(await confirmed(context(false), "the plan", true)).toBe(true);
    expect(said).toBe("the plan\n");
  });

  it.each([undefined, false])("is refused where nobody can be asked (--yes: %s)", async (yes) => {
    await expect(confirmed(context(false), "the plan", yes)).rejects.toMatchObject({
      code: "CONFIG",
      faults: [expect.stringMatching(/--yes/)],
    });
    expect(said).toBe("the plan\n");
  });

  it.each([
    ["y", true],
    ["yes", true],
    ["Y ", true],
    ["n", false],
    ["", false],
    ["yep", false],
    ["maybe yes", false],
  ])("is asked for on a terminal: %j is %s", async (answer, goesOn) => {
    const shown = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    try {
      const asked = confirmed(context(true), "the plan", undefined);
      typed.write(`${answer}\n`);
      expect(await asked).toBe(goesOn);
      expect(shown.mock.calls.map(([text]) => String(text)).join("")).toContain("Go on? [y/N]");
    } finally {
      shown.mockRestore();
    }
  });
});
