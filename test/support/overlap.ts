/** A command that works as long as it lives, and leaves a trace of it: each line is the fencing token under which it was written. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "./reaper.ts";

export interface OverlapLog {
  readonly path: string;
  /** `sh` and its arguments: works until it is killed. With `deaf`, it ignores TERM, INT and HUP. */
  worker(o?: { readonly deaf?: boolean | undefined }): string[];
  /** Works a moment, and ends by itself. */
  visitor(): string[];
  tokens(): number[];
  /** Lines that were written under an older token after a newer one had begun. There must be none. */
  overlaps(): number[];
}

export function overlapLog(): OverlapLog {
  const path = join(temporaryFolder("overlap"), "log");
  const line = `echo "$S3_CONSENSUS_TOKEN" >> "${path}"`;
  const tokens = (): number[] => (existsSync(path) ? readFileSync(path, "utf8").trim().split("\n").filter(Boolean).map(Number) : []);
  return {
    path,
    worker: ({ deaf = false } = {}) => [
      "sh",
      "-c",
      `${deaf ? "trap '' TERM INT HUP; " : ""}echo working; while :; do ${line}; sleep 0.02; done`,
    ],
    visitor: () => ["sh", "-c", `for i in 1 2 3; do ${line}; sleep 0.02; done`],
    tokens,
    overlaps() {
      let highest = 0;
      return tokens().filter((token) => {
        highest = Math.max(highest, token);
        return token < highest;
      });
    },
  };
}

/** The processes that run this text, by number, from outside (Linux and macOS). */
export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A process that is dead but not yet buried is dead.
    return process.platform !== "linux" || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}
