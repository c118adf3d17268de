/** `status`: who leads, who holds. */
import type { Command } from "commander";
import { systemClock } from "../../clock/system.ts";
import { parseInstant } from "../../clock/calendar.ts";
import { oneWord } from "../frame/arguments.ts";
import type { Context, Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { durationText, printable } from "../frame/output.ts";
import { Catalogue, type LeaseView, leftMs, type ViewKind } from "../view/catalogue.ts";
import { leaseJson } from "../view/json.ts";

const ASKED = ["election", "lock", "task"] as const;

export function define(command: Command, run: Run): void {
  command
    .argument("[name]", "of an election, a lock or a task; without one, all elections and how many locks are held")
    .option("--kind <kind>", `${ASKED.join(", ")} (default: whichever has this name), ephemeral`, oneWord([...ASKED, "ephemeral"]))
    .addHelpText("after", "\nExit status 0: it is held; 1: nobody holds it.\n")
    .action((name: string | undefined, flags: { readonly kind?: ViewKind }) =>
      run(async (context) => {
        const catalogue = new Catalogue(await context.store(), context.settings.prefix);
        return name === undefined ? await overview(context, catalogue) : await ofName(context, catalogue, name, flags.kind);
      }),
    );
}

async function ofName({ out }: Context, catalogue: Catalogue, name: string, kind: ViewKind | undefined): Promise<number> {
  const kinds = kind === undefined ? ASKED : [kind];
  const views = (await Promise.all(kinds.map((each) => catalogue.one(each, name)))).filter((view) => view !== undefined);
  if (out.json) out.value(views.map(leaseJson));
  else if (views.length === 0) out.line(`${printable(name)}: never held`);
  else for (const view of views) out.line(text(view));
  if (views.some(({ state }) => state === "unreadable")) return EXIT.data;
  return views.some(({ state }) => state !== "free") ? EXIT.ok : EXIT.no;
}

async function overview({ out }: Context, catalogue: Catalogue): Promise<number> {
  const views = await catalogue.scan({});
  const elections = views.filter(({ kind }) => kind === "election");
  const count = (kind: ViewKind): object => {
    const all = views.filter((view) => view.kind === kind);
    return { held: all.filter(({ state }) => state !== "free" && state !== "unreadable").length, known: all.length };
  };
  if (out.json) {
    out.value({
      elections: elections.map(leaseJson),
      locks: count("lock"),
      tasks: count("task"),
      unreadable: views.filter(({ state }) => state === "unreadable").map(leaseJson),
    });
    return EXIT.ok;
  }
  for (const view of elections) out.line(text(view));
  const { held, known } = count("lock") as { held: number; known: number };
  out.line(`${held} of ${known} known locks are held`);
  for (const { key, problem } of views.filter(({ state }) => state === "unreadable"))
    out.line(`unreadable: ${printable(key)}: ${printable(problem ?? "")}`);
  return EXIT.ok;
}

function text(view: LeaseView): string {
  const { kind, name, record, state, ageMs, problem } = view;
  const head = `${kind} "${printable(name)}": `;
  if (record === undefined || state === "unreadable") return `${head}unreadable: ${printable(problem ?? "")}`;
  const { fencingToken, version, holder } = record;
  if (state === "free") return `${head}free (fencing token ${fencingToken}, last held by ${printable(holder)})`;
  const left = leftMs(view);
  const since = parseInstant(record.acquiredAt);
  return [
    `${head}${kind === "election" ? "led" : "held"} by ${printable(holder)} (fencing token ${fencingToken}, version ${version})`,
    `  since    ${record.acquiredAt}${since === undefined ? "" : `, ${durationText(systemClock.wallMs() - since)} ago by this machine's clock`}`,
    `  renewed  ${record.renewedAt}${ageMs === undefined ? "" : `, ${durationText(ageMs)} ago by the store's clock`}`,
    ...(left === undefined
      ? []
      : [
          state === "overdue"
            ? "  overdue  its ttl is over: whoever contends for it may take it"
            : `  left     ${durationText(left)} if it is not renewed`,
        ]),
    ...(record.metadata === undefined ? [] : [`  says     ${printable(JSON.stringify(record.metadata))}`]),
  ].join("\n");
}
