/**
 * The programs that users write, against the types of the built package (`npm run build`): what ought to compile does, under the strictest options and
 * without skipLibCheck, and what ought not to is refused for the reason that it was meant to show.
 */
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const PROGRAMS = "test/types/programs";
const MEANT = /^\s*\/\/ @ts-expect-error(?:: (.+))?$/;

/** What the compiler says, a line for each complaint. */
async function compile(config: string): Promise<readonly string[]> {
  const args = [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", config, "--pretty", "false"];
  const said = await new Promise<string>((resolve) => execFile(process.execPath, args, { cwd: ROOT }, (_, stdout) => resolve(stdout)));
  // What is indented goes on with the complaint above it.
  return said.replaceAll(/\n +/g, " ").split("\n").slice(0, -1);
}

describe("the types of the built package", () => {
  it("programs of every kind compile, and no mistake does", async () => {
    expect(await compile(PROGRAMS)).toEqual([]);
  });

  it("each mistake is refused for its own reason", async () => {
    const lines = (await readFile(join(ROOT, PROGRAMS, "misuse.ts"), "utf8")).split("\n");
    const meant = lines.flatMap((line, i) => (MEANT.test(line) ? [{ line: i + 2, text: MEANT.exec(line)?.[1] ?? "a reason" }] : []));
    // Inside of this package, so that its own name leads to its types.
    const folder = join(ROOT, ".cache/types");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "misuse.ts"), lines.map((line) => (MEANT.test(line) ? "" : line)).join("\n"));
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ extends: `../../${PROGRAMS}/tsconfig.json`, include: ["misuse.ts"] }));
    const said = (await compile(folder)).map((complaint) => {
      const [, line, text] = /misuse\.ts\((\d+),\d+\): error TS\d+: (.*)$/.exec(complaint) ?? [];
      return { line: Number(line), text: text ?? complaint };
    });
    expect(said.map(({ line }) => line)).toEqual(meant.map(({ line }) => line));
    for (const [i, { text }] of said.entries()) expect(text).toContain(meant[i]?.text);
    expect(meant.length).toBeGreaterThan(60);
  });
});
