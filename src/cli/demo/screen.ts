/** The demo's face: a timeline that scrolls, and on a terminal a panel below it that is drawn anew. */
import { styleText } from "node:util";
import type { Actor } from "./cast.ts";
import { seconds } from "./verdict.ts";
import { type Words, WORDS } from "./words.ts";

type Style = Parameters<typeof styleText>[0];

/** As much of a stream as is used; `process.stdout` fits. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  hasColors?(): boolean;
  write(text: string): unknown;
}

const BAR_CELLS = 20;

export class Screen {
  readonly #out: Output;
  readonly #ttlMs: number;
  readonly #startNs: bigint;
  readonly #live: boolean;
  readonly #colours: boolean;
  readonly #words: Words;
  #panelLines = 0;

  constructor(out: Output, ttlMs: number, startNs: bigint, words: Words = WORDS.election) {
    this.#out = out;
    this.#words = words;
    this.#ttlMs = ttlMs;
    this.#startNs = startNs;
    this.#live = out.isTTY === true;
    // The stream's own answer: it honours NO_COLOR, FORCE_COLOR and TERM.
    this.#colours = this.#live && out.hasColors?.() === true;
  }

  /** Whether there is a panel; without one, the state has to be told in lines. */
  get live(): boolean {
    return this.#live;
  }

  style(style: Style, text: string): string {
    return this.#colours ? styleText(style, text, { validateStream: false }) : text;
  }

  /** A line without a time. */
  print(text = ""): void {
    this.#out.write(`${this.#erased()}${text}\n`);
  }

  /** One event, with the time since the start. */
  tell(mark: string, text: string, style: Style = "reset"): void {
    this.print(`${this.style("dim", this.#time())}  ${this.style(style, `${mark} ${text}`)}`);
  }

  /** The candidates as they are now. */
  draw(actors: readonly Actor[]): void {
    if (!this.#live) return;
    const width = Math.max(20, (this.#out.columns ?? 80) - 1);
    const lines = ["", ...actors.map((actor) => this.#row(actor, width))];
    this.#out.write(`${this.#erased()}${lines.join("\n")}\n`);
    this.#panelLines = lines.length;
  }

  /** The same as one line, for an output that keeps everything. */
  tellState(actors: readonly Actor[]): void {
    const leader = actors.find((a) => a.exit === undefined && a.status?.leads !== undefined);
    const leads = leader?.status?.leads;
    const state =
      leads === undefined
        ? `${this.#words.nobody}${stillSeen(actors)}`
        : `${leader?.node} ${this.#words.leads}  token ${leads.token}  deadline in ${seconds(leads.remainingMs)}`;
    this.tell(" ", `${state.padEnd(46)}  requests ${actors.map((a) => `${a.node} ${requestsOf(a)}`).join(", ")}`);
  }

  /** Seconds since the start. */
  since(ns: bigint): number {
    return Number(ns - this.#startNs) / 1e9;
  }

  #time(): string {
    return seconds(1000 * this.since(process.hrtime.bigint())).padStart(8);
  }

  #row(actor: Actor, width: number): string {
    const head = `  ${actor.node}  pid ${String(actor.pid).padEnd(8)}`;
    const { exit, status } = actor;
    const requests = `${String(requestsOf(actor)).padStart(4)} requests`;
    const leads = exit === undefined ? status?.leads : undefined;
    if (leads === undefined) {
      const state =
        exit === undefined
          ? status?.sees === undefined
            ? this.#words.waits
            : this.#words.follows(status.sees)
          : exit.signal === null
            ? "ended"
            : "killed";
      return this.style("dim", `${head}${state.padEnd(46)}${requests}`.slice(0, width));
    }
    const full = Math.round((BAR_CELLS * Math.min(leads.remainingMs, this.#ttlMs)) / this.#ttlMs);
    const bar = "█".repeat(full) + "░".repeat(BAR_CELLS - full);
    const state = `${this.#words.leads}, token ${leads.token}`.padEnd(16);
    const left = `${seconds(leads.remainingMs)} left`;
    return this.style("green", `${head}${state}${bar}  ${left.padEnd(8)}${requests}`.slice(0, width));
  }

  /** The escape sequences that take the panel away, so that what follows stands in its place. */
  #erased(): string {
    const up = this.#panelLines === 0 ? "" : `\u001B[${this.#panelLines}A\r\u001B[J`;
    this.#panelLines = 0;
    return up;
  }
}

/** After a death the others go by the record until it is too old; after a release, until their next look. */
function stillSeen(actors: readonly Actor[]): string {
  const seen = new Set(actors.filter((a) => a.exit === undefined).flatMap((a) => a.status?.sees ?? []));
  return seen.size === 0 ? "" : `; the others still see ${[...seen].join(", ")}`;
}

function requestsOf({ status }: Actor): number {
  return status === undefined ? 0 : status.requests.get + status.requests.put;
}
