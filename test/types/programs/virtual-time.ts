/** A program's own unit tests, in virtual time: an hour of leases passes in some milliseconds. */
import assert from "node:assert/strict";
import { LeaseLostError, type Lock, Locks, type Store } from "s3-consensus";
import { memoryStore } from "s3-consensus/memory";
import { testWorld } from "s3-consensus/testing";

const bill = async (store: Store): Promise<Lock> => await new Locks({ store }).acquire("billing", { waitMs: 120_000 });

export async function aSecondOneWaitsForACrashedFirst(): Promise<void> {
  const world = testWorld({ seed: 7 });
  const [a, b] = [world.node("a"), world.node("b")];
  const first = await world.until(bill(a.store));
  a.crash();
  const second = await world.until(bill(b.store));
  assert.equal(second.fencingToken, first.fencingToken + 1);
  await world.until(second.release());
}

export async function aFrozenHolderLosesIt(): Promise<void> {
  const world = testWorld();
  const a = world.node("a");
  const lock = await world.until(bill(a.store));
  a.freeze(60_000);
  await world.advance(61_000);
  assert.ok(lock.signal.aborted && lock.signal.reason instanceof LeaseLostError);
  assert.equal(await world.until(lock.release()), "not-mine");
}

export async function inOneProcess(): Promise<void> {
  const store = memoryStore();
  const locks = new Locks({ store, defaults: { ttlMs: 5_000 } });
  const attempt = await locks.withLock("k", async () => await new Locks({ store }).tryWithLock("other", () => 7));
  assert.deepEqual(attempt, { ran: true, value: 7 });
}
