/** A campaign: each kind of trouble alone, then all that mix at once, with a calm after each in which a leader must come. */
import { watchMs as watchOf } from "../../src/lease/timing.ts";
import { deriveTiming } from "../../src/lease/timing.ts";
import type { OwnServer } from "../support/servers.ts";
import { type Arena, pass, until } from "./arena.ts";
import type { Election, FalseClock, HolderProcess } from "./holder-process.ts";
import { menu, stopOne, type Trouble } from "./menu.ts";
import { nowMs } from "./tap.ts";

export interface Failover {
  readonly cause: string;
  readonly key: string;
  readonly ms: number;
  /** What the documentation promises: ttl + drift margin + poll + 1 s. */
  readonly boundMs: number;
}

/** A time on a shared machine is held to a multiple of its bound; the safety of what happened is held to the letter. */
export const PATIENCE = 3;
/** What a process takes to start, at the worst. */
const START_MS = 20_000;

export class Campaign {
  readonly arena: Arena;
  readonly server: OwnServer;
  readonly random: () => number;
  readonly counts = new Map<string, number>();
  readonly failovers: Failover[] = [];
  readonly leftOut = new Map<string, string>();
  readonly violations: string[] = [];
  readonly phases: string[] = [];
  readonly #say: (line: string) => void;
  readonly #busy = new Set<HolderProcess>();
  #measures = true;
  over = false;

  constructor(arena: Arena, server: OwnServer, random: () => number, say: (line: string) => void) {
    this.arena = arena;
    this.server = server;
    this.random = random;
    this.#say = say;
  }

  async run(forMs: number): Promise<void> {
    const endMs = nowMs() + forMs;
    this.arena.calm();
    await this.#recover("the start");
    for (const { trouble, ms } of this.#plan(forMs * 0.7)) {
      if (this.over) return;
      await this.#phase(trouble, ms);
    }
    await this.#ensureStaleWrites();
    this.#measures = false;
    const leftMs = endMs - nowMs();
    if (!this.over) await this.#mixed(Math.max(leftMs, forMs * 0.2));
  }

  count(name: string, times = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + times);
  }

  leaveOut(name: string, why: string): Promise<void> {
    this.leftOut.set(name, why);
    return Promise.resolve();
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)] as T;
  }

  ledBy(holder: HolderProcess): string[] {
    return this.arena.keys.filter((key) => this.arena.leaderOf(key) === holder);
  }

  /** One that nobody else is at, mostly a leader. */
  async withHolder(act: (holder: HolderProcess) => Promise<void>): Promise<void> {
    const free = this.arena.holders.filter((holder) => holder.alive && !this.#busy.has(holder));
    const leaders = free.filter((holder) => this.ledBy(holder).length > 0);
    const holder = this.pick(leaders.length > 0 && this.random() < 0.75 ? leaders : free);
    if (holder === undefined) return pass(100);
    this.#busy.add(holder);
    try {
      await act(holder);
    } finally {
      this.#busy.delete(holder);
    }
  }

  /** Half of the holders are started anew with other clocks, and with the right ones afterwards. */
  async withOtherClocks(
    clockOf: (holder: HolderProcess) => FalseClock,
    act: (holders: readonly HolderProcess[]) => Promise<void>,
  ): Promise<void> {
    const holders = this.arena.holders.filter((_, i) => i % 2 === 0);
    for (const holder of holders) {
      if (holder.alive) await this.arena.stop(holder);
      holder.start(clockOf(holder));
    }
    await this.#recover("other clocks");
    await act(holders);
    for (const holder of holders) {
      if (holder.alive) await this.arena.stop(holder);
      holder.start();
    }
  }

  /** From the moment at which the leaders were taken out until others were elected. In the mixed phase nothing can be said about it. */
  async measureFailover(cause: string, keys: readonly string[], atMs: number, from: HolderProcess): Promise<void> {
    if (!this.#measures) return;
    const { pid } = from;
    await Promise.all(
      keys.map(async (key) => {
        const boundMs = failoverBoundMs(this.arena.election(key));
        const next = (): number | undefined =>
          this.arena.ledger.elections.find((e) => e.key === key && e.atMs > atMs && e.pid !== pid)?.atMs;
        const found = await until(() => next() !== undefined || this.over, PATIENCE * boundMs);
        const electedMs = next();
        if (electedMs !== undefined) this.failovers.push({ cause, key, ms: electedMs - atMs, boundMs });
        else if (found === undefined) this.violations.push(`${key}: nobody followed within ${PATIENCE * boundMs} ms after "${cause}"`);
      }),
    );
  }

  #plan(budgetMs: number): { readonly trouble: Trouble; readonly ms: number }[] {
    // A calm after each takes its time too.
    const calmMs = 1500;
    const chosen: Trouble[] = [];
    let spentMs = 0;
    for (const trouble of this.#inOrder()) {
      if (spentMs + trouble.leastMs + calmMs > budgetMs && chosen.length > 0) {
        this.leftOut.set(trouble.name, "there was no time for it alone: use more --minutes");
        continue;
      }
      chosen.push(trouble);
      spentMs += trouble.leastMs + calmMs;
    }
    const spare = Math.max(1, (budgetMs - chosen.length * calmMs) / (spentMs - chosen.length * calmMs));
    return chosen.map((trouble) => ({ trouble, ms: trouble.leastMs * spare }));
  }

  /** What proves the most comes first; the seed turns the rest, so that short campaigns reach everything sooner or later. */
  #inOrder(): Trouble[] {
    const all = menu();
    const first = all.filter((trouble) => trouble.name === "pause" || trouble.name === "kill -9");
    const rest = all.filter((trouble) => !first.includes(trouble));
    for (let i = rest.length - 1; i > 0; i--) {
      const j = Math.floor(this.random() * (i + 1));
      [rest[i], rest[j]] = [rest[j] as Trouble, rest[i] as Trouble];
    }
    return [...first, ...rest];
  }

  async #phase(trouble: Trouble, ms: number): Promise<void> {
    this.#say(`${trouble.name} for ${(ms / 1000).toFixed(0)} s`);
    const before = this.arena.ledger.elections.length;
    const startedMs = nowMs();
    await Promise.all([
      trouble.run(this, ms),
      // A stop is asked for in the middle of everything else, except where a fresh process, which remembers nothing, would spoil the experiment.
      trouble.lane === "record" || trouble.lane === "clock" || trouble.name === "stop" ? undefined : this.#stopInTheMiddle(ms),
    ]);
    await this.#recover(trouble.name);
    this.phases.push(
      `${trouble.name}: ${((nowMs() - startedMs) / 1000).toFixed(1)} s, ${this.arena.ledger.elections.length - before} elections`,
    );
  }

  async #stopInTheMiddle(ms: number): Promise<void> {
    await pass(ms * (0.2 + 0.5 * this.random()));
    if (!this.over) await stopOne(this);
  }

  async #mixed(ms: number): Promise<void> {
    this.#say(`all at once for ${(ms / 1000).toFixed(0)} s`);
    const before = this.arena.ledger.elections.length;
    const endMs = nowMs() + ms;
    const mixing = menu().filter((trouble) => trouble.mixes);
    const worker = async (lane: Trouble["lane"], restMs: number): Promise<void> => {
      const own = mixing.filter((trouble) => trouble.lane === lane);
      while (nowMs() < endMs && !this.over) {
        await pass(Math.min(restMs * this.random(), endMs - nowMs()));
        await this.pick(own).run(this, Math.min(1000 + 2000 * this.random(), endMs - nowMs()));
      }
    };
    await Promise.all([
      worker("process", 500),
      worker("process", 1000),
      worker("network", 500),
      worker("network", 500),
      worker("server", 6000),
    ]);
    await this.#recover("all at once");
    this.phases.push(`all at once: ${(ms / 1000).toFixed(1)} s, ${this.arena.ledger.elections.length - before} elections`);
  }

  /** The fenced resource must have had something to refuse, or the campaign shows nothing about it. */
  async #ensureStaleWrites(): Promise<void> {
    const pause = menu().find((trouble) => trouble.name === "pause");
    for (let i = 0; i < 5 && this.arena.resource.refused === 0 && !this.over; i++)
      if (pause !== undefined) await this.#phase(pause, pause.leastMs);
  }

  /** Safety is looked at afterwards, over everything; this is liveness: when the trouble is over, every election has a leader within its bound. */
  async #recover(after: string): Promise<void> {
    if (this.over) return;
    this.arena.calm();
    await Promise.all(
      this.arena.keys.map(async (key) => {
        const limitMs = PATIENCE * failoverBoundMs(this.arena.election(key)) + START_MS;
        if ((await until(() => this.arena.leaderOf(key) !== undefined || this.over, limitMs)) === undefined)
          this.violations.push(`${key}: no leader within ${limitMs} ms of calm after "${after}"`);
      }),
    );
  }
}

export function watchMs(election: Election): number {
  return watchOf(deriveTiming({ ttlMs: election.ttlMs }).timing);
}

export function failoverBoundMs(election: Election): number {
  return watchMs(election) + election.pollMs + 1000;
}
