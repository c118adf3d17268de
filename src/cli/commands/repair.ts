/** `repair`: the way out of a key whose record is damaged or foreign, or that can't be written any more. */
import type { Command } from "commander";
import { freshId } from "../../clock/wait.ts";
import { ConfigError } from "../../errors.ts";
import { MAX_TOKEN } from "../../lease/remains.ts";
import { MAX_TTL_MS, MIN_TTL_MS } from "../../lease/timing.ts";
import { duration, integer, oneWord } from "../frame/arguments.ts";
import { confirmed } from "../frame/confirm.ts";
import type { Context, Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { printable } from "../frame/output.ts";
import { keyOf, KINDS, type ViewKind } from "../view/catalogue.ts";
import { keepFile, keepObject } from "../mend/copy.ts";
import { survey, type Survey, surveyLines } from "../mend/survey.ts";
import { waitText, writeAnew } from "../mend/write-anew.ts";

interface Flags {
  readonly kind: ViewKind;
  readonly token?: number | undefined;
  readonly ttl?: number | undefined;
  readonly save?: string | undefined;
  readonly yes?: boolean | undefined;
}

const HELP = `
Shows what stands there, keeps a copy of it, waits until nobody can believe in it any more (unchanged for more than its ttl), and writes a released
record whose token is above every one that can be seen in it or in its earlier versions. Where neither tells a token, or a ttl, say it: a token
above every one that was given out (logs of holders, fenced resources), the longest ttl in use. A record of a newer version is left alone.

Exit status 0: mended; 1: there is nothing, or you said no; 64: a token or a ttl has to be said; 65: it is of a newer version; 69: not known;
75: it was changed meanwhile, or the session that holds it lives.
`;

export function define(command: Command, run: Run): void {
  command
    .argument("<key>", "name of a lock, or of what --kind says")
    .option("--kind <kind>", KINDS.join(", "), oneWord(KINDS), "lock")
    .option("--token <number>", "the token to go on from (default: the highest that is known, and one)", integer(1, MAX_TOKEN))
    .option("--ttl <duration>", "the longest ttl that a holder uses, where none is known", duration(MIN_TTL_MS, MAX_TTL_MS))
    .option("--save <file>", "where the copy goes (default: an object below the prefix)")
    .option("-y, --yes", "do not ask")
    .addHelpText("after", HELP)
    .action((name: string, flags: Flags) => run((context) => repair(context, name, flags)));
}

async function repair(context: Context, name: string, flags: Flags): Promise<number> {
  const { err, signals, settings } = context;
  const { kind, save } = flags;
  const store = await context.store();
  const key = keyOf(settings.prefix, kind, name);
  const found = await survey(store, key, signals.stop);
  if (found.standing === undefined) {
    err.line(`s3-consensus: nothing stands at ${printable(key)}: a key without a record is free. If it was deleted: accept-regression`);
    return EXIT.no;
  }
  for (const line of surveyLines(found)) err.line(line);
  const { fencingToken, ttlMs } = goingOnFrom(found, flags);
  const copyAt = save ?? `${settings.prefix}repaired/${kind}-${freshId(store.random)}`;
  const plan = [
    ...(found.record === undefined ? [] : ["A sound record needs no repair, unless the store takes no write to it any more."]),
    `It is copied to ${printable(save === undefined ? `the object ${copyAt}` : copyAt)}.`,
    waitText(ttlMs),
    `Then it is replaced by a released record with fencing token ${fencingToken}: whoever wants it next gets ${fencingToken + 1}.`,
  ];
  if (!(await confirmed(context, plan.join("\n"), flags.yes))) return EXIT.no;
  const keep = (bytes: Uint8Array): Promise<void> => (save === undefined ? keepObject(store, copyAt, bytes) : keepFile(save, bytes));
  return await writeAnew(context, store, { kind, name, found, fencingToken, ttlMs, keep, copyAt });
}

/** @throws ConfigError with everything that has to be said, or that was said and can't be right. */
function goingOnFrom({ remains, ttlMs: knownTtlMs = 0 }: Survey, flags: Flags): { readonly fencingToken: number; readonly ttlMs: number } {
  const known = remains.fencingToken;
  const fencingToken = flags.token ?? (known === undefined ? undefined : known + 1);
  const ttlMs = Math.max(knownTtlMs, flags.ttl ?? 0);
  const faults: string[] = [];
  if (fencingToken === undefined) faults.push("no fencing token can be read any more: say --token, above every one that was given out");
  else if (known !== undefined && fencingToken <= known)
    faults.push(`--token is ${fencingToken}: it must be above ${known}, which was given out`);
  else if (fencingToken > MAX_TOKEN) faults.push(`the token ${known} leaves no room above it: say --token`);
  // Without it the record would be no task's, and nobody could go on.
  if (flags.kind === "task" && remains.record?.payload === undefined)
    faults.push("which ticks of the task have run can be read in no version that is kept: give the task another name");
  if (ttlMs === 0) faults.push("no ttl can be read any more: say --ttl, the longest that a holder uses");
  if (fencingToken === undefined || faults.length > 0) throw new ConfigError("nothing was done", faults);
  return { fencingToken, ttlMs };
}
