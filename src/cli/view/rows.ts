/** Leases as lines of a table. */
import { cut, durationText, type Output, printable } from "../frame/output.ts";
import { type LeaseView, leftMs } from "./catalogue.ts";

const BAR_CELLS = 10;
export const HEAD: readonly string[] = ["KIND", "NAME", "HOLDER", "TOKEN", "LEFT", "AGE", "VERSION"];

/** Names are cut so that a line fits; the whole of them is in `--json`. */
export function rowsOf(views: readonly LeaseView[], out: Output): string[][] {
  const room = Math.max(10, Math.floor((out.columns - 60) / 2));
  return views.map((view) => {
    const { kind, name, record, state, ageMs } = view;
    const style = state === "held" ? "green" : state === "free" ? "dim" : state === "overdue" ? "yellow" : "red";
    const holder = state === "unreadable" ? "unreadable" : state === "free" ? "-" : printable(record?.holder ?? "?");
    return [
      kind,
      out.style(style, cut(printable(name), room + 8)),
      cut(holder, room + 8),
      String(record?.fencingToken ?? "-"),
      left(view, out),
      ageMs === undefined ? "-" : durationText(ageMs),
      String(record?.version ?? "-"),
    ];
  });
}

function left(view: LeaseView, out: Output): string {
  const { state, record } = view;
  if (state === "unreadable" || state === "free") return out.style("dim", state === "free" ? "free" : "-");
  if (record?.session !== undefined) return "with its session";
  const ms = leftMs(view);
  if (ms === undefined || record?.state !== "held") return "?";
  const full = Math.round((BAR_CELLS * ms) / record.ttlMs);
  const bar = "█".repeat(full) + "░".repeat(BAR_CELLS - full);
  return `${out.style(full > 3 ? "green" : "yellow", bar)} ${state === "overdue" ? "overdue" : durationText(ms)}`;
}
