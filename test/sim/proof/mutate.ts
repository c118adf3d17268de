/**
 * `npm run mutants`: applies each mutant to a copy of the sources, compiles it, and lets the simulator look for it, seed by seed. Prints the
 * seed and the time that caught it. Fails when one survives that should not, or when a patch does not fit the sources any more.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { aNumberFrom, runCommand, UsageError, wholeNumber } from "../../support/command-line.ts";
import { RULES, type Edit, type Mutant } from "./mutants.ts";
import { FACES } from "./mutants-faces.ts";
import { PROMISES } from "./promises.ts";

/** The project: this file runs from `.cache/sim-build/test/sim/proof`. */
const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../../../../..");
const WORK = join(ROOT, ".cache", "mutants");

const USAGE = `npm run mutants -- [options] [ID…]
  ID…            only mutants whose id begins so (default: all)
  --seeds N      so many seeds for each (default 250)
  --seed S       the first seed (default 1)
  --hours H      simulated hours of faults for each seed (default 0.25)
  --jobs N       so many mutants at a time (default: one for each core)
  --list         name them, and what each breaks
  --check        only see that every patch fits the sources`;

interface Outcome {
  readonly mutant: Mutant;
  readonly caught: boolean;
  readonly seconds: number;
  /** What the simulator said when it caught it. */
  readonly said: string;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seeds: { type: "string", default: "250" },
      hours: { type: "string", default: "0.25" },
      seed: { type: "string", default: "1" },
      jobs: { type: "string", default: String(availableParallelism()) },
      list: { type: "boolean", default: false },
      check: { type: "boolean", default: false },
    },
  });
  const chosen = [...RULES, ...PROMISES, ...FACES].filter((m) => positionals.length === 0 || positionals.some((p) => m.id.startsWith(p)));
  if (chosen.length === 0) throw new UsageError(`no mutant's id begins with ${positionals.join(", ")}`);
  const jobs = wholeNumber("jobs", values.jobs, 1, 64);
  if (values.list) {
    for (const m of chosen)
      console.log(`${m.id.padEnd(36)} ${m.breaks}${m.masked === undefined ? "" : `\n${" ".repeat(37)}masked: ${m.masked}`}`);
    return 0;
  }
  const misfits = chosen.flatMap((m) => misfitsOf(m));
  for (const misfit of misfits) console.log(misfit);
  if (misfits.length > 0 || values.check) return misfits.length > 0 ? 1 : 0;
  wholeNumber("seeds", values.seeds, 1);
  wholeNumber("seed", values.seed, 0);
  aNumberFrom("hours", values.hours, 0.001, 10_000);
  const queue = [...chosen];
  const outcomes: Outcome[] = [];
  const worker = async (): Promise<void> => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const outcome = await hunt(mutant, ["--seed", values.seed, "--seeds", values.seeds, "--hours", values.hours]);
      outcomes.push(outcome);
      const word = outcome.caught ? "caught  " : mutant.masked === undefined ? "SURVIVED" : "masked  ";
      console.log(`${word} ${mutant.id.padEnd(36)} ${outcome.seconds.toFixed(0).padStart(4)} s  ${outcome.said}`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return summarize(outcomes);
}

function summarize(outcomes: readonly Outcome[]): number {
  const caught = outcomes.filter((o) => o.caught && o.mutant.masked === undefined);
  const survived = outcomes.filter((o) => !o.caught && o.mutant.masked === undefined);
  const masked = outcomes.filter((o) => o.mutant.masked !== undefined);
  console.log(
    `\n${caught.length} caught, ${survived.length} survived, ${masked.length} masked by argument (${masked.filter((o) => o.caught).length} of them caught all the same)`,
  );
  for (const { mutant } of survived) console.log(`SURVIVED: ${mutant.id}: ${mutant.breaks}`);
  return survived.length > 0 ? 1 : 0;
}

/** Builds the mutant in a folder of its own and runs the simulator until it goes red. */
async function hunt(mutant: Mutant, args: readonly string[]): Promise<Outcome> {
  const folder = join(WORK, mutant.id);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const part of ["src", "test/sim", "test/mutants", "test/support/command-line.ts", "package.json", "tsconfig.json"])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"), "dir");
  for (const edit of mutant.edits) {
    const file = join(folder, edit.file);
    writeFileSync(file, applied(readFileSync(file, "utf8"), edit));
  }
  // Types are of no interest here: what a mutant does is.
  const compiled = await run(
    process.execPath,
    [join(ROOT, "node_modules/typescript/bin/tsc"), "--noCheck", "-p", "test/sim/tsconfig.json"],
    folder,
  );
  if (compiled.code !== 0) throw new Error(`${mutant.id} does not compile:\n${compiled.text}`);
  const started = performance.now();
  const main = join(folder, ".cache/sim-build/test/sim/proof/main.js");
  const result = await run(process.execPath, [main, ...args, "--no-shrink", "--allow-gaps"], folder);
  const seconds = (performance.now() - started) / 1_000;
  const said = /^seed (\d+) FAILED.*\n\s*(.*)$/m.exec(result.text);
  if (result.code !== 0 && said === null) throw new Error(`${mutant.id}: the simulator itself failed:\n${result.text.slice(-2_000)}`);
  // A patch that does not run proves nothing.
  if (said !== null && /\b(?:Reference|Syntax)Error\b/.test(said[2] ?? "")) throw new Error(`${mutant.id} is no program: ${said[2]}`);
  rmSync(folder, { recursive: true, force: true });
  return { mutant, caught: result.code !== 0, seconds, said: said === null ? "" : `seed ${said[1]}: ${said[2]?.slice(0, 110)}` };
}

const running = new Set<ChildProcess>();

/** A runner that is stopped takes its simulators with it. */
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    for (const child of running) child.kill("SIGKILL");
    process.exit(130);
  });
}

function run(command: string, args: readonly string[], cwd: string): Promise<{ readonly code: number | null; readonly text: string }> {
  return new Promise((done, reject) => {
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    const add = (chunk: Buffer): void => void (text += chunk.toString());
    child.stdout.on("data", add);
    child.stderr.on("data", add);
    running.add(child);
    child.on("error", reject);
    child.on("close", (code) => {
      running.delete(child);
      done({ code, text });
    });
  });
}

/** The text of an edit as a pattern that does not mind how a formatter wraps it. */
function patternOf(find: string): RegExp {
  const words = find.trim().split(/\s+/);
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(escaped.join("\\s+"), "g");
}

function applied(text: string, { file, find, put }: Edit): string {
  const found = [...text.matchAll(patternOf(find))];
  const [only] = found;
  if (found.length !== 1 || only === undefined) throw new Error(`${file}: found ${found.length} times: ${find}`);
  return text.slice(0, only.index) + put + text.slice(only.index + only[0].length);
}

function misfitsOf(mutant: Mutant): string[] {
  return mutant.edits.flatMap((edit) => {
    try {
      applied(readFileSync(join(ROOT, edit.file), "utf8"), edit);
      return [];
    } catch (error) {
      return [`${mutant.id}: ${error instanceof Error ? error.message : String(error)}`];
    }
  });
}

process.exitCode = await runCommand(USAGE, main);
