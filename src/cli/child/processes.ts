/**
 * Signals for a command and all that it has started. Without a terminal it leads a process group, and one call reaches the group. On a terminal
 * it shares the group with its wrapper (and with `| tee` and the shell's script), so it is its descendants that are sought out, one by one.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";

export interface Target {
  readonly pid: number;
  /** It leads a process group of its own. */
  readonly group: boolean;
  /** When it was started, as the system tells it: a number that is given to another process later is not this one. */
  readonly started: string | undefined;
}

interface Entry {
  readonly parent: number;
  readonly started: string;
}

/** Everything that runs, by process id. */
function processTable(): Map<number, Entry> {
  const table = new Map<number, Entry>();
  if (process.platform === "linux") {
    for (const name of readdirSync("/proc")) {
      const entry = /^\d+$/.test(name) ? procEntry(Number(name)) : undefined;
      if (entry !== undefined) table.set(Number(name), entry);
    }
    return table;
  }
  const text = execFileSync("ps", ["-A", "-o", "pid=,ppid=,lstart="], { encoding: "utf8", timeout: 2000 });
  for (const [, pid, parent, started = ""] of text.matchAll(/^\s*(\d+)\s+(\d+)\s+(.*)$/gm))
    table.set(Number(pid), { parent: Number(parent), started });
  return table;
}

/** The fields of /proc/PID/stat after the name, which may hold blanks and parentheses of its own. */
export function procFields(pid: number | "self"): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

function procEntry(pid: number): Entry | undefined {
  const fields = procFields(pid);
  return fields === undefined ? undefined : { parent: Number(fields[1]), started: fields[19] ?? "" };
}

export function startOf(pid: number): string | undefined {
  try {
    return process.platform === "linux" ? procEntry(pid)?.started : processTable().get(pid)?.started;
  } catch {
    return undefined;
  }
}

/** One command's processes. Those that were found once are remembered: when their parent has died, nothing leads to them any more. */
export class Family {
  readonly #target: Target;
  readonly #found = new Map<number, string>();

  constructor(target: Target) {
    this.#target = target;
    if (target.started !== undefined) this.#found.set(target.pid, target.started);
  }

  /** @returns whether anybody was there to hear it. */
  signal(name: NodeJS.Signals): boolean {
    const { pid, group, started } = this.#target;
    if (group) {
      const now = startOf(pid);
      // Its number was given to somebody else: the group is long gone.
      if (started !== undefined && now !== undefined && now !== started) return false;
      return sent(-pid, name);
    }
    let heard = false;
    for (const each of this.#members()) heard = sent(each, name) || heard;
    return heard;
  }

  #members(): readonly number[] {
    const { pid, started } = this.#target;
    let table: Map<number, Entry>;
    try {
      table = processTable();
    } catch {
      return [pid];
    }
    if (started === undefined && table.has(pid)) this.#found.set(pid, table.get(pid)?.started ?? "");
    for (const [each, began] of this.#found) if (table.get(each)?.started !== began) this.#found.delete(each);
    for (let grown = true; grown;) {
      grown = false;
      for (const [each, { parent, started: began }] of table) {
        if (!this.#found.has(parent) || this.#found.has(each)) continue;
        this.#found.set(each, began);
        grown = true;
      }
    }
    return [...this.#found.keys()];
  }
}

function sent(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}
