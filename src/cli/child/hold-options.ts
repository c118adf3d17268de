/** Options that `lock`, `elect` and `cron` share: how a command is held to its lease. */
import type { Command } from "commander";
import { ConfigError } from "../../errors.ts";
import { MAX_TTL_MS, MIN_TTL_MS } from "../../lease/timing.ts";
import { duration, integer, spelled } from "../frame/arguments.ts";
import { EXIT } from "../frame/exit-codes.ts";
import type { FileSettings } from "../frame/settings.ts";
import { defaultGraceMs } from "./deadline.ts";

export interface HoldFlags {
  readonly ttl?: number | undefined;
  readonly wait?: number | undefined;
  readonly grace?: number | undefined;
  readonly conflictExitCode?: number | undefined;
  readonly lostExitCode?: number | undefined;
  readonly statusFile?: string | undefined;
}

export const MAX_WAIT_MS: number = 365 * 86_400_000;

export const CHILD_HELP = `
The command finds S3_CONSENSUS_TOKEN (the fencing token: hand it to whatever the command writes to), S3_CONSENSUS_HOLDER, S3_CONSENSUS_KEY,
S3_CONSENSUS_NAME, S3_CONSENSUS_KIND, S3_CONSENSUS_STORE and S3_CONSENSUS_PREFIX in its environment; "s3-consensus verify" inside it asks whether
it is still held. Its standard streams are its own, signals are handed on to it, its exit status (or 128 + the signal) is this program's.
With a terminal it keeps the terminal, without one it leads a process group of its own.

A watchdog process ends the command in time, also when this program hangs, is stopped or killed: TERM at the lease's deadline less the grace,
KILL at the deadline. What that can't do: run on a machine that is frozen as a whole (until it wakes, others may have gone on: the fencing token
is for that), and reach processes that left the command's group, or on a terminal those whose parents have ended. Killing this program and
its watchdog both at once leaves the command running. Processes that the command leaves behind when it ends are not waited for.
`;

/** How a command is held, whoever said it. */
export interface Hold {
  readonly ttlMs: number;
  readonly graceMs: number;
  readonly conflictExitCode: number;
  readonly lostExitCode: number;
}

/** Flags over file over default. @throws ConfigError for a grace that would end each command before its first renewal. */
export function holdOf(flags: HoldFlags, file: FileSettings, defaultTtlMs: number): Hold {
  const ttlMs = flags.ttl ?? file.ttlMs ?? defaultTtlMs;
  const graceMs = flags.grace ?? file.graceMs ?? defaultGraceMs(ttlMs);
  // A renewal that is due a third of the ttl after the last one finds less than half of it left.
  const mostMs = Math.floor(ttlMs / 3);
  if (graceMs > mostMs)
    throw new ConfigError("grace", [
      `it is ${spelled(graceMs)}, and the ttl ${spelled(ttlMs)}: expected at most a third of it, ${spelled(mostMs)}`,
    ]);
  return {
    ttlMs,
    graceMs,
    conflictExitCode: flags.conflictExitCode ?? file.conflictExitCode ?? EXIT.held,
    lostExitCode: flags.lostExitCode ?? file.lostExitCode ?? EXIT.lost,
  };
}

export function addHoldOptions(command: Command): Command {
  return command
    .option("--ttl <duration>", "how long the lease outlives its holder's last renewal", duration(MIN_TTL_MS, MAX_TTL_MS))
    .option(
      "--grace <duration>",
      "how long before the deadline the command gets TERM: at most a third of the ttl (default: 5s, or a sixth of a short ttl)",
      duration(0, MAX_TTL_MS),
    )
    .option("--conflict-exit-code <status>", "instead of 75, when it is held elsewhere", integer(0, 255))
    .option("--lost-exit-code <status>", "instead of 76, when it was lost while the command ran", integer(0, 255))
    .option("--status-file <file>", "write one JSON line that says what happened")
    .addHelpText("after", CHILD_HELP);
}
