/**
 * When a command must be asked to end, and when it must be dead. Pure. Instants are on clocks that all processes of the machine share
 * (`process.hrtime`, and the wall clock): `performance.now` counts from the start of its own process, and would mean something else in another.
 */
import process from "node:process";
import { systemClock } from "../../clock/system.ts";
import { addMs, type Instant, remainingMs } from "../../clock/deadline.ts";
import type { Lease } from "../../lease/held.ts";

export function hostNow(): Instant {
  return { monotonicMs: Number(process.hrtime.bigint()) / 1e6, wallMs: systemClock.wallMs() };
}

/**
 * The lease's deadline on the host's clocks. They are read before the lease is asked: a pause in between makes it earlier, never later. What is
 * left is that of the clock which is nearer to its end, so neither half can be later than the lease's own.
 */
export function hostDeadline(lease: Pick<Lease, "remainingMs">): Instant {
  const now = hostNow();
  return addMs(now, lease.remainingMs);
}

/** TERM comes so long before KILL: 5 s, or a sixth of a short ttl. */
export function defaultGraceMs(ttlMs: number): number {
  return Math.min(5000, Math.floor(ttlMs / 6));
}

export interface Watch {
  readonly deadline: Instant;
  readonly graceMs: number;
  /** Since when the command is to end whatever the deadline says: its lease is over, or its wrapper is dead. */
  readonly stopSince: Instant | undefined;
}

/** `inMs`: when to look again at the latest, if nothing new is heard. */
export type Verdict = { readonly kind: "run" | "term"; readonly inMs: number } | { readonly kind: "kill" };

export function decide({ deadline, graceMs, stopSince }: Watch, now: Instant): Verdict {
  const leftMs = remainingMs(deadline, now);
  const stopLeftMs = stopSince === undefined ? Infinity : remainingMs(addMs(stopSince, graceMs), now);
  const killInMs = Math.min(leftMs, stopLeftMs);
  if (killInMs <= 0) return { kind: "kill" };
  if (stopSince !== undefined || leftMs <= graceMs) return { kind: "term", inMs: killInMs };
  return { kind: "run", inMs: leftMs - graceMs };
}
