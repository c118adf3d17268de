/**
 * Steps the wall clock of a program while it runs, and leaves its monotonic clock alone. By libfaketime where it is installed: then every part of
 * the process sees the step, Node's own code included. Elsewhere by a module that is loaded before the program and replaces `Date`.
 */
import { existsSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./reaper.ts";

export interface WallShift {
  readonly env: Readonly<Record<string, string>>;
  readonly nodeArgs: readonly string[];
  /** From now on the program's wall clock is this far ahead of the machine's (behind, if negative). */
  set(shiftMs: number): void;
}

const LIBRARY = findLibrary();

/** The environment of a program whose clocks, the monotonic one too, run at this rate; undefined where libfaketime is not installed. */
export function falseRate(rate: number): Readonly<Record<string, string>> | undefined {
  return LIBRARY === undefined ? undefined : { LD_PRELOAD: LIBRARY, FAKETIME: `+0 x${rate}`, NO_FAKE_STAT: "1" };
}

/** Which of the two ways is used here: put it into the title of the test. */
export const wallShiftMethod: "libfaketime" | "a replaced Date" = LIBRARY === undefined ? "a replaced Date" : "libfaketime";

/** A wall clock for one program, or for several that share their idea of the time: give it to `spawnProgram` as `wall`. */
export function wallShift(initialMs = 0, method: typeof wallShiftMethod = wallShiftMethod): WallShift {
  const file = join(temporaryFolder("wall"), "shift");
  const write = (text: string): void => {
    // By a rename: the program may read it at any moment, and must not see half of it.
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  if (method === "libfaketime") {
    if (LIBRARY === undefined) throw new Error("libfaketime is not installed (apt-get install faketime)");
    const set = (shiftMs: number): void => write(`${shiftMs < 0 ? "-" : "+"}${(Math.abs(shiftMs) / 1000).toFixed(3)}\n`);
    set(initialMs);
    return {
      env: {
        LD_PRELOAD: LIBRARY,
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_NO_CACHE: "1",
        // Without this the monotonic clock steps too, and a test of clock steps proves nothing.
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
        NO_FAKE_STAT: "1",
      },
      nodeArgs: [],
      set,
    };
  }
  const set = (shiftMs: number): void => write(String(shiftMs));
  set(initialMs);
  const preload = join(import.meta.dirname, "../../.cache/build/test/support/preload/shift-date.js");
  return { env: { S3_CONSENSUS_TEST_WALL_SHIFT_FILE: file }, nodeArgs: ["--import", preload], set };
}

function findLibrary(): string | undefined {
  if (process.platform !== "linux") return undefined;
  // Debian has a folder for each architecture.
  const perArchitecture = readdirSync("/usr/lib").map((name) => `/usr/lib/${name}/faketime`);
  const folders = [...perArchitecture, "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime"];
  return folders.map((folder) => join(folder, "libfaketimeMT.so.1")).find((path) => existsSync(path));
}
