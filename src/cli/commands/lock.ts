/** `lock`: a command runs while a lock is held. */
import type { Command } from "commander";
import { systemClock } from "../../clock/system.ts";
import { ConfigError, LockHeldError } from "../../errors.ts";
import type { Held } from "../../lease/held.ts";
import type { LeaseOptions } from "../../locks/api.ts";
import { Locks } from "../../locks/locks.ts";
import { bareName } from "../../locks/names.ts";
import { MAX_SLOTS } from "../../locks/slots.ts";
import type { Json } from "../../record/record.ts";
import { addHoldOptions, type HoldFlags, holdOf, MAX_WAIT_MS } from "../child/hold-options.ts";
import { concluded, heldText, runErrand } from "../child/outcome.ts";
import { duration, integer, json, spelled } from "../frame/arguments.ts";
import type { Context, Run } from "../frame/context.ts";
import { libraryLog } from "../frame/log.ts";

interface Flags extends HoldFlags {
  readonly metadata?: Json | undefined;
  readonly permits?: number | undefined;
}

const DEFAULT_TTL_MS = 30_000;

export function define(command: Command, run: Run): void {
  addHoldOptions(
    command
      .usage("[options] KEY -- COMMAND ARGS…")
      .argument("<key>", 'the lock\'s name; "ephemeral:NAME" is an ephemeral lock, whose record prune may delete')
      .argument("<command...>", "what to run while it is held")
      .option("--wait <duration>", "wait that long for it (default: one try)", duration(0, MAX_WAIT_MS))
      .option("--permits <number>", "so many may hold it at once; all who use it must say the same number", integer(1, MAX_SLOTS))
      .option("--metadata <json>", "shown to everybody who is refused", json),
  ).action((key: string, words: string[], flags: Flags) => run((context) => lock(context, key, words, flags)));
}

async function lock(context: Context, name: string, words: readonly string[], flags: Flags): Promise<number> {
  const { settings, log } = context;
  if (words.length === 0) throw new ConfigError("lock", ["a command is missing: lock KEY -- COMMAND ARGS…"]);
  const { ttlMs, ...hold } = holdOf(flags, settings, DEFAULT_TTL_MS);
  const ephemeral = name !== bareName(name);
  const { prefix, node } = settings;
  const locks = new Locks({ store: await context.store(), prefix, node, ephemeral, logger: libraryLog(log) });
  const errand = { kind: "lock", name, words, statusFile: flags.statusFile, ...hold } as const;
  return await concluded(context, errand, async () => {
    const { permits, metadata, wait = settings.waitMs ?? 0 } = flags;
    const options = { ttlMs, metadata, signal: context.signals.stop };
    const semaphore = permits === undefined ? undefined : locks.semaphore(name, { permits });
    const take: Take = (waitMs) => (semaphore ?? { acquire: (o: LeaseOptions) => locks.acquire(name, o) }).acquire({ ...options, waitMs });
    const held = await acquired(context, take, name, wait);
    return await runErrand(context, held, errand);
  });
}

type Take = (waitMs: number) => Promise<Held>;

/** Who waits is told for whom: the second call knows what the first has seen, and costs nothing that a longer first one would not. */
async function acquired({ log }: Context, take: Take, name: string, waitMs: number): Promise<Held> {
  try {
    return await take(0);
  } catch (e) {
    if (!(e instanceof LockHeldError) || waitMs === 0) throw e;
    const [holder] = e.holders;
    log.info(
      { ...holder, waitMs },
      `${heldText(`lock "${name}"`, holder, systemClock.wallMs())}\nwaiting for it, at most ${spelled(waitMs)}`,
    );
    return await take(waitMs);
  }
}
