/** The command line's safety rules, broken one by one. These tests run the built program, too: the sandbox builds it anew for each. */
import { edit, type TestedMutant } from "./files.ts";

const DEADLINE = "test/cli/deadline.test.ts";
const RUN_HELD = "test/cli/run-held.test.ts";
const WATCHDOG = "test/cli/watchdog.test.ts";
const CONFIRM = "test/cli/confirm.test.ts";
const LOOK = "test/cli/look.test.ts";
const STREAMS = "test/cli/streams.test.ts";
const CRON = "test/cli/cron.test.ts";

export const COMMAND_LINE: readonly TestedMutant[] = [
  {
    id: "cli-gate-without-watchdog",
    breaks: "a command runs that no watchdog knows of",
    edits: [
      edit(
        "cli/child/run-held.ts",
        "const watched = await this.#tellWatchdog();",
        "const watched = true;\n      void this.#tellWatchdog();",
      ),
    ],
    tests: [RUN_HELD],
  },
  {
    id: "cli-gate-open-at-once",
    breaks: "the command begins before the watchdog watches",
    edits: [
      edit("cli/child/run-held.ts", "child = this.#spawnGate();", "child = this.#spawnGate();\n      this.#openGate(child);"),
      edit("cli/child/run-held.ts", "else this.#openGate(child);", ""),
    ],
    tests: [RUN_HELD],
  },
  {
    id: "cli-run-under-a-lost-lease",
    breaks: "a command begins under a lease that is over",
    edits: [edit("cli/child/run-held.ts", "else if (lease.signal.aborted) onAbort();", "")],
    tests: [RUN_HELD],
  },
  {
    id: "cli-deadline-not-told",
    breaks: "the watchdog goes by the first deadline for ever",
    edits: [edit("cli/child/run-held.ts", "void this.#keepTelling();", "")],
    tests: [RUN_HELD],
  },
  {
    id: "cli-hung-watchdog-trusted",
    breaks: "a watchdog that does not hear is not replaced",
    edits: [edit("cli/child/run-held.ts", 'await this.#replaceWatchdog("hangs");', "this.#deadline = deadline;")],
    tests: [RUN_HELD],
  },
  {
    id: "cli-goes-on-without-a-watchdog",
    breaks: "a command whose watchdog can't be had any more goes on",
    edits: [edit("cli/child/run-held.ts", 'this.#stop("the watchdog process died, and no other could be started");', "return;")],
    tests: [RUN_HELD],
  },
  {
    id: "cli-wrapper-trusts-the-watchdog",
    breaks: "a command outlives its lease, because the watchdog that was told does nothing",
    edits: [edit("cli/child/run-held.ts", "void this.#seeToIt();", "")],
    tests: [RUN_HELD],
  },
  {
    id: "cli-loss-untold",
    breaks: "a lease that was lost in the command's last moment counts as held to the end",
    edits: [edit("cli/child/run-held.ts", "cutOff: this.#cutOff ?? this.#lostMeanwhile()", "cutOff: this.#cutOff")],
    tests: [RUN_HELD],
  },
  {
    id: "cli-forward-twice",
    breaks: 'what the terminal has told the command already is handed on: for many programs that is "at once"',
    edits: [
      edit(
        "cli/child/run-held.ts",
        '(signal === "SIGINT" || signal === "SIGQUIT") && inForeground());',
        'signal === "SIGQUIT" && inForeground());',
      ),
    ],
    tests: [RUN_HELD],
  },
  {
    id: "cli-forward-nothing",
    breaks: "a signal to the wrapper is kept from the command",
    edits: [edit("cli/child/run-held.ts", "if (!handsOn(signal, this.#terminal, inForeground)) return;", "if (pid > 0) return;")],
    tests: [RUN_HELD],
  },
  {
    id: "cli-early-signal-lost",
    breaks: "a signal that comes before the command does is forgotten",
    edits: [edit("cli/child/run-held.ts", "else if (early.length > 0) for (const signal of early) child.kill(signal);", "")],
    tests: [RUN_HELD],
  },
  {
    id: "cli-no-kill",
    breaks: "what ignores TERM runs beyond the deadline",
    edits: [
      edit(
        "cli/child/deadline.ts",
        'if (killInMs <= 0) return { kind: "kill" };',
        'if (killInMs <= 0) return { kind: "term", inMs: 500 };',
      ),
    ],
    tests: [DEADLINE, WATCHDOG],
  },
  {
    id: "cli-grace-beyond-the-deadline",
    breaks: "a stop gives the command more than what is left of the lease",
    edits: [
      edit(
        "cli/child/deadline.ts",
        "const killInMs = Math.min(leftMs, stopLeftMs);",
        "const killInMs = stopSince === undefined ? leftMs : stopLeftMs;",
      ),
    ],
    tests: [DEADLINE],
  },
  {
    id: "cli-later-clock",
    breaks: "the deadline counts from after the lease was asked: a pause in between makes it later than the lease's",
    edits: [
      edit(
        "cli/child/deadline.ts",
        "const now = hostNow();\n  return addMs(now, lease.remainingMs);",
        "const leftMs = lease.remainingMs;\n  return addMs(hostNow(), leftMs);",
      ),
    ],
    tests: [DEADLINE],
  },
  {
    id: "cli-clock-of-its-own-process",
    breaks: "the deadline is on a clock that counts from the start of one process, and means something else in the other",
    edits: [edit("cli/child/deadline.ts", "Number(process.hrtime.bigint()) / 1e6", "systemClock.monotonicMs()")],
    tests: [DEADLINE],
  },
  {
    id: "cli-watchdog-one-clock",
    breaks: "after a suspension, or a step of the wall clock, the command runs on",
    edits: [
      edit(
        "cli/child/watchdog.ts",
        "const verdict = decide(watch, hostNow());",
        "const verdict = decide(watch, { ...hostNow(), wallMs: 0 });",
      ),
    ],
    tests: [WATCHDOG],
  },
  {
    id: "cli-watchdog-dies-with-its-wrapper",
    breaks: "a wrapper that is killed leaves its command running",
    edits: [
      edit(
        "cli/child/watchdog.ts",
        "if (family === undefined) process.exit(0);\n  orphaned = true;",
        "if (family !== undefined) process.exit(0);\n  orphaned = true;",
      ),
    ],
    tests: [WATCHDOG],
  },
  {
    id: "cli-watchdog-ends-by-a-signal",
    breaks: "a signal to everybody takes the watchdog away before the command",
    edits: [edit("cli/child/watchdog.ts", '["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTSTP"', '["SIGQUIT", "SIGTSTP"')],
    tests: [WATCHDOG],
  },
  {
    id: "cli-watchdog-kills-a-stranger",
    breaks: "a process that was given the command's number later is killed",
    edits: [edit("cli/child/processes.ts", "if (started !== undefined && now !== undefined && now !== started) return false;", "")],
    tests: [WATCHDOG],
  },
  {
    id: "cli-watchdog-kills-what-has-ended",
    breaks: "told that all is done, the watchdog goes on",
    edits: [edit("cli/child/watchdog.ts", 'case "done":\n      process.exit(0);', 'case "done":\n      break;')],
    tests: [WATCHDOG],
  },
  {
    id: "cli-yes-not-needed",
    breaks: "without a terminal and without --yes, other people's things are changed",
    edits: [
      edit(
        "cli/frame/confirm.ts",
        'if (!process.stdin.isTTY || !err.isTerminal) throw new ConfigError("nothing was done", ["there is no terminal to ask on: say --yes"]);',
        "if (!process.stdin.isTTY || !err.isTerminal) return true;",
      ),
    ],
    tests: [CONFIRM],
  },
  {
    id: "cli-yes-by-default",
    breaks: "an empty answer is a yes",
    edits: [edit("cli/frame/confirm.ts", "/^y(es)?$/i", "/^(y(es)?)?$/i")],
    tests: [CONFIRM],
  },
  {
    id: "cli-plan-untold",
    breaks: "it is done without saying what",
    edits: [edit("cli/frame/confirm.ts", "err.line(plan);", "")],
    tests: [CONFIRM],
  },
  {
    id: "cli-reader-probes",
    breaks: "a command that only looks probes the bucket, and writes into it",
    edits: [
      edit(
        "cli/view/catalogue.ts",
        "const key = keyOf(this.#prefix, kind, name);",
        "const key = keyOf(this.#prefix, kind, name);\n    await this.#store.ensureSafe();",
      ),
    ],
    tests: [LOOK],
  },
  {
    id: "cli-full-log-ends-the-command",
    breaks: "a log on a full disk crashes the wrapper, whose watchdog then ends the command",
    edits: [edit("cli/frame/streams.ts", 'process.stderr.on("error", () => undefined);', "")],
    tests: [STREAMS],
  },
  {
    id: "cli-unwritten-answer-is-an-answer",
    breaks: "an answer that could not be written has the status of one that was",
    edits: [edit("cli/frame/streams.ts", "process.exitCode = EXIT.output;", "return;")],
    tests: [STREAMS],
  },
  {
    id: "cli-goes-on-unread",
    breaks: "elect and watch go on for a reader that has gone away",
    edits: [edit("cli/frame/context.ts", "[this.signals.stop, outputGone]", "[this.signals.stop]")],
    tests: [STREAMS],
  },
  {
    id: "cli-status-file-over-status",
    breaks: "a status file that can't be written takes the place of the command's own status",
    edits: [edit("cli/child/outcome.ts", "log.error({ err: e }, `--status-file: ${messageOf(e)}`);", "throw e;")],
    tests: [STREAMS],
  },
  {
    id: "cli-any-grace",
    breaks: "a grace that ends each command at its first renewal is taken",
    edits: [edit("cli/child/hold-options.ts", "if (graceMs > mostMs)", "if (graceMs > ttlMs * 2)")],
    tests: [STREAMS],
  },
  {
    id: "cli-labels-wait-for-all",
    breaks: "the end of a task waits for every process that it left behind",
    edits: [
      edit(
        "cli/cron/label.ts",
        "await Promise.race([ended, sleep(systemClock, LAST_LINES_MS, { signal: over.signal, keepAlive: true })]);",
        "await ended;",
      ),
    ],
    tests: [CRON],
  },
  {
    id: "cli-trigger-json-mixed",
    breaks: "what a task writes stands between the JSON of cron trigger",
    edits: [edit("cli/commands/cron.ts", "context.out.json ? toStandardError : toOurs", "toOurs")],
    tests: [CRON],
  },
];
