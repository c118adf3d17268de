import type { HolderInfo } from "../errors.ts";
import type { Json } from "../record/record.ts";

/** One change of leadership, as seen from here. */
export interface LeaderChange<M> {
  readonly leader: HolderInfo<M> | undefined;
}

/**
 * What is known of the leader, and who wants to hear of it. News are conflated: a slow listener gets the newest, never a backlog.
 */
export class LeaderWatch<M> {
  #known = false;
  #last: HolderInfo<M> | undefined;
  readonly #listeners = new Set<() => void>();

  get last(): HolderInfo<M> | undefined {
    return this.#last;
  }

  /** Whether anything has been learnt yet: "no leader" is news too. */
  get known(): boolean {
    return this.#known;
  }

  /** @returns whether it is a change: another tenancy, or other metadata. A renewal only refreshes what is known. */
  publish(leader: HolderInfo<M> | undefined): boolean {
    const before = this.#last;
    const changed = !this.#known || identity(before) !== identity(leader);
    this.#known = true;
    this.#last = leader;
    if (changed) for (const listener of [...this.#listeners]) listener();
    return changed;
  }

  /** Calls `listener` after each change until the returned undo is called. It must not throw. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

function identity(leader: HolderInfo<unknown> | undefined): string | undefined {
  return leader === undefined ? undefined : JSON.stringify([leader.holder, leader.fencingToken, leader.metadata as Json]);
}
