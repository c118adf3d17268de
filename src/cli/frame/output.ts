/** Results go to standard output, everything else to standard error. Colour only where a terminal shows it and nobody forbids it. */
import { stripVTControlCharacters, styleText } from "node:util";

export type Style = Parameters<typeof styleText>[0];

/** Text in a style, or as it is where there are no colours. */
export type Paint = (style: Style, text: string) => string;

/** As much of a stream as is used; `process.stdout` fits. */
export interface Sink {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  hasColors?(): boolean;
  write(text: string): unknown;
}

export class Output {
  readonly sink: Sink;
  /** Results are JSON (`--json`). */
  readonly json: boolean;
  readonly #colours: boolean;

  constructor(sink: Sink, json: boolean) {
    this.sink = sink;
    this.json = json;
    // The stream's own answer: it honours NO_COLOR, FORCE_COLOR and TERM.
    this.#colours = sink.isTTY === true && sink.hasColors?.() === true;
  }

  get isTerminal(): boolean {
    return this.sink.isTTY === true;
  }

  get columns(): number {
    return Math.max(40, this.sink.columns ?? 80);
  }

  readonly style: Paint = (style, text) => (this.#colours ? styleText(style, text, { validateStream: false }) : text);

  line(text = ""): void {
    this.sink.write(`${text}\n`);
  }

  /** One JSON value, in one line. */
  value(value: unknown): void {
    this.sink.write(`${JSON.stringify(value)}\n`);
  }

  /** Rows in columns as wide as their widest cell; the last one runs free. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): void {
    const [first = "", ...rest] = tableLines(head, rows);
    this.line(this.style("dim", first));
    for (const line of rest) this.line(line);
  }
}

export function tableWidths(head: readonly string[], rows: readonly (readonly string[])[]): number[] {
  return head.map((name, i) => rows.reduce((most, row) => Math.max(most, width(row[i] ?? "")), width(name)));
}

/** The head and the rows, in columns as wide as their widest cell or as told; the last one runs free. Cells are measured without their colours. */
export function tableLines(head: readonly string[], rows: readonly (readonly string[])[], widths?: readonly number[]): string[] {
  const wide = widths ?? tableWidths(head, rows);
  return [head, ...rows].map((cells) =>
    cells
      .map((cell, i) => (i === head.length - 1 ? cell : pad(cell, wide[i] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

/** Names come from other people's records: nothing in them may move the cursor or change colours. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- finding them is the purpose.
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}

// What terminals draw two cells wide (East Asian letters, pictures), and what they draw onto the letter before.
const WIDE =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{20000}-\u{3FFFD}]|\p{Emoji_Presentation}/u;
const ONTO = /^(?:\p{Mn}|\p{Me}|\p{Cf})$/u;

function cellsOf(letter: string): number {
  return ONTO.test(letter) ? 0 : WIDE.test(letter) ? 2 : 1;
}

/** In terminal cells. */
export function width(text: string): number {
  const plain = stripVTControlCharacters(text);
  if (/^[ -~]*$/.test(plain)) return plain.length;
  return Array.from(plain).reduce((sum, letter) => sum + cellsOf(letter), 0);
}

/** As much of its beginning as fits into so many cells. */
export function beginning(text: string, cells: number): string {
  let left = cells;
  return Array.from(text)
    .filter((letter) => (left -= cellsOf(letter)) >= 0)
    .join("");
}

export function pad(text: string, cells: number): string {
  return text + " ".repeat(Math.max(0, cells - width(text)));
}

/** At most so many cells, the rest told by an ellipsis. */
export function cut(text: string, cells: number): string {
  return width(text) <= cells ? text : `${beginning(text, Math.max(0, cells - 1))}…`;
}

/** A duration for people: 350 ms, 4.2 s, 5 m 12 s, 3 h 20 m, 2 d 4 h. */
export function durationText(ms: number): string {
  const abs = Math.max(0, Math.round(ms));
  if (abs < 1000) return `${abs} ms`;
  const s = abs / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.floor(s)} s`;
  const whole = Math.floor(s);
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} m`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}
