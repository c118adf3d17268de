/** The arena with what makes trouble in it: who is being bothered, what was counted, what took how long, and what went wrong. */
import type { OwnServer } from "../support/servers.ts";
import { type Arena, pass, until } from "./arena.ts";
import type { FalseClock, HolderProcess } from "./holder-process.ts";
import { StallWatch } from "./stalls.ts";
import { nowMs } from "./tap.ts";
import { failoverBoundMs } from "./timing.ts";

export interface Failover {
  readonly cause: string;
  readonly key: string;
  readonly ms: number;
  readonly boundMs: number;
}

/** A time on a shared machine is held to a multiple of its bound; the safety of what happened is held to the letter. */
export const PATIENCE = 3;
/** What a process takes to start, at the worst. */
const START_MS = 20_000;

export class Field {
  readonly arena: Arena;
  readonly server: OwnServer;
  readonly random: () => number;
  readonly counts = new Map<string, number>();
  readonly failovers: Failover[] = [];
  readonly leftOut = new Map<string, string>();
  readonly violations: string[] = [];
  readonly watch = new StallWatch();
  readonly #busy = new Set<HolderProcess>();
  /** Whether failovers are measured: nothing can be said about them while everything goes wrong at once. */
  measures = true;

  constructor(arena: Arena, server: OwnServer, random: () => number) {
    this.arena = arena;
    this.server = server;
    this.random = random;
  }

  count(name: string, times = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + times);
  }

  leaveOut(name: string, why: string): void {
    this.leftOut.set(name, why);
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
    const restart = async (clock?: (holder: HolderProcess) => FalseClock): Promise<void> => {
      for (const holder of holders) {
        if (holder.alive) await this.arena.stop(holder);
        holder.start(clock?.(holder));
      }
    };
    await restart(clockOf);
    await this.recover("other clocks");
    await act(holders);
    await restart();
  }

  /** From the moment at which the leaders were taken out until others were elected. */
  async measureFailover(cause: string, keys: readonly string[], atMs: number, from: HolderProcess): Promise<void> {
    if (!this.measures) return;
    const { pid } = from;
    await Promise.all(
      keys.map(async (key) => {
        const boundMs = failoverBoundMs(this.arena.election(key));
        const next = (): number | undefined =>
          this.arena.ledger.elections.find((e) => e.key === key && e.atMs > atMs && e.pid !== pid)?.atMs;
        await until(() => next() !== undefined, PATIENCE * boundMs);
        const electedMs = next();
        if (this.watch.between(atMs, electedMs ?? nowMs())) return;
        if (electedMs !== undefined) this.failovers.push({ cause, key, ms: electedMs - atMs, boundMs });
        else this.violations.push(`${key}: nobody followed within ${PATIENCE * boundMs} ms after "${cause}"`);
      }),
    );
  }

  /** Safety is looked at afterwards, over everything; this is liveness: when the trouble is over, every election has a leader within its bound. */
  async recover(after: string): Promise<void> {
    this.arena.calm();
    const calmSinceMs = nowMs();
    await Promise.all(
      this.arena.keys.map(async (key) => {
        const limitMs = PATIENCE * failoverBoundMs(this.arena.election(key)) + START_MS;
        const led = (): boolean => this.arena.leaderOf(key) !== undefined;
        if ((await until(led, limitMs)) !== undefined) return;
        // A machine that stood still gets the time once more.
        if (this.watch.between(calmSinceMs, nowMs()) && (await until(led, limitMs)) !== undefined) return;
        this.violations.push(`${key}: no leader within ${limitMs} ms of calm after "${after}"`);
      }),
    );
  }
}
