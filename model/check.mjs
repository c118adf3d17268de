/** Builds and runs the verifier of one row, and compares what comes out with what the row expects. */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const HERE = import.meta.dirname;
/** No row takes longer on a slow machine; one that does has got out of hand. */
const ROW_LIMIT_MS = 30 * 60_000;
const MAX_OUTPUT = 64 * 1024 * 1024;

/** `trails`: the folder in which counter-examples are left as text, if any. */
export async function check(row, { trails } = {}) {
  const dir = mkdtempSync(join(tmpdir(), "s3-consensus-model-"));
  try {
    cpSync(join(HERE, `${row.model}.pml`), join(dir, "m.pml"));
    const spin = await run("spin", [...words(row.defs), "-a", "m.pml"], dir);
    if (!existsSync(join(dir, "pan.c"))) return broken(row, `spin: ${spin.text}`);
    const level = row.set === "short" ? "-O1" : "-O2";
    const gcc = await run("gcc", [level, "-w", "-DSAFETY", "-DNOREDUCE", ...words(row.cc), "-o", "pan", "pan.c"], dir);
    if (gcc.code !== 0) return broken(row, `gcc: ${gcc.text}`);
    const startedMs = Date.now();
    const pan = await run("./pan", words(row.run), dir);
    const result = judge(row, pan.text, (Date.now() - startedMs) / 1000);
    return existsSync(join(dir, "m.pml.trail")) ? { ...result, steps: await trail(row, dir, trails) } : result;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Standard output and error of a command that ends by itself, or is ended. */
export function run(command, args, cwd) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], timeout: ROW_LIMIT_MS, killSignal: "SIGKILL" });
    const end = () => child.kill("SIGKILL");
    process.once("exit", end);
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk) => {
        if (text.length < MAX_OUTPUT) text += chunk;
      });
    const settle = (code) => {
      process.off("exit", end);
      resolve({ code, text });
    };
    child.once("error", (error) => {
      text += error.message;
      settle(undefined);
    });
    child.once("close", settle);
  });
}

function broken(row, text) {
  return { row, asExpected: false, verdict: `NOT BUILT: ${text.trim().split("\n")[0]}`, seconds: 0 };
}

function judge(row, output, seconds) {
  const violated = /pan:1: (assertion violated|invalid end state)([^\n]*?)(?: \(at depth \d+\))?\n/.exec(output);
  const whole = /errors: 0\b/.test(output) && !/Search not completed|max search depth too small/.test(output);
  const verdict = whole ? "holds" : violated === null ? "NOT FINISHED" : `violated: ${violated[2].replaceAll(" ", "")}`;
  const asExpected = row.expect === "holds" ? whole : violated !== null && verdict.includes(row.expect.replaceAll(" ", ""));
  const number = (pattern) => {
    const text = pattern.exec(output)?.[1];
    return text === undefined ? undefined : Number(text);
  };
  return {
    row,
    asExpected,
    verdict,
    seconds,
    states: number(/([\d.e+]+) states, stored/),
    depth: number(/depth reached (\d+)/),
    megabytes: number(/([\d.]+)\s+total actual memory usage/) ?? number(/([\d.]+)\s+memory used for/),
  };
}

/** The length of the counter-example; its steps go to a file when asked for. */
async function trail(row, dir, trails) {
  const steps = readFileSync(join(dir, "m.pml.trail"), "utf8").trim().split("\n").length - 3;
  if (trails !== undefined) {
    const { text } = await run("spin", [...words(row.defs), "-t", "m.pml"], dir);
    const noise = /^(spin:|#processes)|^\s+[A-Za-z]+(\[\d+\])? = |^\s*\d*:?\s*proc |process created/;
    const told = text
      .split("\n")
      .filter((line) => !noise.test(line))
      .join("\n");
    writeFileSync(join(trails, `${row.name}.txt`), told);
  }
  return steps;
}

function words(text) {
  return text.split(" ").filter((word) => word !== "");
}
