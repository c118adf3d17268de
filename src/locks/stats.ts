import { LeaseLostError, type LossReason } from "../errors.ts";
import type { Counters } from "../lease/counters.ts";
import type { Tenancy } from "../lease/tenancy.ts";
import type { Stats } from "../store/object-store.ts";

const BOUNDS_MS = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000] as const;
const LOSSES: readonly LossReason[] = ["expired", "overtaken", "deleted", "replaced", "token-regression", "frozen"];

/** Counts by upper bound, each of them including the ones below, as Prometheus has it. */
class Histogram {
  readonly #counts: number[] = BOUNDS_MS.map(() => 0);
  #count = 0;
  #sumMs = 0;

  add(ms: number): void {
    this.#count += 1;
    this.#sumMs += ms;
    BOUNDS_MS.forEach((bound, i) => {
      if (ms <= bound) this.#counts[i] = (this.#counts[i] ?? 0) + 1;
    });
  }

  entries(name: string): [string, number][] {
    return [
      ...BOUNDS_MS.map((bound, i): [string, number] => [`${name}_le_${bound}`, this.#counts[i] ?? 0]),
      [`${name}_count`, this.#count],
      [`${name}_sum`, this.#sumMs],
    ];
  }
}

/**
 * What a face of locks counts: at every instant `acquired = released + lost + held`, and what is held is what its callers have in hand. An acquisition
 * that nobody waited for any more, and that was given back, is none.
 */
export class LockStats {
  /** How the writes behind it ended. */
  readonly #counters: Counters;
  readonly #losses = new Map<LossReason, number>(LOSSES.map((reason) => [reason, 0]));
  readonly #held = new Histogram();
  readonly #waited = new Histogram();
  readonly #live = new Set<Tenancy>();
  #acquired = 0;
  #refused = 0;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  refused(): void {
    this.#refused += 1;
  }

  acquired(lease: Tenancy, waitedMs: number): void {
    this.#acquired += 1;
    this.#waited.add(waitedMs);
    this.#live.add(lease);
  }

  ended(lease: Tenancy): void {
    if (!this.#live.delete(lease)) return;
    this.#held.add(lease.heldForMs);
    const { over } = lease;
    if (over instanceof LeaseLostError) this.#losses.set(over.reason, (this.#losses.get(over.reason) ?? 0) + 1);
  }

  snapshot(requests: Stats): Stats {
    // Those who hear of an end come a moment later.
    for (const lease of this.#live) if (lease.over !== undefined) this.ended(lease);
    const [acquired, held] = [this.#acquired, this.#live.size];
    const lost = [...this.#losses.values()].reduce((sum, n) => sum + n, 0);
    return {
      ...this.#counters.snapshot(),
      acquired,
      lost,
      released: acquired - lost - held,
      held,
      refused: this.#refused,
      ...Object.fromEntries([...this.#losses].map(([reason, n]) => [`lost_${reason}`, n])),
      ...Object.fromEntries([...this.#waited.entries("waitMs"), ...this.#held.entries("holdMs")]),
      ...Object.fromEntries(Object.entries(requests).map(([kind, n]) => [`requests_${kind}`, n])),
    };
  }
}
