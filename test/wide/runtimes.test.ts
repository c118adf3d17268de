/** The main path of an election and of locks on each runtime that we say we support, on a real MinIO, together with the Node that runs the tests. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { sharedMinio } from "../support/servers.ts";
import { lockPath } from "./lock-path.ts";
import { mainPath } from "./main-path.ts";
import { note } from "./report.ts";
import { type Runtime, RUNTIMES, runtime } from "./runtimes.ts";

describe.each(RUNTIMES)("$name", (source) => {
  let tried: Runtime;
  beforeAll(() => {
    tried = runtime(source);
    note({
      store: `runtime: ${source.name}`,
      version: tried.version.split("\n")[0] ?? "",
      verdict: "works",
      showed: "main paths of elections and locks on MinIO",
    });
  });

  mainPath(source.name, {
    server: sharedMinio,
    tried: () => ({ runtime: tried.path, nodeArgs: tried.args }),
    // Deno doesn't let go of a standard input that was read from; elsewhere nothing keeps the process alive.
    ends: source.name !== "Deno",
  });

  lockPath(source.name, { server: sharedMinio, tried: () => ({ runtime: tried.path, nodeArgs: tried.args }) });

  it("loads every entry of the package, also by require()", () => {
    const root = join(import.meta.dirname, "../..");
    const entries = ["s3-consensus", "s3-consensus/node", "s3-consensus/memory", "s3-consensus/testing"];
    const code = `
      import { createRequire } from "node:module";
      const require = createRequire(${JSON.stringify(`${root}/package.json`)});
      for (const entry of ${JSON.stringify(entries)}) console.log(entry, Object.keys(require(entry)).length > 0);`;
    const args = source.name === "Deno" ? ["eval", code] : ["--input-type=module", "--eval", code];
    const out = execFileSync(tried.path, source.name === "Bun" ? ["--eval", code] : args, { cwd: root, encoding: "utf8" });
    expect(out.trim().split("\n")).toEqual(entries.map((entry) => `${entry} true`));
  });
});
