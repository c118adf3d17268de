#!/usr/bin/env node
/** Runs the models: every row has an expected verdict, and any other one fails the run. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { check, run } from "./check.mjs";
import { rows } from "./rows.mjs";

const HERE = import.meta.dirname;
const TRAILS = join(HERE, "../.cache/model/trails");
const CHECKS = join(HERE, "../.cache/report/model.json");
const SETS = { short: ["short"], all: ["short", "all"], heavy: ["heavy"] };

const PARTS = [...new Set(rows.map((row) => row.part))];
const USAGE = `npm run model -- [options]
  --set short    every mutant, and the small configurations of the protocol itself (the default; under 5 minutes on two cores)
  --set all      the larger configurations too (half an hour on idle cores; each under 3 GB)
  --set heavy    those of more than 3 GB alone (up to 8 GB)
  --only TEXT    rows of any set whose name contains TEXT
  --part PART    rows of one part: ${PARTS.join(", ")}
  --jobs N       so many rows at a time (default: as many as there are cores, at most 4; 1 with the larger sets)
  --trails       write the counter-examples as text to .cache/model/trails
  --report FILE  write the table as Markdown
A whole set leaves .cache/report/model.json: each row is a check. Exit status: 0 when every row is as expected, 1 when one is not, 64 for wrong use, 69 without spin or gcc.`;

const options = readOptions();

// Whatever ends this ends the verifiers, too.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));

if (options !== undefined) process.exitCode = await main();

/** @returns `undefined` when there is nothing to run. */
function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        set: { type: "string", default: "short" },
        only: { type: "string" },
        part: { type: "string" },
        jobs: { type: "string" },
        trails: { type: "boolean", default: false },
        report: { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
    if (!values.help) return values;
    console.log(USAGE);
  } catch (error) {
    process.exitCode = complain(error.message);
  }
  return undefined;
}

async function main() {
  const sets = SETS[options.set];
  if (sets === undefined) return complain(`--set ${options.set} is none of ${Object.keys(SETS).join(", ")}`);
  if (options.part !== undefined && !PARTS.includes(options.part)) return complain(`--part ${options.part} is none of ${PARTS.join(", ")}`);
  // Of the larger rows one at a time: together they may need more memory than there is.
  const jobs = Number(options.jobs ?? (options.set === "short" ? Math.min(4, availableParallelism()) : 1));
  if (!(Number.isInteger(jobs) && jobs >= 1 && jobs <= 64)) return complain(`--jobs ${options.jobs}: a whole number from 1 to 64`);
  const missing = [];
  for (const [tool, flag] of Object.entries({ spin: "-V", gcc: "--version" }))
    if ((await run(tool, [flag], HERE)).code === undefined) missing.push(tool);
  if (missing.length > 0) {
    console.error(`The models need ${missing.join(" and ")}. On Debian and Ubuntu: apt-get install spin gcc. On macOS: brew install spin`);
    return 69;
  }
  const chosen = rows.filter(
    (row) =>
      (options.only === undefined ? sets.includes(row.set) : row.name.includes(options.only)) &&
      (options.part === undefined || row.part === options.part),
  );
  if (chosen.length === 0) return complain("no row matches");
  if (options.trails) mkdirSync(TRAILS, { recursive: true });
  rmSync(CHECKS, { force: true });
  const startedMs = Date.now();
  const results = await checkAll(chosen, jobs);
  return await conclude(results, Math.round((Date.now() - startedMs) / 1000), jobs);
}

/** In any order, told as they end; the table keeps theirs. */
async function checkAll(chosen, jobs) {
  const results = [];
  let next = 0;
  let done = 0;
  const worker = async () => {
    for (let i = next++; i < chosen.length; i = next++) {
      const row = chosen[i];
      const result = await check(row, { trails: options.trails ? TRAILS : undefined });
      results[i] = result;
      const place = `${String(++done).padStart(String(chosen.length).length)}/${chosen.length}`;
      console.log(`${place} ${result.asExpected ? "ok " : "BAD"} ${row.part.padEnd(9)} ${row.name.padEnd(32)} ${describe(result)}`);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return results;
}

async function conclude(results, seconds, jobs) {
  const bad = results.filter((result) => !result.asExpected);
  const states = results.reduce((sum, result) => sum + (result.states ?? 0), 0);
  if (options.report !== undefined) writeFileSync(options.report, await report(results, seconds, jobs));
  if (options.only === undefined && options.part === undefined) {
    mkdirSync(dirname(CHECKS), { recursive: true });
    writeFileSync(CHECKS, JSON.stringify({ checks: results.map(({ row, asExpected }) => ({ name: row.name, ok: asExpected })) }));
  }
  console.log(`${results.length - bad.length} of ${results.length} rows as expected, ${states.toLocaleString("en")} states, ${seconds} s`);
  for (const { row, verdict } of bad) console.log(`NOT AS EXPECTED: ${row.name} (${row.rule}): ${verdict}; expected ${row.expect}`);
  return bad.length === 0 ? 0 : 1;
}

function complain(message) {
  console.error(`${message}\n\n${USAGE}`);
  return 64;
}

function describe({ states, steps, depth, seconds, megabytes, verdict }) {
  const size = states === undefined ? "" : `${states.toLocaleString("en")} states, `;
  const length = steps === undefined ? `depth ${depth ?? "?"}` : `${steps} steps`;
  return `${size}${length}, ${seconds.toFixed(1)} s, ${Math.round(megabytes ?? 0)} MB: ${verdict.slice(0, 70)}`;
}

async function report(results, seconds, jobs) {
  const date = new Date().toISOString().slice(0, 10);
  const tool = (await run("spin", ["-V"], HERE)).text.trim();
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
    `\`npm run model -- --set ${options.set}\`, ${date}, ${tool}, ${jobs} at a time on ${availableParallelism()} cores shared with other work: ${results.length} rows, ${seconds} s.`,
    `"holds": the whole state space was searched. "caught": the assertion that the row expects was violated; steps is the length of the counter-example.`,
    ``,
    `| Part | Row | Rule | States | Length | Time | Memory | Verdict |`,
    `|---|---|---|---|---|---|---|---|`,
    ...cells.map((line) => `| ${line} |`),
    ``,
  ].join("\n");
}
