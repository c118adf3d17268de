/** `watch`: what is held, as it changes. Drawn anew in place on a terminal; one JSON line a change in a pipe. */
import type { Command } from "commander";
import { sleep } from "../../clock/wait.ts";
import { messageOf, StoreUnavailableError } from "../../errors.ts";
import { duration, oneWord } from "../frame/arguments.ts";
import type { Context, Run } from "../frame/context.ts";
import { signalStatus } from "../frame/exit-codes.ts";
import { Interruption } from "../frame/signals.ts";
import { Catalogue, KINDS, SHOWN_HELP, type LeaseView, type ViewKind } from "../view/catalogue.ts";
import { leaseJson } from "../view/json.ts";
import { WatchScreen } from "../view/watch-screen.ts";

interface Flags {
  readonly kind?: ViewKind;
  readonly interval: number;
}

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
    .action((prefix: string | undefined, flags: Flags) => run((context) => watch(context, prefix, flags)));
}

async function watch(context: Context, prefix: string | undefined, { kind, interval }: Flags): Promise<number> {
  const { out, log, signals, settings } = context;
  const store = await context.store();
  const catalogue = new Catalogue(store, settings.prefix);
  const screen = out.isTerminal && !out.json ? new WatchScreen(out) : undefined;
  let before = new Map<string, LeaseView>();
  // A reader that has gone away: nobody is there to watch for.
  const gone = new AbortController();
  process.stdout.once("error", () => gone.abort());
  signals.stop.addEventListener("abort", () => gone.abort(), { once: true });
  while (!gone.signal.aborted) {
    try {
      const views = await catalogue.scan({ kind, prefix });
      if (screen === undefined) for (const line of changes(before, views)) out.value(line);
      else screen.draw(views);
      before = new Map(views.map((view) => [view.key, view]));
    } catch (e) {
      // An outage passes; what is shown stays, with a word about it.
      if (!(e instanceof StoreUnavailableError)) throw e;
      if (screen === undefined) log.warn({ code: e.code }, messageOf(e));
      else screen.trouble(messageOf(e));
    }
    await sleep(store.clock, interval, { signal: gone.signal, keepAlive: true });
  }
  return signals.stop.reason instanceof Interruption ? signalStatus(signals.stop.reason.signal) : 0;
}

function* changes(before: ReadonlyMap<string, LeaseView>, now: readonly LeaseView[]): Generator<object> {
  const present = new Set(now.map(({ key }) => key));
  for (const view of now) {
    const old = before.get(view.key);
    if (old?.etag !== view.etag || old.state !== view.state) yield { event: old === undefined ? "seen" : "changed", ...leaseJson(view) };
  }
  for (const view of before.values()) if (!present.has(view.key)) yield { event: "gone", ...leaseJson(view) };
}
