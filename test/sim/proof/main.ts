/**
 * `npm run sim -- --seeds 250 --hours 0.5`: fresh seeds through the simulator. A failure is shrunk and written to a file; the end of the run
 * says what was covered, and fails if a named state was never seen. One seed in a hundred runs twice, and both histories must be equal.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { aNumberFrom, runCommand, UsageError, wholeNumber } from "../../support/command-line.ts";
import { Coverage, NAMED_STATES } from "./coverage.ts";
import { printPlan, type Plan } from "./plan.ts";
import { parsePlan } from "./plan-file.ts";
import { runPlan, type RunResult } from "./run.ts";
import { shrink } from "./shrink.ts";
import { planOf } from "./swarm.ts";

const USAGE = `npm run sim -- [options]
  --seeds N      so many seeds (default 250)
  --seed S       the first seed (default: drawn; it is printed). Alone, without --seeds: only this one
  --hours H      simulated hours of faults for each seed, less for short ttls (default 0.5)
  --minutes M    stop after so many real minutes
  --plan FILE    replay a plan instead
  --trace        print every event
  --keep-going   go on after a failure
  --no-shrink    write failing plans as they are
  --allow-gaps   do not fail when a named state was never seen (for short runs)
  --out DIR      where failing plans are written (default .cache/sim)`;

interface Options {
  readonly seeds: number;
  readonly first: number;
  readonly hours: number;
  readonly minutes: number;
  readonly plan: string | undefined;
  readonly trace: boolean;
  readonly keepGoing: boolean;
  readonly shrink: boolean;
  readonly allowGaps: boolean;
  readonly out: string;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string" },
      seed: { type: "string" },
      hours: { type: "string", default: "0.5" },
      minutes: { type: "string" },
      plan: { type: "string" },
      trace: { type: "boolean", default: false },
      "keep-going": { type: "boolean", default: false },
      "no-shrink": { type: "boolean", default: false },
      "allow-gaps": { type: "boolean", default: false },
      out: { type: "string", default: join(".cache", "sim") },
    },
  });
  const single = values.seed !== undefined && values.seeds === undefined;
  return {
    seeds: wholeNumber("seeds", values.seeds ?? (single ? "1" : "250"), 1),
    first: values.seed === undefined ? Math.floor(Math.random() * 1e9) : wholeNumber("seed", values.seed, 0),
    hours: aNumberFrom("hours", values.hours, 0.001, 10_000),
    minutes: values.minutes === undefined ? Infinity : aNumberFrom("minutes", values.minutes, 0.01, 100_000),
    plan: values.plan,
    trace: values.trace,
    keepGoing: values["keep-going"],
    shrink: !values["no-shrink"],
    allowGaps: values["allow-gaps"] || single || values.plan !== undefined,
    out: values.out,
  };
}

/** @throws UsageError when it can't be read, or is no plan. */
function readPlan(file: string): Plan {
  try {
    return parsePlan(readFileSync(file, "utf8"));
  } catch (error) {
    throw new UsageError(`--plan ${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** What a run of many seeds has seen so far. */
class Tally {
  readonly coverage: Coverage = new Coverage();
  readonly startedMs: number = performance.now();
  seeds = 0;
  twice = 0;
  failures = 0;
  events = 0;
  simulatedMs = 0;

  add(result: RunResult): void {
    this.seeds++;
    this.events += result.events;
    this.simulatedMs += result.simulatedMs;
    this.coverage.add(result.coverage);
  }

  get line(): string {
    const seconds = (performance.now() - this.startedMs) / 1_000;
    const rate = Math.round(this.events / seconds).toLocaleString("en");
    const hours = this.simulatedMs / 3_600_000;
    const span = hours < 48 ? `${hours.toFixed(1)} h` : `${(hours / 24).toFixed(1)} d`;
    return `${this.seeds} seeds, ${span} simulated, ${this.events.toLocaleString("en")} events, ${rate}/s, ${this.failures} failed, ${seconds.toFixed(0)} s`;
  }

  print(): void {
    console.log(`\n${this.line}`);
    console.log(`${this.twice} seeds ran twice with equal hashes`);
    console.log("\nNamed states:");
    for (const state of NAMED_STATES) console.log(`  ${String(this.coverage.of(state)).padStart(9)}  ${state}`);
    console.log("\nOther counts:");
    for (const [name, n] of this.coverage.entries()) {
      if (!(NAMED_STATES as readonly string[]).includes(name)) console.log(`  ${String(n).padStart(9)}  ${name}`);
    }
  }
}

async function main(): Promise<number> {
  const options = readOptions();
  const replayed = options.plan === undefined ? undefined : readPlan(options.plan);
  const tally = new Tally();
  let stopped = false;
  process.once("SIGINT", () => {
    stopped = true;
    console.log("\nstopping after this seed; again to stop at once");
    process.once("SIGINT", () => {
      tally.print();
      process.exit(130);
    });
  });
  const isOver = (): boolean => stopped || performance.now() - tally.startedMs > options.minutes * 60_000;
  if (replayed !== undefined) await runOne(replayed, options, tally, isOver);
  else {
    console.log(`seeds ${options.first} to ${options.first + options.seeds - 1}, ${options.hours} h each`);
    for (let seed = options.first; seed < options.first + options.seeds && !isOver(); seed++) {
      const failed = await runOne(planOf(seed, options), options, tally, isOver);
      if (failed && !options.keepGoing) break;
      showProgress(tally);
    }
  }
  tally.print();
  return verdict(options, tally, stopped);
}

function verdict(options: Options, tally: Tally, stopped: boolean): number {
  if (tally.failures > 0) return 1;
  if (stopped) return 130;
  const { missing } = tally.coverage;
  if (options.allowGaps || missing.length === 0) return 0;
  console.log(`\nNEVER SEEN: ${missing.join("; ")}. This run proves less than it should; run more seeds.`);
  return 1;
}

let lastProgressMs = 0;

function showProgress(tally: Tally): void {
  const now = performance.now();
  if (now - lastProgressMs < (process.stdout.isTTY ? 500 : 15_000)) return;
  lastProgressMs = now;
  if (process.stdout.isTTY) process.stdout.write(`\r\u001b[K${tally.line}`);
  else console.log(tally.line);
}

/** @returns whether it failed */
async function runOne(plan: Plan, options: Options, tally: Tally, isOver: () => boolean): Promise<boolean> {
  const trace = options.trace ? (line: string): void => console.log(line) : undefined;
  const result = await runPlan(plan, { trace });
  tally.add(result);
  if (result.failure !== undefined) {
    tally.failures++;
    await report(plan, result, options, isOver);
    return true;
  }
  if (plan.seed % 100 !== 0) return false;
  const again = await runPlan(plan);
  tally.twice++;
  if (again.hash === result.hash) return false;
  tally.failures++;
  console.log(`\nseed ${plan.seed}: two runs of one plan gave two histories, ${result.hash} and ${again.hash}`);
  return true;
}

async function report(plan: Plan, result: RunResult, options: Options, isOver: () => boolean): Promise<void> {
  const { failure } = result;
  if (failure === undefined) return;
  console.log(
    `\nseed ${plan.seed} FAILED at ${Math.round(failure.atMs)} ms with ${plan.windows.length} windows of faults\n  ${failure.message}`,
  );
  let found: Plan = { ...plan, found: failure.message };
  if (options.shrink) {
    const shrunk = await shrink(plan, failure, { runs: 400, isStopped: isOver });
    found = shrunk.plan;
    console.log(
      `  shrunk to ${found.windows.length} windows, ${found.nodes.length} nodes, ${found.keys.length} keys in ${shrunk.runs} runs\n  ${shrunk.failure.message}`,
    );
  }
  mkdirSync(options.out, { recursive: true });
  const file = join(options.out, `seed-${plan.seed}.json`);
  writeFileSync(file, printPlan(found));
  console.log(`  ${file}: npm run sim -- --plan ${file} --trace`);
}

process.exitCode = await runCommand(USAGE, main);
