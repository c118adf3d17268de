/**
 * Starts the programs of test/programs/ as processes of their own. They run from the build (.cache/build), with plain Node, and import the package
 * by its own name, as users do. A program speaks in JSON lines (`emit` in emit.ts); anything else on its standard output is kept as text.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { whenFailed, whenFinished } from "./finish.ts";
import { freeze } from "./freeze.ts";
import { hostClockEnv, hostMs } from "./host-clock.ts";
import { adopt } from "./reaper.ts";
import type { WallShift } from "./wall-clock.ts";

const PROGRAMS = join(import.meta.dirname, "../../.cache/build/test/programs");

export interface ProgramOptions {
  readonly args?: readonly string[] | undefined;
  /** Added to the environment of the tests; undefined takes a variable out. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Arguments for Node itself. */
  readonly nodeArgs?: readonly string[] | undefined;
  /** Another Node (or other runtime) than the one that runs the tests. */
  readonly runtime?: string | undefined;
  /** A wall clock that the test can step while the program runs. */
  readonly wall?: WallShift | undefined;
}

export interface ProgramEvent {
  readonly event: string;
  /** When the program wrote it, on the clock that all processes of the machine share (`hostMs`). */
  readonly atMs: number;
  readonly [field: string]: unknown;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** On the clock of `hostMs`. */
  readonly atMs: number;
}

export interface Program {
  readonly pid: number;
  /** All events so far, in order. */
  readonly events: readonly ProgramEvent[];
  /**
   * The next event of this name that no earlier call has returned. Rejects after `timeoutMs` (default 60 s), or when the program ends without it.
   * With `where`, events that don't match are passed over for good.
   */
  event(name: string, timeoutMs?: number, where?: (event: ProgramEvent) => boolean): Promise<ProgramEvent>;
  /** Resolves when the program has ended and its output is read to the end. */
  readonly exit: Promise<Exit>;
  /** Undefined while it runs. */
  readonly ended: Exit | undefined;
  /**
   * Sends `{ id, do: command, ...fields }` to its standard input and gives what it answers (the `value` of the `answer` event with this id).
   * Rejects with the program's own error, or after `timeoutMs` (default 60 s).
   */
  ask(command: string, fields?: object, timeoutMs?: number): Promise<unknown>;
  /** One line to its standard input. */
  send(line: string): void;
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL, and waits for the end. */
  kill(): Promise<Exit>;
  /** SIGSTOP, and it has stopped: it doesn't run until `thaw`, and doesn't know. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
  /** Everything it said, for a person. */
  transcript(): string;
}

export function spawnProgram(name: string, options: ProgramOptions = {}): Program {
  const path = join(PROGRAMS, `${name}.js`);
  if (!existsSync(path))
    throw new Error(`${path} does not exist: run "npm run build:test" first (npm test does), or is test/programs/${name}.ts missing?`);
  const { wall } = options;
  const args = [...(wall?.nodeArgs ?? []), ...(options.nodeArgs ?? []), path, ...(options.args ?? [])];
  const child = spawn(options.runtime ?? process.execPath, args, {
    // NODE_OPTIONS of the test runner are none of the program's business.
    env: { ...process.env, NODE_OPTIONS: undefined, ...hostClockEnv(), ...wall?.env, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  adopt(child);
  const program = listen(name, child);
  whenFinished(async () => {
    await program.kill();
  });
  whenFailed(() => console.error(program.transcript()));
  return program;
}

function listen(name: string, child: ChildProcess): Program {
  const events: ProgramEvent[] = [];
  const returned = new Map<string, number>();
  const said: string[] = [];
  const wakes = new Set<() => void>();
  let ended: Exit | undefined;
  const wake = (): void => {
    for (const fn of wakes) fn();
  };

  eachLine(child.stdout, (line) => {
    said.push(line);
    const event = parsed(line);
    if (event === undefined) return;
    events.push(event);
    wake();
  });
  eachLine(child.stderr, (line) => said.push(`stderr: ${line}`));
  // Writing to a program that has just died is no news.
  child.stdin?.on("error", () => undefined);
  child.once("error", (error) => said.push(`could not be started: ${error.message}`));
  const exit = new Promise<Exit>((resolve) => {
    child.once("close", (code, signal) => {
      ended = { code, signal, atMs: hostMs() };
      wake();
      resolve(ended);
    });
  });

  const transcript = (): string =>
    [
      `--- program ${name} (pid ${child.pid})`,
      // Acts are many and alike; the rest tells the story.
      ...said.filter((line) => !line.startsWith('{"event":"act"')).slice(-200),
      ended === undefined ? "(still running)" : `(ended with ${ended.signal ?? ended.code})`,
    ].join("\n");

  const next = (wanted: string, where: (event: ProgramEvent) => boolean): ProgramEvent | undefined => {
    for (let i = returned.get(wanted) ?? 0; i < events.length; i++) {
      const event = events[i];
      if (event?.event !== wanted || !where(event)) continue;
      returned.set(wanted, i + 1);
      return event;
    }
    return undefined;
  };

  const waitFor = (wanted: string, timeoutMs: number, look: () => ProgramEvent | undefined): Promise<ProgramEvent> =>
    new Promise((resolve, reject) => {
      const settle = (finish: () => void): void => {
        clearTimeout(timer);
        wakes.delete(check);
        finish();
      };
      const check = (): void => {
        const found = look();
        if (found !== undefined) settle(() => resolve(found));
        else if (ended !== undefined) settle(() => reject(new Error(`it ended without the event "${wanted}"\n${transcript()}`)));
      };
      const timer = setTimeout(
        () => settle(() => reject(new Error(`no event "${wanted}" within ${timeoutMs} ms\n${transcript()}`))),
        timeoutMs,
      );
      wakes.add(check);
      check();
    });

  const send = (line: string): void => void child.stdin?.write(`${line}\n`);
  let asked = 0;
  return {
    pid: child.pid ?? 0,
    events,
    exit,
    get ended() {
      return ended;
    },
    event: (wanted, timeoutMs = 60_000, where = () => true) => waitFor(wanted, timeoutMs, () => next(wanted, where)),
    async ask(command, fields = {}, timeoutMs = 60_000) {
      const id = ++asked;
      send(JSON.stringify({ id, do: command, ...fields }));
      const answer = await waitFor("answer", timeoutMs, () => events.find((event) => event.event === "answer" && event["id"] === id));
      const error = answer["error"] as { readonly message?: string } | undefined;
      if (error !== undefined) throw Object.assign(new Error(error.message), error);
      return answer["value"];
    },
    send,
    signal: (signal) => void child.kill(signal),
    kill() {
      child.kill("SIGKILL");
      return exit;
    },
    freeze: () => freeze(child.pid ?? 0),
    thaw: () => void child.kill("SIGCONT"),
    transcript,
  };
}

function parsed(line: string): ProgramEvent | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const value = JSON.parse(line) as ProgramEvent;
    return typeof value.event === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

function eachLine(stream: NodeJS.ReadableStream | null, take: (line: string) => void): void {
  let rest = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
  });
  // A line that a SIGKILL cut short has no end: it is kept, but it is not an event.
  stream?.on("end", () => {
    if (rest !== "") take(`${rest} (cut short)`);
  });
}
