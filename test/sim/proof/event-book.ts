/** What a face told by `onEvent`: each acquired has exactly one lost or released, after it (I5). */
import type { SimProcess } from "../../../src/testing/sim/sim-node.ts";
import type { ConsensusEvent } from "../../../src/lease/wiring.ts";
import type { Arena } from "./arena.ts";

export class EventBook {
  readonly #arena: Arena;
  readonly #process: SimProcess;
  readonly #who: string;
  /** Whether the end of an acquisition was told. */
  readonly #ended = new Map<string, boolean>();

  constructor(arena: Arena, process: SimProcess, who: string) {
    this.#arena = arena;
    this.#process = process;
    this.#who = who;
  }

  /** For `onEvent`. */
  heard(event: ConsensusEvent): void {
    if (!this.#process.isAlive) return;
    const { world, coverage } = this.#arena;
    world.log(`event-${event.type}`, this.#process.node.name, "lease" in event ? event.lease.fencingToken : 0);
    coverage.count(`event ${event.type}`);
    if (event.type !== "acquired" && event.type !== "lost" && event.type !== "released") return;
    const { key, fencingToken } = event.lease;
    // A session tells its end, but no acquisition.
    if (key.includes("members/")) return;
    const id = `${key} with token ${fencingToken}`;
    const ended = this.#ended.get(id);
    if (event.type === "acquired") {
      if (ended !== undefined) this.#arena.fail("I5", `${this.#who}: "acquired" twice for ${id}`);
      this.#ended.set(id, false);
      return;
    }
    if (ended === undefined) this.#arena.fail("I5", `${this.#who}: "${event.type}" without "acquired" for ${id}`);
    if (ended === true) this.#arena.fail("I5", `${this.#who}: a second end ("${event.type}") of ${id}`);
    this.#ended.set(id, true);
  }

  /** After the end of a run nothing is left without an end. */
  checkAllEnded(): void {
    for (const [id, ended] of this.#ended) {
      if (!ended) this.#arena.fail("I5", `${this.#who}: "acquired" for ${id} has neither "lost" nor "released" after the end of the run`);
    }
    this.#ended.clear();
  }
}
