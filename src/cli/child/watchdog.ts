/**
 * The watchdog of one command, a process of its own in a session of its own: no Ctrl-C, no hang-up of the terminal and no signal to the wrapper's
 * group reaches it. It knows the deadline of the lease by the last word of its wrapper, and holds the command to it by its own two clocks, whatever
 * has become of the wrapper: hung, stopped, killed.
 */
import process from "node:process";
import { systemClock } from "../../clock/system.ts";
import type { TimerHandle } from "../../clock/clock.ts";
import { decide, hostNow, type Watch } from "./deadline.ts";
import { eachMessage, type FromWatchdog, type ToWatchdog } from "./messages.ts";
import { Family } from "./processes.ts";

/** The longest time without a look at the clocks: the wall clock may be set, and a suspended machine may wake. */
const LOOK_EVERY_MS = 500;
/** How long it goes on killing what does not die (a process in the depths of the kernel), a look at a time. */
const KILL_FOR_LOOKS = 120;
const KILL_AGAIN_MS = 50;

let watch: Watch | undefined;
let family: Family | undefined;
let timer: TimerHandle | undefined;
let told: "term" | "kill" | undefined;
let orphaned = false;
let kills = 0;

for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTSTP", "SIGTTIN", "SIGTTOU"] as const) process.on(name, () => undefined);
// Whoever should hear it may be gone; the command is watched all the same.
process.stdout.on("error", () => undefined);
process.stderr.on("error", () => undefined);

eachMessage(process.stdin, (message) => take(message as ToWatchdog));
process.stdin.on("end", abandoned);
process.stdin.on("error", abandoned);
say({ kind: "ready" });

function take(message: ToWatchdog): void {
  switch (message.kind) {
    case "watch":
      family = new Family(message.target);
      watch = { deadline: message.deadline, graceMs: message.graceMs, stopSince: undefined };
      say({ kind: "watching" });
      break;
    case "deadline":
      if (watch !== undefined) watch = { ...watch, deadline: message.deadline };
      say({ kind: "heard", number: message.number });
      break;
    case "stop":
      if (watch !== undefined) watch = { ...watch, stopSince: watch.stopSince ?? hostNow() };
      break;
    case "done":
      process.exit(0);
  }
  look();
}

/** The pipe ended without a word: the wrapper is dead, and nobody renews any more. */
function abandoned(): void {
  if (family === undefined) process.exit(0);
  orphaned = true;
  take({ kind: "stop" });
}

function look(): void {
  timer?.cancel();
  if (watch === undefined || family === undefined) return;
  const verdict = decide(watch, hostNow());
  if (verdict.kind === "kill") return kill();
  if (verdict.kind === "term" && told === undefined) {
    tell("term", orphaned ? "its wrapper is dead: the command is told to end" : undefined);
    const heard = family.signal("SIGTERM");
    // One that was stopped (Ctrl-Z) hears of it only when it goes on.
    family.signal("SIGCONT");
    if (!heard && orphaned) process.exit(0);
  }
  timer = systemClock.setTimer(Math.min(verdict.inMs, LOOK_EVERY_MS), look, { keepAlive: true });
}

function kill(): void {
  const heard = family?.signal("SIGKILL") === true;
  if (told !== "kill" && heard) tell("kill", orphaned ? "its wrapper is dead: the command was killed" : undefined);
  kills += 1;
  // A wrapper that lives says "done" when it has seen the end; without one, the end is that nobody is there to be killed.
  if (kills > KILL_FOR_LOOKS || (!heard && orphaned)) process.exit(0);
  timer = systemClock.setTimer(KILL_AGAIN_MS, kill, { keepAlive: true });
}

function tell(kind: "term" | "kill", text: string | undefined): void {
  told = kind;
  say({ kind });
  if (text !== undefined) process.stderr.write(`s3-consensus: ${text}\n`);
}

function say(message: FromWatchdog): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
