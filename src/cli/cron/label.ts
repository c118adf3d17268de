/**
 * A label before each line that a task writes, so that the lines of many can be told apart. Pipes of the system, and at their other end a shell for each
 * stream: a task may open /dev/stderr as it always could, and a reader of ours that does not read makes the tasks wait, and never this process, which
 * has leases to renew.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../clock/system.ts";
import { sleep } from "../../clock/wait.ts";
import type { Descriptors } from "../child/run-held.ts";

/** The last line need not end. It goes on reading while a task tidies up after Ctrl-C, and ends with the last process that writes. */
const LABELLER = `trap '' INT TERM HUP QUIT; while IFS= read -r line || [ -n "$line" ]; do printf '%s%s\\n' "$1" "$line"; done`;
/** So long for the last lines; what a task has left running is not waited for. */
const LAST_LINES_MS = 1_000;

export interface Labelled {
  readonly output: Descriptors;
  /** To be called when the task has ended: its last lines have been written, then. */
  close(): Promise<void>;
}

/** @throws what keeps pipes from being made: no folder for temporary files that takes them, say. */
export function labelled(label: string): Labelled {
  const folder = mkdtempSync(join(tmpdir(), "s3-consensus-"));
  try {
    const paths = { stdout: join(folder, "stdout"), stderr: join(folder, "stderr") };
    execFileSync("mkfifo", ["-m", "600", paths.stdout, paths.stderr]);
    const out = labeller(paths.stdout, label, 1);
    const err = labeller(paths.stderr, label, 2);
    return {
      output: { stdout: out.fd, stderr: err.fd },
      async close() {
        const over = new AbortController();
        for (const { fd } of [out, err]) closeSync(fd);
        const ended = Promise.all([out, err].map((each) => each.ended));
        await Promise.race([ended, sleep(systemClock, LAST_LINES_MS, { signal: over.signal, keepAlive: true })]);
        over.abort();
        for (const { child } of [out, err]) child.unref();
      },
    };
  } finally {
    // Whoever has it open keeps it.
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Labeller {
  readonly fd: number;
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
}

function labeller(path: string, label: string, target: 1 | 2): Labeller {
  // Opened for both first, so that neither end waits for the other.
  const both = openSync(path, constants.O_RDWR);
  const reading = openSync(path, constants.O_RDONLY);
  const fd = openSync(path, constants.O_WRONLY);
  closeSync(both);
  try {
    const stdio = [reading, target === 1 ? "inherit" : "ignore", target === 2 ? "inherit" : "ignore"] as const;
    const child = spawn("/bin/sh", ["-c", `{ ${LABELLER}; } >&${target}`, "s3-consensus", label], { stdio: [...stdio] });
    const ended = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", () => resolve());
    });
    return { fd, child, ended };
  } finally {
    closeSync(reading);
  }
}
