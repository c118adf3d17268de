/** The demo on a terminal: the processes are yours, by keys. */
import { systemClock } from "../../../clock/system.ts";
import { sleep } from "../../../clock/wait.ts";
import type { Key } from "../../frame/keys.ts";
import type { Style } from "../../frame/output.ts";
import { type Actor, Cast, type CastEvent } from "../cast.ts";
import { Line } from "../line.ts";
import type { DemoOptions } from "../options.ts";
import type { Belief } from "../verdict.ts";
import { WORDS, type Words } from "../words.ts";
import { type Action, actionOf, MAX_NODES } from "./actions.ts";
import type { LogLine, Row, Scene } from "./scene.ts";

const FIRST_NODES = 3;
const LOG_KEPT = 200;
const HINT_MS = 4_000;
/** The holder of a lock works for so many ttls, and then lets another have it. */
const WORK_TTLS = 2;

/** One place on the screen: the process that has it now, or had it last. */
interface Place {
  readonly number: number;
  readonly node: string;
  readonly line: Line;
  actor: Actor;
  told: "killed" | "stopped" | undefined;
  /** Of the processes that had the place before. */
  requestsBefore: number;
}

export class Live {
  readonly #options: DemoOptions;
  readonly #words: Words;
  readonly #where: string;
  readonly #url: string;
  readonly #startNs: bigint = process.hrtime.bigint();
  readonly #cast: Cast;
  readonly #places: Place[] = [];
  readonly #log: LogLine[] = [];
  readonly #quit = new AbortController();
  #selected = 1;
  #hint: { readonly text: string; readonly untilMs: number } | undefined;

  constructor(o: { readonly options: DemoOptions; readonly url: string; readonly where: string }) {
    this.#options = o.options;
    this.#words = WORDS[o.options.prize];
    this.#url = o.url;
    this.#where = o.where;
    this.#cast = new Cast(o.options.prize, (event) => this.#hear(event));
  }

  get beliefs(): readonly Belief[] {
    return this.#cast.beliefs;
  }

  /** Aborts when q was pressed. */
  get quit(): AbortSignal {
    return this.#quit.signal;
  }

  /** Draws until `signal` aborts or q is pressed; then no process is left. */
  async run(draw: (scene: Scene) => void, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const drawing = (async () => {
      do draw(this.scene());
      while (await sleep(systemClock, 100, { signal: over.signal, keepAlive: true }));
    })();
    try {
      for (let i = 0; i < FIRST_NODES; i++) await this.#add();
      const either = new AbortController();
      for (const each of [signal, this.quit]) {
        if (each.aborted) either.abort();
        each.addEventListener("abort", () => either.abort(), { once: true });
      }
      while (await sleep(systemClock, 60_000, { signal: either.signal, keepAlive: true }));
      this.#tell("■", "the end: all are told to stop", "yellow");
    } finally {
      for (const place of this.#places) {
        place.told ??= "stopped";
        place.line.mend();
      }
      await this.#cast.end();
      over.abort();
      await drawing;
      await Promise.all(this.#places.map(({ line }) => line.close()));
    }
  }

  press(key: Key): void {
    const action = actionOf(key);
    if (action === undefined || this.quit.aborted) return;
    this.#hint = undefined;
    const refused = this.#carryOut(action);
    if (refused !== undefined) this.#hint = { text: refused, untilMs: systemClock.monotonicMs() + HINT_MS };
  }

  scene(): Scene {
    const nowNs = process.hrtime.bigint();
    const beliefs = this.#cast.beliefsAt(nowNs);
    const { ttlMs, pollMs } = this.#options;
    const hint = this.#hint !== undefined && systemClock.monotonicMs() < this.#hint.untilMs ? this.#hint.text : undefined;
    return {
      words: this.#words,
      ttlMs,
      pollMs,
      where: this.#where,
      rows: this.#places.map((place) => rowOf(place, nowNs)),
      selected: this.#selected,
      log: this.#log,
      beliefs,
      nowNs,
      hint,
    };
  }

  /** @returns why nothing was done. */
  #carryOut(action: Action): string | undefined {
    switch (action.kind) {
      case "quit":
        this.#quit.abort();
        return undefined;
      case "add":
        if (this.#places.every(isRunning) && this.#places.length === MAX_NODES) return `${MAX_NODES} nodes are all that have a key`;
        void this.#add();
        return undefined;
      case "select":
        this.#selected = 1 + ((this.#selected - 1 + action.by + this.#places.length) % Math.max(1, this.#places.length));
        return undefined;
      case "kill": {
        const place = this.#places[action.number - 1];
        if (place === undefined) return `there is no node-${action.number}: n starts one`;
        if (!isRunning(place)) return `${place.node} does not run: n starts it again`;
        this.#selected = action.number;
        return this.#kill(place);
      }
      default: {
        const place = this.#places[this.#selected - 1];
        if (place === undefined) return "there is no node: n starts one";
        if (!isRunning(place)) return `${place.node} does not run: n starts it again, ↑ ↓ choose another`;
        return this.#toSelected(action.kind, place);
      }
    }
  }

  #kill(place: Place): undefined {
    const holds = place.actor.status?.leads !== undefined;
    this.#tell("✗", `kill -9 ${place.node}${holds ? `: its record still says that it ${this.#words.leads}` : ""}`, "red");
    place.told = "killed";
    this.#cast.cut(place.node, "SIGKILL");
  }

  #toSelected(kind: "pause" | "continue" | "stop" | "connection", place: Place): string | undefined {
    const { node, actor, line } = place;
    switch (kind) {
      case "pause":
        if (actor.pausedNs !== undefined) return `${node} is paused already: c lets it go on`;
        this.#tell("‖", `SIGSTOP ${node}: it stands still, and does not notice`, "yellow");
        this.#cast.pause(node);
        return undefined;
      case "continue":
        if (actor.pausedNs === undefined) return `${node} is not paused: p pauses it`;
        this.#tell("▶", `SIGCONT ${node}: its first look is at its deadline`, "yellow");
        this.#cast.resume(node);
        return undefined;
      case "stop":
        place.told = "stopped";
        this.#tell("■", `SIGTERM ${node}: it stops its work, frees the key, and exits`, "yellow");
        this.#cast.cut(node, "SIGTERM");
        return undefined;
      case "connection":
        if (!line.canBeCut) return "only a store at an http:// address can be cut off from a node";
        if (line.isCut) line.mend();
        else line.cut();
        this.#tell(
          "≠",
          line.isCut ? `${node} is cut off from the store: no request of its is answered` : `${node} reaches the store again`,
          "yellow",
        );
        return undefined;
    }
  }

  /** In the place of the first one that does not run any more, or in a new one. */
  async #add(): Promise<void> {
    const free = this.#places.find((place) => !isRunning(place));
    const number = free?.number ?? this.#places.length + 1;
    const node = `node-${number}`;
    const line = free?.line ?? (await Line.to(this.#url));
    if (this.quit.aborted) return await line.close();
    line.mend();
    const { prize, ttlMs, pollMs } = this.#options;
    const workMs = prize === "lock" ? WORK_TTLS * ttlMs : undefined;
    const actor = this.#cast.start({ store: line.url, name: this.#words.name, node, ttlMs, pollMs, workMs });
    this.#tell("·", `${node} starts (pid ${actor.pid})`, "dim");
    if (free === undefined) this.#places.push({ number, node, line, actor, told: undefined, requestsBefore: 0 });
    else {
      free.requestsBefore += requestsOf(free.actor);
      free.actor = actor;
      free.told = undefined;
    }
  }

  #hear(event: CastEvent): void {
    switch (event.kind) {
      case "status":
        return;
      case "elected":
        return this.#tell("●", `${event.node} ${this.#words.leads}, token ${event.belief.token}`, ["bold", "green"]);
      case "demoted":
        return this.#tell(
          event.lost ? "✗" : "○",
          `${event.node} ${this.#words.leadsNoLonger}: ${event.word}`,
          event.lost ? "red" : "reset",
        );
      case "exit": {
        const { code, signal } = event.exit;
        const asked = this.#places.find(({ node }) => node === event.node)?.told !== undefined;
        this.#tell("·", `${event.node} is gone (${signal ?? `exit ${code}`})${asked ? "" : `: ${event.said}`}`, asked ? "dim" : "red");
      }
    }
  }

  #tell(mark: string, text: string, style: Style): void {
    const atMs = Number(process.hrtime.bigint() - this.#startNs) / 1e6;
    // What a process said last may have several lines; each event has one.
    this.#log.push({ atMs, mark, text: text.replaceAll(/\s*\n\s*/g, " "), style });
    if (this.#log.length > LOG_KEPT) this.#log.shift();
  }
}

function isRunning({ actor }: Place): boolean {
  return actor.exit === undefined;
}

function requestsOf({ status }: Actor): number {
  return status === undefined ? 0 : status.requests.get + status.requests.put;
}

function rowOf({ number, node, actor, told, line, requestsBefore }: Place, nowNs: bigint): Row {
  const { status, exit, pausedNs } = actor;
  const leads = exit === undefined ? status?.leads : undefined;
  const sinceMs = status === undefined ? 0 : Number(nowNs - status.atNs) / 1e6;
  return {
    number,
    node,
    condition:
      exit !== undefined
        ? (told ?? "failed")
        : pausedNs !== undefined
          ? "paused"
          : status === undefined
            ? "starts"
            : leads === undefined
              ? "follows"
              : "leads",
    token: leads?.token,
    // It is told ten times a second; in between, and while it stands still, its time runs on.
    remainingMs: leads === undefined ? undefined : leads.remainingMs - sinceMs,
    sees: status?.sees,
    cutOff: line.isCut && exit === undefined,
    requests: requestsBefore + requestsOf(actor),
  };
}
