/** `prune`: deletes what ephemeral locks and ended sessions have left behind. */
import type { Command } from "commander";
import type { Clock } from "../../clock/clock.ts";
import type { RecordError } from "../../errors.ts";
import { pagesOf } from "../../lease/pages.ts";
import { MIN_OLDER_THAN_MS, type Pruned, type PruneWork } from "../../lease/pruning.ts";
import { prune } from "../../locks/prune.ts";
import { escapedPrefix, leaseKey, memberKey, unescapeName } from "../../record/keys.ts";
import { pruneMembers } from "../../session/prune.ts";
import type { ObjectStore } from "../../store/object-store.ts";
import { duration } from "../frame/arguments.ts";
import { confirmed } from "../frame/confirm.ts";
import type { Context, Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { durationText, printable } from "../frame/output.ts";

const MAX_OLDER_MS = 10 * 365 * 86_400_000;
/** How often a run without a terminal says how far it is. */
const TOLD_EVERY_MS = 10_000;

interface Flags {
  readonly olderThan: number;
  readonly yes?: boolean | undefined;
}

export function define(command: Command, run: Run): void {
  command
    .argument("[prefix]", "only ephemeral locks whose names begin with this; then no member records")
    .requiredOption(
      "--older-than <duration>",
      "released, or over, for at least so long by the store's clock: 1h or more, such as 7d",
      duration(MIN_OLDER_THAN_MS, MAX_OLDER_MS),
    )
    .option("-y, --yes", "do not ask")
    .addHelpText(
      "after",
      "\nRecords of ephemeral locks and of ended sessions. Plain locks, elections and tasks are never deleted: their fencing tokens must live.\n" +
        "Exit status 0: done, or nothing to do; 1: you said no; 69: the store did not answer: what was deleted stays so, call again.\n",
    )
    .action((prefix: string | undefined, flags: Flags) => run((context) => pruneAll(context, prefix, flags)));
}

/** What a listing tells before anything is read: those that are old enough, some of which may have to stay. */
interface Due {
  readonly count: number;
  readonly oldestMs: number | undefined;
}

async function pruneAll(context: Context, prefix: string | undefined, { olderThan, yes }: Flags): Promise<number> {
  const { out, err, settings, signals } = context;
  const store = await context.store();
  const spaces = { ephemeral: leaseKey(settings.prefix, "ephemeral", ""), members: memberKey(settings.prefix, "") };
  const locks = await dueIn(store, spaces.ephemeral, olderThan, prefix ?? "", signals.stop);
  const members =
    prefix === undefined ? await dueIn(store, spaces.members, olderThan, "", signals.stop) : { count: 0, oldestMs: undefined };
  if (locks.count + members.count === 0) {
    if (out.json) out.value(result(NOTHING, NOTHING, 0));
    else err.line(`nothing there that was not written for ${durationText(olderThan)}`);
    return EXIT.ok;
  }
  const plan = [
    ...planOf(locks, "ephemeral locks", prefix),
    ...planOf(members, "sessions", undefined),
    `  At ${printable(store.url)}. Deleted is what was released or has ended, and nothing else: what is held, flagged or can't be read stays.`,
  ];
  if (!(await confirmed(context, plan.join("\n"), yes))) return EXIT.no;
  let unreadable = 0;
  const progress = progressOf(context, store.clock, locks.count + members.count);
  const work = (space: string, before: number): PruneWork => ({
    store,
    space,
    olderThanMs: olderThan,
    signal: signals.stop,
    onUnreadable: (error: RecordError) => {
      unreadable++;
      context.log.warn({ key: error.key, kind: error.kind }, printable(`left as it is: ${error.message}`));
    },
    onProgress: (so) => progress.tell(before + so.looked, so),
  });
  try {
    const pruned = await prune(work(spaces.ephemeral, 0), prefix ?? "");
    const ended = prefix === undefined ? await pruneMembers(work(spaces.members, pruned.looked)) : NOTHING;
    progress.end();
    if (out.json) out.value(result(pruned, ended, unreadable));
    else out.line(summary(pruned, ended));
    return EXIT.ok;
  } finally {
    progress.end();
  }
}

const NOTHING: Pruned = { looked: 0, deleted: 0, open: 0 };

function result(locks: Pruned, members: Pruned, unreadable: number): object {
  return { locks, members, unreadable };
}

function summary(locks: Pruned, members: Pruned): string {
  const open = locks.open === 0 ? "" : `; ${locks.open} without an answer, closed for the next 38 minutes`;
  const kept = locks.looked + members.looked - locks.deleted - members.deleted;
  return `deleted ${locks.deleted} locks and ${members.deleted} session records, left ${kept}${open}`;
}

function planOf({ count, oldestMs }: Due, what: string, prefix: string | undefined): readonly string[] {
  if (count === 0) return [];
  const named = prefix === undefined ? "" : ` whose names begin with "${printable(prefix)}"`;
  const oldest = oldestMs === undefined ? "" : `, the oldest for ${durationText(oldestMs)}`;
  return [`${count} records of ${what}${named} were not written for that long${oldest}.`];
}

async function dueIn(store: ObjectStore, space: string, olderThanMs: number, prefix: string, signal: AbortSignal): Promise<Due> {
  let count = 0;
  let oldestMs: number | undefined;
  for await (const { entries, dateMs } of pagesOf(store, space + escapedPrefix(prefix), signal))
    for (const { key, lastModifiedMs } of entries) {
      const ageMs = dateMs === undefined || lastModifiedMs === undefined ? undefined : dateMs - lastModifiedMs;
      if (ageMs !== undefined && ageMs < olderThanMs) continue;
      if (unescapeName(key.slice(space.length))?.startsWith(prefix) !== true) continue;
      count++;
      if (ageMs !== undefined) oldestMs = Math.max(oldestMs ?? 0, ageMs);
    }
  return { count, oldestMs };
}

/** On a terminal a line that is written over; elsewhere, now and then, a line. */
function progressOf({ err, out }: Context, clock: Clock, total: number): { tell(looked: number, so: Pruned): void; end(): void } {
  let toldMs = clock.monotonicMs();
  let isOpen = false;
  return {
    tell(looked, { deleted }) {
      const text = `${looked} of ${total} looked at, ${deleted} deleted`;
      if (err.isTerminal && !out.json) {
        err.sink.write(`\r\u001B[K${text}`);
        isOpen = true;
      } else if (clock.monotonicMs() - toldMs >= TOLD_EVERY_MS) {
        toldMs = clock.monotonicMs();
        err.line(text);
      }
    },
    end() {
      if (isOpen) err.sink.write("\r\u001B[K");
      isOpen = false;
    },
  };
}
