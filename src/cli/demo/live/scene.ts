/** The demo's screen on a terminal, from what is known: who is who, who leads, what has happened, and what a key would do. Pure. */
import { pad, type Paint, type Style, width } from "../../frame/output.ts";
import { type Belief, overlapNs, seconds } from "../verdict.ts";
import type { Words } from "../words.ts";

export interface Row {
  readonly number: number;
  readonly node: string;
  readonly condition: "starts" | "leads" | "follows" | "paused" | "killed" | "stopped" | "failed";
  /** What it leads with, or led with when it was stopped. */
  readonly token: number | undefined;
  readonly remainingMs: number | undefined;
  /** Whom it takes for the leader. */
  readonly sees: string | undefined;
  /** Its store can't be reached. */
  readonly cutOff: boolean;
  readonly requests: number;
}

export interface LogLine {
  readonly atMs: number;
  readonly mark: string;
  readonly text: string;
  readonly style: Style;
}

export interface Scene {
  readonly words: Words;
  readonly ttlMs: number;
  readonly pollMs: number;
  readonly where: string;
  readonly rows: readonly Row[];
  /** Of the row that p, c, s and d are about. */
  readonly selected: number;
  readonly log: readonly LogLine[];
  /** With an end each, that of the last one now. */
  readonly beliefs: readonly Belief[];
  readonly nowNs: bigint;
  /** Why the last key did nothing. */
  readonly hint: string | undefined;
}

const BAR_CELLS = 16;
const STATE_CELLS = 34;
/** What a row takes before its history: marker, name, state, bar, time left, requests. */
const ROW_CELLS = 3 + 8 + STATE_CELLS + BAR_CELLS + 2 + 8 + 8;
const HISTORY_MIN_CELLS = 20;
const HISTORY_MAX_CELLS = 90;

export function frameOf(scene: Scene, size: { readonly columns: number; readonly rows: number }, paint: Paint): string[] {
  const { words, ttlMs, pollMs, where, rows } = scene;
  const historyCells = Math.min(HISTORY_MAX_CELLS, size.columns - ROW_CELLS - 4);
  const cells = historyCells < HISTORY_MIN_CELLS ? 0 : historyCells;
  const top = [
    ` ${paint("bold", `s3-consensus demo: ${words.title}`)}${paint("dim", `   ttl ${seconds(ttlMs)}, poll ${seconds(pollMs)}`)}`,
    paint("dim", ` ${where}`),
    "",
    paint("dim", headText(cells)),
    ...rows.map((row) => rowText(row, scene, cells, paint)),
    "",
    ` ${verdictText(scene, paint)}`,
    "",
  ];
  const bottom = ["", ...helpText(scene, size.columns, paint)];
  const room = Math.max(0, size.rows - top.length - bottom.length);
  const log = scene.log.slice(Math.max(0, scene.log.length - room)).map((line) => logText(line, paint));
  return [...top, ...log, ...Array.from({ length: room - log.length }, () => ""), ...bottom];
}

function headText(historyCells: number): string {
  const head = `${pad("", 3)}${pad("NODE", 8)}${pad("STATE", STATE_CELLS)}${pad("LEASE", BAR_CELLS + 10)}${"REQUESTS".padStart(8)}`;
  return historyCells === 0 ? head : `${head}    LAST ${historyCells} SECONDS`;
}

function rowText(row: Row, scene: Scene, historyCells: number, paint: Paint): string {
  const marker = row.number === scene.selected ? paint(["bold", "cyan"], " ▸ ") : "   ";
  const style = styleOf(row);
  const text = `${pad(row.node, 8)}${pad(stateText(row, scene.words), STATE_CELLS)}${pad(leaseText(row, scene.ttlMs), BAR_CELLS + 10)}${String(row.requests).padStart(8)}`;
  const history = historyCells === 0 ? "" : `    ${paint(isOver(row) ? "dim" : "green", historyText(row.node, scene, historyCells))}`;
  return `${marker}${paint(style, text)}${history}`;
}

function isOver({ condition }: Row): boolean {
  return condition === "killed" || condition === "stopped" || condition === "failed";
}

function styleOf(row: Row): Style {
  if (row.condition === "failed") return "red";
  if (isOver(row)) return "dim";
  if (row.condition === "paused" || row.cutOff) return "yellow";
  return row.condition === "leads" ? ["bold", "green"] : "reset";
}

function stateText({ condition, token, sees, cutOff }: Row, words: Words): string {
  const off = cutOff ? ", cut off" : "";
  switch (condition) {
    case "starts":
      return "starts";
    case "leads":
      return `${words.leads}, token ${token}${off}`;
    case "follows":
      return `${sees === undefined ? words.waits : words.follows(sees)}${off}`;
    case "paused":
      return token === undefined ? "paused" : `paused; had token ${token}`;
    case "killed":
      return "killed";
    case "stopped":
      return "stopped in good order";
    case "failed":
      return "ended by itself";
  }
}

/** How much of the lease is left as its holder counts, or would count if it ran. */
function leaseText({ token, remainingMs }: Row, ttlMs: number): string {
  if (token === undefined || remainingMs === undefined) return "";
  if (remainingMs <= 0) return `${"░".repeat(BAR_CELLS)}  over`;
  const full = Math.round((BAR_CELLS * Math.min(remainingMs, ttlMs)) / ttlMs);
  return `${"█".repeat(full)}${"░".repeat(BAR_CELLS - full)}  ${seconds(remainingMs)}`;
}

/** One cell a second, the newest to the right: full where it believed all the time, half where it did for a part. */
export function historyText(node: string, { beliefs, nowNs }: Pick<Scene, "beliefs" | "nowNs">, cells: number): string {
  const mine = beliefs.filter((b) => b.node === node);
  const secondNs = 1_000_000_000n;
  return Array.from({ length: cells }, (_, i) => {
    const untilNs = nowNs - BigInt(cells - 1 - i) * secondNs;
    let heldNs = 0n;
    for (const b of mine) {
      const from = b.fromNs > untilNs - secondNs ? b.fromNs : untilNs - secondNs;
      const until = b.untilNs === undefined || b.untilNs > untilNs ? untilNs : b.untilNs;
      if (until > from) heldNs += until - from;
    }
    return heldNs === 0n ? "·" : heldNs >= secondNs ? "█" : "▌";
  }).join("");
}

function verdictText({ beliefs, words }: Scene, paint: Paint): string {
  const ns = overlapNs(beliefs);
  if (ns > 0n) return paint(["bold", "red"], `✗ overlap: ${(Number(ns) / 1e6).toFixed(3)} ms ${words.twoLeaders}`);
  const [first, last] = [beliefs[0], beliefs.at(-1)];
  const tokens =
    first === undefined || last === undefined ? "" : first === last ? `, token ${first.token}` : `, tokens ${first.token} to ${last.token}`;
  const terms = `${beliefs.length} ${beliefs.length === 1 ? "term" : "terms"}${tokens}`;
  return `${paint("green", "✓ overlap 0")}: ${words.neverTwo}${paint("dim", `   ${terms}`)}`;
}

function logText({ atMs, mark, text, style }: LogLine, paint: Paint): string {
  return ` ${paint("dim", seconds(atMs).padStart(8))}  ${paint(style, `${mark} ${text}`)}`;
}

function helpText({ rows, selected, hint }: Scene, columns: number, paint: Paint): string[] {
  const row = rows.find(({ number }) => number === selected);
  const key = (letter: string, does: string): string => `${paint("bold", letter)} ${does}`;
  const mine = [
    paint(["bold", "cyan"], ` ▸ ${row?.node ?? "none"}`),
    key("p", "pause"),
    key("c", "continue"),
    key("s", "stop"),
    key("d", row?.cutOff === true ? "connect" : "disconnect"),
  ].join("   ");
  const all = [key("1–9", "kill -9"), key("↑ ↓", "choose ▸"), key("n", "new node"), key("q", "quit")].join("   ");
  const told = hint === undefined ? "" : paint("yellow", ` ${hint}`);
  return width(mine) + width(all) + 6 <= columns ? [told, `${mine}      ${all}`] : [told, mine, ` ${all}`];
}
