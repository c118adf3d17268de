import { readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { Consumer, manifest, pack, ROOT, run } from "./consumer.ts";

const subpaths = Object.keys(manifest.exports).filter((path) => path !== "./package.json");
const specifiers = subpaths.map((path) => path.replace(/^\./, manifest.name));

let esm: Consumer;
let cjs: Consumer;

beforeAll(() => {
  const { tarball } = pack();
  esm = Consumer.install(tarball, "module");
  cjs = Consumer.install(tarball, "commonjs");
});

describe("installed from the tarball", () => {
  it.each(specifiers)("import %s", (specifier) => {
    const path = esm.write("import.mjs", `import * as all from "${specifier}"; console.log(JSON.stringify(Object.keys(all)));`);
    expect((JSON.parse(esm.node(path)) as string[]).length).toBeGreaterThan(0);
  });

  it.each(specifiers)("require %s: the same as import gives", (specifier) => {
    const code = `
      const required = require("${specifier}");
      import("${specifier}").then((imported) => {
        const differing = Object.keys(imported).filter((name) => imported[name] !== required[name]);
        console.log(JSON.stringify({ names: Object.keys(imported).length, differing }));
      });`;
    const said = JSON.parse(cjs.node(cjs.write("require.cjs", code))) as { names: number; differing: string[] };
    expect(said.differing).toEqual([]);
    expect(said.names).toBeGreaterThan(0);
  });

  it("keeps its inner files to itself", () => {
    const path = esm.write("inner.mjs", `import("${manifest.name}/dist/errors.js").catch(({ code }) => console.log(code));`);
    expect(esm.node(path).trim()).toBe("ERR_PACKAGE_PATH_NOT_EXPORTED");
  });

  it("loading it loads no SDK: a program pays for that at its first request", () => {
    const sdk = join(esm.folder, "node_modules/@aws-sdk");
    renameSync(sdk, `${sdk}-away`);
    try {
      const path = esm.write("lazy.mjs", `${specifiers.map((specifier) => `import "${specifier}";`).join("\n")}\nconsole.log("loaded");`);
      expect(esm.node(path).trim()).toBe("loaded");
    } finally {
      renameSync(`${sdk}-away`, sdk);
    }
  });

  it("without the SDK a command says in one line what is missing, and how to get it", () => {
    const sdk = join(esm.folder, "node_modules/@aws-sdk");
    renameSync(sdk, `${sdk}-away`);
    try {
      const main = `node_modules/${manifest.name}/dist/cli/main.js`;
      const command = (): string => run(process.execPath, [main, "--store", "s3://bucket", "ls"], { cwd: esm.folder });
      expect(command).toThrow(/^s3-consensus: error: .*'@aws-sdk\/client-s3'.*: install it: npm install @aws-sdk\/client-s3$/m);
    } finally {
      renameSync(`${sdk}-away`, sdk);
    }
  });

  const typed = specifiers.map((specifier, i) => `import * as m${i} from "${specifier}";\nexport const k${i}: object = m${i};`).join("\n");

  it("has right types for Node's resolution, without skipLibCheck", () => {
    esm.write("typed.ts", typed);
    expect(() => esm.compile(["typed.ts"])).not.toThrow();
  });

  it("has right types for a bundler", () => {
    esm.write("typed.ts", typed);
    expect(() => esm.compile(["typed.ts"], { module: "esnext", moduleResolution: "bundler" })).not.toThrow();
  });

  it("has right types in a CommonJS project, and its compiled program runs", () => {
    cjs.write("typed.ts", `${typed}\nconsole.log(typeof m0);`);
    cjs.compile(["typed.ts"]);
    expect(cjs.node("out/typed.js").trim()).toBe("object");
  });

  it("can be named in the declarations of a library that exports what it gives", () => {
    esm.write("library.ts", readFileSync(join(ROOT, "test/types/programs/inferred.ts"), "utf8"));
    expect(() => esm.compile(["library.ts"], { declaration: true })).not.toThrow();
  });

  it("a mistake is a type error: the types are not `any`", () => {
    esm.write("wrong.ts", `import { nonsense } from "${manifest.name}";\nexport const a: number = nonsense;`);
    expect(() => esm.compile(["wrong.ts"])).toThrow("nonsense");
  });
});
