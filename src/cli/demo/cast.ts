/** The demo's processes: started, listened to, cut off, and never left behind. */
import { type ChildProcess, fork } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../clock/system.ts";
import { sleep } from "../../clock/wait.ts";
import type { CandidateMessage, CandidateSettings, Requests, Status } from "./messages.ts";
import type { Belief, Cut, Exit } from "./verdict.ts";

const CANDIDATE = fileURLToPath(new URL(`./candidate${extname(import.meta.url)}`, import.meta.url));
/** How long a process that was asked to end may take before it is killed. */
const GRACE_MS = 3_000;
const STDERR_KEPT = 2_000;

export interface Actor {
  readonly node: string;
  readonly pid: number;
  readonly status: Status | undefined;
  readonly exit: Exit | undefined;
}

interface Member extends Actor {
  readonly child: ChildProcess;
  readonly gone: Promise<void>;
  status: Status | undefined;
  exit: Exit | undefined;
  /** It was told to end in good order; a second signal would cut that short. */
  told: boolean;
  /** Its last words, for a failure's message. */
  said: string;
}

/** What the story and the screen hear of. */
export type CastEvent =
  | { readonly kind: "elected"; readonly node: string; readonly belief: Belief }
  | { readonly kind: "demoted"; readonly node: string; readonly token: number; readonly lost: boolean; readonly reason: string }
  | { readonly kind: "exit"; readonly node: string; readonly exit: Exit; readonly said: string }
  | { readonly kind: "status" };

export class Cast {
  readonly #members: Member[] = [];
  readonly #beliefs: { -readonly [K in keyof Belief]: Belief[K] }[] = [];
  readonly #onEvent: (event: CastEvent) => void;

  constructor(onEvent: (event: CastEvent) => void) {
    this.#onEvent = onEvent;
  }

  get actors(): readonly Actor[] {
    return this.#members;
  }

  get beliefs(): readonly Belief[] {
    return this.#beliefs;
  }

  get exits(): readonly Exit[] {
    return this.#members.flatMap((m) => m.exit ?? []);
  }

  /** As last told: a killed process may have sent one more in its last tenth of a second. */
  get requests(): Readonly<Record<string, Requests>> {
    return Object.fromEntries(this.#members.map((m) => [m.node, m.status?.requests ?? { get: 0, put: 0 }]));
  }

  start(settings: CandidateSettings): Actor {
    const child = fork(CANDIDATE, [JSON.stringify(settings)], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      execArgv: [],
      // In a group of its own: Ctrl-C is for the demo, which ends its processes in its own order.
      detached: true,
    });
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    // What it said last may come after its exit was seen.
    const silent = new Promise<void>((resolve) => child.once("disconnect", () => resolve()));
    const failed = new Promise<Error>((resolve) => child.once("error", resolve));
    const { node } = settings;
    const over = Promise.race([Promise.all([exited, silent]), failed]).then((error) => this.#take(member, error));
    const member: Member = { node, pid: child.pid ?? 0, child, gone: over, status: undefined, exit: undefined, told: false, said: "" };
    child.on("message", (message) => this.#hear(member, message as CandidateMessage));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (member.said = (member.said + text).slice(-STDERR_KEPT)));
    this.#members.push(member);
    return member;
  }

  /** Sends the signal, and says when. */
  cut(node: string, signal: "SIGKILL" | "SIGTERM"): Cut {
    const atNs = process.hrtime.bigint();
    const member = this.#members.find((m) => m.node === node);
    member?.child.kill(signal);
    if (member !== undefined) member.told = true;
    return { node, atNs };
  }

  /** Ends whatever still runs: asked first, then killed. Resolves when every process is gone. */
  async end(): Promise<void> {
    const running = this.#members.filter((m) => m.exit === undefined);
    for (const member of running) {
      if (!member.told) member.child.kill("SIGTERM");
      member.told = true;
    }
    const waiting = new AbortController();
    const allGone = Promise.all(running.map((m) => m.gone)).then(() => waiting.abort());
    if (await sleep(systemClock, GRACE_MS, { signal: waiting.signal, keepAlive: true }))
      for (const { child } of running) child.kill("SIGKILL");
    await allGone;
  }

  #hear(member: Member, message: CandidateMessage): void {
    const { node } = member;
    switch (message.kind) {
      case "status":
        member.status = message;
        return this.#onEvent({ kind: "status" });
      case "elected": {
        const belief = { node, token: message.token, fromNs: message.fromNs, electedNs: message.atNs, untilNs: undefined, end: undefined };
        this.#beliefs.push(belief);
        return this.#onEvent({ kind: "elected", node, belief });
      }
      case "demoted":
        this.#endBelief(node, message.atNs, message.lost ? "lost" : "stopped");
        return this.#onEvent({ kind: "demoted", node, token: message.token, lost: message.lost, reason: message.reason });
      case "failed":
        member.said = message.message;
    }
  }

  #take(member: Member, error: Error | undefined | unknown[]): void {
    const { node, child } = member;
    if (error instanceof Error) member.said = error.message;
    member.exit = { node, code: child.exitCode, signal: child.signalCode };
    // A process that was killed believed up to the moment in which it is seen to be gone, at the longest.
    this.#endBelief(node, process.hrtime.bigint(), "killed");
    this.#onEvent({ kind: "exit", node, exit: member.exit, said: member.said });
  }

  #endBelief(node: string, atNs: bigint, end: Belief["end"]): void {
    const belief = this.#beliefs.find((b) => b.node === node && b.untilNs === undefined);
    if (belief === undefined) return;
    belief.untilNs = atNs;
    belief.end = end;
  }
}
