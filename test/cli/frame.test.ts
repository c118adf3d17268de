/** What every command has in common: settings, errors, exit statuses, help. From outside, on the built program, where a process matters. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ConfigError, ConsensusError } from "../../src/errors.ts";
import { EXIT, EXIT_TABLE, exitCodeOf, signalStatus } from "../../src/cli/frame/exit-codes.ts";
import { cut, durationText, Output, pad, printable, width } from "../../src/cli/frame/output.ts";
import { clip } from "../../src/cli/frame/full-screen.ts";
import { settingsOf } from "../../src/cli/frame/settings.ts";
import { COMMANDS } from "../../src/cli/frame/registry.ts";
import { VERSION } from "../../src/version.ts";
import { cliEnv, runCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { temporaryFolder } from "../support/reaper.ts";

const here = temporaryFolder("cli");

async function faultsOf(promise: Promise<unknown>): Promise<readonly string[]> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(ConfigError);
  return (error as ConfigError).faults;
}

function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = temporaryFolder("cli-config", here);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

describe("settings", () => {
  it("have defaults", async () => {
    expect(await settingsOf({}, {}, here)).toMatchObject({
      store: undefined,
      prefix: "locks/",
      json: false,
      logLevel: "info",
      logFormat: "text",
    });
  });

  it("flags win over environment, environment over file, field by field", async () => {
    const folder = folderWith({
      "s3-consensus.json": JSON.stringify({ store: "s3://file", prefix: "file/", node: "file", logLevel: "error", ttl: "1m30s" }),
    });
    const env = { S3_CONSENSUS_PREFIX: "env/", S3_CONSENSUS_NODE: "env", S3_CONSENSUS_STORE: "" };
    expect(await settingsOf({ node: "flag" }, env, folder)).toMatchObject({
      store: "s3://file",
      prefix: "env/",
      node: "flag",
      logLevel: "error",
      ttlMs: 90_000,
    });
  });

  it("YAML says the same as JSON; --config names another file than the one in the folder", async () => {
    const folder = folderWith({ "s3-consensus.json": '{"node":"a"}', "other.yaml": "node: b # a comment\nttl: 10s\n" });
    expect(await settingsOf({ config: join(folder, "other.yaml") }, {}, folder)).toMatchObject({ node: "b", ttlMs: 10_000 });
    expect(await settingsOf({}, { S3_CONSENSUS_CONFIG: join(folder, "other.yaml") }, folder)).toMatchObject({ node: "b" });
  });

  it("an empty file says nothing", async () => {
    expect(await settingsOf({}, {}, folderWith({ "s3-consensus.yaml": "# later\n" }))).toMatchObject({ prefix: "locks/" });
  });

  it("every wrong field of a file is named at once, unknown ones with the nearest known", async () => {
    const folder = folderWith({
      "s3-consensus.json": JSON.stringify({ stor: "s3://x", ttl: 30, wait: "soon", lostExitCode: 700, logLevel: "loud", nonsense: 1 }),
    });
    const faults = await faultsOf(settingsOf({}, {}, folder));
    expect(faults).toHaveLength(6);
    for (const part of [
      /stor.*did you mean "store"/,
      /ttl is 30: expected a duration/,
      /wait is "soon": expected a duration/,
      /lostExitCode is 700/,
      /logLevel is "loud": expected one of debug/,
      /nonsense/,
    ])
      expect(
        faults.some((fault) => part.test(fault)),
        String(part),
      ).toBe(true);
  });

  it.each([
    ["an array", "[]", /expected an object/],
    ["a text", '"s3://x"', /expected an object/],
    ["no JSON", "{", /JSON/],
  ])("a file that is %s is refused", async (_, text, fault) => {
    expect((await faultsOf(settingsOf({}, {}, folderWith({ "s3-consensus.json": text })))).join()).toMatch(fault);
  });

  it("two files in one folder are refused, a missing named one too, and a wrong word in the environment", async () => {
    expect(await faultsOf(settingsOf({}, {}, folderWith({ "s3-consensus.json": "{}", "s3-consensus.yaml": "" })))).toHaveLength(1);
    expect(await faultsOf(settingsOf({ config: join(here, "nowhere.json") }, {}, here))).toHaveLength(1);
    expect(await faultsOf(settingsOf({}, { S3_CONSENSUS_LOG_LEVEL: "loud", S3_CONSENSUS_LOG_FORMAT: "xml" }, here))).toHaveLength(2);
  });
});

describe("exit statuses", () => {
  it("every code of an error has one of the table", () => {
    const codes = [
      "CONFIG",
      "LOCK_HELD",
      "REENTRANT",
      "LEASE_LOST",
      "LEASE_ENDED",
      "WORK_NOT_STOPPED",
      "NOT_HELD",
      "FENCED_OUT",
      "STORE_UNSAFE",
      "STORE_ACCESS",
      "STORE_UNAVAILABLE",
      "RECORD",
    ];
    const statuses = codes.map((code) => exitCodeOf(new ConsensusError(code, "")));
    expect(statuses).toEqual([64, 75, 70, 76, 76, 70, 76, 76, 78, 77, 69, 65]);
    expect(exitCodeOf(new TypeError("a bug"))).toBe(70);
    const told = EXIT_TABLE.flatMap(([status]) => status.split(", ")).map(Number);
    expect(Object.values(EXIT).filter((status) => !told.includes(status))).toEqual([]);
  });

  it("docs/cli.md has the same table", () => {
    const text = readFileSync(join(import.meta.dirname, "../../docs/cli.md"), "utf8");
    for (const [status, meaning] of EXIT_TABLE) expect(text.replaceAll(/ +/g, " ")).toContain(`| ${status} | ${meaning} |`);
  });

  it("signals are 128 + their number", () => {
    expect((["SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGTERM"] as const).map(signalStatus)).toEqual([129, 130, 131, 137, 143]);
  });
});

describe("text", () => {
  it("names of others can't move the cursor or change colours", () => {
    expect(printable("a\u001B[31mb\u001B]0;title\u0007c\rd\n")).not.toMatch(/[\u0000-\u001f]/);
  });

  it("is cut and filled by letters", () => {
    expect(cut("übermäßig", 5)).toBe("über…");
    expect(width(pad("\u001B[1mab\u001B[22m", 5))).toBe(5);
  });

  it("is measured as terminals draw it: letters of two cells, pictures, marks above a letter", () => {
    expect(["ロック", "🔒 a", "e\u0301", "ﾛｯｸ", "x—…▸█"].map(width)).toEqual([6, 4, 1, 3, 5]);
    expect(pad("ロ", 4)).toBe("ロ  ");
    expect(cut("ロックです", 6)).toBe("ロッ…");
    expect(cut("ロックです", 10)).toBe("ロックです");
    expect(clip("\u001B[1mロック\u001B[22mabc", 5)).toBe("\u001B[1mロッ\u001B[22m");
    expect(clip("\u001B[1mロッ\u001B[22mabc", 5)).toBe("\u001B[1mロッ\u001B[22ma");
  });

  it.each([
    [0, "0 ms"],
    [999, "999 ms"],
    [4_250, "4.3 s"],
    [59_900, "59 s"],
    [312_000, "5 m 12 s"],
    [12_000_000, "3 h 20 m"],
    [187_200_000, "2 d 4 h"],
  ])("%d ms is %s", (ms, text) => {
    expect(durationText(ms)).toBe(text);
  });

  it("has colours only on a terminal that wants them", () => {
    const said: string[] = [];
    const sink = (isTTY: boolean, colours: boolean) => ({ isTTY, hasColors: () => colours, write: (text: string) => said.push(text) });
    for (const [tty, colours] of [
      [true, true],
      [true, false],
      [false, true],
    ] as const)
      new Output(sink(tty, colours), false).line(new Output(sink(tty, colours), false).style("red", "x"));
    expect(said).toEqual(["\u001B[31mx\u001B[39m\n", "x\n", "x\n"]);
  });
});

describe("the program", () => {
  it("--help names every command and the whole table of exit statuses", async () => {
    const { status, out, err } = await runCli(["--help"]);
    expect({ status, err }).toEqual({ status: 0, err: "" });
    for (const name of Object.keys(COMMANDS)) expect(out).toMatch(new RegExp(`^  ${name} `, "m"));
    for (const [code, meaning] of EXIT_TABLE) expect(out).toContain(`${code.padEnd(8)}  ${meaning}`);
  });

  it.each(Object.keys(COMMANDS))("%s --help and help %s say the same", async (name) => {
    const [one, other] = await Promise.all([runCli([name, "--help"]), runCli(["help", name])]);
    expect({ status: one.status, out: one.out }).toEqual({ status: other.status, out: other.out });
    expect(one.out).toContain(`Usage: s3-consensus ${name}`);
    expect(one.status).toBe(0);
  });

  it.each([
    [["versoin"], "Did you mean version?"],
    [["help", "versoin"], "Did you mean version?"],
    [["version", "--jso"], "Did you mean --json?"],
    [["version", "--log-level", "loud"], 'Expected one of "debug"'],
    [["elect", "x", "--wait", "5s", "--status-file", "f"], "--wait, --status-file without a command"],
    [["elect", "x", "--observe", "--", "true"], "--observe takes no part"],
    [[], "Usage: s3-consensus"],
  ])("%j is wrong use, and says what was meant", async (args, text) => {
    const { status, out, err } = await runCli(args);
    expect({ status, out }).toEqual({ status: 64, out: "" });
    expect(err).toContain(text);
  });

  it("version, as text and as JSON", async () => {
    expect((await runCli(["version"])).out).toBe(`${VERSION}\n`);
    const json = JSON.parse((await runCli(["version", "--json"])).out) as object;
    expectShape("version", json);
    expect(json).toEqual({ version: VERSION, node: process.version });
  });

  it("a wrong configuration is told before anything is done, status 64", async () => {
    const folder = folderWith({ "s3-consensus.json": '{"ttl":1,"wat":2}' });
    const { status, err } = await runCli(["version"], { cwd: folder });
    expect(status).toBe(64);
    expect(err).toMatch(/wat[^]*ttl is 1/);
  });

  it("a reader that has gone away is no crash", async () => {
    const { spawn } = await import("node:child_process");
    const { CLI } = await import("../support/cli.ts");
    const child = spawn("/bin/sh", ["-c", `{ "$0" "$1" --help; echo "status $?" >&2; } | true`, process.execPath, CLI], {
      env: cliEnv(),
      stdio: ["ignore", "ignore", "pipe"],
    });
    let err = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
    await new Promise((resolve) => child.once("close", resolve));
    expect(err).toBe("status 0\n");
  });
});
