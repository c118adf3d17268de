/** The wrapper's end of the pipe to the watchdog: started, listened to, and replaced when it has died or hangs. */
import { type ChildProcess, spawn } from "node:child_process";
import { extname } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../clock/system.ts";
import { sleep } from "../../clock/wait.ts";
import type { Instant } from "../../clock/deadline.ts";
import { eachMessage, type FromWatchdog, type ToWatchdog } from "./messages.ts";

const PROGRAM = fileURLToPath(new URL(`./watchdog${extname(import.meta.url)}`, import.meta.url));
/** Twice what a loaded machine takes to start one. */
const ANSWER_WITHIN_MS = 10_000;

export interface WatchdogHooks {
  /** It has told the command to end, or killed it. */
  acted(kind: "term" | "kill"): void;
  /** It is gone, and nobody has told it to go. */
  died(): void;
}

export class WatchdogLink {
  readonly #child: ChildProcess;
  readonly #hooks: WatchdogHooks;
  readonly #waiting = new Map<FromWatchdog["kind"], () => void>();
  #sent = 0;
  #heard = 0;
  #over = false;

  private constructor(hooks: WatchdogHooks) {
    this.#hooks = hooks;
    // NODE_OPTIONS of the command (a debugger's port, a preloaded file) are none of the watchdog's business.
    const { NODE_OPTIONS: _, ...env } = process.env;
    this.#child = spawn(process.execPath, [PROGRAM], { stdio: ["pipe", "pipe", "inherit"], detached: true, env });
    this.#child.stdin?.on("error", () => undefined);
    const gone = (): void => {
      if (this.#over) return;
      this.#over = true;
      hooks.died();
    };
    this.#child.once("error", gone);
    this.#child.once("exit", gone);
    if (this.#child.stdout !== null) eachMessage(this.#child.stdout, (message) => this.#take(message as FromWatchdog));
  }

  /** @returns `undefined` when it can't be had, or does not say that it is there in time. */
  static async start(hooks: WatchdogHooks): Promise<WatchdogLink | undefined> {
    const link = new WatchdogLink(hooks);
    return (await link.#answer("ready")) ? link : undefined;
  }

  /** Resolves when it watches: from then on, no death of ours leaves the command running. */
  async watch(message: Extract<ToWatchdog, { kind: "watch" }>): Promise<boolean> {
    this.#send(message);
    return await this.#answer("watching");
  }

  /** @returns false when it has not even heard the one before: it hangs. */
  tellDeadline(deadline: Instant): boolean {
    if (this.#heard < this.#sent) return false;
    this.#sent += 1;
    this.#send({ kind: "deadline", number: this.#sent, deadline });
    return true;
  }

  stop(): void {
    this.#send({ kind: "stop" });
  }

  done(): void {
    this.#over = true;
    this.#send({ kind: "done" });
    this.#child.stdin?.end();
    this.#child.unref();
  }

  /** For one that hangs. */
  kill(): void {
    this.#over = true;
    this.#child.kill("SIGKILL");
  }

  #send(message: ToWatchdog): void {
    this.#child.stdin?.write(`${JSON.stringify(message)}\n`);
  }

  #take(message: FromWatchdog): void {
    if (message.kind === "heard") this.#heard = message.number;
    else if (message.kind === "term" || message.kind === "kill") this.#hooks.acted(message.kind);
    this.#waiting.get(message.kind)?.();
  }

  async #answer(kind: FromWatchdog["kind"]): Promise<boolean> {
    const stop = new AbortController();
    const heard = new Promise<boolean>((resolve) => {
      this.#waiting.set(kind, () => resolve(true));
      this.#child.once("exit", () => resolve(false));
      this.#child.once("error", () => resolve(false));
    });
    try {
      return await Promise.race([heard, sleep(systemClock, ANSWER_WITHIN_MS, { signal: stop.signal, keepAlive: true }).then(() => false)]);
    } finally {
      stop.abort();
      this.#waiting.delete(kind);
    }
  }
}
