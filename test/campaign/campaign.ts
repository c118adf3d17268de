/** A campaign: each kind of trouble alone, then all that mix at once, with a calm after each in which a leader must come. */
import { pass } from "./arena.ts";
import type { Field } from "./field.ts";
import { menu, stopOne, type Trouble } from "./menu.ts";
import { nowMs } from "./tap.ts";

/** The share of the time in which each kind is alone. */
const ALONE = 0.7;
/** What a calm takes when all is well. */
const CALM_MS = 1500;
const MOST_EXTRA_PAUSES = 5;

export class Campaign {
  readonly field: Field;
  /** What was done, how long it took, and how many were elected meanwhile. */
  readonly phases: string[] = [];
  readonly #say: (line: string) => void;
  readonly #only: string | undefined;

  /** `only`: the troubles whose names contain this text, one after the other, and nothing else. */
  constructor(field: Field, say: (line: string) => void, only?: string) {
    this.field = field;
    this.#say = say;
    this.#only = only;
  }

  async run(forMs: number): Promise<void> {
    const endMs = nowMs() + forMs;
    await this.field.recover("the start");
    for (const { trouble, ms } of this.#plan(this.#only === undefined ? forMs * ALONE : forMs)) await this.#phase(trouble, ms);
    await this.#ensureStaleWrites();
    if (this.#only !== undefined) return;
    await this.#allAtOnce(Math.max(endMs - nowMs(), forMs * (1 - ALONE) * 0.7));
  }

  /** As many kinds as there is time for, each with an equal share of what is left over. */
  #plan(budgetMs: number): { readonly trouble: Trouble; readonly ms: number }[] {
    const chosen: Trouble[] = [];
    let leftMs = budgetMs;
    for (const trouble of this.#inOrder()) {
      if (trouble.leastMs + CALM_MS > leftMs && chosen.length > 0) {
        this.field.leaveOut(trouble.name, "there was no time for it alone: use more --minutes");
        continue;
      }
      chosen.push(trouble);
      leftMs -= trouble.leastMs + CALM_MS;
    }
    const spare = 1 + Math.max(0, leftMs) / chosen.reduce((sum, trouble) => sum + trouble.leastMs, 0);
    return chosen.map((trouble) => ({ trouble, ms: trouble.leastMs * spare }));
  }

  /** What proves the most comes first; the seed turns the rest, so that short campaigns reach everything sooner or later. */
  #inOrder(): Trouble[] {
    const only = this.#only;
    const all = menu().filter((trouble) => only === undefined || trouble.name.includes(only));
    const first = all.filter((trouble) => trouble.name === "pause" || trouble.name === "kill -9");
    const rest = all.filter((trouble) => !first.includes(trouble));
    for (let i = rest.length - 1; i > 0; i--) {
      const j = Math.floor(this.field.random() * (i + 1));
      [rest[i], rest[j]] = [rest[j] as Trouble, rest[i] as Trouble];
    }
    return [...first, ...rest];
  }

  async #phase(trouble: Trouble, ms: number): Promise<void> {
    this.#say(`${trouble.name} for ${(ms / 1000).toFixed(0)} s`);
    await this.#counted(trouble.name, async () => {
      // A stop is asked for in the middle of everything else, except where a fresh process, which remembers nothing, would spoil the experiment.
      const undisturbed = trouble.lane === "record" || trouble.lane === "clock" || trouble.name === "stop";
      await Promise.all([trouble.run(this.field, ms), undisturbed ? undefined : this.#stopInTheMiddle(ms)]);
      await this.field.recover(trouble.name);
    });
  }

  async #stopInTheMiddle(ms: number): Promise<void> {
    await pass(ms * (0.2 + 0.5 * this.field.random()));
    await stopOne(this.field);
  }

  async #allAtOnce(ms: number): Promise<void> {
    this.#say(`all at once for ${(ms / 1000).toFixed(0)} s`);
    this.field.measures = false;
    const endMs = nowMs() + ms;
    const mixing = menu().filter((trouble) => trouble.mixes);
    const worker = async (lane: Trouble["lane"], restMs: number): Promise<void> => {
      const own = mixing.filter((trouble) => trouble.lane === lane);
      while (nowMs() < endMs) {
        await pass(Math.min(restMs * this.field.random(), endMs - nowMs()));
        await this.field.pick(own).run(this.field, Math.min(1000 + 2000 * this.field.random(), endMs - nowMs()));
      }
    };
    await this.#counted("all at once", async () => {
      await Promise.all([
        worker("process", 500),
        worker("process", 1000),
        worker("network", 500),
        worker("network", 500),
        worker("server", 6000),
      ]);
      await this.field.recover("all at once");
    });
  }

  /** The fenced resource must have had something to refuse, or the campaign shows nothing about it. */
  async #ensureStaleWrites(): Promise<void> {
    const pause = menu().find((trouble) => trouble.name === "pause");
    for (let i = 0; i < MOST_EXTRA_PAUSES && this.field.arena.resource.refused === 0; i++)
      if (pause !== undefined) await this.#phase(pause, pause.leastMs);
  }

  async #counted(name: string, act: () => Promise<void>): Promise<void> {
    const { elections } = this.field.arena.ledger;
    const [before, startedMs] = [elections.length, nowMs()];
    await act();
    this.phases.push(`${name}: ${((nowMs() - startedMs) / 1000).toFixed(1)} s, ${elections.length - before} elections`);
  }
}
