/** The built command line, run as a user's shell runs it. */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { join } from "node:path";
import { whenFinished } from "./finish.ts";
import { hostMs } from "./host-clock.ts";
import { adopt } from "./reaper.ts";
import { credentialsEnv, type S3Server } from "./servers.ts";

export const CLI: string = join(import.meta.dirname, "../../dist/cli/main.js");

export interface CliOptions {
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly cwd?: string | undefined;
  /** What stands on its standard input. Default: nothing. */
  readonly input?: string | undefined;
}

export interface CliExit {
  /** The exit status; 128 + n where a signal ended it, as a shell tells it. */
  readonly status: number;
  readonly out: string;
  readonly err: string;
  /** On the clock of `hostMs`. */
  readonly atMs: number;
}

export interface CliProcess {
  readonly pid: number;
  readonly exit: Promise<CliExit>;
  /** Everything so far. */
  out(): string;
  err(): string;
  /** Resolves when the pattern has been written to either stream. Rejects when it ends without. */
  written(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  signal(signal: NodeJS.Signals): void;
  input(text: string): void;
}

/** The environment of the tests without what would change a command's answer. */
export function cliEnv(server?: S3Server, more: CliOptions["env"] = {}): Record<string, string | undefined> {
  const env: Record<string, string | undefined> = { ...process.env };
  // Node's terminals have no colours under CI, where they can't know the terminal.
  for (const name of ["NODE_OPTIONS", "FORCE_COLOR", "NO_COLOR", "NODE_DISABLE_COLORS", "CI"]) env[name] = undefined;
  for (const name of Object.keys(env)) if (name.startsWith("S3_CONSENSUS_")) env[name] = undefined;
  return { ...env, ...(server === undefined ? {} : credentialsEnv(server)), ...more };
}

/**
 * For the embedded server. The SDK signs by a clock that it sets by each `Date` that it is answered, and that header is cut to the second: two of its
 * stamps that are 1.1 s apart may be of one second. Where the server takes them for its own times, its verdict would be a matter of luck.
 */
export function fakeEnv(more: CliOptions["env"] = {}): Record<string, string | undefined> {
  return cliEnv(undefined, { AWS_ACCESS_KEY_ID: "dev", AWS_SECRET_ACCESS_KEY: "dev", AWS_DISABLE_CLOCK_SKEW_CORRECTION: "true", ...more });
}

export function startCli(args: readonly string[], options: CliOptions = {}): CliProcess {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: options.env ?? cliEnv(),
    cwd: options.cwd,
    stdio: ["pipe", "pipe", "pipe"],
    // Without the terminal that the tests may have been started from.
    detached: true,
  });
  adopt(child);
  whenFinished(() => void child.kill("SIGKILL"));
  const text = { out: "", err: "" };
  const wakes = new Set<() => void>();
  for (const [name, stream] of [
    ["out", child.stdout],
    ["err", child.stderr],
  ] as const)
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text[name] += chunk;
      for (const wake of wakes) wake();
    });
  child.stdin.on("error", () => undefined);
  if (options.input === undefined) child.stdin.end();
  else child.stdin.write(options.input);
  let over: CliExit | undefined;
  const exit = new Promise<CliExit>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      over = { status: code ?? 128 + (signalNumber(signal) ?? 0), ...text, atMs: hostMs() };
      for (const wake of wakes) wake();
      resolve(over);
    });
  });
  return {
    pid: child.pid ?? 0,
    exit,
    out: () => text.out,
    err: () => text.err,
    signal: (signal) => void child.kill(signal),
    input: (more) => void child.stdin.write(more),
    written: (pattern, timeoutMs = 60_000) =>
      new Promise((resolve, reject) => {
        const settle = (finish: () => void): void => {
          clearTimeout(timer);
          wakes.delete(check);
          finish();
        };
        const said = (): string => `${text.out}\n--- standard error\n${text.err}`;
        const check = (): void => {
          const match = pattern.exec(text.out) ?? pattern.exec(text.err);
          if (match !== null) settle(() => resolve(match));
          else if (over !== undefined) settle(() => reject(new Error(`it ended (${over?.status}) without ${String(pattern)}:\n${said()}`)));
        };
        const timer = setTimeout(
          () => settle(() => reject(new Error(`no ${String(pattern)} within ${timeoutMs} ms:\n${said()}`))),
          timeoutMs,
        );
        wakes.add(check);
        check();
      }),
  };
}

export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliExit> {
  return await startCli(args, options).exit;
}

function signalNumber(signal: NodeJS.Signals | null): number | undefined {
  return signal === null ? undefined : constants.signals[signal];
}
