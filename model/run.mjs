#!/usr/bin/env node
/**
 * Runs the models: every row has an expected verdict, and any other one fails the run.
 *
 *   node model/run.mjs --set short            every mutant, and the small configurations of the protocol itself (under 10 minutes on one core)
 *   node model/run.mjs --set all              the larger configurations too (about half an hour; each under 3 GB)
 *   node model/run.mjs --set heavy            those of more than 3 GB alone (up to 8 GB)
 *   --only TEXT  rows whose name contains TEXT      --part lease|storetime|session|ring|flags|stale
 *   --trails     writes the counter-examples as text to .cache/model/trails       --report FILE  writes the table as Markdown
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, existsSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { rows } from "./rows.mjs";

const HERE = import.meta.dirname;
const TRAILS = join(HERE, "../.cache/model/trails");
/** No row takes longer on a slow machine; one that does has got out of hand. */
const ROW_LIMIT_MS = 30 * 60_000;
const SETS = { short: ["short"], all: ["short", "all"], heavy: ["heavy"] };

const { values: options } = parseArgs({
  options: {
    set: { type: "string", default: "short" },
    only: { type: "string" },
    part: { type: "string" },
    trails: { type: "boolean", default: false },
    report: { type: "string" },
  },
});

process.exitCode = main();

function main() {
  const sets = SETS[options.set];
  if (sets === undefined) return complain(`--set ${options.set} is none of ${Object.keys(SETS).join(", ")}`);
  const missing = ["spin", "gcc"].filter((tool) => spawnSync(tool, [tool === "spin" ? "-V" : "--version"]).error !== undefined);
  if (missing.length > 0)
    return complain(
      `The models need ${missing.join(" and ")}. On Debian and Ubuntu: apt-get install spin gcc. On macOS: brew install spin`,
    );
  const chosen = rows.filter(
    (row) =>
      (options.only === undefined ? sets.includes(row.set) : row.name.includes(options.only)) &&
      (options.part === undefined || row.part === options.part),
  );
  if (chosen.length === 0) return complain("no row matches");
  if (options.trails) mkdirSync(TRAILS, { recursive: true });
  const startedMs = Date.now();
  const results = chosen.map((row, i) => {
    const result = check(row);
    const place = `${String(i + 1).padStart(String(chosen.length).length)}/${chosen.length}`;
    console.log(`${place} ${result.asExpected ? "ok " : "BAD"} ${row.part.padEnd(9)} ${row.name.padEnd(32)} ${describe(result)}`);
    return result;
  });
  const bad = results.filter((result) => !result.asExpected);
  const seconds = Math.round((Date.now() - startedMs) / 1000);
  const states = results.reduce((sum, result) => sum + (result.states ?? 0), 0);
  if (options.report !== undefined) writeFileSync(options.report, report(results, seconds));
  console.log(`${results.length - bad.length} of ${results.length} rows as expected, ${states.toLocaleString("en")} states, ${seconds} s`);
  for (const { row, verdict } of bad) console.log(`NOT AS EXPECTED: ${row.name} (${row.rule}): ${verdict}; expected ${row.expect}`);
  return bad.length === 0 ? 0 : 1;
}

function complain(message) {
  console.error(message);
  return 2;
}

/** Builds the verifier of one row in a folder of its own, runs it, and compares. */
function check(row) {
  const dir = mkdtempSync(join(tmpdir(), "s3-consensus-model-"));
  try {
    cpSync(join(HERE, `${row.model}.pml`), join(dir, "m.pml"));
    const spin = spawnSync("spin", [...words(row.defs), "-a", "m.pml"], { cwd: dir, encoding: "utf8" });
    if (!existsSync(join(dir, "pan.c"))) return broken(row, `spin: ${spin.stdout}${spin.stderr}`);
    const gcc = spawnSync(
      "gcc",
      [row.set === "short" ? "-O1" : "-O2", "-w", "-DSAFETY", "-DNOREDUCE", ...words(row.cc), "-o", "pan", "pan.c"],
      {
        cwd: dir,
        encoding: "utf8",
      },
    );
    if (gcc.status !== 0) return broken(row, `gcc: ${gcc.stderr}`);
    const startedMs = Date.now();
    const pan = spawnSync("./pan", words(row.run), { cwd: dir, encoding: "utf8", timeout: ROW_LIMIT_MS, maxBuffer: 64 * 1024 * 1024 });
    const result = judge(row, pan.stdout, (Date.now() - startedMs) / 1000);
    return existsSync(join(dir, "m.pml.trail")) ? { ...result, steps: trail(row, dir) } : result;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
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
function trail(row, dir) {
  const steps = readFileSync(join(dir, "m.pml.trail"), "utf8").trim().split("\n").length - 3;
  if (options.trails) {
    const told = spawnSync("spin", [...words(row.defs), "-t", "m.pml"], { cwd: dir, encoding: "utf8" }).stdout;
    const noise = /^(spin:|#processes)|^\s+[A-Za-z]+(\[\d+\])? = |^\s*\d*:?\s*proc |process created/;
    const text = told
      .split("\n")
      .filter((line) => !noise.test(line))
      .join("\n");
    writeFileSync(join(TRAILS, `${row.name}.txt`), text);
  }
  return steps;
}

function words(text) {
  return text.split(" ").filter((word) => word !== "");
}

function describe({ states, steps, depth, seconds, megabytes, verdict }) {
  const size = states === undefined ? "" : `${states.toLocaleString("en")} states, `;
  const length = steps === undefined ? `depth ${depth ?? "?"}` : `${steps} steps`;
  return `${size}${length}, ${seconds.toFixed(1)} s, ${Math.round(megabytes ?? 0)} MB: ${verdict.slice(0, 70)}`;
}

function report(results, seconds) {
  const date = new Date().toISOString().slice(0, 10);
  const tool = spawnSync("spin", ["-V"], { encoding: "utf8" }).stdout.trim();
  const cells = results.map(({ row, states, steps, depth, seconds: s, megabytes, verdict, asExpected }) =>
    [
      row.part,
      row.name,
      row.rule,
      (states ?? 0).toLocaleString("en"),
      steps === undefined ? `depth ${depth ?? "?"}` : `${steps} steps`,
      `${s.toFixed(1)} s`,
      `${Math.round(megabytes ?? 0)} MB`,
      `${verdict === "holds" ? "holds" : "caught"}${asExpected ? "" : ` **NOT AS EXPECTED** (${verdict})`}`,
    ].join(" | "),
  );
  return [
    `# Results of the models`,
    ``,
    `\`npm run model -- --set ${options.set}\`, ${date}, ${tool}, ${cpus().length} cores shared with other work: ${results.length} rows, ${seconds} s.`,
    `"holds": the whole state space was searched. "caught": the assertion that the row expects was violated; steps is the length of the counter-example.`,
    ``,
    `| Part | Row | Rule | States | Length | Time | Memory | Verdict |`,
    `|---|---|---|---|---|---|---|---|`,
    ...cells.map((line) => `| ${line} |`),
    ``,
  ].join("\n");
}
