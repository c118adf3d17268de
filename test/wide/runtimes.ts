/** Other runtimes, from npm packages that are nothing but their binaries. They are large, so they are no development dependencies. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Runtime {
  readonly name: string;
  readonly path: string;
  /** What it says its version is. */
  readonly version: string;
  /** What stands before the path of a program. */
  readonly args: readonly string[];
}

interface Source {
  readonly name: string;
  /** npm package and version. */
  readonly from: string;
  readonly binary: string;
  readonly args?: readonly string[];
}

const CACHE = join(import.meta.dirname, "../../.cache/runtimes");
const { platform, arch } = process;

export const RUNTIMES: readonly Source[] = [
  ...["22", "24"].map((major) => ({ name: `Node ${major}`, from: `node-${platform}-${arch}@${major}`, binary: "bin/node" })),
  { name: "Bun", from: `@oven/bun-${platform}-${arch === "arm64" ? "aarch64" : arch}@1.4.5`, binary: "bin/bun" },
  {
    name: "Deno",
    from: `@deno/${platform}-${arch}${platform === "linux" ? "-glibc" : ""}@2.9.6`,
    binary: "deno",
    args: ["run", "--allow-all"],
  },
];

/** Installs it once, into a folder that git doesn't see. */
export function runtime({ name, from, binary, args = [] }: Source): Runtime {
  const folder = join(CACHE, name.toLowerCase().replace(" ", "-"));
  const packageName = from.slice(0, from.lastIndexOf("@"));
  const path = join(folder, "node_modules", packageName, binary);
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true });
    // A project of its own: npm would otherwise install into ours.
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "runtime", private: true }));
    execFileSync("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel", "error", from], {
      cwd: folder,
      stdio: "inherit",
    });
  }
  return { name, path, args, version: execFileSync(path, ["--version"], { encoding: "utf8" }).trim() };
}
