/**
 * Runs a command while a lease is held. The order of things is what keeps it safe: the watchdog lives before the command's process does; that process
 * is a gate (`sh`, waiting for a word) until the watchdog knows its number; only then becomes it the command. So there is no moment in which
 * our death, or our being stopped, leaves a command running that nobody watches.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { systemClock } from "../../clock/system.ts";
import { type Instant, remainingMs } from "../../clock/deadline.ts";
import { sleep } from "../../clock/wait.ts";
import type { Lease } from "../../lease/held.ts";
import type { Logger } from "../../lease/wiring.ts";
import type { Forwarded, Signals } from "../frame/signals.ts";
import { hostDeadline, hostNow } from "./deadline.ts";
import { Family, procFields, startOf, type Target } from "./processes.ts";
import { WatchdogLink } from "./watchdog-link.ts";

/** `exec` keeps the process: its number, and so what the watchdog knows, is the command's. */
const GATE = 'read -r word <&3 && [ "$word" = go ] || exit 125; exec 3<&-; exec "$@"';
const MAX_RESTARTS = 3;
/** Deadlines that differ by less are the same one, read twice. */
const SAME_MS = 20;

/** Of files or pipes. */
export interface Descriptors {
  readonly stdout: number;
  readonly stderr: number;
}

export interface HeldCommand {
  readonly lease: Lease;
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly graceMs: number;
  /** Whoever runs several at a time ends them by their leases, and hands no signal on. */
  readonly signals: Pick<Signals, "divert"> | undefined;
  readonly log: Logger;
  /** What takes its standard output and error. Default: ours. */
  readonly output?: Descriptors | undefined;
}

export interface CommandEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it was told to end before it had; `undefined` when it ended by itself. */
  readonly cutOff: string | undefined;
}

/** @throws what kept the command from being started. It never leaves one running. */
export async function runHeld(o: HeldCommand): Promise<CommandEnd> {
  const run = new HeldRun(o);
  return await run.toItsEnd();
}

class HeldRun {
  readonly #o: HeldCommand;
  readonly #terminal = hasTerminal();
  /** Ends everything that goes on beside the command. */
  readonly #over = new AbortController();
  #watchdog: WatchdogLink | undefined;
  #target: Target | undefined;
  #family: Family | undefined;
  #deadline: Instant | undefined;
  #cutOff: string | undefined;
  #restarts = 0;

  constructor(o: HeldCommand) {
    this.#o = o;
  }

  async toItsEnd(): Promise<CommandEnd> {
    const { lease, signals } = this.#o;
    const early: Forwarded[] = [];
    let child: ChildProcess | undefined;
    const undivert = signals?.divert((signal) => (child === undefined ? early.push(signal) : this.#forward(signal)));
    const onAbort = (): void => this.#stop(lease.signal.reason.message);
    try {
      this.#watchdog = await this.#startWatchdog();
      if (this.#watchdog === undefined) throw new Error("the watchdog process could not be started: the command was not run");
      child = this.#spawnGate();
      const ended = endOf(child);
      if (child.pid === undefined) return await ended;
      this.#target = { pid: child.pid, group: !this.#terminal, started: startOf(child.pid) };
      this.#family = new Family(this.#target);
      const watched = await this.#tellWatchdog();
      lease.signal.addEventListener("abort", onAbort, { once: true });
      if (!watched) this.#stop("the watchdog process did not answer: the command was not run");
      else if (lease.signal.aborted) onAbort();
      else if (early.length > 0) for (const signal of early) child.kill(signal);
      else this.#openGate(child);
      void this.#keepTelling();
      return { ...(await ended), cutOff: this.#cutOff ?? this.#lostMeanwhile() };
    } finally {
      this.#over.abort();
      lease.signal.removeEventListener("abort", onAbort);
      this.#watchdog?.done();
      undivert?.();
    }
  }

  #spawnGate(): ChildProcess {
    const { words, env, output } = this.#o;
    return spawn("/bin/sh", ["-c", GATE, "s3-consensus", ...words], {
      stdio: ["inherit", output?.stdout ?? "inherit", output?.stderr ?? "inherit", "pipe"],
      env,
      // A new session has no terminal: with one, ssh, sudo and terraform could not ask any more.
      detached: !this.#terminal,
    });
  }

  #openGate(child: ChildProcess): void {
    const gate = child.stdio[3] as NodeJS.WritableStream | null | undefined;
    gate?.on("error", () => undefined);
    gate?.end("go\n");
  }

  async #startWatchdog(): Promise<WatchdogLink | undefined> {
    const link: WatchdogLink | undefined = await WatchdogLink.start({
      acted: (kind) => this.#stop(kind === "term" ? "its deadline was near, and it could not be renewed" : "its deadline passed"),
      died: () => void this.#replaceWatchdog("died"),
    });
    return link;
  }

  async #tellWatchdog(): Promise<boolean> {
    const { lease, graceMs } = this.#o;
    if (this.#target === undefined) return false;
    this.#deadline = hostDeadline(lease);
    return (await this.#watchdog?.watch({ kind: "watch", target: this.#target, deadline: this.#deadline, graceMs })) === true;
  }

  /** Somebody killed it, or it was stopped. Without one the command does not go on. */
  async #replaceWatchdog(what: "died" | "hangs"): Promise<void> {
    if (this.#over.signal.aborted || this.#target === undefined || this.#cutOff !== undefined) return;
    this.#watchdog?.kill();
    this.#restarts += 1;
    this.#o.log.warn({ pid: this.#target.pid }, `the watchdog process ${what}; starting another`);
    this.#watchdog = this.#restarts > MAX_RESTARTS ? undefined : await this.#startWatchdog();
    if (this.#over.signal.aborted) this.#watchdog?.done();
    else if (this.#watchdog === undefined || !(await this.#tellWatchdog()))
      this.#stop("the watchdog process died, and no other could be started");
  }

  /** Each renewal moves the deadline; so does a step of the wall clock. */
  async #keepTelling(): Promise<void> {
    const { lease } = this.#o;
    const everyMs = Math.max(20, Math.min(500, lease.remainingMs / 40));
    while (await sleep(systemClock, everyMs, { signal: this.#over.signal, keepAlive: true })) {
      // Looking finds a deadline that is past, after a pause in which no timer ran.
      if (!lease.isHeld()) continue;
      const deadline = hostDeadline(lease);
      if (this.#deadline !== undefined && Math.abs(remainingMs(deadline, this.#deadline)) < SAME_MS) continue;
      if (this.#watchdog?.tellDeadline(deadline) === false) await this.#replaceWatchdog("hangs");
      else this.#deadline = deadline;
    }
  }

  /** The command is to end: the watchdog sees to it, and so do we, should it be dead. */
  #stop(why: string): void {
    if (this.#cutOff !== undefined) return;
    this.#cutOff = why;
    this.#o.log.error({ key: this.#o.lease.key, fencingToken: this.#o.lease.fencingToken }, `ending the command: ${why}`);
    this.#watchdog?.stop();
    void this.#seeToIt();
  }

  async #seeToIt(): Promise<void> {
    const { graceMs } = this.#o;
    if (this.#watchdog === undefined) {
      this.#family?.signal("SIGTERM");
      this.#family?.signal("SIGCONT");
    }
    const leftMs = this.#deadline === undefined ? 0 : remainingMs(this.#deadline, hostNow());
    // A breath later than the watchdog, whose office it is.
    const waitMs = Math.max(0, Math.min(graceMs, leftMs)) + (this.#watchdog === undefined ? 0 : 100);
    while (await sleep(systemClock, waitMs, { signal: this.#over.signal, keepAlive: true })) {
      if (this.#family?.signal("SIGKILL") !== true) return;
      await sleep(systemClock, 100, { signal: this.#over.signal, keepAlive: true });
    }
  }

  #forward(signal: Forwarded): void {
    const { pid = 0 } = this.#target ?? {};
    if (!handsOn(signal, this.#terminal, inForeground)) return;
    try {
      process.kill(this.#terminal ? pid : -pid, signal);
    } catch {
      // It has just ended.
    }
  }

  #lostMeanwhile(): string | undefined {
    const { signal } = this.#o.lease;
    return signal.aborted ? signal.reason.message : undefined;
  }
}

/** What its terminal tells a program has told the command already: twice is, for many programs, "at once". */
export function handsOn(signal: Forwarded, terminal: boolean, inForeground: () => boolean): boolean {
  return !(terminal && (signal === "SIGINT" || signal === "SIGQUIT") && inForeground());
}

function endOf(child: ChildProcess): Promise<CommandEnd> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve({ code, signal, cutOff: undefined }));
  });
}

/** Whether this process has a controlling terminal, wherever its standard streams lead. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}

/** Whether the terminal's keys reach our process group. Where it can't be told they do: that is what a terminal is mostly used for. */
function inForeground(): boolean {
  const fields = procFields("self");
  return fields === undefined || fields[2] === fields[5];
}
