/** Every exit status of the command line, in one table. Those from 64 to 78 are the ones of sysexits.h, as mail programs and flock(1) use them. */
import { constants } from "node:os";
import { ConsensusError } from "../../errors.ts";

export const EXIT = {
  ok: 0,
  no: 1,
  usage: 64,
  data: 65,
  unavailable: 69,
  internal: 70,
  output: 74,
  held: 75,
  lost: 76,
  access: 77,
  unsafe: 78,
  notExecutable: 126,
  notFound: 127,
} as const;

/** For `--help` and docs/cli.md (a test compares them). */
export const EXIT_TABLE: readonly (readonly [status: string, meaning: string])[] = [
  ["0", "done; a command that was run ended with 0"],
  ["1", "the answer is no: nobody holds it, a check has remarks"],
  ["64", "wrong use: an unknown option, a wrong value, a wrong configuration file"],
  ["65", "the object at the key is no record that this version may touch; it was left as it is"],
  ["69", "the store could not be reached, or asked to slow down"],
  ["70", "a fault of this program"],
  ["74", "the answer could not be written: the disk is full, say"],
  ["75", "held elsewhere, and still so when --wait was over (--conflict-exit-code)"],
  ["76", "the lease was lost or taken back while the command ran, which was ended for it (--lost-exit-code)"],
  ["77", "no access: wrong bucket, permission, region, credentials or clock"],
  ["78", "the store must not be used: it does not keep its conditions"],
  ["126, 127", "the command could not be executed, or was not found"],
  ["128 + n", "ended by signal n: 130 Ctrl-C, 143 TERM"],
];

export function exitTableText(): string {
  const width = Math.max(...EXIT_TABLE.map(([status]) => status.length));
  return `Exit status:\n${EXIT_TABLE.map(([status, meaning]) => `  ${status.padEnd(width)}  ${meaning}`).join("\n")}\n`;
}

/** What a process that was ended by this signal answers to a shell. */
export function signalStatus(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

export function exitCodeOf(error: unknown): number {
  if (!ConsensusError.is(error)) return EXIT.internal;
  switch (error.code) {
    case "CONFIG":
      return EXIT.usage;
    case "LOCK_HELD":
      return EXIT.held;
    case "LEASE_LOST":
    case "LEASE_ENDED":
    case "NOT_HELD":
    case "FENCED_OUT":
      return EXIT.lost;
    case "STORE_UNSAFE":
      return EXIT.unsafe;
    case "STORE_ACCESS":
      return EXIT.access;
    case "STORE_UNAVAILABLE":
      return EXIT.unavailable;
    case "RECORD":
      return EXIT.data;
    case "REENTRANT":
    case "WORK_NOT_STOPPED":
      return EXIT.internal;
  }
}
