/** The screen of `watch`: what was seen last, drawn anew at each look, at each key, and when the window changes its size. */
import process from "node:process";
import type { Clock } from "../../clock/clock.ts";
import { messageOf } from "../../errors.ts";
import { clip, FullScreen } from "../frame/full-screen.ts";
import type { Key } from "../frame/keys.ts";
import type { Output } from "../frame/output.ts";
import type { LeaseView } from "./catalogue.ts";
import { afterKey, changesAfter, watchFrame, type WatchState } from "./watch-view.ts";

export interface WatchScreenOptions {
  readonly out: Output;
  readonly intervalMs: number;
  readonly clock: Clock;
  quit(): void;
}

export class WatchScreen {
  readonly #options: WatchScreenOptions;
  readonly #screen: FullScreen;
  #state: WatchState | undefined;

  constructor(options: WatchScreenOptions) {
    this.#options = options;
    this.#screen = new FullScreen({
      input: process.stdin,
      output: process.stdout,
      onKey: (key) => this.#press(key),
      onResize: () => this.#draw(),
    });
    this.#screen.draw([options.out.style("dim", "  looking…")]);
  }

  show(views: readonly LeaseView[], cost: string): void {
    const nowMs = this.#options.clock.monotonicMs();
    const { order = "news", offset = 0, changedAtMs = new Map<string, number>() } = this.#state ?? {};
    this.#state = {
      views,
      changedAtMs: changesAfter(this.#state?.views, views, changedAtMs, nowMs),
      order,
      offset,
      cost,
      intervalMs: this.#options.intervalMs,
      trouble: undefined,
    };
    this.#draw();
  }

  trouble(error: Error): void {
    const { intervalMs } = this.#options;
    this.#state ??= { views: [], changedAtMs: new Map(), order: "news", offset: 0, cost: "", intervalMs, trouble: undefined };
    this.#state = { ...this.#state, trouble: messageOf(error) };
    this.#draw();
  }

  /** What it showed last stays on the terminal. */
  close(): void {
    const lines = this.#lines();
    this.#screen.close();
    for (const line of lines.slice(0, -2).filter((text) => text !== "")) this.#options.out.line(clip(line, this.#options.out.columns));
  }

  #press(key: Key): void {
    if (key === "q") return this.#options.quit();
    if (this.#state === undefined) return;
    const after = afterKey(key, this.#state, this.#screen.rows);
    if (after === undefined) return;
    this.#state = { ...this.#state, ...after };
    this.#draw();
  }

  #draw(): void {
    if (this.#state !== undefined) this.#screen.draw(this.#lines());
  }

  #lines(): string[] {
    return this.#state === undefined ? [] : watchFrame(this.#state, this.#screen, this.#options.out.style);
  }
}
