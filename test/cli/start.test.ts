/** What a command loads before it does anything: most of its start is that, and unlike the time it can be told exactly. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FakeS3, fakeS3 } from "../../src/testing/index.ts";
import { cliEnv, runCli } from "../support/cli.ts";
import { temporaryFolder } from "../support/reaper.ts";

const ROOT = join(import.meta.dirname, "../..");
const PRELOAD = pathToFileURL(join(ROOT, ".cache/build/test/support/preload/loaded.js")).href;

let server: FakeS3;

beforeAll(async () => {
  server = await fakeS3({ buckets: ["start"] });
});

afterAll(() => server.close());

interface Loaded {
  readonly status: number;
  /** Our own files, below dist. */
  readonly ours: readonly string[];
  readonly imported: readonly string[];
  readonly required: readonly string[];
}

async function loaded(...args: string[]): Promise<Loaded> {
  const folder = temporaryFolder("loaded");
  const file = join(folder, "loaded.txt");
  const { status } = await runCli(args, {
    cwd: folder,
    env: {
      ...cliEnv(undefined, { AWS_ACCESS_KEY_ID: "dev", AWS_SECRET_ACCESS_KEY: "dev" }),
      NODE_OPTIONS: `--import ${PRELOAD}`,
      S3_CONSENSUS_TEST_LOADED_FILE: file,
    },
  });
  const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
  const of = (kind: string): string[] => [
    ...new Set(lines.filter((line) => line.startsWith(`${kind} `)).map((line) => line.slice(kind.length + 1))),
  ];
  const dist = pathToFileURL(join(ROOT, "dist/")).href;
  const ours = of("import").filter((url) => url.startsWith(dist));
  return { status, ours: ours.map((url) => url.slice(dist.length)), imported: of("import"), required: of("require") };
}

const sdkOf = (all: readonly string[]): string[] => all.filter((path) => /node_modules\/@(aws-sdk|smithy)\//.test(path));
const roomsOf = ({ ours }: Loaded): Set<string> => new Set(ours.flatMap((path) => (path.includes("/") ? (path.split("/")[0] ?? "") : [])));

describe("what does not go to the store does not load the SDK", () => {
  it.each([
    ["help", ["help"], 0],
    ["the help of a command", ["lock", "--help"], 0],
    ["version", ["version"], 0],
    ["--version", ["--version"], 0],
    ["an unknown command", ["lokc"], 64],
    ["an unknown option", ["lock", "--tll", "3s", "key", "--", "true"], 64],
    ["a missing argument", ["lock"], 64],
    ["no store", ["lock", "key", "--", "true"], 64],
    ["a store that can't be", ["--store", "s3://Not/ok?nonsense=1", "ls"], 64],
  ])("%s", async (_, args, status) => {
    const found = await loaded(...args);
    expect(found.status).toBe(status);
    expect(found.ours).toContain("cli/main.js");
    expect([...sdkOf(found.imported), ...sdkOf(found.required)]).toEqual([]);
  });

  it.each([["help"], ["version"], ["--version"], ["lokc"]])(
    "%s loads nothing of the library but errors, options and the clock",
    async (word) => {
      expect([...roomsOf(await loaded(word))].sort()).toEqual(["cli", "clock"]);
    },
  );
});

describe("what goes to the store", () => {
  it.each([
    ["lock", ["lock", "key", "--", "true"], ["cli", "clock", "lease", "locks", "record", "store"]],
    ["elect", ["elect", "name", "--", "true"], ["cli", "clock", "election", "lease", "locks", "record", "store"]],
    ["ls", ["ls"], ["cli", "clock", "locks", "record", "store"]],
    ["status", ["status"], ["cli", "clock", "locks", "record", "store"]],
  ])("%s loads the rooms that it needs, and the SDK by require alone", async (name, args, rooms) => {
    const found = await loaded("--store", server.url("start"), ...args);
    expect(found.status).toBe(0);
    expect([...roomsOf(found)].sort()).toEqual(rooms);
    expect(found.ours.filter((path) => path.startsWith("cli/commands/"))).toEqual([`cli/commands/${name}.js`]);
    // An import would have Node read the whole SDK once more, for the names that it exports.
    expect(sdkOf(found.imported)).toEqual([]);
    expect(sdkOf(found.required).some((path) => path.includes("/client-s3/"))).toBe(true);
    // No file, no parser for it; no schedule, no cron.
    expect(found.required.filter((path) => /node_modules\/(yaml|cron-parser|luxon)\//.test(path))).toEqual([]);
    expect(found.imported.filter((url) => url.includes("/node_modules/valibot/"))).toEqual([]);
  });
});
