/** The project's own commands, as somebody types them who does not know them. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { whenFinished } from "../support/finish.ts";
import { removeFolder, temporaryFolder } from "../support/reaper.ts";

const ROOT = join(import.meta.dirname, "../..");
const COMMANDS = {
  sim: ".cache/build/test/sim/proof/main.js",
  mutants: ".cache/build/test/sim/proof/mutate.js",
  "mutants:tests": ".cache/build/test/mutants/run.js",
  campaign: ".cache/build/test/campaign/main.js",
  model: "model/run.mjs",
} as const;

function run(
  command: keyof typeof COMMANDS,
  ...args: readonly string[]
): { readonly status: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, COMMANDS[command]), ...args], { cwd: ROOT, encoding: "utf8" });
  return { status, out: stdout, err: stderr };
}

describe.each(Object.keys(COMMANDS) as (keyof typeof COMMANDS)[])("npm run %s", (command) => {
  it("tells how it goes", () => {
    const { status, out, err } = run(command, "--help");
    expect(out).toContain(`npm run ${command} -- [options]`);
    expect([status, err]).toEqual([0, ""]);
  });

  it("tells what it does not know, and how it goes, and ends with 64", () => {
    const { status, err } = run(command, "--fast");
    expect(err).toMatch(/^Unknown option '--fast'/);
    expect(err).toContain(`npm run ${command} -- [options]`);
    expect(err).not.toContain("    at ");
    expect(status).toBe(64);
  });
});

it.each([
  ["sim", ["--seeds", "0"], "--seeds 0: expected a whole number from 1"],
  ["sim", ["--seed", "1.5"], "--seed 1.5: expected a whole number from 0"],
  ["sim", ["--hours", "Infinity"], "--hours Infinity: expected a number from 0.001 to 10000"],
  ["sim", ["--minutes", ""], "--minutes : expected a number"],
  ["sim", ["--plan", "nowhere.json"], "--plan nowhere.json: ENOENT"],
  ["sim", ["--plan", "test"], "--plan test: EISDIR"],
  ["sim", ["--plan", "package.json"], "--plan package.json: this is no plan of format 1"],
  ["mutants", ["nobody"], "no mutant's id begins with nobody"],
  ["mutants", ["--jobs", "many"], "--jobs many: expected a whole number from 1 to 64"],
  ["mutants:tests", ["nobody"], "no mutant's id begins with nobody"],
  ["mutants:tests", ["--jobs", "0"], "--jobs 0: expected a whole number from 1 to 64"],
  ["campaign", ["--minutes", "soon"], "--minutes soon: expected a number from 0.5 to 1440"],
  ["campaign", ["--nodes", "9"], "--nodes 9: expected a whole number from 3 to 5"],
  ["campaign", ["--drives", "3"], "--drives 3: expected 1 or 4"],
  ["campaign", ["--store", "aws"], "--store aws: expected minio or rgw"],
  ["campaign", ["--only", "earthquake"], "--only earthquake: expected a part of one of pause, "],
  ["model", ["--set", "none"], "--set none is none of short, all, heavy"],
  ["model", ["--part", "ends"], "--part ends is none of lease, "],
  ["model", ["--only", "nobody"], "no row matches"],
] as const)("npm run %s -- %j: wrong use", (command, args, said) => {
  const { status, err } = run(command, ...args);
  expect(err).toContain(said);
  expect(err).not.toContain("    at ");
  expect(status).toBe(64);
});

it("a plan that is cut off is wrong use, too", () => {
  const folder = temporaryFolder("plan");
  whenFinished(() => removeFolder(folder));
  writeFileSync(join(folder, "plan.json"), '{ "format": 1, "see');
  expect(run("sim", "--plan", join(folder, "plan.json")).status).toBe(64);
});
