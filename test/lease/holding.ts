/** A lease that is held, in virtual time. */
import { expect } from "vitest";
import type { LeaseEndedError, LeaseLostError } from "../../src/errors.ts";
import type { Tenancy } from "../../src/lease/tenancy.ts";
import { testWorld, type TestNode, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { acquired, leaseOn, tap, type Attempt, type TappedStore } from "./harness.ts";

export interface Holding extends Attempt {
  readonly world: TestWorld;
  readonly node: TestNode;
  readonly store: TappedStore;
  readonly tenancy: Tenancy;
  /** When the acquisition was first sent, on the node's monotonic clock. */
  readonly sentMs: number;
}

export async function holding(seed = 1): Promise<Holding> {
  const world = testWorld({ seed });
  const node = world.node("a");
  const store = tap(node.store);
  const attempt = await acquired(world, leaseOn(store));
  const sentMs = store.calls.at(-1)?.sentMs ?? 0;
  store.sent();
  return { ...attempt, world, node, store, sentMs };
}

/** Lets time pass to this many milliseconds after the acquisition was sent, on the node's monotonic clock. */
export async function at(h: Holding, ms: number): Promise<void> {
  await h.world.advance(h.sentMs + ms - h.node.clock.monotonicMs());
}

/** Where the deadline lies, counted from the first send of the acquisition. */
export function deadline(h: Holding): number {
  return h.node.clock.monotonicMs() - h.sentMs + h.tenancy.remainingMs;
}

/** The simulated wall clock shows whole milliseconds. */
export function expectNear(x: number, wanted: number): void {
  expect(x).toBeGreaterThanOrEqual(wanted - 1);
  expect(x).toBeLessThanOrEqual(wanted + 1);
}

export async function endOf(h: Holding): Promise<LeaseLostError | LeaseEndedError> {
  return h.world.until(h.tenancy.ended);
}
