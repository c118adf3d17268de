/** A resource outside of the store that refuses older fencing tokens, and checks that newer ones belong to who uses them (I3). */
import { KeyedRandom } from "../../../src/testing/sim/keyed-random.ts";
import type { World } from "../../../src/testing/sim/world.ts";
import type { Coverage } from "./coverage.ts";
import type { Ledger } from "./ledger.ts";
import { describe, type TrackedTerm } from "./terms.ts";
import { Violation } from "./violation.ts";

export class FencedResource {
  readonly #world: World;
  readonly #ledger: Ledger;
  readonly #coverage: Coverage;
  readonly #highest = new Map<string, number>();

  constructor(world: World, ledger: Ledger, coverage: Coverage) {
    this.#world = world;
    this.#ledger = ledger;
    this.#coverage = coverage;
  }

  /** Sends a write that was checked just now. One in ten is on its way for long: the gap between a check and its effect. */
  write(by: TrackedTerm, ttlMs: number, random: KeyedRandom): void {
    const slow = random.chance(0.1);
    const delayMs = slow ? ttlMs * random.magnitude(0.1, 4) : random.between(0.1, 20);
    this.#world.schedule(this.#world.nowMs + delayMs, () => this.#arrive(by));
  }

  #arrive(by: TrackedTerm): void {
    const history = this.#ledger.history(by.key);
    if (history.tampered) return;
    const highest = this.#highest.get(by.key) ?? 0;
    if (by.token < highest) {
      this.#coverage.saw("fenced write refused");
      return;
    }
    this.#coverage.count("fenced writes accepted");
    this.#highest.set(by.key, by.token);
    const owner = history.acquisitions.get(by.token);
    if (owner?.process !== by.process)
      throw new Violation("I3", `the resource accepted a write of ${describe(by)}, but that token was acquired by another`);
  }
}
