/** What our Markdown files point to is there: files, and headings in them. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const files = [
  ...readdirSync(ROOT).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
];

function withoutCode(text: string): string {
  return text.replace(/^```[^]*?^```$/gm, "").replace(/`[^`\n]*`/g, "`");
}

/** As GitHub makes anchors of headings. */
function anchorsOf(path: string): Set<string> {
  const text = readFileSync(path, "utf8").replace(/^```[^]*?^```$/gm, "");
  const plain = [...text.matchAll(/^#+ (.*)$/gm)].map((match) => (match[1] ?? "").replace(/[`*_]/g, ""));
  return new Set(
    plain.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s-]/gu, "")
        .trim()
        .replaceAll(" ", "-"),
    ),
  );
}

describe("links between our documents", () => {
  it.each(files)("%s", (file) => {
    const targets = [...withoutCode(readFileSync(join(ROOT, file), "utf8")).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? "");
    const dead = targets
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => {
        const [path = "", anchor] = target.split("#");
        const full = path === "" ? join(ROOT, file) : join(ROOT, dirname(file), path);
        if (!existsSync(full) || relative(ROOT, full).startsWith("..")) return true;
        return anchor !== undefined && !(statSync(full).isFile() && anchorsOf(full).has(anchor));
      });
    expect(dead).toEqual([]);
  });

  it("the README is short enough to be read", () => {
    expect(readFileSync(join(ROOT, "README.md"), "utf8").split("\n").length).toBeLessThan(250);
  });
});
