/** What `watch` shows of what it has seen: in which order, from where on, and as which lines. Pure. */
import type { Key } from "../frame/keys.ts";
import { durationText, pad, type Paint, printable, tableLines, tableWidths, width } from "../frame/output.ts";
import { type LeaseView, leftMs } from "./catalogue.ts";
import { HEAD, rowsOf } from "./rows.ts";

/** For so long a lease that has changed hands stands on top. */
export const NEWS_MS = 30_000;

export const ORDERS = ["news", "soonest", "name"] as const;
export type Order = (typeof ORDERS)[number];
const ORDER_TEXT: Readonly<Record<Order, string>> = { news: "news first", soonest: "soonest end first", name: "by name" };

export interface WatchState {
  /** As the catalogue sorts them: held ones first, then by kind and name. */
  readonly views: readonly LeaseView[];
  /** When each lease was last seen to change hands, by key; none are kept from before the first look. */
  readonly changedAtMs: ReadonlyMap<string, number>;
  readonly order: Order;
  /** How many lines are above the first one that is shown. */
  readonly offset: number;
  /** What the last look cost, as "1 LIST, 12 GET". */
  readonly cost: string;
  readonly intervalMs: number;
  /** The last look failed: what stands there is from before. */
  readonly trouble: string | undefined;
}

/** Who has it, and by which acquisition: a renewal is no news. */
export function handOf({ record, state }: LeaseView): string {
  return JSON.stringify([state, record?.holder, record?.fencingToken, record?.state]);
}

/** When each changed hands, after one more look. */
export function changesAfter(
  before: readonly LeaseView[] | undefined,
  views: readonly LeaseView[],
  changedAtMs: ReadonlyMap<string, number>,
  nowMs: number,
): Map<string, number> {
  const old = new Map(before?.map((view) => [view.key, handOf(view)]));
  const changed = new Map<string, number>();
  for (const view of views) {
    const isNews = before !== undefined && old.get(view.key) !== handOf(view);
    const atMs = isNews ? nowMs : changedAtMs.get(view.key);
    if (atMs !== undefined && nowMs - atMs < NEWS_MS) changed.set(view.key, atMs);
  }
  return changed;
}

export function sorted({ views, changedAtMs, order }: Pick<WatchState, "views" | "changedAtMs" | "order">): readonly LeaseView[] {
  if (order === "name") return views.toSorted((a, b) => compare(a.kind, b.kind) || compare(a.name, b.name));
  if (order === "soonest") return views.toSorted((a, b) => soonness(a) - soonness(b));
  // Newest news first, then what wants a look; all others keep their places, so that a quiet store is a quiet screen.
  return views.toSorted(
    (a, b) => attention(b) - attention(a) || (changedAtMs.get(b.key) ?? -Infinity) - (changedAtMs.get(a.key) ?? -Infinity) || 0,
  );
}

function attention({ state }: LeaseView): number {
  return state === "unreadable" ? 2 : state === "overdue" ? 1 : 0;
}

function soonness(view: LeaseView): number {
  return leftMs(view) ?? (view.state === "free" ? Number.MAX_SAFE_INTEGER : Number.MAX_SAFE_INTEGER - 1);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Lines of leases that have room: all but summary, head, the line that tells what does not fit, and the keys. */
export function roomFor(rows: number): number {
  return Math.max(1, rows - 4);
}

/** What a key makes of order and offset; `undefined`: it means nothing here. */
export function afterKey(
  key: Key,
  { order, offset, views }: Pick<WatchState, "order" | "offset" | "views">,
  rows: number,
): Pick<WatchState, "order" | "offset"> | undefined {
  const room = roomFor(rows);
  const to = (line: number): Pick<WatchState, "order" | "offset"> => ({ order, offset: Math.max(0, Math.min(line, views.length - room)) });
  switch (key) {
    case "up":
    case "k":
      return to(offset - 1);
    case "down":
    case "j":
      return to(offset + 1);
    case "page-up":
      return to(offset - room);
    case "page-down":
    case " ":
      return to(offset + room);
    case "home":
      return to(0);
    case "end":
      return to(views.length);
    case "o":
      return { order: ORDERS[(ORDERS.indexOf(order) + 1) % ORDERS.length] ?? "news", offset: 0 };
    default:
      return undefined;
  }
}

export function watchFrame(state: WatchState, size: { readonly columns: number; readonly rows: number }, paint: Paint): string[] {
  const { views, changedAtMs, offset } = state;
  const room = roomFor(size.rows);
  const first = Math.max(0, Math.min(offset, views.length - room));
  const all = sorted(state);
  const shown = all.slice(first, first + room);
  const rows = rowsOf(all, size.columns - 2, paint);
  // Widths come from all of them: a line that scrolls by does not move the columns.
  const [head = "", ...lines] = tableLines(HEAD, rows.slice(first, first + room), tableWidths(HEAD, rows));
  const body = lines.map((line, i) => `${changedAtMs.has(shown[i]?.key ?? "") ? paint(["bold", "cyan"], "▸") : " "} ${line}`);
  const blank = Array.from({ length: room - body.length }, () => "");
  return [summary(state, paint), paint("dim", `  ${head}`), ...body, ...blank, "", footer(state, first, shown.length, size.columns, paint)];
}

function summary({ views, intervalMs, cost, trouble }: WatchState, paint: Paint): string {
  const count = (state: LeaseView["state"]): number => views.filter((view) => view.state === state).length;
  const [held, free, overdue, unreadable] = [count("held"), count("free"), count("overdue"), count("unreadable")];
  const parts = [
    paint("bold", `${held} held`),
    ...(overdue > 0 ? [paint("yellow", `${overdue} overdue`)] : []),
    ...(unreadable > 0 ? [paint("red", `${unreadable} unreadable`)] : []),
    `${free} free`,
  ];
  const told = trouble === undefined ? paint("dim", `every ${durationText(intervalMs)}: ${cost}`) : paint("yellow", printable(trouble));
  return `  ${parts.join(", ")}   ${told}`;
}

function footer({ views, order }: WatchState, first: number, shown: number, columns: number, paint: Paint): string {
  const key = (letter: string, does: string): string => `${paint("bold", letter)} ${does}`;
  const more = views.length - shown;
  const where = more === 0 ? "" : `${first + 1} to ${first + shown} of ${views.length}`;
  const keys = [...(more === 0 ? [] : [key("↑ ↓ PgUp PgDn", "scroll")]), key("o", `order: ${ORDER_TEXT[order]}`), key("q", "quit")].join(
    "   ",
  );
  return `  ${pad(keys, Math.max(width(keys), columns - 4 - width(where)))}${where === "" || width(keys) + width(where) + 5 > columns ? "" : paint("dim", where)}`;
}
