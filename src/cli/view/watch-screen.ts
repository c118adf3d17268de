/** The screen of `watch`: drawn anew in place, never longer than the terminal. */
import { cut, Output, printable } from "../frame/output.ts";
import type { LeaseView } from "./catalogue.ts";
import { HEAD, rowsOf } from "./rows.ts";

export class WatchScreen {
  readonly #out: Output;
  #lines = 0;

  constructor(out: Output) {
    this.#out = out;
  }

  draw(views: readonly LeaseView[]): void {
    const out = this.#out;
    const held = views.filter(({ state }) => state === "held" || state === "overdue").length;
    // One for the summary, one for the heads, one for what did not fit, one for the cursor.
    const room = Math.max(1, (out.sink.rows ?? 24) - 4);
    const shown = views.slice(0, room);
    const text: string[] = [];
    const page = new Output(
      { isTTY: true, hasColors: () => out.sink.hasColors?.() === true, columns: out.columns, write: (line) => text.push(line) },
      false,
    );
    page.line(page.style("bold", `${held} held, ${views.length - held} free`));
    page.table(HEAD, rowsOf(shown, page));
    if (views.length > shown.length)
      page.line(page.style("dim", `… ${views.length - shown.length} more: narrow by PREFIX, or look through a pipe`));
    this.#replace(text.join(""));
  }

  trouble(message: string): void {
    this.#out.line(this.#out.style("yellow", cut(printable(message), this.#out.columns - 1)));
    this.#lines += 1;
  }

  #replace(text: string): void {
    const up = this.#lines === 0 ? "" : `\u001B[${this.#lines}A\r\u001B[J`;
    this.#out.sink.write(up + text);
    this.#lines = text.split("\n").length - 1;
  }
}
