/** `watch`: what is held, as it changes. Drawn anew in place on a terminal; one JSON line a change in a pipe. */
import type { Command } from "commander";
import { link, sleep } from "../../clock/wait.ts";
import { messageOf, StoreUnavailableError } from "../../errors.ts";
import { duration, oneWord } from "../frame/arguments.ts";
import type { Context, Run } from "../frame/context.ts";
import type { Output } from "../frame/output.ts";
import { statusOfStop } from "../frame/signals.ts";
import type { Stats } from "../../store/object-store.ts";
import { Catalogue, KINDS, SHOWN_HELP, type LeaseView, type ViewKind } from "../view/catalogue.ts";
import { leaseJson } from "../view/json.ts";
import { WatchScreen } from "../view/watch-screen.ts";
import { NEWS_MS } from "../view/watch-view.ts";

interface Flags {
  readonly kind?: ViewKind;
  readonly interval: number;
}

const HELP = `
On a terminal the screen is drawn anew in place: arrows, PgUp and PgDn scroll, o changes the order, q quits. ▸ marks what has changed hands in the
last ${NEWS_MS / 1000} s; in the first order it stands on top. Unreadable and overdue ones stand above all. In a pipe there is one JSON line for each change.
`;

export function define(command: Command, run: Run): void {
  command
    .argument("[prefix]", "names that begin with this")
    .option("--kind <kind>", SHOWN_HELP, oneWord(KINDS))
    .option(
      "--interval <duration>",
      "how often to look: one LIST, and a GET for each record that has changed",
      duration(200, 3_600_000),
      2_000,
    )
    .addHelpText("after", HELP)
    .action((prefix: string | undefined, flags: Flags) => run((context) => watch(context, prefix, flags)));
}

async function watch(context: Context, prefix: string | undefined, { kind, interval }: Flags): Promise<number> {
  const { out, log, signals, settings, unread } = context;
  const store = await context.store();
  const catalogue = new Catalogue(store, settings.prefix);
  const gone = new AbortController();
  link(unread, gone);
  const face =
    out.isTerminal && !out.json
      ? new WatchScreen({ out, intervalMs: interval, clock: store.clock, quit: () => gone.abort() })
      : { show: lineByLine(out), trouble: (e: StoreUnavailableError) => log.warn({ code: e.code }, messageOf(e)), close: () => {} };
  try {
    while (!gone.signal.aborted) {
      const before = store.stats();
      try {
        face.show(await catalogue.scan({ kind, prefix }), costText(before, store.stats()));
      } catch (e) {
        // An outage passes; what is shown stays, with a word about it.
        if (!(e instanceof StoreUnavailableError)) throw e;
        face.trouble(e);
      }
      await sleep(store.clock, interval, { signal: gone.signal, keepAlive: true });
    }
  } finally {
    face.close();
  }
  return statusOfStop(signals.stop);
}

function costText(before: Stats, after: Stats): string {
  const of = (name: string): number => (after[name] ?? 0) - (before[name] ?? 0);
  return `${of("list")} LIST, ${of("get")} GET`;
}

function lineByLine(out: Output): (views: readonly LeaseView[]) => void {
  let before = new Map<string, LeaseView>();
  return (views) => {
    for (const line of changes(before, views)) out.value(line);
    before = new Map(views.map((view) => [view.key, view]));
  };
}

function* changes(before: ReadonlyMap<string, LeaseView>, now: readonly LeaseView[]): Generator<object> {
  const present = new Set(now.map(({ key }) => key));
  for (const view of now) {
    const old = before.get(view.key);
    if (old?.etag !== view.etag || old.state !== view.state) yield { event: old === undefined ? "seen" : "changed", ...leaseJson(view) };
  }
  for (const view of before.values()) if (!present.has(view.key)) yield { event: "gone", ...leaseJson(view) };
}
