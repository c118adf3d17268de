/** `force-unlock`: frees what another holds, by its fencing token, as Terraform does by the lock's id. */
import type { Command } from "commander";
import { defaultNode } from "../../lease/wiring.ts";
import { forceRelease, readRecord } from "../../lease/operate.ts";
import { integer, oneWord } from "../frame/arguments.ts";
import { confirmed } from "../frame/confirm.ts";
import type { Context, Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { printable } from "../frame/output.ts";
import { keyOf } from "../view/catalogue.ts";

const HOLDABLE = ["lock", "election"] as const;

interface Flags {
  readonly token: number;
  readonly kind: (typeof HOLDABLE)[number];
  readonly now?: boolean | undefined;
  readonly yes?: boolean | undefined;
}

export function define(command: Command, run: Run): void {
  command
    .argument("<key>", "name of the lock, or of what --kind says")
    .requiredOption("--token <number>", "the fencing token that it is held by, as ls shows it", integer(1, Number.MAX_SAFE_INTEGER))
    .option("--kind <kind>", HOLDABLE.join(", "), oneWord(HOLDABLE), "lock")
    .option("--now", "do not wait for the holder: two may run until its next renewal is refused")
    .option("-y, --yes", "do not ask")
    .addHelpText("after", "\nExit status 0: it is free; 1: that token does not hold it, or you said no; 69: it is not known.\n")
    .action((name: string, flags: Flags) => run((context) => forceUnlock(context, name, flags)));
}

async function forceUnlock(context: Context, name: string, { token, kind, now, yes }: Flags): Promise<number> {
  const { out, err, signals, settings } = context;
  const store = await context.store();
  const key = keyOf(settings.prefix, kind, name);
  const what = `${kind} "${printable(name)}"`;
  const record = (await readRecord(store, key, signals.stop))?.record;
  if (record?.state !== "held" || record.fencingToken !== token) {
    err.line(
      `s3-consensus: ${what} is not held by fencing token ${token}${record === undefined ? "" : `: ${record.state === "held" ? `${printable(record.holder)} holds it by ${record.fencingToken}` : `it is free (last token ${record.fencingToken})`}`}`,
    );
    return EXIT.no;
  }
  const how =
    now === true
      ? "It is cut off at once, whatever it is doing: TWO MAY RUN until its next renewal is refused."
      : "It is asked to stop, and its key is freed when it has, or when it has not been renewed for its ttl. One that lives and does not obey keeps it.";
  const session =
    record.session === undefined
      ? ""
      : `\n  It belongs to the session ${printable(record.session.member)}; everything else that this session holds hangs on it too.`;
  if (
    !(await confirmed(
      context,
      `${what} is held by ${printable(record.holder)} since ${record.acquiredAt} (fencing token ${token}).${session}\n  ${how}`,
      yes,
    ))
  )
    return EXIT.no;
  const outcome = await forceRelease(store, key, { token, now, signal: signals.stop, by: settings.node ?? defaultNode() });
  if (out.json) out.value({ kind, name, key, fencingToken: token, outcome });
  else out.line(outcome === "unknown" ? `${what}: not known to be free` : `${what}: ${outcome}`);
  return outcome === "not-mine" ? EXIT.no : outcome === "unknown" ? EXIT.unavailable : EXIT.ok;
}
