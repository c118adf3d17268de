/** Locks in virtual time. */
import { expect } from "vitest";
import { sleep } from "../../src/clock/wait.ts";
import { LockHeldError, type ConsensusError } from "../../src/errors.ts";
import type { ConsensusEvent } from "../../src/lease/wiring.ts";
import type { Lock } from "../../src/locks/api.ts";
import { Locks, type LocksOptions } from "../../src/locks/locks.ts";
import { decodeRecord, encodeRecord } from "../../src/record/codec.ts";
import type { TimedRecord } from "../../src/record/record.ts";
import type { Stats } from "../../src/store/object-store.ts";
import { testWorld, type TestNode, type TestWorld } from "../../src/testing/sim/test-world.ts";

export const TTL = 30_000;
/** How long a holder believes: ttl - margin. */
export const LIFE = 27_000;
/** How long a record is watched before its holder is dead: W. */
export const WATCH = 33_000;
export const POLL = 5_000;

export const keyOf = (name: string): string => `locks/locks/${name}`;

export interface Bench {
  readonly world: TestWorld;
  readonly node: TestNode;
  readonly locks: Locks;
  readonly events: ConsensusEvent[];
}

/** One process with locks; `names` more of them in the same world. */
export function bench(seed = 1, options: Partial<LocksOptions> = {}): Bench & { other(name: string, over?: Partial<LocksOptions>): Bench } {
  const world = testWorld({ seed });
  const make = (name: string, over: Partial<LocksOptions>): Bench => {
    const node = world.node(name);
    const events: ConsensusEvent[] = [];
    return { world, node, events, locks: new Locks({ store: node.store, node: name, onEvent: (e) => events.push(e), ...over }) };
  };
  return { ...make("a", options), other: (name, over = {}) => make(name, { ...options, ...over }) };
}

export function recordIn(world: TestWorld, name: string): TimedRecord {
  const body = world.peek(keyOf(name));
  if (body === undefined) throw new Error(`there is no record of ${name}`);
  const record = decodeRecord(keyOf(name), body);
  if (record.session !== undefined) throw new Error(`${name} names a session`);
  return record;
}

/** What an operator's tool, or a stranger, writes without conditions. */
export function overwrite(world: TestWorld, name: string, over: Partial<TimedRecord>): TimedRecord {
  const now = recordIn(world, name);
  const record: TimedRecord = { ...now, nonce: `stranger-${now.version + 1}`, version: now.version + 1, ...over };
  world.overwrite(keyOf(name), encodeRecord(keyOf(name), record));
  return record;
}

/** What requests were made since `then`. */
export function delta(now: Stats, then: Stats): Record<string, number> {
  return Object.fromEntries(
    (["get", "put", "list", "delete"] as const)
      .map((kind) => [kind, (now[kind] ?? 0) - (then[kind] ?? 0)] as const)
      .filter(([, n]) => n !== 0),
  );
}

/** The requests of one call. */
export async function requestsOf<T>({ world, node }: Bench, call: () => Promise<T>): Promise<Record<string, number>> {
  const before = node.store.stats();
  await world.until(call());
  return delta(node.store.stats(), before);
}

export function pause(node: TestNode, ms: number): Promise<boolean> {
  return sleep(node.clock, ms, { keepAlive: true });
}

export async function held(world: TestWorld, wanted: Promise<Lock | undefined>, withinMs = 600_000): Promise<Lock> {
  const lock = await world.until(wanted, withinMs);
  if (lock === undefined) throw new Error("it is held by another");
  return lock;
}

/** What a call rejects with. */
export async function errorOf(world: TestWorld, call: Promise<unknown>): Promise<ConsensusError> {
  const settled = await world.until(
    call.then(
      () => undefined,
      (e: unknown) => ({ e }),
    ),
  );
  if (settled === undefined) throw new Error("it did not reject");
  return settled.e as ConsensusError;
}

export async function refusalOf(world: TestWorld, call: Promise<unknown>): Promise<LockHeldError> {
  const error = await errorOf(world, call);
  expect(error).toBeInstanceOf(LockHeldError);
  return error as unknown as LockHeldError;
}

export async function when(world: TestWorld, is: () => boolean, withinMs = 600_000, stepMs = 1): Promise<number> {
  const end = world.nowMs + withinMs;
  while (!is()) {
    if (world.nowMs >= end) throw new Error(`it did not happen within ${withinMs} ms`);
    await world.advance(stepMs);
  }
  return world.nowMs;
}

export function types(events: readonly ConsensusEvent[]): string[] {
  return events.map((e) => (e.type === "lost" ? `lost ${e.error.reason}` : e.type === "released" ? `released ${e.outcome}` : e.type));
}

/** What was acquired is held, lost or released: at every instant. */
export function booksBalance(stats: Stats): boolean {
  const { acquired = 0, released = 0, lost = 0, held: now = 0 } = stats;
  return acquired === released + lost + now;
}
