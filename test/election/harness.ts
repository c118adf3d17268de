/** Managers in virtual time, and what their users hear. */
import type { Handlers, OnDone } from "../../src/election/lead.ts";
import { Manager } from "../../src/election/manager.ts";
import type { ManagerOptions } from "../../src/election/options.ts";
import type { Term } from "../../src/election/term.ts";
import type { ConsensusEvent, Wiring } from "../../src/lease/wiring.ts";
import { sleep } from "../../src/clock/wait.ts";
import { decodeRecord } from "../../src/record/codec.ts";
import type { Json, TimedRecord } from "../../src/record/record.ts";
import type { Stats } from "../../src/store/object-store.ts";
import type { TestNode, TestWorld } from "../../src/testing/sim/test-world.ts";

export const KEY = "locks/elections/x";
export const TTL = 15_000;
export const LIFE = 13_500;
export const WATCH = 16_500;
export const POLL = 5_000;

export interface Contender {
  readonly node: TestNode;
  readonly manager: Manager;
  /** What its callbacks heard, in order. */
  readonly log: string[];
  readonly events: ConsensusEvent[];
  readonly stop: AbortController;
  readonly done: Promise<void>;
  /** How `done` was settled, once it is. */
  outcome: "returned" | { readonly error: unknown } | undefined;
}

export interface ContenderOptions {
  readonly options?: Partial<Wiring & ManagerOptions<Json>> | undefined;
  readonly handlers?: Partial<Handlers<Json>> | undefined;
  readonly onDone?: OnDone | undefined;
  /** What `onElected` does beyond being noted. Default: leads until its signal aborts. */
  readonly work?: ((term: Term) => void | Promise<void>) | undefined;
}

export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

export function managerOn(node: TestNode, options: Partial<Wiring & ManagerOptions<Json>> = {}): Manager {
  return new Manager({ store: node.store, name: "x", node: node.name, ...options });
}

/** A node that campaigns and notes what its callbacks hear. */
export function contender(node: TestNode, o: ContenderOptions = {}): Contender {
  const log: string[] = [];
  const events: ConsensusEvent[] = [];
  const manager = managerOn(node, { onEvent: (e) => events.push(e), ...o.options });
  const stop = new AbortController();
  const work = o.work ?? ((term: Term) => aborted(term.signal));
  const done = manager.run(
    {
      onElected: async (term) => {
        log.push(`elected ${term.fencingToken}`);
        await work(term);
      },
      onDemoted: ({ term, reason }) => void log.push(`demoted ${term.fencingToken} ${reason.reason}`),
      onLeaderChange: ({ leader }) => void log.push(`leader ${leader?.holder ?? "-"}`),
      ...o.handlers,
    },
    { signal: stop.signal, ...(o.onDone === undefined ? {} : { onDone: o.onDone }) },
  );
  const self: Contender = { node, manager, log, events, stop, done, outcome: undefined };
  done.then(
    () => (self.outcome = "returned"),
    (error: unknown) => (self.outcome = { error }),
  );
  return self;
}

/** Only what was heard of terms, without the news about leaders. */
export function terms(c: Contender): string[] {
  return c.log.filter((line) => !line.startsWith("leader"));
}

export function eventTypes(c: Contender): string[] {
  return c.events.map((e) => e.type).filter((type) => type !== "leader");
}

export function recordIn(world: TestWorld): TimedRecord {
  const body = world.peek(KEY);
  if (body === undefined) throw new Error("there is no record");
  const record = decodeRecord(KEY, body);
  if (record.session !== undefined) throw new Error("it names a session");
  return record;
}

export function delta(now: Stats, then: Stats): Record<string, number> {
  return Object.fromEntries(
    Object.entries(now)
      .map(([name, n]) => [name, n - (then[name] ?? 0)] as const)
      .filter(([, n]) => n !== 0),
  );
}

export function pause(node: TestNode, ms: number): Promise<boolean> {
  return sleep(node.clock, ms, { keepAlive: true });
}

/** Runs the world in steps until `is` holds; answers with the true time then. */
export async function when(world: TestWorld, is: () => boolean, withinMs = 120_000, stepMs = 1): Promise<number> {
  const end = world.nowMs + withinMs;
  while (!is()) {
    if (world.nowMs >= end) throw new Error(`it did not happen within ${withinMs} ms`);
    await world.advance(stepMs);
  }
  return world.nowMs;
}

/** What was acquired is held, lost or released: at every instant. */
export function booksBalance(c: Contender): boolean {
  const held = c.manager.isLeader() ? 1 : 0;
  const { acquired = 0, lost = 0, released = 0 } = c.manager.stats();
  return acquired === lost + released + held;
}
