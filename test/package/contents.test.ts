import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { beforeAll, describe, expect, it } from "vitest";
import { manifest, pack, type Packed, ROOT, run } from "./consumer.ts";

let packed: Packed;

beforeAll(() => {
  packed = pack();
});

describe("the packed package", () => {
  it("has these entries at its top, and nothing else", () => {
    const top = new Set(packed.files.map(({ path }) => path.split("/")[0] ?? ""));
    expect([...top].sort()).toEqual(["CHANGELOG.md", "LICENSE", "README.md", "dist", "package.json"]);
  });

  it("has only code, types and the programs that package.json names below dist", () => {
    const odd = packed.files.map(({ path }) => path).filter((path) => path.startsWith("dist/") && !/\.(js|d\.ts|html|css|svg)$/.test(path));
    expect(odd).toEqual([]);
  });

  it("has types for each module and a module for each source", () => {
    const paths = new Set(packed.files.map(({ path }) => path));
    const modules = [...paths].filter((path) => path.startsWith("dist/") && path.endsWith(".js"));
    expect(modules.filter((path) => !paths.has(path.replace(/\.js$/, ".d.ts")))).toEqual([]);
    // A module whose source is gone would be left over from an older build.
    expect(modules.filter((path) => !existsSync(join(ROOT, path.replace(/^dist/, "src").replace(/\.js$/, ".ts"))))).toEqual([]);
  });

  it("has every file that package.json promises", () => {
    const paths = new Set(packed.files.map(({ path }) => `./${path}`));
    const promised = [...Object.values(manifest.exports), ...Object.values(manifest.bin ?? {})]
      .flatMap((target) => (typeof target === "string" ? [target] : Object.values(target)))
      .map((path) => (path.startsWith("./") ? path : `./${path}`));
    expect(promised.filter((path) => !paths.has(path))).toEqual([]);
  });

  it("is small", () => {
    // Election, locks, sessions, fencing, scheduler, command line and the tools for tests: 356 kB and 1.2 MB in November 2026.
    expect(packed.size).toBeLessThan(450_000);
    expect(packed.unpackedSize).toBeLessThan(1_500_000);
  });

  it("names no path of the machine that it was built on", () => {
    const files = packed.files.filter(({ path }) => path.startsWith("dist/")).map(({ path }) => path);
    expect(files.filter((path) => readFileSync(join(ROOT, path), "utf8").includes(ROOT))).toEqual([]);
  });
});

describe("the tools that look at packages find nothing", () => {
  it("publint", async () => {
    const { messages, pkg } = await publint({ strict: true, pack: { tarball: toArrayBuffer(readFileSync(packed.tarball)) } });
    const left = messages.map((message) => formatMessage(message, pkg as Record<string, unknown>));
    expect(left).toEqual([]);
  });

  it("are the types wrong (attw), for a package that is ESM only", () => {
    const attw = join(ROOT, "node_modules/@arethetypeswrong/cli/dist/index.js");
    // It fails by its exit code.
    const said = run(process.execPath, [attw, packed.tarball, "--profile", "esm-only", "--no-color", "--no-emoji"], { cwd: ROOT });
    for (const path of Object.keys(manifest.exports)) expect(said).toContain(`"${path.replace(/^\./, manifest.name)}"`);
  });

  it("knip: no unused file, export or dependency, and none that is not listed", () => {
    expect(run(process.execPath, [join(ROOT, "node_modules/knip/bin/knip.js"), "--no-progress", "--no-config-hints"], { cwd: ROOT })).toBe(
      "",
    );
  });
});

function toArrayBuffer(buffer: Buffer): ArrayBuffer {
  return buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength) as ArrayBuffer;
}
