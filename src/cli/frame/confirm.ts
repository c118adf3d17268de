/** What changes other people's things says first what it will do, and asks; without a terminal to ask on, it wants `--yes`. */
import { createInterface } from "node:readline/promises";
import process from "node:process";
import { ConfigError } from "../../errors.ts";
import type { Context } from "./context.ts";

/** @throws ConfigError where nobody can be asked. @returns whether to go on. */
export async function confirmed({ err, signals }: Context, plan: string, yes: boolean | undefined): Promise<boolean> {
  err.line(plan);
  if (yes === true) return true;
  if (!process.stdin.isTTY || !err.isTerminal) throw new ConfigError("nothing was done", ["there is no terminal to ask on: say --yes"]);
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await asking.question("Go on? [y/N] ", { signal: signals.stop });
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    asking.close();
  }
}
