/** What lives in a simulated process: programs that use a face of the package, and that the plan starts and stops. */
import { getEventListeners } from "node:events";
import { sleep } from "../../../src/clock/wait.ts";
import { KeyedRandom } from "../../../src/testing/sim/keyed-random.ts";
import type { SimProcess } from "../../../src/testing/sim/sim-node.ts";
import type { SimStore } from "../../../src/testing/sim/sim-store.ts";
import type { Arena } from "./arena.ts";
import { EventBook } from "./event-book.ts";
import type { FacePlan } from "./plan.ts";

export interface Resident {
  readonly state: "off" | "on" | "stopping";
  /** Whether the runtime must not end the process now (rule H8). */
  readonly isAwaited: boolean;
  /** Calls that ended with work still going on: their lease is renewed until it settles (rule H7). */
  readonly leftovers: number;
  /** As how many elections it counts when requests are counted (I10). */
  readonly weight: number;
  start(): void;
  stop(): void;
}

/** A program over one face, from start to stop, again and again. */
export abstract class FaceProgram implements Resident {
  readonly process: SimProcess;
  protected readonly arena: Arena;
  protected readonly store: SimStore;
  protected readonly plan: FacePlan;
  protected readonly random: KeyedRandom;
  protected readonly book: EventBook;
  #state: Resident["state"] = "off";
  #wanted = false;
  #stop: AbortController | undefined;
  hanging = 0;
  leftovers = 0;

  constructor(arena: Arena, process: SimProcess, store: SimStore, plan: FacePlan) {
    this.arena = arena;
    this.process = process;
    this.store = store;
    this.plan = plan;
    this.random = new KeyedRandom(arena.world.seed, plan.kind, plan.node, process.generation);
    this.book = new EventBook(arena, process, this.name);
  }

  abstract get weight(): number;

  get state(): Resident["state"] {
    return this.#state;
  }

  get isAwaited(): boolean {
    return this.#state !== "off" && this.hanging === 0;
  }

  get name(): string {
    return `${this.plan.kind} of ${this.plan.node}${this.process.generation}`;
  }

  start(): void {
    this.#wanted = true;
    if (this.#state !== "off") return;
    this.#state = "on";
    this.arena.opened(this.process);
    void this.#live();
  }

  stop(): void {
    this.#wanted = false;
    if (this.#state !== "on") return;
    this.#state = "stopping";
    this.arena.noteStop(this.process, isLock);
    this.#stop?.abort(new Error("stopped by the plan"));
  }

  /** Lives until `stop` aborts, or what it stands on is over. Whatever it began has ended when it returns. */
  protected abstract live(stop: AbortSignal): Promise<void>;

  async #live(): Promise<void> {
    while (this.#wanted && this.process.isAlive) {
      this.#stop = new AbortController();
      const { signal } = this.#stop;
      try {
        await this.live(signal);
      } catch (error) {
        this.arena.fail("I13", `${this.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      }
      const left = getEventListeners(signal, "abort").length;
      if (left > 0 && this.leftovers === 0)
        this.arena.fail("I8", `${this.name}: ${left} listeners were left on the signal that was passed`);
      if (this.leftovers === 0) this.book.checkAllEnded();
      if (!this.#wanted) break;
      this.#state = "on";
      const pause = new AbortController();
      this.#stop = pause;
      await sleep(this.store.clock, this.plan.ttlMs * this.random.between(0.05, 0.3), { signal: pause.signal, keepAlive: true });
    }
    this.#state = "off";
    this.arena.closed(this.process);
    if (this.#wanted) this.start();
  }
}

export function isLock(key: string): boolean {
  return key.startsWith("locks/locks/") || key.startsWith("locks/ephemeral/");
}
