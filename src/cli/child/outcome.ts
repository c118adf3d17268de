/** What became of a command that was to run under a lease: its exit status, and one JSON line for those who must not guess. */
import { closeSync, openSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { systemClock } from "../../clock/system.ts";
import { ConfigError, ConsensusError, type HolderInfo, LockHeldError, messageOf } from "../../errors.ts";
import type { Held, Lease } from "../../lease/held.ts";
import { commandFor } from "../../record/way-out.ts";
import type { Context } from "../frame/context.ts";
import { EXIT, exitCodeOf, signalStatus } from "../frame/exit-codes.ts";
import { durationText, printable } from "../frame/output.ts";
import { Interruption } from "../frame/signals.ts";
import { keyOf } from "../view/catalogue.ts";
import type { Hold } from "./hold-options.ts";
import { type CommandEnd, runHeld } from "./run-held.ts";

export type Kind = "lock" | "election" | "task";

/** One line of `--status-file` (docs/cli.schema.json). */
export interface StatusLine {
  readonly outcome: "ran" | "lost" | "held" | "interrupted" | "failed";
  readonly kind: Kind;
  readonly name: string;
  /** The exit status of this program. */
  readonly status: number;
  readonly key?: string | undefined;
  readonly fencingToken?: number | undefined;
  /** The command's own end. */
  readonly command?: { readonly code: number | null; readonly signal: string | null } | undefined;
  readonly reason?: string | undefined;
  /** With `held`: by whom. */
  readonly holder?: string | undefined;
}

/** A command that is to run under a lease. */
export interface Errand extends Omit<Hold, "ttlMs"> {
  readonly kind: Kind;
  readonly name: string;
  readonly words: readonly string[];
  readonly statusFile: string | undefined;
}

/** Runs the command, gives the lease back, and says how it ended. */
export async function runErrand(context: Context, held: Held, errand: Errand): Promise<StatusLine> {
  const { kind, name, words, graceMs } = errand;
  let end: CommandEnd;
  let outcome: Awaited<ReturnType<Held["release"]>>;
  try {
    const { signals, log } = context;
    end = await runHeld({ lease: held, words, graceMs, signals, log, env: childEnv(context, held, errand) });
  } finally {
    outcome = await held.release();
  }
  const { key, fencingToken } = held;
  const about = { kind, name, key, fencingToken, command: { code: end.code, signal: end.signal } };
  const reason = end.cutOff ?? (outcome === "not-mine" ? "it was found to be another's when the command had ended" : undefined);
  if (reason !== undefined) return { outcome: "lost", ...about, status: errand.lostExitCode, reason };
  return { outcome: "ran", ...about, status: statusOf(end) };
}

/** As a shell tells it. */
export function statusOf({ code, signal }: Pick<CommandEnd, "code" | "signal">): number {
  if (code !== null) return code;
  return signal === null ? EXIT.internal : 128 + constants.signals[signal];
}

/** What a command finds in its environment, and what makes `s3-consensus` inside it speak to the same store. */
export function childEnv(
  { settings }: Context,
  lease: Lease,
  { kind, name }: Pick<Errand, "kind" | "name">,
): Record<string, string | undefined> {
  return {
    ...process.env,
    S3_CONSENSUS_TOKEN: String(lease.fencingToken),
    S3_CONSENSUS_HOLDER: lease.holder,
    S3_CONSENSUS_KEY: lease.key,
    S3_CONSENSUS_KIND: kind,
    S3_CONSENSUS_NAME: name,
    S3_CONSENSUS_STORE: settings.store,
    S3_CONSENSUS_PREFIX: settings.prefix,
  };
}

/** Who holds it, since when, and how long yet, for people: as Terraform tells of a state's lock. */
export function heldText(what: string, holder: HolderInfo, nowMs: number): string {
  const since = holder.acquiredAt.getTime();
  const lines = [
    `${what} is held by ${printable(holder.holder)} (fencing token ${holder.fencingToken})`,
    `  since    ${holder.acquiredAt.toISOString()}, ${durationText(nowMs - since)} ago by this machine's clock`,
    `  renewed  ${holder.renewedAt.toISOString()}`,
  ];
  if (holder.freeInMs !== undefined)
    lines.push(`  free     in ${durationText(holder.freeInMs)} at the latest if its holder is dead; a living one renews it`);
  if (holder.metadata !== undefined && holder.metadata !== null) lines.push(`  says     ${printable(JSON.stringify(holder.metadata))}`);
  return lines.join("\n");
}

/** Carries it out, tells what went wrong, and leaves the status line. */
export async function concluded(context: Context, errand: Errand, body: () => Promise<StatusLine>): Promise<number> {
  const { kind, name, statusFile } = errand;
  // Opened before anything is done, and once: a pipe has its reader, and one that can't be written is told of in time.
  const file = statusFile === undefined ? undefined : openStatusFile(statusFile);
  let line: StatusLine;
  try {
    line = await body();
  } catch (e) {
    line = { kind, name, ...failure(context, errand, e) };
  }
  if (file !== undefined) leave(context, file, line);
  return line.status;
}

function failure(
  { log, settings }: Context,
  { kind, name, conflictExitCode }: Errand,
  e: unknown,
): Pick<StatusLine, "outcome" | "status" | "reason" | "holder" | "key" | "fencingToken"> {
  const reason = messageOf(e);
  if (e instanceof Interruption) return { outcome: "interrupted", status: signalStatus(e.signal), reason };
  if (e instanceof LockHeldError) {
    const [holder] = e.holders;
    const held = keyOf(settings.prefix, kind, kind === "lock" ? holder.key : name);
    const command = commandFor(held, "force-unlock", `--token ${holder.fencingToken}`);
    const cutOff = command === undefined ? "" : `\n  cut off  ${printable(command)}`;
    log.error({ ...holder }, heldText(`${kind} "${name}"`, holder, systemClock.wallMs()) + cutOff);
    return { outcome: "held", status: conflictExitCode, reason, holder: holder.holder, key: e.key, fencingToken: holder.fencingToken };
  }
  log.error({ code: ConsensusError.is(e) ? e.code : "INTERNAL", err: e }, reason);
  return { outcome: "failed", status: exitCodeOf(e), reason };
}

/** Empty until the line is there. @throws ConfigError where it can't be written. */
function openStatusFile(path: string): number {
  try {
    return openSync(path, "w");
  } catch (e) {
    throw new ConfigError("--status-file", [messageOf(e)], { cause: e });
  }
}

/** A disk that is full by now takes nothing from the command's own status. */
function leave({ log }: Context, file: number, line: StatusLine): void {
  try {
    writeSync(file, `${JSON.stringify(line)}\n`);
    closeSync(file);
  } catch (e) {
    log.error({ err: e }, `--status-file: ${messageOf(e)}`);
  }
}
