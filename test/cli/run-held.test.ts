/** The order of things around a command, with a watchdog that is played: what the wrapper promises whatever that one does. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { WatchdogHooks } from "../../src/cli/child/watchdog-link.ts";
import { type CommandEnd, handsOn, runHeld } from "../../src/cli/child/run-held.ts";
import type { ToWatchdog } from "../../src/cli/child/messages.ts";
import type { Forwarded } from "../../src/cli/frame/signals.ts";
import { LeaseLostError } from "../../src/errors.ts";
import { leaseSignal } from "../../src/lease/lease-signal.ts";
import { alive } from "../support/overlap.ts";
import { pass } from "../support/contenders.ts";
import { temporaryFolder } from "../support/reaper.ts";

type WatchMessage = Extract<ToWatchdog, { kind: "watch" }>;

/** One watchdog after the other, as the test plays them. */
class Played {
  readonly hooks: WatchdogHooks;
  readonly said: string[] = [];
  readonly deadlines: number[] = [];
  readonly targets: number[] = [];
  hears = true;
  onWatch: (message: WatchMessage) => Promise<boolean> = () => Promise.resolve(true);

  constructor(hooks: WatchdogHooks) {
    this.hooks = hooks;
  }

  async watch(message: WatchMessage): Promise<boolean> {
    this.said.push("watch");
    this.targets.push(message.target.pid);
    this.deadlines.push(message.deadline.monotonicMs);
    return await this.onWatch(message);
  }

  tellDeadline(deadline: { readonly monotonicMs: number }): boolean {
    if (!this.hears) return false;
    this.deadlines.push(deadline.monotonicMs);
    return true;
  }

  stop(): void {
    this.said.push("stop");
  }

  done(): void {
    this.said.push("done");
  }

  kill(): void {
    this.said.push("kill");
  }
}

const stage = vi.hoisted(() => ({ start: undefined as unknown as (hooks: unknown) => Promise<unknown> }));
vi.mock("../../src/cli/child/watchdog-link.ts", () => ({ WatchdogLink: { start: (hooks: unknown) => stage.start(hooks) } }));

const folder = temporaryFolder("run-held");
const log = { debug() {}, info() {}, warn() {}, error() {} };
let watchdogs: Played[];
let onStart: (watchdog: Played) => void;
let mark: string;
let marks = 0;

beforeEach(() => {
  watchdogs = [];
  onStart = () => undefined;
  mark = join(folder, `mark-${++marks}`);
  stage.start = (hooks) => {
    const watchdog = new Played(hooks as WatchdogHooks);
    watchdogs.push(watchdog);
    onStart(watchdog);
    return Promise.resolve(watchdog);
  };
});

interface Running {
  readonly end: Promise<CommandEnd>;
  readonly lease: { remainingMs: number; lose(): void; lapse(): void };
  readonly send: (signal: Forwarded) => void;
}

function running(script: string, o: { readonly graceMs?: number; readonly remainingMs?: number } = {}): Running {
  const controller = new AbortController();
  const key = "k";
  let lapsed = false;
  const lost = new LeaseLostError("it is gone", { key, reason: "replaced" });
  const lease = {
    key,
    fencingToken: 1,
    holder: "me",
    remainingMs: o.remainingMs ?? 60_000,
    heldForMs: 0,
    // As a lease's own: looking at it is what finds a deadline that passed while no timer ran.
    signal: leaseSignal(controller, () => {
      if (lapsed) controller.abort(lost);
    }),
    isHeld: () => !controller.signal.aborted,
    assertHeld() {},
    verify: () => Promise.resolve(),
    lose: () => controller.abort(lost),
    lapse: () => (lapsed = true),
  };
  let handler: (signal: Forwarded) => void = () => expect.fail("nobody listens to signals");
  const signals = {
    divert: (fn: (signal: Forwarded) => void) => {
      handler = fn;
      return () => undefined;
    },
  };
  const end = runHeld({
    lease,
    words: ["/bin/sh", "-c", script, mark],
    env: process.env,
    graceMs: o.graceMs ?? 200,
    signals,
    log,
  });
  end.catch(() => undefined);
  return { end, lease, send: (signal) => handler(signal) };
}

const WRITES = 'echo ran >> "$0"';
const marked = (): string[] => (existsSync(mark) ? readFileSync(mark, "utf8").trim().split("\n") : []);
const expectMarked = async (lines: number): Promise<void> =>
  await vi.waitFor(() => expect(marked().length).toBeGreaterThanOrEqual(lines), { timeout: 20_000, interval: 10 });

describe("no command without a watchdog", () => {
  it("that can't be started: it is not run, and that is an error", async () => {
    stage.start = () => Promise.resolve(undefined);
    await expect(running(WRITES).end).rejects.toThrow(/the command was not run/);
    expect(marked()).toEqual([]);
  });

  it("that does not say that it watches: it is not run", async () => {
    onStart = (watchdog) => (watchdog.onWatch = () => Promise.resolve(false));
    const { cutOff } = await running(WRITES).end;
    expect(cutOff).toMatch(/the command was not run/);
    expect(marked()).toEqual([]);
    expect(watchdogs.map(({ said }) => said)).toEqual([["watch", "stop", "done"]]);
  });

  it("that has not said it yet: the process that it is told of waits behind its gate", async () => {
    let open: () => void = () => undefined;
    onStart = (watchdog) => (watchdog.onWatch = () => new Promise((resolve) => (open = () => resolve(true))));
    const { end } = running(`echo "$$" >> "$0"`);
    await vi.waitFor(() => expect(watchdogs[0]?.targets).toHaveLength(1), { timeout: 20_000 });
    const [pid = 0] = watchdogs[0]?.targets ?? [];
    await pass(300);
    expect([alive(pid), marked()]).toEqual([true, []]);
    open();
    expect(await end).toEqual({ code: 0, signal: null, cutOff: undefined });
    // The gate has become the command: what the watchdog knows is what runs.
    expect(marked()).toEqual([String(pid)]);
  });

  it("and not under a lease that is over by then", async () => {
    const run: { now?: Running } = {};
    onStart = (watchdog) =>
      (watchdog.onWatch = () => {
        run.now?.lease.lose();
        return Promise.resolve(true);
      });
    run.now = running(WRITES);
    expect((await run.now.end).cutOff).toBe("it is gone");
    expect(marked()).toEqual([]);
  });

  it("a signal that came before is for the command: it never begins", async () => {
    const run: { now?: Running } = {};
    onStart = () => undefined;
    const started = stage.start;
    stage.start = async (hooks) => {
      await Promise.resolve();
      run.now?.send("SIGTERM");
      return await started(hooks);
    };
    run.now = running(WRITES);
    expect(await run.now.end).toMatchObject({ code: null, signal: "SIGTERM" });
    expect(marked()).toEqual([]);
  });
});

describe("the watchdog is told", () => {
  it("each new deadline, and never one that is later than the lease's", async () => {
    const { end, lease, send } = running(`echo ready >> "$0"; exec sleep 60`, { remainingMs: 4_000 });
    await expectMarked(1);
    const told = watchdogs[0]?.deadlines ?? [];
    const [first = 0] = told;
    lease.remainingMs = 9_000;
    const now = Number(process.hrtime.bigint()) / 1e6;
    await vi.waitFor(() => expect(told.at(-1)).toBeGreaterThan(first + 1_000), { timeout: 20_000 });
    expect(told.at(-1)).toBeGreaterThanOrEqual(now + 9_000);
    expect(told.at(-1)).toBeLessThanOrEqual(Number(process.hrtime.bigint()) / 1e6 + 9_000);
    send("SIGTERM");
    expect(await end).toMatchObject({ signal: "SIGTERM" });
    expect(watchdogs[0]?.said).toEqual(["watch", "done"]);
  });

  it("and one that does not hear is replaced before the command goes on for long", async () => {
    const { end, lease, send } = running(`echo ready >> "$0"; exec sleep 60`, { remainingMs: 4_000 });
    await expectMarked(1);
    if (watchdogs[0] !== undefined) watchdogs[0].hears = false;
    lease.remainingMs = 9_000;
    await vi.waitFor(() => expect(watchdogs[1]?.said).toEqual(["watch"]), { timeout: 20_000 });
    expect(watchdogs[0]?.said).toEqual(["watch", "kill"]);
    send("SIGTERM");
    await end;
  });

  it("one that dies again and again is not replaced for ever: then the command is ended", async () => {
    const { end } = running(`echo ready >> "$0"; exec sleep 60`);
    await expectMarked(1);
    for (let n = 0; n < 4; n++) {
      await vi.waitFor(() => expect(watchdogs[n]?.said).toContain("watch"), { timeout: 20_000 });
      watchdogs[n]?.hooks.died();
    }
    expect(await end).toMatchObject({ cutOff: "the watchdog process died, and no other could be started" });
    expect(watchdogs).toHaveLength(4);
  });
});

describe("a lease that is lost", () => {
  const DEAF = `trap '' TERM INT HUP; echo ready >> "$0"; while :; do sleep 0.02; done`;

  it("ends the command: the watchdog is told to, and one that does nothing is not waited for longer than the grace", async () => {
    const { end, lease } = running(DEAF, { graceMs: 300 });
    await expectMarked(1);
    const since = performance.now();
    lease.lose();
    expect(await end).toEqual({ code: null, signal: "SIGKILL", cutOff: "it is gone" });
    expect(performance.now() - since).toBeGreaterThanOrEqual(300);
    // The lease has a minute left.
    expect(performance.now() - since).toBeLessThan(15_000);
    expect(watchdogs[0]?.said).toEqual(["watch", "stop", "done"]);
  });

  it("no grace beyond the deadline: what is left of the lease is all", async () => {
    const { end, lease } = running(DEAF, { graceMs: 60_000, remainingMs: 1_500 });
    await expectMarked(1);
    lease.lose();
    expect(await end).toMatchObject({ signal: "SIGKILL" });
  });

  it("while no timer ran, and the command ended: it is told all the same", async () => {
    const { end, lease } = running(`echo ready >> "$0"; sleep 0.3; exit 0`);
    await expectMarked(1);
    lease.lapse();
    expect(await end).toEqual({ code: 0, signal: null, cutOff: "it is gone" });
  });
});

describe("a signal to us", () => {
  it("is handed on once", async () => {
    const { end, send } = running(
      `n=0; trap 'n=$((n+1)); echo "TERM $n" >> "$0"; [ $n = 2 ] && exit 9' TERM; echo ready >> "$0"; while :; do sleep 0.02; done`,
    );
    await expectMarked(1);
    send("SIGTERM");
    await expectMarked(2);
    await pass(200);
    expect(marked()).toEqual(["ready", "TERM 1"]);
    send("SIGTERM");
    expect(await end).toEqual({ code: 9, signal: null, cutOff: undefined });
  });

  it.each([
    ["SIGINT", true, true, false],
    ["SIGQUIT", true, true, false],
    ["SIGINT", true, false, true],
    ["SIGINT", false, false, true],
    ["SIGTERM", true, true, true],
    ["SIGHUP", true, true, true],
    ["SIGUSR1", true, true, true],
  ] as const)("%s with a terminal %s, in its foreground %s: handed on %s", (signal, terminal, foreground, expected) => {
    expect(handsOn(signal, terminal, () => foreground)).toBe(expected);
  });
});
