/** `accept-regression`: a record went back behind a token that is known, by a restored backup say; life goes on above it (rule H10). */
import type { Command } from "commander";
import { ConfigError } from "../../errors.ts";
import { MAX_TOKEN } from "../../lease/remains.ts";
import { MAX_TTL_MS, MIN_TTL_MS } from "../../lease/timing.ts";
import { duration, integer, oneWord } from "../frame/arguments.ts";
import { confirmed } from "../frame/confirm.ts";
import type { Context, Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { printable } from "../frame/output.ts";
import { keyOf, KINDS, type ViewKind } from "../view/catalogue.ts";
import { waitText, writeAnew } from "../mend/write-anew.ts";
import { survey, surveyLines } from "../mend/survey.ts";

interface Flags {
  readonly kind: ViewKind;
  readonly token: number;
  readonly ttl?: number | undefined;
  readonly yes?: boolean | undefined;
}

const HELP = `
Who has seen a higher token than the record has refuses to take it ("token regression"), and names this command. It waits until whoever held it
before can't believe in it any more (unchanged for more than its ttl), and writes a released record with the token N, which must be at least
the highest that is known: of those who refuse, of a fenced resource, of earlier versions. The next one gets N + 1.

Exit status 0: done; 1: you said no; 64: a higher token is known, or a ttl has to be said; 65: it is damaged (repair), or of a newer
version; 69: not known; 75: it was changed meanwhile, or the session that holds it lives.
`;

export function define(command: Command, run: Run): void {
  command
    .argument("<key>", "name of a lock, or of what --kind says")
    .requiredOption("--token <number>", "the highest fencing token that is known to have been given out", integer(1, MAX_TOKEN))
    .option("--kind <kind>", KINDS.join(", "), oneWord(KINDS), "lock")
    .option("--ttl <duration>", "the longest ttl that a holder uses, where none is known", duration(MIN_TTL_MS, MAX_TTL_MS))
    .option("-y, --yes", "do not ask")
    .addHelpText("after", HELP)
    .action((name: string, flags: Flags) => run((context) => accept(context, name, flags)));
}

async function accept(context: Context, name: string, flags: Flags): Promise<number> {
  const { out, err, signals, settings } = context;
  const { kind, token: fencingToken } = flags;
  const store = await context.store();
  const key = keyOf(settings.prefix, kind, name);
  const found = await survey(store, key, signals.stop);
  if (found.fault !== undefined) throw found.fault;
  const { record, remains } = found;
  const known = remains.fencingToken ?? 0;
  const ttlMs = Math.max(found.ttlMs ?? 0, flags.ttl ?? 0);
  const faults = [
    ...(fencingToken < known ? [`--token is ${fencingToken}, and ${known} was given out: say at least that`] : []),
    ...(ttlMs === 0 ? ["no ttl is known: say --ttl, the longest that a holder uses"] : []),
  ];
  for (const line of surveyLines(found)) err.line(line);
  if (faults.length > 0) throw new ConfigError("nothing was done", faults);
  if (record?.state === "released" && record.fencingToken === fencingToken) {
    if (out.json) out.value({ kind, name, key, fencingToken, outcome: "mended", copy: null });
    else out.line(`${kind} "${printable(name)}": is released with fencing token ${fencingToken} already`);
    return EXIT.ok;
  }
  const plan = [
    waitText(ttlMs),
    `Then it becomes a released record with fencing token ${fencingToken}: whoever wants it next gets ${fencingToken + 1}.`,
    "A session that held it before does not notice by itself that it went back: if one may, end it first.",
  ];
  if (!(await confirmed(context, plan.join("\n"), flags.yes))) return EXIT.no;
  return await writeAnew(context, store, { kind, name, found, fencingToken, ttlMs });
}
