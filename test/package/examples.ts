/** The TypeScript programs in our Markdown files. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./consumer.ts";

export interface Example {
  /** File and line, for the test's title. */
  readonly where: string;
  readonly code: string;
  /** Marked "ts runnable": it is run, too. */
  readonly runnable: boolean;
}

/** Every block that begins with ```ts, in README.md and below docs/. */
export function examples(): Example[] {
  const docs = readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" }).map((path) => join("docs", path));
  return ["README.md", ...docs.filter((path) => path.endsWith(".md"))].flatMap((path) => examplesOf(path));
}

function examplesOf(path: string): Example[] {
  const text = readFileSync(join(ROOT, path), "utf8");
  return [...text.matchAll(/^```ts( runnable)?\n([^]*?)^```$/gm)].map((match) => ({
    where: `${path}:${text.slice(0, match.index).split("\n").length}`,
    code: match[2] ?? "",
    runnable: match[1] !== undefined,
  }));
}
