/**
 * A user's program on one node, for one election: it uses the Manager in one of three ways, works while it leads, and misbehaves when the plan
 * says so. What the Manager tells it is checked on the spot (I5, I6, I8, I13).
 */
import { getEventListeners } from "node:events";
import { sleep } from "../../../src/clock/wait.ts";
import { Manager } from "../../../src/election/manager.ts";
import type { Running } from "../../../src/lease/running.ts";
import type { Term } from "../../../src/election/term.ts";
import { ConsensusError, LeaseLostError } from "../../../src/errors.ts";
import type { ConsensusEvent } from "../../../src/lease/wiring.ts";
import { KeyedRandom } from "../../../src/testing/sim/keyed-random.ts";
import type { SimProcess } from "../../../src/testing/sim/sim-node.ts";
import type { SimStore } from "../../../src/testing/sim/sim-store.ts";
import type { Arena } from "./arena.ts";
import type { NodePlan } from "./plan.ts";
import { EventBook } from "./event-book.ts";
import type { Resident } from "./resident.ts";
import { describe, type TrackedTerm } from "./terms.ts";
import { work } from "./work.ts";

type ProgramState = "off" | "on" | "stopping";

export class Program implements Resident {
  readonly weight = 1;
  readonly key: string;
  readonly process: SimProcess;
  readonly #arena: Arena;
  readonly #store: SimStore;
  readonly #plan: NodePlan;
  readonly #random: KeyedRandom;
  #manager: Manager | undefined;
  #stop: AbortController | undefined;
  #running: Running | undefined;
  #state: ProgramState = "off";
  #wanted = false;
  /** What the present manager's onEvent told. */
  #book: EventBook | undefined;
  #inCallback: string | undefined;
  /** Handlers that do not come back by themselves at present. */
  hanging = 0;
  /** Runs that ended with work still going on: their lease is renewed until it settles (rule H7). */
  leftovers = 0;

  constructor(arena: Arena, process: SimProcess, store: SimStore, key: string, plan: NodePlan) {
    this.#arena = arena;
    this.process = process;
    this.#store = store;
    this.key = key;
    this.#plan = plan;
    this.#random = new KeyedRandom(arena.world.seed, "program", plan.name, process.generation, key);
  }

  get state(): ProgramState {
    return this.#state;
  }

  get manager(): Manager | undefined {
    return this.#manager;
  }

  /** Whether the runtime must not end the process now (rule H8). */
  get isAwaited(): boolean {
    return this.#state !== "off" && this.hanging === 0;
  }

  start(): void {
    this.#wanted = true;
    if (this.#state !== "off") return;
    this.#state = "on";
    this.#arena.opened(this.process);
    void this.#live();
  }

  stop(): void {
    this.#wanted = false;
    if (this.#state !== "on") return;
    this.#state = "stopping";
    this.#noteStop();
    // The order is the point: start() has a promise of its own, run and campaign a signal.
    if (this.#running !== undefined) this.#running.stop().catch(() => {});
    this.#stop?.abort(new Error("stopped by the plan"));
  }

  async stepDown(): Promise<void> {
    if (this.#state !== "on" || this.#manager === undefined) return;
    const to = this.#random.chance(0.5) ? this.#arena.otherNode(this.#plan.name) : undefined;
    const cooldownMs = this.#random.chance(0.5) ? this.#plan.ttlMs * this.#random.magnitude(0.05, 1) : undefined;
    try {
      await this.#manager.stepDown({ to, cooldownMs });
      this.#arena.coverage.count("step-downs");
    } catch (error) {
      this.#expectKnown(error, "stepDown");
    }
  }

  /** From start to stop, with everything that ends a run in between. */
  async #live(): Promise<void> {
    const { clock } = this.#store;
    while (this.#wanted && this.process.isAlive) {
      // The same manager again, or a new one: then the old one is a stranger to it, even in this process (rule O3).
      if (this.#manager === undefined || this.#random.chance(0.5)) this.#manager = this.#newManager();
      this.#stop = new AbortController();
      const clean = await this.#once(this.#manager, this.#stop.signal);
      const left = getEventListeners(this.#stop.signal, "abort").length;
      if (left > 0) this.#arena.fail("I8", `${this.#name()}: ${left} listeners were left on the signal that was passed`);
      if (clean) this.#book?.checkAllEnded();
      if (!this.#wanted) break;
      // A stop that was taken back before it was over, or an error that ended it: a program tries again after a while.
      this.#state = "on";
      const pause = new AbortController();
      this.#stop = pause;
      await sleep(clock, this.#plan.ttlMs * this.#random.between(0.05, 0.3), { signal: pause.signal, keepAlive: true });
    }
    this.#state = "off";
    this.#arena.closed(this.process);
    if (this.#wanted) this.start();
  }

  /** @returns whether it ended as it should, with nothing left of it. */
  async #once(manager: Manager, signal: AbortSignal): Promise<boolean> {
    try {
      if (this.#plan.style === "campaign") await this.#campaigns(manager, signal);
      else if (this.#plan.style === "run") await manager.run(this.#handlers(), { signal, onDone: this.#plan.onDone });
      else {
        this.#running = manager.start(this.#handlers(), { onDone: this.#plan.onDone });
        await this.#running.done;
      }
      return true;
    } catch (error) {
      if (signal.aborted && error === signal.reason) return true;
      if (ConsensusError.is(error) && error.code === "WORK_NOT_STOPPED") this.leftovers++;
      this.#expectKnown(error, this.#plan.style);
      return false;
    } finally {
      this.#running = undefined;
    }
  }

  async #campaigns(manager: Manager, signal: AbortSignal): Promise<void> {
    const { clock } = this.#store;
    while (!signal.aborted) {
      const impatient = this.#arena.isOpen("impatient", this.#plan.name);
      const waitMs = impatient ? this.#plan.ttlMs * this.#random.magnitude(0.01, 3) : undefined;
      let term: Term | undefined;
      try {
        term = await manager.campaign({ signal, waitMs });
      } catch (error) {
        if (signal.aborted && error === signal.reason) return;
        this.#expectKnown(error, "campaign");
        await sleep(clock, this.#plan.ttlMs * this.#random.between(0.02, 0.2), { signal, keepAlive: true });
        continue;
      }
      const tracked = this.#arena.terms.track(term, this.process, this.#plan.ttlMs);
      const holdMs = this.#plan.ttlMs * this.#random.magnitude(0.1, 30);
      await this.#work(tracked, signal, holdMs);
      if (signal.aborted) this.#noteStop();
      const outcome = await term.release();
      this.#arena.coverage.count(`release: ${outcome}`);
      if (tracked.term.isHeld()) this.#arena.fail("I5", `${describe(tracked)}: still held after release()`);
      await sleep(clock, this.#plan.ttlMs * this.#random.between(0.01, 0.3), { signal, keepAlive: true });
    }
  }

  #handlers(): Parameters<Manager["run"]>[0] {
    return {
      onElected: (term) =>
        this.#inside("onElected", () => {
          const tracked = this.#arena.terms.track(term, this.process, this.#plan.ttlMs);
          if (this.hanging > 0) this.#arena.coverage.count("elected while work of an earlier term still hangs");
          if (this.#arena.isOpen("handler-throws", this.#plan.name)) throw new Error("onElected throws, as planned");
          return this.#elected(tracked);
        }),
      onDemoted: ({ term, reason }) => this.#inside("onDemoted", () => this.#demoted(term, reason)),
      onLeaderChange: () =>
        this.#inside("onLeaderChange", () => {
          if (this.#arena.isOpen("handler-throws", this.#plan.name)) throw new Error("onLeaderChange throws, as planned");
          // Its type asks for no promise, but an async function fits it all the same.
          if (this.#arena.isOpen("handler-rejects", this.#plan.name))
            return Promise.reject(new Error("onLeaderChange rejects, as planned"));
          return undefined;
        }),
    };
  }

  async #elected(tracked: TrackedTerm): Promise<void> {
    tracked.isWorking = true;
    try {
      await this.#lead(tracked);
    } finally {
      tracked.isWorking = false;
    }
  }

  async #lead(tracked: TrackedTerm): Promise<void> {
    const { name } = this.#plan;
    const { world } = this.#arena;
    if (this.#arena.isOpen("handler-blocks", name)) this.#block();
    if (this.#arena.isOpen("handler-rejects", name)) {
      await sleep(this.#store.clock, this.#plan.ttlMs * this.#random.between(0, 0.5), { keepAlive: true });
      throw new Error("onElected rejects, as planned");
    }
    if (this.#arena.isOpen("handler-returns", name)) return;
    await this.#work(tracked, undefined, Infinity);
    const hang = this.#arena.isOpen("handler-hangs", name);
    if (hang !== undefined) await this.#hang(hang.to - world.nowMs);
  }

  #demoted(term: Term, reason: unknown): Promise<void> | undefined {
    const tracked = this.#arena.terms.track(term, this.process, this.#plan.ttlMs);
    if (tracked.demoted) this.#arena.fail("I5", `${describe(tracked)}: onDemoted was called twice`);
    tracked.demoted = true;
    if (!tracked.aborted) this.#arena.fail("I5", `${describe(tracked)}: onDemoted before the signal was aborted`);
    if (!ConsensusError.is(reason)) this.#arena.fail("I5", `${describe(tracked)}: onDemoted got ${String(reason)} as its reason`);
    if (term.remainingMs > 0) this.#arena.fail("I5", `${describe(tracked)}: onDemoted while the term is still held`);
    if (this.#arena.isOpen("handler-throws", this.#plan.name)) throw new Error("onDemoted throws, as planned");
    const hang = this.#arena.isOpen("demoted-hangs", this.#plan.name);
    if (hang === undefined) return undefined;
    // It is work of this term, too: nothing is freed under it.
    tracked.isWorking = true;
    return this.#hang(hang.to - this.#arena.world.nowMs).finally(() => (tracked.isWorking = false));
  }

  /** Works until the term ends, or for `forMs`; in the calm after the faults whoever leads goes on leading. */
  #work(tracked: TrackedTerm, stop: AbortSignal | undefined, forMs: number): Promise<void> {
    const { clock } = this.#store;
    const until = clock.monotonicMs() + forMs;
    const leftMs = (): number => (this.#arena.isCalm ? Infinity : until - clock.monotonicMs());
    return work(this.#arena, tracked, { clock, random: this.#random, ttlMs: this.#plan.ttlMs, stop, leftMs });
  }

  /** The handler keeps the event loop: the clocks run, nothing else does. */
  #block(): void {
    const window = this.#arena.isOpen("handler-blocks", this.#plan.name);
    if (window === undefined) return;
    const resume = this.process.node.pause();
    this.#arena.world.schedule(this.#arena.world.nowMs + window.x, resume);
  }

  #hang(ms: number): Promise<void> {
    return this.#arena.hang(this, ms);
  }

  #inside<T>(what: string, call: () => T): T {
    if (this.#inCallback !== undefined) this.#arena.fail("I13", `${this.#name()}: ${what} was called inside ${this.#inCallback}`);
    // Work that had not stopped in time is still told of its end when it has stopped.
    if (this.#state === "off" && this.leftovers === 0)
      this.#arena.fail("I5", `${this.#name()}: ${what} was called after everything had ended`);
    this.#inCallback = what;
    try {
      return call();
    } finally {
      this.#inCallback = undefined;
    }
  }

  #newManager(): Manager {
    const { name: node, ttlMs, marginMs, pollMs, requestTimeoutMs, drainMs, cooldownMs, takeover } = this.#plan;
    const book = new EventBook(this.#arena, this.process, this.#name());
    this.#book = book;
    const onEvent = (event: ConsensusEvent): void => {
      if (!this.process.isAlive) return;
      book.heard(event);
      if (this.#arena.isOpen("handler-throws", node)) throw new Error("onEvent throws, as planned");
    };
    const options = {
      store: this.#store,
      name: this.key,
      node: this.#plan.calledAs ?? node,
      ttlMs,
      marginMs,
      pollMs,
      requestTimeoutMs,
      drainMs,
      cooldownMs,
      takeover,
      onEvent,
    };
    return this.#arena.managed(new Manager(options));
  }

  /** Errors that the Manager may give to its user; anything else is a fault of its own. */
  #expectKnown(error: unknown, where: string): void {
    if (!ConsensusError.is(error)) {
      this.#arena.fail(
        "I13",
        `${this.#name()}: ${where} rejected with ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
      return;
    }
    this.#arena.coverage.count(`error ${error.code}${error.code === "RECORD" ? ` ${error.kind}` : ""}`);
    if (error.code === "RECORD" && error.kind === "regressed") this.#arena.coverage.saw("token regression detected");
    if (error instanceof LeaseLostError && where !== "stepDown")
      this.#arena.fail("I13", `${this.#name()}: ${where} rejected with ${error.message}`);
  }

  #noteStop(): void {
    const key = this.#arena.objectKey(this.key);
    this.#arena.noteStop(this.process, (k) => k === key);
  }

  #name(): string {
    return `${this.#plan.name}${this.process.generation} in ${this.key}`;
  }
}
