/** A project of a user of the package: a folder somewhere else, in which the packed tarball is installed beside the SDK. */
import { execFileSync, type ExecFileSyncOptionsWithStringEncoding } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { temporaryFolder } from "../support/reaper.ts";

export const ROOT: string = join(import.meta.dirname, "../..");

interface Manifest {
  readonly name: string;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

export const manifest: Manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;

export interface PackedFile {
  readonly path: string;
  readonly size: number;
}

export interface Packed {
  readonly tarball: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly PackedFile[];
}

/** `npm pack`, as a release would do it. */
export function pack(): Packed {
  const folder = temporaryFolder("pack");
  const out = run("npm", ["pack", "--json", "--loglevel", "error", "--foreground-scripts=false", "--pack-destination", folder], {
    cwd: ROOT,
  });
  const [said] = JSON.parse(out) as { filename: string; size: number; unpackedSize: number; files: PackedFile[] }[];
  if (said === undefined) throw new Error(`npm pack said nothing: ${out}`);
  return { tarball: join(folder, said.filename), size: said.size, unpackedSize: said.unpackedSize, files: said.files };
}

export class Consumer {
  readonly folder: string = temporaryFolder("consumer");

  /** Installs the tarball, and beside it the versions of the SDK and of Node's types that we develop with. */
  static install(tarball: string, type: "module" | "commonjs"): Consumer {
    const consumer = new Consumer();
    consumer.write("package.json", JSON.stringify({ name: "consumer", private: true, type }));
    const beside = ["@aws-sdk/client-s3", "@types/node"].map((name) => `${name}@${manifest.devDependencies[name]}`);
    run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel", "error", tarball, ...beside], {
      cwd: consumer.folder,
    });
    return consumer;
  }

  write(path: string, text: string): string {
    const full = join(this.folder, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, text);
    return full;
  }

  /** Compiles with the strictest options, the package's own types included (no skipLibCheck). Throws what the compiler says. */
  compile(files: readonly string[], options: Readonly<Record<string, unknown>> = {}): void {
    const compilerOptions = {
      target: "es2023",
      // For `await using`.
      lib: ["es2023", "esnext.disposable"],
      module: "nodenext",
      types: ["node"],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      outDir: "out",
      rootDir: ".",
      ...options,
    };
    this.write("tsconfig.json", JSON.stringify({ compilerOptions, files }));
    run(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.json", "--pretty", "false"], {
      cwd: this.folder,
    });
  }

  node(path: string, args: readonly string[] = []): string {
    return run(process.execPath, [...args, path], { cwd: this.folder });
  }
}

/** Gives standard output; on failure throws an error with both outputs. */
export function run(command: string, args: readonly string[], options: Partial<ExecFileSyncOptionsWithStringEncoding>): string {
  try {
    // The npm that runs the tests tells its children about itself; a user's npm would not.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("npm_") && name !== "NODE_OPTIONS"));
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 64_000_000, env, ...options });
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    // The caught error says the same once more, at great length.
    // oxlint-disable-next-line preserve-caught-error
    throw new Error(`${command} ${args.join(" ")} failed\n${stdout}${stderr}`);
  }
}
