/** The frame of this project's own commands (`npm run sim`, `mutants`, `mutants:tests`, `campaign`): wrong use is told in a line, with how it goes. */
import process from "node:process";

/** As of the package's own command line (sysexits.h). */
const STATUS = { usage: 64, internal: 70 };

/** What whoever typed the command can mend. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** @returns the exit status: that of `main`; 0 after `--help`; 64 for wrong use, told with `usage`; 70 for anything else that `main` throws. */
export async function runCommand(usage: string, main: () => Promise<number>): Promise<number> {
  if (process.argv.includes("--help")) {
    console.log(usage);
    return 0;
  }
  try {
    return await main();
  } catch (error) {
    const isUsers = isWrongUse(error);
    console.error(isUsers ? `${error.message}\n\n${usage}` : error);
    return isUsers ? STATUS.usage : STATUS.internal;
  }
}

function isWrongUse(error: unknown): error is Error {
  const code: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
  return error instanceof UsageError || (typeof code === "string" && code.startsWith("ERR_PARSE_ARGS"));
}

/** @throws UsageError */
export function wholeNumber(option: string, text: string, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || text.trim() === "" || n < min || n > max)
    throw new UsageError(`--${option} ${text}: expected a whole number ${range(min, max)}`);
  return n;
}

/** @throws UsageError */
export function aNumberFrom(option: string, text: string, min: number, max: number): number {
  const n = Number(text);
  if (!(n >= min && n <= max) || text.trim() === "") throw new UsageError(`--${option} ${text}: expected a number from ${min} to ${max}`);
  return n;
}

function range(min: number, max: number): string {
  return max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
}
