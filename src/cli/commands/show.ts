/** `show`: one record, whole. */
import type { Command } from "commander";
import { oneWord } from "../frame/arguments.ts";
import type { Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { printable } from "../frame/output.ts";
import { Catalogue, KINDS, keyOf, type ViewKind } from "../view/catalogue.ts";
import { leaseJson } from "../view/json.ts";

export function define(command: Command, run: Run): void {
  command
    .argument("<key>", "name of a lock, or of what --kind says")
    .option("--kind <kind>", KINDS.join(", "), oneWord(KINDS), "lock")
    .action((name: string, { kind }: { readonly kind: ViewKind }) =>
      run(async ({ out, err, store, settings }) => {
        const view = await new Catalogue(await store(), settings.prefix).one(kind, name);
        if (view === undefined) {
          if (out.json) out.value(null);
          else err.line(`nothing at ${printable(keyOf(settings.prefix, kind, name))}`);
          return EXIT.no;
        }
        const { record, problem } = view;
        if (out.json) out.value({ ...leaseJson(view), record: record ?? null });
        else if (record === undefined) out.line(printable(problem ?? ""));
        else {
          const { extra, ...own } = record;
          for (const [field, value] of Object.entries({ key: view.key, etag: view.etag, ...own, ...extra }))
            if (value !== undefined)
              out.line(`${field.padEnd(14)} ${printable(typeof value === "string" ? value : JSON.stringify(value))}`);
        }
        return record === undefined ? EXIT.data : EXIT.ok;
      }),
    );
}
