/** `ls`: everything that is held, and was. */
import type { Command } from "commander";
import { oneWord } from "../frame/arguments.ts";
import type { Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { Catalogue, KINDS, SHOWN_HELP, type ViewKind } from "../view/catalogue.ts";
import { leaseJson } from "../view/json.ts";
import { HEAD, rowsOf } from "../view/rows.ts";

export function define(command: Command, run: Run): void {
  command
    .argument("[prefix]", "names that begin with this")
    .option("--kind <kind>", SHOWN_HELP, oneWord(KINDS))
    .option("--held", "leave out what is free")
    .action((prefix: string | undefined, flags: { readonly kind?: ViewKind; readonly held?: boolean }) =>
      run(async ({ out, err, store, settings }) => {
        const catalogue = new Catalogue(await store(), settings.prefix);
        const views = (await catalogue.scan({ kind: flags.kind, prefix })).filter(({ state }) => flags.held !== true || state !== "free");
        if (out.json) out.value(views.map(leaseJson));
        else if (views.length === 0) err.line("nothing there");
        else out.table(HEAD, rowsOf(views, out.isTerminal ? out.columns : undefined, out.style));
        return EXIT.ok;
      }),
    );
}
