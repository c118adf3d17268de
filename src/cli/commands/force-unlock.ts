/** `force-unlock`: frees what another holds, by its fencing token, as Terraform does by the lock's id. */
import type { Command } from "commander";
import { defaultNode } from "../../lease/wiring.ts";
import { forceRelease, readRecord } from "../../lease/operate.ts";
import type { LeaseRecord } from "../../record/record.ts";
import type { ObjectStore } from "../../store/object-store.ts";
import { integer, oneWord } from "../frame/arguments.ts";
import { confirmed } from "../frame/confirm.ts";
import type { Context, Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { printable } from "../frame/output.ts";
import { keyOf } from "../view/catalogue.ts";
import { hangingOn } from "../view/hanging.ts";

const HOLDABLE = ["lock", "election", "ephemeral", "member"] as const;

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
  const ephemeral = key === keyOf(settings.prefix, "ephemeral", name);
  const record = (await readRecord(store, key, signals.stop, ephemeral))?.record;
  if (record?.state !== "held" || record.fencingToken !== token) {
    if (out.json) out.value({ kind, name, key, fencingToken: token, outcome: "not-mine" });
    err.line(
      `s3-consensus: ${what} is not held by fencing token ${token}${record === undefined ? "" : `: ${record.state === "held" ? `${printable(record.holder)} holds it by ${record.fencingToken}` : `it is free (last token ${record.fencingToken})`}`}`,
    );
    return EXIT.no;
  }
  if (!(await confirmed(context, await planOf(store, settings.prefix, { kind, key, what, now }, record), yes))) return EXIT.no;
  const outcome = await forceRelease(store, key, { token, now, signal: signals.stop, by: settings.node ?? defaultNode(), ephemeral });
  if (out.json) out.value({ kind, name, key, fencingToken: token, outcome });
  else out.line(outcome === "unknown" ? `${what}: not known to be free` : `${what}: ${outcome}`);
  return outcome === "not-mine" ? EXIT.no : outcome === "unknown" ? EXIT.unavailable : EXIT.ok;
}

/** Who would be cut off, what else hangs on that, and how it is done. */
async function planOf(
  store: ObjectStore,
  prefix: string,
  { kind, key, what, now }: Pick<Flags, "kind" | "now"> & { readonly key: string; readonly what: string },
  record: LeaseRecord,
): Promise<string> {
  const { holder, acquiredAt, fencingToken, metadata } = record;
  const isMember = kind === "member";
  const session = isMember ? { member: key, token: fencingToken } : record.session;
  const hanging = session && (await hangingOn(store, prefix, session, key));
  const lines = [
    `${what} is held by ${printable(holder)} since ${acquiredAt} (fencing token ${fencingToken}).`,
    ...(metadata === undefined || metadata === null ? [] : [`It says ${printable(JSON.stringify(metadata))}`]),
    ...(isMember ? [`It is a session; on it hangs ${hanging}.`] : []),
    ...(isMember || session === undefined
      ? []
      : [`It belongs to the session ${printable(session.member)}, which holds as well: ${hanging}.`]),
    ...(now === true
      ? [
          "It is cut off at once, whatever it is doing: TWO MAY RUN until its next renewal is refused.",
          ...(isMember || session === undefined ? [] : ["The whole session is ended, with all that it holds."]),
        ]
      : [
          "It is asked to stop, and its key is freed when it has, or when it has not been renewed for its ttl. One that lives and does not obey keeps it.",
        ]),
  ];
  return lines.join("\n  ");
}
