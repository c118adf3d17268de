/**
 * `npm run mutants:tests`: breaks each rule on purpose, in a copy of the tree, and expects the named tests to go red. Prints which test caught
 * it first. Fails when one survives without a written reason, when a patch does not fit the sources any more, or when the tests are red without
 * any patch.
 */
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Edit } from "../sim/proof/mutants.ts";
import { applied, misfits } from "./patch.ts";
import type { TestedMutant } from "./files.ts";
import { TESTED, UNLISTED } from "./table.ts";
import { runCommand, UsageError, wholeNumber } from "../support/command-line.ts";

const USAGE = `npm run mutants:tests -- [options] [ID…]
  ID…            only mutants whose id begins so (default: all)
  --jobs N       so many at a time (default 2)
  --check        only see that every patch fits the sources`;

/** The project: this file runs from `.cache/build/test/mutants`. */
const ROOT = resolve(fileURLToPath(new URL("../../../..", import.meta.url)));
const WORK = join(ROOT, ".cache", "mutants-tests");
/** The tests of one mutant take seconds; even on a busy machine no run takes as long as this. One that does hangs, and that is red, too. */
const LIMIT_MS = 300_000;
/** All of them at once, without a mutant. */
const SANE_LIMIT_MS = 1_200_000;

const CONFIG = `export default { test: { include: ["test/**/*.test.ts"], reporters: [["json", { outputFile: "report.json" }]], bail: 1, testTimeout: 60000, maxWorkers: 1 } };\n`;

interface Run {
  readonly red: boolean;
  /** The first test that failed. */
  readonly by: string;
  readonly seconds: number;
}

/** A copy of everything that the tests need, to be broken and mended again and again. */
class Sandbox {
  readonly #folder: string;

  constructor(name: string) {
    this.#folder = join(WORK, name);
    rmSync(this.#folder, { recursive: true, force: true });
    mkdirSync(this.#folder, { recursive: true });
    for (const part of [
      "src",
      "test/record",
      "test/lease",
      "test/election",
      "test/fencing",
      "test/locks",
      "test/session",
      "test/scheduler",
      "test/cli",
      "test/support",
      "docs",
      "package.json",
      "tsconfig.json",
      "tsconfig.build.json",
    ])
      cpSync(join(ROOT, part), join(this.#folder, part), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(this.#folder, "node_modules"), "dir");
    writeFileSync(join(this.#folder, "vitest.config.ts"), CONFIG);
  }

  async with(edits: readonly Edit[], run: () => Promise<Run>): Promise<Run> {
    const files = [...new Set(edits.map((e) => e.file))];
    for (const edit of edits)
      writeFileSync(join(this.#folder, edit.file), applied(readFileSync(join(this.#folder, edit.file), "utf8"), edit));
    try {
      return await run();
    } finally {
      for (const file of files) cpSync(join(ROOT, file), join(this.#folder, file));
    }
  }

  async tests(files: readonly string[], limitMs: number): Promise<Run> {
    const started = performance.now();
    rmSync(join(this.#folder, "report.json"), { force: true });
    // Tests of the command line start the built program.
    if (files.some((file) => file.startsWith("test/cli/"))) await this.#build(limitMs);
    const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
    const { code, text } = await execute(
      process.execPath,
      [vitest, "run", "--config", "vitest.config.ts", ...files],
      this.#folder,
      limitMs,
    );
    const seconds = (performance.now() - started) / 1_000;
    if (code === undefined) return { red: true, by: `no end within ${limitMs / 1_000} s`, seconds };
    if (code === 0) return { red: false, by: "", seconds };
    return { red: true, by: firstFailure(join(this.#folder, "report.json"), text), seconds };
  }

  /** @throws Error when it does not compile: a mutant must be wrong, not broken. */
  async #build(limitMs: number): Promise<void> {
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    // What a mutant has cut off may lie there unused.
    const lenient = ["--noUnusedLocals", "false", "--noUnusedParameters", "false", "--allowUnreachableCode", "true"];
    const { code, text } = await execute(process.execPath, [tsc, "-p", "tsconfig.build.json", ...lenient], this.#folder, limitMs);
    if (code !== 0) throw new Error(`it does not compile:\n${text.slice(-3_000)}`);
  }
}

interface Report {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

/** @throws Error when it was no test that failed: a patch that does not load proves nothing. */
function firstFailure(file: string, text: string): string {
  const report = JSON.parse(readFileSync(file, "utf8")) as Report;
  for (const { assertionResults } of report.testResults) {
    const failed = assertionResults.find((a) => a.status === "failed");
    if (failed === undefined) continue;
    if (/^(?:Reference|Syntax)Error\b/.test(failed.failureMessages[0] ?? "")) throw new Error(`no program: ${failed.failureMessages[0]}`);
    return failed.fullName;
  }
  // A mutant may break out of every test, as an unhandled rejection; the run is red all the same.
  const unhandled = /Unhandled (?:Rejection|Error).*?\n.*?Error: ([^\n]*)/s.exec(text);
  if (unhandled !== null) return `unhandled: ${unhandled[1]}`;
  throw new Error(`no test failed, and yet the run did:\n${text.slice(-3_000)}`);
}

function execute(
  command: string,
  args: readonly string[],
  cwd: string,
  limitMs: number,
): Promise<{ readonly code: number | undefined; readonly text: string }> {
  return new Promise((done, reject) => {
    // A group of its own, so that the workers of a run that hangs end with it.
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let text = "";
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, limitMs);
    const add = (chunk: Buffer): void => void (text += chunk.toString());
    child.stdout.on("data", add);
    child.stderr.on("data", add);
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      done({ code: late ? undefined : (code ?? 1), text });
    });
  });
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { jobs: { type: "string", default: "2" }, check: { type: "boolean", default: false } },
  });
  const chosen = TESTED.filter((m) => positionals.length === 0 || positionals.some((p) => m.id.startsWith(p)));
  if (chosen.length === 0) throw new UsageError(`no mutant's id begins with ${positionals.join(", ")}`);
  const jobs = wholeNumber("jobs", values.jobs, 1, 64);
  const faults = [
    ...UNLISTED.map((id) => `${id}: of the simulator's, and no test is named for it in test/mutants/table.ts`),
    ...misfits(ROOT, chosen),
  ];
  for (const fault of faults) console.log(fault);
  if (faults.length > 0 || values.check) return faults.length > 0 ? 1 : 0;

  const files = [...new Set(chosen.flatMap((m) => m.tests))].sort();
  const boxes = Array.from({ length: jobs }, (_, i) => new Sandbox(String(i)));
  const [box] = boxes;
  const sane = await box?.tests(files, SANE_LIMIT_MS);
  if (sane?.red === true) {
    console.log(`the tests are red without any mutant: ${sane.by}`);
    return 1;
  }
  console.log(`no mutant: green (${files.length} files, ${sane?.seconds.toFixed(1)} s)\n\n| mutant | caught by | s |\n|---|---|---|`);
  const survivors: TestedMutant[] = [];
  const queue = [...chosen];
  const worker = async (sandbox: Sandbox): Promise<void> => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const { edits, tests, id, masked } = mutant;
      const { red, by, seconds } = await sandbox.with(edits, () => sandbox.tests(tests, LIMIT_MS));
      if (!red) survivors.push(mutant);
      const said = red ? by : masked === undefined ? "**SURVIVED**" : `survived: ${masked}`;
      console.log(`| ${id} | ${said.replaceAll("|", "\\|")} | ${seconds.toFixed(1)} |`);
    }
  };
  await Promise.all(boxes.map(worker));
  rmSync(WORK, { recursive: true, force: true });
  for (const { id, breaks, masked } of survivors) if (masked === undefined) console.log(`\nSURVIVED: ${id}: ${breaks}`);
  console.log(`\n${chosen.length - survivors.length} caught, ${survivors.length} survived`);
  return survivors.some((m) => m.masked === undefined) ? 1 : 0;
}

process.exitCode = await runCommand(USAGE, main);
