/**
 * The whole terminal, while a command redraws it: on the alternate screen, so that what stood there comes back, and a window that changes its size
 * never leaves half a line behind. Keys come one by one; Ctrl-C and Ctrl-Z mean what they always mean.
 */
import process from "node:process";
import { stripVTControlCharacters } from "node:util";
import { type Key, keysOf } from "./keys.ts";
import { beginning, width } from "./output.ts";

export const ENTER = "\u001B[?1049h\u001B[?25l";
export const LEAVE = "\u001B[?25h\u001B[?1049l";

/** As much of `process.stdin` as is used. */
export interface KeySource {
  readonly isTTY?: boolean | undefined;
  setRawMode?(raw: boolean): unknown;
  setEncoding(encoding: "utf8"): unknown;
  on(event: "data", listener: (text: string) => void): unknown;
  off(event: "data", listener: (text: string) => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

/** As much of `process.stdout` as is used. */
export interface Canvas {
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): unknown;
  on(event: "resize", listener: () => void): unknown;
  off(event: "resize", listener: () => void): unknown;
}

export interface FullScreenOptions {
  readonly input: KeySource;
  readonly output: Canvas;
  readonly onKey: (key: Key) => void;
  /** The window has another size, or the screen was somebody else's meanwhile: it has to be drawn again. */
  readonly onResize: () => void;
}

export class FullScreen {
  readonly #options: FullScreenOptions;
  #open = false;

  constructor(options: FullScreenOptions) {
    this.#options = options;
    const { input, output } = options;
    this.#enter();
    input.setEncoding("utf8");
    input.on("data", this.#onData);
    input.resume();
    output.on("resize", options.onResize);
    process.on("SIGCONT", this.#onContinue);
    // Also when the process ends in the middle of something, the terminal is given back as it was.
    process.on("exit", this.#leave);
  }

  get columns(): number {
    return Math.max(20, this.#options.output.columns ?? 80);
  }

  get rows(): number {
    return Math.max(4, this.#options.output.rows ?? 24);
  }

  /** Lines that do not fit are cut, below and to the right. */
  draw(lines: readonly string[]): void {
    if (this.#open) this.#options.output.write(frameText(lines, this.columns, this.rows));
  }

  close(): void {
    const { input, output } = this.#options;
    this.#leave();
    input.off("data", this.#onData);
    input.pause();
    output.off("resize", this.#options.onResize);
    process.off("SIGCONT", this.#onContinue);
    process.off("exit", this.#leave);
  }

  #enter(): void {
    this.#open = true;
    this.#options.input.setRawMode?.(true);
    this.#options.output.write(ENTER);
  }

  readonly #leave = (): void => {
    if (!this.#open) return;
    this.#open = false;
    this.#options.output.write(LEAVE);
    this.#options.input.setRawMode?.(false);
  };

  readonly #onData = (text: string): void => {
    for (const key of keysOf(text)) {
      // In raw mode the terminal does not make signals of them any more.
      if (key === "interrupt") process.kill(process.pid, "SIGINT");
      else if (key === "suspend") {
        this.#leave();
        process.kill(process.pid, "SIGTSTP");
      } else this.#options.onKey(key);
    }
  };

  readonly #onContinue = (): void => {
    if (!this.#open) this.#enter();
    this.#options.onResize();
  };
}

/** One frame: each line in its place, with what is left of the line before it taken away. Nothing is cleared first, so nothing flickers. */
export function frameText(lines: readonly string[], columns: number, rows: number): string {
  const shown = lines.slice(0, rows).map((line) => `${clip(line, columns)}\u001B[K`);
  return `\u001B[H${shown.join("\r\n")}\u001B[J`;
}

// eslint-disable-next-line no-control-regex -- styles are control sequences.
const STYLE = /(\u001B\[[0-9;]*m)/;

/** At most so many cells, styles not counted; they are all kept, so that each one that begins also ends. */
export function clip(text: string, cells: number): string {
  if (width(text) <= cells) return text;
  let left = cells;
  return text
    .split(STYLE)
    .map((part) => {
      if (STYLE.test(part)) return part;
      const shown = beginning(stripVTControlCharacters(part), left);
      // Nothing that comes after what did not fit.
      left = shown === part ? left - width(shown) : 0;
      return shown;
    })
    .join("");
}
