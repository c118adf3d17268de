/** What all holders said, put in order: who believed what and when, who was elected, and whether every beginning had its end. */
import type { Belief } from "../../src/testing/history/index.ts";

export interface Elected {
  readonly key: string;
  readonly token: number;
  readonly node: string;
  readonly pid: number;
  readonly atMs: number;
}

interface Saying {
  readonly event: string;
  readonly at: string;
  readonly key?: string;
  readonly token?: number;
  readonly name?: string;
  readonly message?: string;
  readonly why?: string;
  /** By how much the clock that stamped it may be behind the true time. */
  readonly blurMs?: number;
  readonly resources?: readonly string[];
}

/** A term as its process told of it. */
interface Told {
  acquired: number;
  ended: number;
  readonly key: string;
  readonly node: string;
}

export class Ledger {
  readonly elections: Elected[] = [];
  readonly failures: string[] = [];
  /** Why terms ended, counted. */
  readonly ends = new Map<string, number>();
  readonly #beliefs = new Map<string, { node: string; key: string; token: number; fromMs: number; toMs: number }>();
  readonly #leaders = new Map<string, Elected>();
  readonly #told = new Map<string, Told>();
  readonly #resources = new Map<number, readonly string[]>();
  readonly #ready = new Set<number>();
  readonly #endedPids = new Set<number>();
  #broken = 0;

  take(node: string, pid: number, line: string): void {
    const saying = parse(line);
    if (saying === undefined) {
      this.#broken++;
      return;
    }
    const atMs = Number(BigInt(saying.at)) / 1e6;
    const { event, key = "", token = 0, why, blurMs = 0 } = saying;
    switch (event) {
      case "ready":
        this.#ready.add(pid);
        return;
      case "belief":
        return this.#believe(node, pid, { key, token, atMs, blurMs });
      case "elected": {
        const elected = { key, token, node, pid, atMs };
        this.elections.push(elected);
        this.#leaders.set(key, elected);
        return;
      }
      case "acquired":
        this.#tell(node, pid, key, token).acquired++;
        return;
      case "lost":
      case "released":
        this.#tell(node, pid, key, token).ended++;
        this.ends.set(why ?? event, (this.ends.get(why ?? event) ?? 0) + 1);
        this.#step(pid, key, token);
        return;
      case "demoted":
        this.#step(pid, key, token);
        return;
      case "failed":
        this.failures.push(`${node}: ${saying.name}: ${saying.message}`);
        return;
      case "stopped":
        this.#resources.set(pid, saying.resources ?? []);
    }
  }

  /** The process of this id is gone. */
  end(_node: string, pid: number): void {
    this.#endedPids.add(pid);
    for (const [key, leader] of this.#leaders) if (leader.pid === pid) this.#leaders.delete(key);
  }

  isReady(pid: number): boolean {
    return this.#ready.has(pid);
  }

  /** What still kept a process alive when it had stopped all its work; `undefined` until it said so. */
  stopped(pid: number): readonly string[] | undefined {
    return this.#resources.get(pid);
  }

  /** Who was elected last and has not said that it is over. */
  leaderOf(key: string): Elected | undefined {
    return this.#leaders.get(key);
  }

  get beliefs(): Belief[] {
    return [...this.#beliefs.values()]
      .filter(({ fromMs, toMs }) => fromMs <= toMs)
      .map(({ node, key, token, fromMs, toMs }) => ({ type: "belief", key, node, fencingToken: token, fromMs, toMs }));
  }

  /** Every "acquired" has exactly one "lost" or "released" (only a killed process may owe it). `killed`: processes that were. */
  unpaired(killed: ReadonlySet<number>): string[] {
    return [...this.#told].flatMap(([id, { acquired, ended, key, node }]) => {
      const pid = Number(id.split("|")[0]);
      const owes = ended === 0 && (killed.has(pid) || !this.#endedPids.has(pid));
      return acquired === 1 && (ended === 1 || owes)
        ? []
        : [`${node}: ${key} token ${id.split("|")[2]}: acquired ${acquired} times, ended ${ended} times`];
    });
  }

  /** Lines that could not be read: at most the one that a kill cut short, for each. */
  get brokenLines(): number {
    return this.#broken;
  }

  /** A clock that is behind by up to `blurMs` must make no belief longer than it was: it counts from the latest that its beginning can have been. */
  #believe(
    node: string,
    pid: number,
    { key, token, atMs, blurMs }: { readonly key: string; readonly token: number; readonly atMs: number; readonly blurMs: number },
  ): void {
    const id = `${pid}|${key}|${token}`;
    const known = this.#beliefs.get(id);
    if (known === undefined) this.#beliefs.set(id, { node, key, token, fromMs: atMs + blurMs, toMs: atMs });
    else known.toMs = Math.max(known.toMs, atMs);
  }

  #tell(node: string, pid: number, key: string, token: number): Told {
    const id = `${pid}|${key}|${token}`;
    const told = this.#told.get(id) ?? { acquired: 0, ended: 0, key, node };
    this.#told.set(id, told);
    return told;
  }

  #step(pid: number, key: string, token: number): void {
    const leader = this.#leaders.get(key);
    if (leader?.pid === pid && leader.token === token) this.#leaders.delete(key);
  }
}

function parse(line: string): Saying | undefined {
  try {
    const value = JSON.parse(line) as Saying;
    return typeof value.event === "string" && typeof value.at === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}
