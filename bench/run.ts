/** Programs of bench/programs/ as processes of their own. They speak in JSON lines (`emit`), with the time on the one clock of the machine. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { adopt } from "../test/support/reaper.ts";

export const PROGRAMS = join(import.meta.dirname, "programs");

export interface Line {
  readonly event: string;
  /** On `hostMs`. */
  readonly atMs: number;
  readonly [field: string]: unknown;
}

export interface Running {
  readonly child: ChildProcess;
  /** All lines so far. */
  readonly lines: readonly Line[];
  /** The first line for which `where` holds, now or later. Rejects when the program ends without it. */
  line(where: (line: Line) => boolean): Promise<Line>;
  readonly exit: Promise<void>;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export function start(program: string, args: readonly string[], env: Environment, nodeArgs: readonly string[] = []): Running {
  const child = spawn(process.execPath, [...nodeArgs, join(PROGRAMS, `${program}.js`), ...args], {
    env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true", ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  adopt(child);
  const lines: Line[] = [];
  const wakes = new Set<() => void>();
  const wake = (): void => {
    for (const fn of wakes) fn();
  };
  createInterface({ input: child.stdout }).on("line", (text) => {
    lines.push(JSON.parse(text) as Line);
    wake();
  });
  let ended = false;
  const exit = new Promise<void>((resolve) => {
    child.once("close", () => {
      ended = true;
      wake();
      resolve();
    });
  });
  const line = (where: (line: Line) => boolean): Promise<Line> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = lines.find(where);
        if (found === undefined && !ended) return;
        wakes.delete(look);
        if (found !== undefined) resolve(found);
        else reject(new Error(`${program} ended (${child.exitCode ?? child.signalCode}) before it said what was waited for`));
      };
      wakes.add(look);
      look();
    });
  return { child, lines, line, exit };
}

export async function kill(running: Running, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  running.child.kill(signal);
  await running.exit;
}

/** A process of its own of which nothing is heard. */
export function spawnQuietly(args: readonly string[], env: Environment): ChildProcess {
  const child = spawn(process.execPath, [...args], {
    env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true", ...env },
    stdio: "ignore",
  });
  adopt(child);
  return child;
}
