/**
 * The rules of the house (ARCHITECTURE.md) hold only as long as the linter enforces them. So bad code is written into a copy of the tree here,
 * and the linter has to find each piece of it; what the linter can't express is looked for by this file itself.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { whenFinished } from "../support/finish.ts";
import { removeFolder, temporaryFolder } from "../support/reaper.ts";

const ROOT = join(import.meta.dirname, "../..");

/** Which rooms a room may import from, beside itself and `errors`. */
const LEVELS = [
  ["clock"],
  ["store", "record"],
  ["lease"],
  ["election", "locks", "fencing", "cluster"],
  ["scheduler", "ring", "vip"],
  ["session"],
  ["dashboard"],
  ["cli"],
] as const;
const ROOMS: readonly string[] = [...LEVELS.flat(), "metrics", "testing"];

function mayImport(from: string, to: string): boolean {
  if (from === "cli") return true;
  if (from === "testing") return to !== "cli" && to !== "dashboard";
  if (to === "testing") return false;
  if (from === "metrics") return to === "clock";
  if (to === "metrics") return from !== "clock";
  const level = (room: string): number => LEVELS.findIndex((rooms) => (rooms as readonly string[]).includes(room));
  return level(to) < level(from);
}

interface Finding {
  readonly filename: string;
  readonly code: string;
  readonly message: string;
}

/** Bad code by file; the key is what the finding must name. */
const BAD: Record<string, { readonly path: string; readonly code: string; readonly rule: string }> = {
  "Date.now in the core": { path: "src/lease/a.ts", code: "export const a = Date.now();", rule: "no-restricted-" },
  "new Date() in the core": { path: "src/lease/b.ts", code: "export const a = new Date();", rule: "no-restricted-globals" },
  "setTimeout in the core": { path: "src/election/a.ts", code: "setTimeout(() => {}, 1);", rule: "no-restricted-globals" },
  "setInterval in the core": { path: "src/store/a.ts", code: "setInterval(() => {}, 1);", rule: "no-restricted-globals" },
  "setImmediate in the core": { path: "src/store/b.ts", code: "setImmediate(() => {});", rule: "no-restricted-globals" },
  "performance in the core": { path: "src/locks/a.ts", code: "export const a = performance.now();", rule: "no-restricted-globals" },
  "crypto in the core": { path: "src/lease/c.ts", code: "export const a = crypto.randomUUID();", rule: "no-restricted-globals" },
  "process in the core": { path: "src/lease/d.ts", code: "export const a = process.pid;", rule: "no-restricted-globals" },
  "Math.random in the core": { path: "src/lease/e.ts", code: "export const a = Math.random();", rule: "no-restricted-properties" },
  "AbortSignal.any anywhere": { path: "src/clock/a.ts", code: "export const a = AbortSignal.any([]);", rule: "no-restricted-properties" },
  "AbortSignal.timeout anywhere": {
    path: "src/clock/b.ts",
    code: "export const a = AbortSignal.timeout(1);",
    rule: "no-restricted-properties",
  },
  "setTimeout of the command line": { path: "src/cli/a.ts", code: "setTimeout(() => {}, 1);", rule: "no-restricted-globals" },
  "Date.now in the testing room": { path: "src/testing/a.ts", code: "export const a = Date.now();", rule: "no-restricted-properties" },
  "the SDK beside its file": {
    path: "src/store/c.ts",
    code: `import { S3Client } from "@aws-sdk/client-s3";\nexport const a = S3Client;`,
    rule: "no-restricted-imports",
  },
  "the SDK, loaded late": {
    path: "src/store/d.ts",
    code: `export const a = () => import("@aws-sdk/client-s3");`,
    rule: "no-restricted-imports",
  },
  "cron-parser beside its file": {
    path: "src/scheduler/a.ts",
    code: `import { CronExpressionParser } from "cron-parser";\nexport const a = CronExpressionParser;`,
    rule: "no-restricted-imports",
  },
  "a module of Node in the core": {
    path: "src/lease/f.ts",
    code: `import { pid } from "node:process";\nexport const a = pid;`,
    rule: "no-restricted-imports",
  },
  "a timer of Node's in node.ts": {
    path: "src/node.ts",
    code: `import { setTimeout } from "node:timers";\nexport const a = setTimeout;`,
    rule: "no-restricted-imports",
  },
  "console in the library": { path: "src/lease/g.ts", code: "console.log(1);", rule: "no-console" },
  "a file over 400 lines": { path: "src/lease/h.ts", code: "export {};\n".repeat(401), rule: "max-lines" },
  "a function over 70 lines": {
    path: "src/lease/i.ts",
    code: `export function f(a: number): number {\n${"  a += 1;\n".repeat(71)}  return a;\n}`,
    rule: "max-lines-per-function",
  },
  any: { path: "src/lease/j.ts", code: "export const a: any = 1;", rule: "no-explicit-any" },
  "a file name in camel case": { path: "src/lease/camelCase.ts", code: "export {};", rule: "filename-case" },
  "a cycle of imports": {
    path: "src/record/a.ts",
    code: `import { b } from "./b.ts";\nexport const a = (): unknown => b;`,
    rule: "no-cycle",
  },
  "the other half of it": {
    path: "src/record/b.ts",
    code: `import { a } from "./a.ts";\nexport const b = (): unknown => a;`,
    rule: "no-cycle",
  },
  "a test left out": {
    path: "test/a.test.ts",
    code: `import { expect, it } from "vitest";\nit.skip("a", () => expect(1).toBe(1));`,
    rule: "no-disabled-tests",
  },
  "a test by itself": {
    path: "test/b.test.ts",
    code: `import { expect, it } from "vitest";\nit.only("a", () => expect(1).toBe(1));`,
    rule: "no-focused-tests",
  },
};

let findings: readonly Finding[] = [];

beforeAll(() => {
  const copy = temporaryFolder("lint");
  whenFinished(() => removeFolder(copy));
  const config = JSON.parse(readFileSync(join(ROOT, ".oxlintrc.json"), "utf8")) as { options: object };
  // The type-aware rules need a program that compiles; none of those tested here is of them.
  writeFileSync(join(copy, ".oxlintrc.json"), JSON.stringify({ ...config, options: { ...config.options, typeAware: false } }));
  cpSync(join(ROOT, "tsconfig.json"), join(copy, "tsconfig.json"));
  const write = (path: string, code: string): void => {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    writeFileSync(join(copy, path), code);
  };
  for (const { path, code } of Object.values(BAD)) write(path, code);
  for (const room of ROOMS) {
    write(`src/${room}/there.ts`, "export const there = 1;\n");
    for (const to of ROOMS) {
      if (to !== room) write(`src/${room}/to-${to}.ts`, `import { there } from "../${to}/there.ts";\nexport const here = there;\n`);
    }
  }
  findings = lint(copy);
});

describe("the linter finds", () => {
  it.each(Object.entries(BAD))("%s", (_, { path, rule }) => {
    expect(findings.filter((finding) => finding.filename === path).map(({ code }) => code)).toContainEqual(expect.stringContaining(rule));
  });
});

describe("the doors between rooms", () => {
  it.each(ROOMS)("%s opens those that it should, and no other", (from) => {
    const others = ROOMS.filter((to) => to !== from);
    const shut = new Set(findings.filter(({ code }) => code.includes("no-restricted-imports")).map(({ filename }) => filename));
    expect(others.filter((to) => !shut.has(`src/${from}/to-${to}.ts`))).toEqual(others.filter((to) => mayImport(from, to)));
  });

  it("exist for every folder of src", () => {
    const folders = readdirSync(join(ROOT, "src"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map(({ name }) => name).filter((name) => !ROOMS.includes(name))).toEqual([]);
  });
});

describe("what the linter can't see", () => {
  const sources = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => ({ path, code: withoutComments(readFileSync(join(ROOT, "src", path), "utf8")) }));

  it("no clock, timer or random number through the back door of globalThis", () => {
    const bypass = /globalThis\s*(\.|\?\.|\[["'])\s*(Date|performance|setTimeout|setInterval|setImmediate|crypto)|=\s*globalThis;/;
    expect(sources.filter(({ path, code }) => !path.startsWith("clock/") && bypass.test(code)).map(({ path }) => path)).toEqual([]);
  });

  it("no rule of the house is switched off in the sources", () => {
    const off = /(ox|es)lint-disable[^\n]*(no-restricted|no-cycle|max-lines|no-explicit-any)|@ts-(ignore|nocheck|expect-error)/;
    const raw = sources.map(({ path }) => ({ path, text: readFileSync(join(ROOT, "src", path), "utf8") }));
    expect(raw.filter(({ text }) => off.test(text)).map(({ path }) => path)).toEqual([]);
  });

  it("the AWS SDK is named in one file only", () => {
    const naming = sources.filter(({ code }) => /["'](@aws-sdk|@smithy)\//.test(code));
    expect(naming.map(({ path }) => path)).toEqual(["store/s3-wire.ts"]);
  });

  it("cron-parser is named in one file only, and loaded late", () => {
    const naming = sources.filter(({ code }) => code.includes('"cron-parser"'));
    expect(naming.map(({ path }) => path)).toEqual(["scheduler/naive-calendar.ts"]);
    expect(naming[0]?.code).toContain('await import("cron-parser")');
    expect(naming[0]?.code).not.toMatch(/^(?:import|export)[^;]*from "cron-parser"/m);
  });

  it("no await at a module's top level: require() of the package would fail", () => {
    const awaiting = sources.filter(
      ({ path, code }) => !path.startsWith("cli/") && /^(?:export )?(?:(?:const|let) [^=]+= )?(?:for )?await\b/m.test(code),
    );
    expect(awaiting.map(({ path }) => path)).toEqual([]);
  });
});

function withoutComments(code: string): string {
  return code.replaceAll(/\/\*[^]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
}

function lint(folder: string): Finding[] {
  let out: string;
  try {
    out = execFileSync(process.execPath, [join(ROOT, "node_modules/oxlint/bin/oxlint"), "-f", "json"], {
      cwd: folder,
      encoding: "utf8",
      maxBuffer: 64_000_000,
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    out = (error as { stdout: string }).stdout;
  }
  return (JSON.parse(out) as { diagnostics: Finding[] }).diagnostics;
}
