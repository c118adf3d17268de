/** What happens in the demo, in order: three campaign, the leader is killed, the next is stopped, the third leads. */
import { systemClock } from "../../clock/system.ts";
import { sleep } from "../../clock/wait.ts";
import { Cast, type CastEvent } from "./cast.ts";
import { boundsOf, type DemoOptions } from "./options.ts";
import type { Screen } from "./screen.ts";
import { StoryError } from "./story-error.ts";
import { type Belief, type History, seconds } from "./verdict.ts";
import { type Words, WORDS } from "./words.ts";

const NODES = ["A", "B", "C"] as const;

export class Story {
  readonly #options: DemoOptions;
  readonly #url: string;
  readonly #screen: Screen;
  readonly #signal: AbortSignal;
  readonly #cast: Cast;
  readonly #words: Words;
  /** Processes that were told to end. */
  readonly #dismissed = new Set<string>();
  #wake: () => void = () => {};
  #failure: StoryError | undefined;

  constructor(o: { readonly options: DemoOptions; readonly url: string; readonly screen: Screen; readonly signal: AbortSignal }) {
    this.#options = o.options;
    this.#url = o.url;
    this.#screen = o.screen;
    this.#signal = o.signal;
    this.#cast = new Cast(o.options.prize, (event) => this.#hear(event));
    this.#words = WORDS[o.options.prize];
  }

  /** @throws StoryError; the reason of the signal. Either way no process is left. */
  async tell(): Promise<History> {
    const { ttlMs } = this.#options;
    const { failoverMs, handOverMs } = boundsOf(this.#options);
    const screen = this.#screen;
    const onAbort = (): void => this.#wake();
    this.#signal.addEventListener("abort", onAbort);
    const telling = this.#tellStates();
    try {
      for (const node of NODES) this.#start(node);
      const first = await this.#election(0, this.#words.nobodyTook, 2 * failoverMs);
      await this.#pass(0.8 * ttlMs);

      screen.tell("✗", `kill -9 ${first.node}: its record still says that it ${this.#words.leads}, and nobody renews it`, "red");
      const kill = this.#cut(first.node, "SIGKILL");
      const second = await this.#election(1, "nobody took over", 3 * failoverMs);
      screen.tell(" ", `${seconds(sinceMs(kill.atNs, second.electedNs))} after the kill`);
      await this.#pass(0.5 * ttlMs);

      screen.tell("■", `SIGTERM ${second.node}: it stops its work, frees the key, and exits`, "yellow");
      const stop = this.#cut(second.node, "SIGTERM");
      const third = await this.#election(2, "nobody followed", 3 * Math.max(handOverMs, failoverMs));
      screen.tell(" ", `${seconds(sinceMs(stop.atNs, third.electedNs))} after the SIGTERM`);
      await this.#pass(0.5 * ttlMs);

      screen.tell("■", `SIGTERM ${third.node}: the end`, "yellow");
      this.#cut(third.node, "SIGTERM");
      await this.#cast.end();
      const { beliefs, exits, requests } = this.#cast;
      return { beliefs, kill, stop, exits, requests };
    } finally {
      this.#signal.removeEventListener("abort", onAbort);
      for (const node of NODES) this.#dismissed.add(node);
      await this.#cast.end();
      await telling.stop();
    }
  }

  #start(node: string): void {
    const { ttlMs, pollMs } = this.#options;
    const { pid } = this.#cast.start({ store: this.#url, name: this.#words.name, node, ttlMs, pollMs });
    this.#screen.tell("·", `${node} starts (pid ${pid})`, "dim");
  }

  #cut(node: string, signal: "SIGKILL" | "SIGTERM"): ReturnType<Cast["cut"]> {
    this.#dismissed.add(node);
    return this.#cast.cut(node, signal);
  }

  /** The belief of this number, as soon as there is one. */
  async #election(index: number, otherwise: string, withinMs: number): Promise<Belief> {
    const until = systemClock.monotonicMs() + withinMs;
    for (;;) {
      this.#check();
      const belief = this.#cast.beliefs[index];
      if (belief !== undefined) return belief;
      const leftMs = until - systemClock.monotonicMs();
      if (leftMs <= 0) throw new StoryError(`${otherwise} within ${seconds(withinMs)}${this.#rival()}`);
      await this.#wait(leftMs);
    }
  }

  async #pass(ms: number): Promise<void> {
    const until = systemClock.monotonicMs() + ms;
    for (let leftMs = ms; leftMs > 0; leftMs = until - systemClock.monotonicMs()) {
      this.#check();
      await this.#wait(leftMs);
    }
    this.#check();
  }

  /** Resolves at the next event that matters, or after `ms`. */
  async #wait(ms: number): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    if (this.#signal.aborted) return;
    await sleep(systemClock, ms, { signal: woken.signal, keepAlive: true });
  }

  #check(): void {
    this.#signal.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** On a store that others use, another demo may lead. */
  #rival(): string {
    const seen = this.#cast.actors
      .map((a) => a.status?.sees)
      .find((name) => name !== undefined && !(NODES as readonly string[]).includes(name));
    return seen === undefined ? "" : `; ${seen} ${this.#words.rival}`;
  }

  #hear(event: CastEvent): void {
    const screen = this.#screen;
    switch (event.kind) {
      case "status":
        screen.draw(this.#cast.actors);
        return;
      case "elected":
        screen.tell("●", `${event.node} ${this.#words.leads}, token ${event.belief.token}`, ["bold", "green"]);
        break;
      case "demoted":
        screen.tell(event.lost ? "✗" : " ", `${event.node} ${this.#words.leadsNoLonger}: ${event.reason}`, event.lost ? "red" : "reset");
        break;
      case "exit": {
        const { code, signal } = event.exit;
        screen.tell("·", `${event.node} is gone (${signal ?? `exit ${code}`})`, "dim");
        if (!this.#dismissed.has(event.node))
          this.#failure = new StoryError(`${event.node} ended by itself (${signal ?? `exit ${code}`}): ${event.said}`);
      }
    }
    screen.draw(this.#cast.actors);
    this.#wake();
  }

  /** Without a terminal to draw on, the state is told in lines, four a ttl. */
  #tellStates(): { stop(): Promise<void> } {
    const over = new AbortController();
    const loop = async (): Promise<void> => {
      while (await sleep(systemClock, this.#options.ttlMs / 4, { signal: over.signal })) this.#screen.tellState(this.#cast.actors);
    };
    const done = this.#screen.live ? Promise.resolve() : loop();
    return {
      stop: () => {
        over.abort();
        return done;
      },
    };
  }
}

function sinceMs(fromNs: bigint, toNs: bigint): number {
  return Number(toNs - fromNs) / 1e6;
}
