/** The watchdog's process alone, spoken to through its pipe: it holds a command to its deadline, whatever becomes of who started it. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { addMs } from "../../src/clock/deadline.ts";
import { hostNow } from "../../src/cli/child/deadline.ts";
import { eachMessage, type FromWatchdog, type ToWatchdog } from "../../src/cli/child/messages.ts";
import { startOf } from "../../src/cli/child/processes.ts";
import { pass } from "../support/contenders.ts";
import { whenFinished } from "../support/finish.ts";
import { alive } from "../support/overlap.ts";

const PROGRAM = join(import.meta.dirname, "../../dist/cli/child/watchdog.js");
const DEAF = "trap '' TERM INT HUP; echo ready; while :; do sleep 0.02; done";

interface Dog {
  readonly child: ChildProcess;
  readonly said: FromWatchdog[];
  send(message: ToWatchdog): void;
}

async function dog(): Promise<Dog> {
  const child = spawn(process.execPath, [PROGRAM], { stdio: ["pipe", "pipe", "ignore"], detached: true });
  whenFinished(() => void child.kill("SIGKILL"));
  const said: FromWatchdog[] = [];
  eachMessage(child.stdout, (message) => said.push(message as FromWatchdog));
  await vi.waitFor(() => expect(said).toEqual([{ kind: "ready" }]), { timeout: 20_000 });
  return { child, said, send: (message) => void child.stdin.write(`${JSON.stringify(message)}\n`) };
}

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly atMs: number;
}

interface Victim {
  readonly pid: number;
  readonly ended: Promise<Ended>;
}

async function victim(script: string): Promise<Victim> {
  const child = spawn("/bin/sh", ["-c", script], { stdio: ["ignore", "pipe", "ignore"], detached: true });
  const { pid = 0 } = child;
  whenFinished(() => {
    if (alive(pid)) process.kill(-pid, "SIGKILL");
  });
  const ended = new Promise<Ended>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal, atMs: hostNow().monotonicMs }));
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return { pid, ended };
}

const watchOf = ({ pid }: Victim, inMs: number, graceMs: number, wallMs = inMs): Extract<ToWatchdog, { kind: "watch" }> => {
  const now = hostNow();
  const deadline = { monotonicMs: now.monotonicMs + inMs, wallMs: now.wallMs + wallMs };
  return { kind: "watch", target: { pid, group: true, started: startOf(pid) }, deadline, graceMs };
};

/** On a machine that does other things, too, and may stand still for some seconds. What must not be waited for is minutes away. */
const LATE_MS = 15_000;

describe("the watchdog", () => {
  it("tells it to end a grace before the deadline, and kills what does not at the deadline, not before", async () => {
    const [watchdog, deaf] = await Promise.all([dog(), victim(DEAF)]);
    const watch = watchOf(deaf, 5_000, 4_500);
    watchdog.send(watch);
    const { signal, atMs } = await deaf.ended;
    expect(signal).toBe("SIGKILL");
    expect(atMs).toBeGreaterThanOrEqual(watch.deadline.monotonicMs);
    expect(atMs).toBeLessThan(watch.deadline.monotonicMs + LATE_MS);
    // It may say so a moment after.
    await vi.waitFor(() => expect(watchdog.said.map(({ kind }) => kind)).toEqual(["ready", "watching", "term", "kill"]), {
      timeout: 20_000,
    });
  });

  it("by the wall clock alone, too, when that is the nearer one", async () => {
    const [watchdog, deaf] = await Promise.all([dog(), victim(DEAF)]);
    const sentAtMs = hostNow().monotonicMs;
    watchdog.send(watchOf(deaf, 600_000, 100, 1_000));
    const { signal, atMs } = await deaf.ended;
    expect(signal).toBe("SIGKILL");
    expect(atMs - sentAtMs).toBeLessThan(1_000 + LATE_MS);
  });

  it("what obeys may tidy up in the grace", async () => {
    const [watchdog, good] = await Promise.all([dog(), victim("trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done")]);
    const watch = watchOf(good, 20_000, 19_500);
    watchdog.send(watch);
    const { code, atMs } = await good.ended;
    expect(code).toBe(7);
    expect(atMs).toBeLessThan(watch.deadline.monotonicMs);
  });

  it("goes by the last deadline that it has heard", async () => {
    const [watchdog, deaf] = await Promise.all([dog(), victim(DEAF)]);
    watchdog.send(watchOf(deaf, 4_000, 100));
    const later = addMs(hostNow(), 5_000);
    watchdog.send({ kind: "deadline", number: 1, deadline: later });
    const { atMs } = await deaf.ended;
    expect(atMs).toBeGreaterThanOrEqual(later.monotonicMs);
    expect(watchdog.said).toContainEqual({ kind: "heard", number: 1 });
  });

  it("when whoever started it is dead: told to end at once, killed a grace later, and gone itself then", async () => {
    const [watchdog, deaf] = await Promise.all([dog(), victim(DEAF)]);
    watchdog.send(watchOf(deaf, 600_000, 300));
    await vi.waitFor(() => expect(watchdog.said).toContainEqual({ kind: "watching" }), { timeout: 20_000 });
    const at = hostNow().monotonicMs;
    watchdog.child.stdin?.end();
    const { signal, atMs } = await deaf.ended;
    expect(signal).toBe("SIGKILL");
    expect(atMs - at).toBeGreaterThanOrEqual(300);
    expect(atMs - at).toBeLessThan(300 + LATE_MS);
    await vi.waitFor(() => expect(watchdog.child.exitCode).toBe(0), { timeout: 20_000 });
  });

  it("told that the command has ended it goes, and touches nothing", async () => {
    const [watchdog, deaf] = await Promise.all([dog(), victim(DEAF)]);
    watchdog.send(watchOf(deaf, 600_000, 100));
    watchdog.send({ kind: "done" });
    await vi.waitFor(() => expect(watchdog.child.exitCode).toBe(0), { timeout: 20_000 });
    expect(alive(deaf.pid)).toBe(true);
  });

  it("a stop does not give it more than what is left of the lease", async () => {
    const [watchdog, deaf] = await Promise.all([dog(), victim(DEAF)]);
    const watch = watchOf(deaf, 1_000, 600_000);
    watchdog.send(watch);
    watchdog.send({ kind: "stop" });
    const { signal, atMs } = await deaf.ended;
    expect(signal).toBe("SIGKILL");
    expect(atMs).toBeLessThan(watch.deadline.monotonicMs + LATE_MS);
  });

  it("a number that belongs to another process by now is left alone", async () => {
    const [watchdog, other] = await Promise.all([dog(), victim(DEAF)]);
    const watch = watchOf(other, 300, 100);
    watchdog.send({ ...watch, target: { ...watch.target, started: "long ago" } });
    await pass(1_000);
    expect(alive(other.pid)).toBe(true);
  });

  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s does not end it", async (name) => {
    const [watchdog, deaf] = await Promise.all([dog(), victim(DEAF)]);
    watchdog.send(watchOf(deaf, 1_500, 100));
    await vi.waitFor(() => expect(watchdog.said).toContainEqual({ kind: "watching" }), { timeout: 20_000 });
    watchdog.child.kill(name);
    expect((await deaf.ended).signal).toBe("SIGKILL");
  });
});
