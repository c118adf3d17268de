/** One holder's place in the campaign: a name, a proxy of its own, and the processes that live there one after the other. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import type { FaultProxy } from "../../src/testing/index.ts";
import { adopt } from "../support/reaper.ts";
import type { Ledger } from "./ledger.ts";

export interface HolderPlan {
  readonly node: string;
  readonly proxy: FaultProxy;
  readonly storeUrl: string;
  readonly elections: readonly Election[];
  readonly resource: string;
  readonly ledger: Ledger;
  readonly env: Readonly<Record<string, string>>;
  /** The compiled holder. */
  readonly program: string;
}

export interface Election {
  readonly name: string;
  readonly ttlMs: number;
  readonly pollMs: number;
  readonly takeover: "auto" | "observe" | "store-time";
  /** What is contended for. Default: an election. Locks are given back after a while, and taken again. */
  readonly face?: "election" | "lock" | "session" | undefined;
}

/** A way in which the clocks of a process are false. */
export interface FalseClock {
  readonly env: Readonly<Record<string, string>>;
  /** Whether its monotonic clock is false too: then it stamps by the machine's uptime. */
  readonly rate: boolean;
}

/** A process that was asked to stop ends by itself within this time, or something keeps it alive that should not. */
const END_WITHIN_MS = 4000;
const STOP_WITHIN_MS = 30_000;

export class HolderProcess {
  readonly node: string;
  readonly proxy: FaultProxy;
  readonly #plan: HolderPlan;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #alive = false;
  #frozen = false;
  #bornMs = 0;
  #livedMs = 0;
  #said: string[] = [];

  constructor(plan: HolderPlan) {
    this.#plan = plan;
    this.node = plan.node;
    this.proxy = plan.proxy;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /** How long processes have lived here, all together. */
  get livedMs(): number {
    return this.#livedMs + (this.#alive ? performance.now() - this.#bornMs : 0);
  }

  /** What the process wrote to its standard error, and its last lines, for a person. */
  get lastWords(): readonly string[] {
    return this.#said;
  }

  start(clock?: FalseClock): void {
    if (this.#alive) throw new Error(`${this.node} runs already`);
    const { storeUrl, elections, resource, ledger, env, program, node } = this.#plan;
    const holder = { store: storeUrl, node, elections, resource, uptimeOffsetNs: clock?.rate === true ? uptimeOffsetNs() : undefined };
    const child = spawn(process.execPath, [program], {
      env: { ...process.env, NODE_OPTIONS: undefined, ...env, ...clock?.env, HOLDER: JSON.stringify(holder) },
      stdio: ["pipe", "pipe", "pipe"],
    });
    adopt(child);
    this.#child = child;
    this.#alive = true;
    this.#frozen = false;
    this.#bornMs = performance.now();
    child.stdin?.on("error", () => undefined);
    const { pid } = child;
    let rest = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) ledger.take(node, pid ?? 0, line);
    });
    child.stderr?.setEncoding("utf8").on("data", (chunk: string) => (this.#said = [...this.#said, chunk].slice(-20)));
    this.#ended = new Promise((resolve) => {
      child.once("error", (error) => this.#said.push(String(error)));
      child.once("close", () => {
        this.#alive = false;
        this.#livedMs += performance.now() - this.#bornMs;
        ledger.end(node, pid ?? 0);
        resolve();
      });
    });
  }

  /** SIGSTOP: it doesn't run until `thaw`, and doesn't know. */
  freeze(): void {
    this.#frozen = true;
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#frozen = false;
    this.#child?.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#ended;
  }

  /** Asks it to stop, and waits until the process has ended by itself. @returns what kept it from that. */
  async stop(): Promise<string | undefined> {
    const { ledger } = this.#plan;
    const pid = this.pid;
    this.#child?.stdin?.write("stop\n");
    if (!(await this.#endsWithin(STOP_WITHIN_MS, () => ledger.stopped(pid) !== undefined))) {
      await this.kill();
      return `${this.node} did not stop within ${STOP_WITHIN_MS} ms`;
    }
    if (await this.#endsWithin(END_WITHIN_MS)) return undefined;
    await this.kill();
    return `${this.node} stopped, and its process did not end: ${ledger.stopped(pid)?.join(", ")}`;
  }

  async #endsWithin(ms: number, enough = (): boolean => false): Promise<boolean> {
    const untilMs = performance.now() + ms;
    while (this.#alive && !enough() && performance.now() < untilMs) await new Promise((resolve) => void setTimeout(resolve, 20));
    return !this.#alive || enough();
  }
}

/** From the machine's uptime to the clock of `process.hrtime`. Taken when the uptime has just moved on by its step of 10 ms. */
function uptimeOffsetNs(): string {
  const before = readFileSync("/proc/uptime", "utf8");
  let now = before;
  while (now === before) now = readFileSync("/proc/uptime", "utf8");
  const [seconds = "0", hundredths = "0"] = (now.split(" ")[0] ?? "").split(".");
  return (process.hrtime.bigint() - BigInt(seconds) * 1_000_000_000n - BigInt(hundredths) * 10_000_000n).toString();
}
