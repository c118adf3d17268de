/** Ephemeral locks in virtual time, on stores of several kinds. */
import type { ConsensusEvent } from "../../src/lease/wiring.ts";
import { Locks, type LocksOptions } from "../../src/locks/locks.ts";
import { decodeRecord, encodeRecord } from "../../src/record/codec.ts";
import type { TimedRecord } from "../../src/record/record.ts";
import type { StoreProfile } from "../../src/testing/sim/sim-s3.ts";
import { testWorld, type TestWorld } from "../../src/testing/sim/test-world.ts";
import type { Bench } from "./harness.ts";

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
/** When a test world begins, by the store's clock. */
export const START_MS: number = Date.UTC(2026, 0, 1);

export const ephemeralKey = (name: string): string => `locks/ephemeral/${name}`;

/** A DELETE of these stores takes no notice of its condition: MinIO, Ceph, gofakes3. */
export const CARELESS: Partial<StoreProfile> = { conditionalDelete: false };

export interface Many {
  readonly world: TestWorld;
  /** One process with ephemeral locks. */
  at(name: string, over?: Partial<LocksOptions>): Bench;
}

export function many(profile: Partial<StoreProfile> = {}, seed = 1): Many {
  const world = testWorld({ seed, profile });
  return {
    world,
    at(name, over = {}) {
      const node = world.node(name);
      const events: ConsensusEvent[] = [];
      const locks = new Locks({ store: node.store, node: name, ephemeral: true, onEvent: (e) => events.push(e), ...over });
      return { world, node, events, locks };
    },
  };
}

export function ephemeralIn(world: TestWorld, name: string): TimedRecord | undefined {
  const body = world.peek(ephemeralKey(name));
  if (body === undefined) return undefined;
  const record = decodeRecord(ephemeralKey(name), body);
  if (record.session !== undefined) throw new Error(`${name} names a session`);
  return record;
}

/** What another program, or an operator, writes there without conditions. */
export function putEphemeral(world: TestWorld, name: string, over: Partial<TimedRecord>): void {
  const now = ephemeralIn(world, name);
  if (now === undefined) throw new Error(`there is no record of ${name}`);
  const record: TimedRecord = { ...now, nonce: `stranger-${now.version + 1}`, version: now.version + 1, ...over };
  world.overwrite(ephemeralKey(name), encodeRecord(ephemeralKey(name), record));
}

/** Acquires and releases it once. @returns its token. */
export async function once({ world, locks }: Bench, name: string, waitMs = 10_000): Promise<number> {
  return await world.until(locks.withLock(name, { waitMs }, (lock) => lock.fencingToken));
}
