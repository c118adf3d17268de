/** The command `check-history`, as the built program. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { removeFolder, temporaryFolder } from "../support/reaper.ts";
import { whenFinished } from "../support/finish.ts";
import { DAMAGES } from "./damage.ts";
import { generate } from "./generate.ts";

const PROGRAM = join(import.meta.dirname, "../../.cache/build/test/history/main.js");

function check(args: readonly string[], input = ""): { readonly status: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], { input, encoding: "utf8" });
  return { status, out: stdout, err: stderr };
}

const lines = (values: readonly object[]): string => values.map((value) => `${JSON.stringify(value)}\n`).join("");

describe("check-history", () => {
  it("says that a history is linearizable, from a file and from standard input", () => {
    const { attempts, beliefs, fenced } = generate({ seed: 5, clients: 3, trouble: 0.3 });
    const text = lines([...attempts, ...beliefs, ...fenced]);
    const folder = temporaryFolder("history");
    whenFinished(() => removeFolder(folder));
    const file = join(folder, "history.jsonl");
    writeFileSync(file, text);
    for (const { status, out } of [check([file]), check(["-"], text)]) {
      expect(status).toBe(0);
      expect(out).toMatch(/^\d+ attempts on 1 keys .*\nlinearizable: no contradiction\n$/);
    }
  });

  it("prints the smallest contradiction of one that is not, and ends with 1", () => {
    const damage = DAMAGES.find(({ kinds }) => kinds.includes("two-writes-on-one-version"));
    const good = generate({ seed: 5, clients: 3 });
    const damaged = damage?.do(good, (from) => from[0]);
    if (damaged === undefined) throw new Error("this history can't be damaged so");
    const { status, out } = check(["-"], lines(damaged));
    expect(status).toBe(1);
    expect(out).toContain("NOT linearizable");
    expect(out).toMatch(/^two-writes-on-one-version at /m);
  });

  it("claims nothing for what a history lacks, when it is told so", () => {
    const { attempts } = generate({ seed: 3, clients: 3 });
    const some = lines(attempts.filter((a) => a.kind !== "create"));
    expect(check(["-"], some).status).toBe(1);
    expect(check(["--incomplete", "-"], some).status).toBe(0);
  });

  it("names what it can't read or does not know, and ends with 2", () => {
    expect(check(["nowhere.jsonl"])).toMatchObject({ status: 2, err: expect.stringContaining("nowhere.jsonl") as string });
    expect(check(["-"], "{\n")).toMatchObject({ status: 2, err: expect.stringContaining("line 1") as string });
    expect(check(["--fast", "-"])).toMatchObject({ status: 2, err: expect.stringContaining("--fast") as string });
    expect(check([]).err).toContain("Usage");
    for (const nothing of ["", '{"type":"note"}\n'])
      expect(check(["-"], nothing)).toMatchObject({ status: 2, out: "", err: expect.stringContaining("nothing was checked") as string });
  });
});
