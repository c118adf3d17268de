/** Leases as lines of a table. */
import { cut, durationText, type Paint, printable, type Style, tableWidths } from "../frame/output.ts";
import { type LeaseView, leftMs } from "./catalogue.ts";

export const HEAD: readonly string[] = ["KIND", "NAME", "HOLDER", "TOKEN", "LEFT", "AGE", "VERSION"];

const NAME = HEAD.indexOf("NAME");
const HOLDER = HEAD.indexOf("HOLDER");
const GAP = 2;
/** No name is cut to less. */
const MIN_CELLS = 8;

/** `columns` undefined: nothing is cut. What is cut, so that a line fits, is whole in `--json`. */
export function rowsOf(views: readonly LeaseView[], columns: number | undefined, paint: Paint): string[][] {
  const barCells = columns !== undefined && columns < 100 ? 6 : 10;
  const rows = views.map((view) => cellsOf(view, barCells, paint));
  if (columns === undefined) return rows;
  const widths = tableWidths(HEAD, rows);
  const others = widths.reduce((sum, cells, i) => (i === NAME || i === HOLDER ? sum : sum + cells), GAP * (HEAD.length - 1));
  const room = columns - others;
  const holderCells = Math.max(MIN_CELLS, Math.min(widths[HOLDER] ?? 0, Math.max(Math.floor(room / 2), room - (widths[NAME] ?? 0))));
  const nameCells = Math.max(MIN_CELLS, room - holderCells);
  return rows.map((row, i) => {
    const view = views[i];
    const name = view === undefined ? "" : paint(styleOf(view), cut(printable(view.name), nameCells));
    return row.map((cell, at) => (at === NAME ? name : at === HOLDER ? cut(cell, holderCells) : cell));
  });
}

function cellsOf(view: LeaseView, barCells: number, paint: Paint): string[] {
  const { kind, name, record, state, ageMs } = view;
  return [
    kind,
    paint(styleOf(view), printable(name)),
    state === "unreadable" ? "unreadable" : state === "free" ? "-" : printable(record?.holder ?? "?"),
    String(record?.fencingToken ?? "-"),
    left(view, barCells, paint),
    ageMs === undefined ? "-" : durationText(ageMs),
    String(record?.version ?? "-"),
  ];
}

function styleOf({ state }: LeaseView): Style {
  return state === "held" ? "green" : state === "free" ? "dim" : state === "overdue" ? "yellow" : "red";
}

function left(view: LeaseView, barCells: number, paint: Paint): string {
  const { state, record } = view;
  if (state === "unreadable" || state === "free") return paint("dim", state === "free" ? "free" : "-");
  if (record?.session !== undefined) return "with session";
  const ms = leftMs(view);
  if (ms === undefined || record?.state !== "held") return "?";
  const full = Math.round((barCells * ms) / record.ttlMs);
  const bar = "█".repeat(full) + "░".repeat(barCells - full);
  return `${paint(full > 0.3 * barCells ? "green" : "yellow", bar)} ${state === "overdue" ? "overdue" : durationText(ms)}`;
}
