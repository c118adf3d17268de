/** Loaded before a program (`node --import`): writes what it loads into a file, a line each: `import URL`, and at its end `require PATH`. */
import { appendFileSync } from "node:fs";
import { createRequire, register } from "node:module";

const file = process.env["S3_CONSENSUS_TEST_LOADED_FILE"] ?? "";

// Hooks run in a thread of their own, from a module of their own.
const hooks = `
  import { appendFileSync } from "node:fs";
  export async function load(url, context, next) {
    appendFileSync(${JSON.stringify(file)}, "import " + url + "\\n");
    return await next(url, context);
  }`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

process.on("exit", () => {
  const required = Object.keys(createRequire(import.meta.url).cache);
  appendFileSync(file, required.map((path) => `require ${path}\n`).join(""));
});
