/** `elect`: one of many processes leads, and runs a command while it does. */
import type { Command } from "commander";
import { systemClock } from "../../clock/system.ts";
import { sleep } from "../../clock/wait.ts";
import { Manager } from "../../election/manager.ts";
import type { Term } from "../../election/term.ts";
import { ConfigError, type HolderInfo, RecordError } from "../../errors.ts";
import type { Json } from "../../record/record.ts";
import { addHoldOptions, type HoldFlags, holdOf, MAX_WAIT_MS } from "../child/hold-options.ts";
import { concluded, runErrand } from "../child/outcome.ts";
import { holderJson } from "../view/json.ts";
import { duration, json } from "../frame/arguments.ts";
import type { Context, Run } from "../frame/context.ts";
import { libraryLog } from "../frame/log.ts";
import { type Output, printable } from "../frame/output.ts";
import { statusOfStop } from "../frame/signals.ts";

interface Flags extends HoldFlags {
  readonly keep?: boolean | undefined;
  readonly observe?: boolean | undefined;
  readonly metadata?: Json | undefined;
}

const DEFAULT_TTL_MS = 15_000;
/** How often `--keep` looks whether a record has been mended. */
const MENDED_POLL_MS = 5_000;

export function define(command: Command, run: Run): void {
  addHoldOptions(
    command
      .usage("[options] NAME [-- COMMAND ARGS…]")
      .argument("<name>", "the election's name")
      .argument("[command...]", "what to run while leading; without one, a line is printed for each change")
      .option("--keep", "after a loss campaign again, and run the command again")
      .option("--observe", "only look: take no part")
      .option("--wait <duration>", "give up after that long (default: never)", duration(0, MAX_WAIT_MS))
      .option("--metadata <json>", "shown to everybody who asks who leads", json),
  ).action((name: string, words: string[], flags: Flags) => run((context) => elect(context, name, words, flags)));
}

async function elect(context: Context, name: string, words: readonly string[], flags: Flags): Promise<number> {
  const { settings, log } = context;
  checkFlags(words, flags);
  const { ttlMs, ...hold } = holdOf(flags, settings, DEFAULT_TTL_MS);
  const { prefix, node } = settings;
  const store = await context.store();
  const manager = new Manager<Json>({ store, name, ttlMs, prefix, node, metadata: flags.metadata, logger: libraryLog(log) });
  if (words.length === 0) return flags.observe === true ? await observe(context, manager) : await takePart(context, manager, name);
  const errand = { kind: "election", name, words, statusFile: flags.statusFile, ...hold } as const;
  return await concluded(context, errand, async () => {
    for (;;) {
      const term = await elected(context, manager, flags);
      log.debug({ fencingToken: term.fencingToken }, `elected (fencing token ${term.fencingToken})`);
      const line = await runErrand(context, term, errand);
      if (flags.keep !== true || line.outcome !== "lost") return line;
      log.warn({ fencingToken: term.fencingToken }, "leadership is over; campaigning again");
    }
  });
}

/**
 * With `--keep` a record that may not be touched is waited out until an operator has mended it: a process that ended for it would be started again, and
 * know nothing of the token that the record went back behind (rule H10). The manager logs what is the matter.
 */
async function elected({ signals }: Context, manager: Manager<Json>, { keep, wait }: Flags): Promise<Term> {
  for (;;) {
    try {
      return await manager.campaign({ signal: signals.stop, waitMs: wait });
    } catch (e) {
      if (keep !== true || wait !== undefined || !(e instanceof RecordError)) throw e;
    }
    await sleep(systemClock, MENDED_POLL_MS, { signal: signals.stop, keepAlive: true });
  }
}

/** What can't be meant together. Without a command `--keep` changes nothing: whoever only takes part goes on after a loss. @throws ConfigError. */
function checkFlags(words: readonly string[], { observe, wait, statusFile }: Flags): void {
  if (words.length > 0 && observe === true) throw new ConfigError("elect", ["--observe takes no part, so it runs no command"]);
  if (words.length > 0) return;
  const idle = Object.entries({ "--wait": wait, "--status-file": statusFile }).flatMap(([flag, value]) =>
    value === undefined ? [] : [flag],
  );
  if (idle.length > 0) throw new ConfigError("elect", [`${idle.join(", ")} without a command means nothing: elect NAME -- COMMAND ARGS…`]);
}

/** Takes part, and prints a line for each change. */
async function takePart({ out, signals, unread }: Context, manager: Manager<Json>, name: string): Promise<number> {
  await manager.run(
    {
      onElected: ({ fencingToken, holder }) => {
        if (out.json) out.value({ event: "elected", name, holder, fencingToken });
        else out.line(`elected  ${printable(holder)}  fencing token ${fencingToken}`);
      },
      onDemoted: ({ term: { fencingToken, holder }, reason }) => {
        if (out.json) out.value({ event: "demoted", name, holder, fencingToken, reason: reason.reason });
        else out.line(`demoted  ${printable(holder)}  fencing token ${fencingToken}  ${reason.reason}`);
      },
      onLeaderChange: ({ leader }) => tellLeader(out, manager.current === undefined ? leader : undefined, manager.current !== undefined),
    },
    { signal: unread },
  );
  return statusOfStop(signals.stop);
}

async function observe({ out, signals, unread }: Context, manager: Manager<Json>): Promise<number> {
  // An observer does not keep a process alive (rule H8); here it is the process's whole purpose.
  void sleep(systemClock, Number.MAX_SAFE_INTEGER, { signal: unread, keepAlive: true });
  try {
    for await (const { leader } of manager.observe({ signal: unread })) tellLeader(out, leader, false);
  } catch (e) {
    if (!unread.aborted) throw e;
  }
  return statusOfStop(signals.stop);
}

/** One's own election has a line of its own. */
function tellLeader(out: Output, leader: HolderInfo<Json> | undefined, mine: boolean): void {
  if (mine) return;
  if (out.json) out.value({ event: "leader", leader: leader === undefined ? null : holderJson(leader) });
  else out.line(leader === undefined ? "leader   nobody" : `leader   ${printable(leader.holder)}  fencing token ${leader.fencingToken}`);
}
