/** `show`: one record, whole, and what it was before where the bucket keeps that. */
import type { Command } from "commander";
import { integer, oneWord } from "../frame/arguments.ts";
import type { Context, Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { printable } from "../frame/output.ts";
import { Catalogue, KINDS, keyOf, type LeaseView, type ViewKind } from "../view/catalogue.ts";
import { EARLIER_LIMIT, earlierJson, earlierLines, earlierOf } from "../view/earlier.ts";
import { leaseJson } from "../view/json.ts";

interface Flags {
  readonly kind: ViewKind;
  readonly versions: number;
}

export function define(command: Command, run: Run): void {
  command
    .argument("<key>", "name of a lock, or of what --kind says")
    .option("--kind <kind>", KINDS.join(", "), oneWord(KINDS), "lock")
    .option("--versions <number>", "so many earlier versions, where the bucket keeps them; 0: do not ask", integer(0, EARLIER_LIMIT), 5)
    .action((name: string, flags: Flags) => run((context) => show(context, name, flags)));
}

async function show({ out, err, store: open, settings, signals }: Context, name: string, { kind, versions }: Flags): Promise<number> {
  const store = await open();
  const view = await new Catalogue(store, settings.prefix).one(kind, name);
  const key = keyOf(settings.prefix, kind, name);
  const earlier = versions === 0 ? undefined : await earlierOf(store, key, versions, signals.stop);
  if (out.json)
    out.value(view === undefined ? null : { ...leaseJson(view), record: view.record ?? null, earlier: earlierJson(key, earlier) });
  else if (view === undefined) err.line(`nothing at ${printable(key)}`);
  else for (const line of recordLines(view)) out.line(line);
  // What was deleted is nothing now; what it was can be seen all the same.
  if (!out.json && earlier !== undefined) for (const line of earlierLines(key, earlier)) out.line(line);
  return view === undefined ? EXIT.no : view.record === undefined ? EXIT.data : EXIT.ok;
}

function recordLines({ key, etag, record, problem }: LeaseView): string[] {
  if (record === undefined) return [printable(problem ?? "")];
  const { extra, ...own } = record;
  return Object.entries({ key, etag, ...own, ...extra }).flatMap(([field, value]) =>
    value === undefined ? [] : [`${field.padEnd(14)} ${printable(typeof value === "string" ? value : JSON.stringify(value))}`],
  );
}
