/**
 * No orphan is left behind, however a run ends. A test process may die by Ctrl-C, by a time limit or by SIGKILL, and then none of its own
 * clean-up code runs. So the first server or program that it starts brings a small shell along, in a session of its own, which reads from a pipe:
 * the kernel closes that pipe with the test process, and at its end the shell kills what was told to it and removes the folders.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SCRIPT = `
trap '' INT TERM HUP
pids=
containers=
while IFS=' ' read -r verb what; do
  case $verb in
    born) pids="$pids $what" ;;
    dead) kept=; for pid in $pids; do [ "$pid" = "$what" ] || kept="$kept $pid"; done; pids=$kept ;;
    folder) set -- "$@" "$what" ;;
    container) containers="$containers $what" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
[ -z "$containers" ] || docker rm --force --volumes $containers >/dev/null 2>&1
[ -z "$pids" ] || sleep 1
[ "$#" = 0 ] || rm -rf -- "$@"
`;

let reaper: ChildProcess | undefined;

function tell(line: string): void {
  if (reaper === undefined) {
    reaper = spawn("/bin/sh", ["-c", SCRIPT, "s3-consensus-reaper"], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
    reaper.unref();
    // A socket behind the scenes: it must not keep the test process alive either.
    (reaper.stdin as unknown as { unref(): void }).unref();
    reaper.stdin?.on("error", () => undefined);
  }
  reaper.stdin?.write(`${line}\n`);
}

/** Kills this child when our own process ends in whatever way. */
export function adopt(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined) return;
  tell(`born ${pid}`);
  child.once("exit", () => tell(`dead ${pid}`));
}

/** Removes this container when our own process ends in whatever way. */
export function adoptContainer(name: string): void {
  tell(`container ${name}`);
}

/** A new folder, by default below the system's place for temporary files, removed at the end of our process at the latest. */
export function temporaryFolder(purpose: string, below: string = tmpdir()): string {
  const path = mkdtempSync(join(below, `s3-consensus-${purpose}-`));
  tell(`folder ${path}`);
  return path;
}

/** Removes a folder now. A server that was just killed may still be closing files in it, hence the retries. */
export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
