/** The demo's processes: started, listened to, stopped, cut off, and never left behind. */
import { type ChildProcess, fork } from "node:child_process";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../clock/system.ts";
import { sleep } from "../../clock/wait.ts";
import type { CandidateMessage, CandidateSettings, Prize, Requests, Status } from "./messages.ts";
import type { Belief, Cut, Exit } from "./verdict.ts";

const PROGRAMS = { election: "candidate", lock: "locker" } as const;
/** How long a process that was asked to end may take before it is killed. */
const GRACE_MS = 3_000;
const STDERR_KEPT = 2_000;

export interface Actor {
  readonly node: string;
  readonly pid: number;
  readonly status: Status | undefined;
  readonly exit: Exit | undefined;
  /** Since when it is stopped (SIGSTOP). */
  readonly pausedNs?: bigint | undefined;
}

interface Member extends Actor {
  readonly child: ChildProcess;
  readonly gone: Promise<void>;
  status: Status | undefined;
  exit: Exit | undefined;
  pausedNs: bigint | undefined;
  /** When it went on again (SIGCONT). */
  resumedNs: bigint;
  /** To when it may believe, by what it said last. */
  deadlineNs: bigint | undefined;
  /** It was stopped, and has not said since that it still believes: `deadlineNs` is where its belief ended. */
  doubted: boolean;
  /** It was told to end in good order; a second signal would cut that short. */
  told: boolean;
  /** Its last words, for a failure's message. */
  said: string;
}

/** What the story and the screen hear of. */
export type CastEvent =
  | { readonly kind: "elected"; readonly node: string; readonly belief: Belief }
  | {
      readonly kind: "demoted";
      readonly node: string;
      readonly token: number;
      readonly lost: boolean;
      readonly reason: string;
      readonly word: string;
    }
  | { readonly kind: "exit"; readonly node: string; readonly exit: Exit; readonly said: string }
  | { readonly kind: "status" };

export class Cast {
  readonly #program: string;
  readonly #members: Member[] = [];
  readonly #beliefs: { -readonly [K in keyof Belief]: Belief[K] }[] = [];
  readonly #onEvent: (event: CastEvent) => void;

  constructor(prize: Prize, onEvent: (event: CastEvent) => void) {
    this.#program = fileURLToPath(new URL(`./${PROGRAMS[prize]}${extname(import.meta.url)}`, import.meta.url));
    this.#onEvent = onEvent;
  }

  /** All that ever were, in the order of their start. */
  get actors(): readonly Actor[] {
    return this.#members;
  }

  get beliefs(): readonly Belief[] {
    return this.#beliefs;
  }

  /** With those that still last taken up to now, or to where one that is stopped can't believe any more. */
  beliefsAt(nowNs: bigint): readonly Belief[] {
    return this.#beliefs.map((b) => {
      if (b.untilNs !== undefined) return b;
      const member = this.#running(b.node);
      return { ...b, untilNs: member === undefined ? nowNs : endOf(member, nowNs) };
    });
  }

  get exits(): readonly Exit[] {
    return this.#members.flatMap((m) => m.exit ?? []);
  }

  /** As last told: a killed process may have sent one more in its last tenth of a second. */
  get requests(): Readonly<Record<string, Requests>> {
    return Object.fromEntries(this.#members.map((m) => [m.node, m.status?.requests ?? { get: 0, put: 0 }]));
  }

  start(settings: CandidateSettings): Actor {
    const child = fork(this.#program, [JSON.stringify(settings)], {
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
    const member: Member = {
      node,
      pid: child.pid ?? 0,
      child,
      gone: over,
      status: undefined,
      exit: undefined,
      pausedNs: undefined,
      resumedNs: 0n,
      deadlineNs: undefined,
      doubted: false,
      told: false,
      said: "",
    };
    child.on("message", (message) => this.#hear(member, message as CandidateMessage));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (member.said = (member.said + text).slice(-STDERR_KEPT)));
    this.#members.push(member);
    return member;
  }

  /** Sends the signal, and says when. */
  cut(node: string, signal: "SIGKILL" | "SIGTERM"): Cut {
    const atNs = process.hrtime.bigint();
    const member = this.#running(node);
    member?.child.kill(signal);
    if (member !== undefined) {
      member.told = true;
      // A process that is stopped hears nothing.
      if (signal === "SIGTERM") this.resume(node);
    }
    return { node, atNs };
  }

  /** SIGSTOP: it does not even notice. */
  pause(node: string): void {
    const member = this.#running(node);
    if (member === undefined || member.pausedNs !== undefined) return;
    member.child.kill("SIGSTOP");
    member.pausedNs = process.hrtime.bigint();
    member.doubted = true;
  }

  /** SIGCONT. */
  resume(node: string): void {
    const member = this.#running(node);
    if (member?.pausedNs === undefined) return;
    member.resumedNs = process.hrtime.bigint();
    member.child.kill("SIGCONT");
    member.pausedNs = undefined;
  }

  /** Ends whatever still runs: asked first, then killed. Resolves when every process is gone. */
  async end(): Promise<void> {
    const running = this.#members.filter((m) => m.exit === undefined);
    for (const member of running) {
      if (!member.told) member.child.kill("SIGTERM");
      member.told = true;
      this.resume(member.node);
    }
    const waiting = new AbortController();
    const allGone = Promise.all(running.map((m) => m.gone)).then(() => waiting.abort());
    if (await sleep(systemClock, GRACE_MS, { signal: waiting.signal, keepAlive: true }))
      for (const { child } of running) child.kill("SIGKILL");
    await allGone;
  }

  #running(node: string): Member | undefined {
    return this.#members.findLast((m) => m.node === node && m.exit === undefined);
  }

  #hear(member: Member, message: CandidateMessage): void {
    const { node } = member;
    switch (message.kind) {
      case "status":
        member.status = message;
        if (message.leads !== undefined) {
          member.deadlineNs = message.atNs + BigInt(Math.ceil(message.leads.remainingMs * 1e6));
          // It still believes, and says so after it went on: that counts.
          if (member.pausedNs === undefined && message.atNs > member.resumedNs) member.doubted = false;
        }
        return this.#onEvent({ kind: "status" });
      case "elected": {
        const belief = { node, token: message.token, fromNs: message.fromNs, electedNs: message.atNs, untilNs: undefined, end: undefined };
        this.#beliefs.push(belief);
        member.deadlineNs = undefined;
        member.doubted = member.pausedNs !== undefined;
        return this.#onEvent({ kind: "elected", node, belief });
      }
      case "demoted":
        this.#endBelief(member, message.atNs, message.lost ? "lost" : "stopped");
        return this.#onEvent({
          kind: "demoted",
          node,
          token: message.token,
          lost: message.lost,
          reason: message.reason,
          word: message.word,
        });
      case "failed":
        member.said = message.message;
    }
  }

  #take(member: Member, error: Error | undefined | unknown[]): void {
    const { node, child } = member;
    if (error instanceof Error) member.said = error.message;
    member.exit = { node, code: child.exitCode, signal: child.signalCode };
    // A process that was killed believed up to the moment in which it is seen to be gone, at the longest.
    this.#endBelief(member, process.hrtime.bigint(), "killed");
    this.#onEvent({ kind: "exit", node, exit: member.exit, said: member.said });
  }

  #endBelief(member: Member, atNs: bigint, end: Belief["end"]): void {
    const belief = this.#beliefs.findLast((b) => b.node === member.node && b.untilNs === undefined);
    if (belief === undefined) return;
    belief.untilNs = endOf(member, atNs);
    belief.end = end;
  }
}

/** What was stopped can't act, and the first that it does when it goes on is a look at its deadline: its belief ended there. */
function endOf({ doubted, deadlineNs }: Member, atNs: bigint): bigint {
  return doubted && deadlineNs !== undefined && deadlineNs < atNs ? deadlineNs : atNs;
}
