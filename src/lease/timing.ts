/**
 * Every duration of a lease follows from its ttl, and the relations between them are what keeps two holders apart. This file is pure.
 */

import type { Instant } from "../clock/deadline.ts";
import { MAX_RECORD_MS } from "../record/fields.ts";

/** How wrong a clock's *rate* may be (rule H2 and the timing relations). Skew between clocks does not matter at all. */
export const CLOCK_RATE_ERROR = 0.1;

/** The shortest ttl. Below about 5 s a lease is for tests: a pause of the process or of the store ends it. */
export const MIN_TTL_MS = 100;
/** The longest ttl: a dead holder would close the key that long. */
export const MAX_TTL_MS: number = 24 * 3_600_000;

export interface LeaseTiming {
  /** How long a write of the holder keeps others out. */
  readonly ttlMs: number;
  /** How long before `ttlMs` its holder stops believing. */
  readonly marginMs: number;
  /** Time between renewals: ttl/3 (rule H4). */
  readonly renewEveryMs: number;
  /** Time limit of one request: two fit between a renewal and the deadline. */
  readonly requestTimeoutMs: number;
}

/** What a record says about its own times. */
export interface RecordTimes {
  readonly ttlMs: number;
  readonly marginMs: number;
}

/** How long its holder believes, counted from before the first send (rule H1). */
export function lifetimeMs(t: RecordTimes): number {
  return t.ttlMs - t.marginMs;
}

/**
 * W of rule C2: how long a record must be seen unchanged, on the observer's own monotonic clock, before its holder is dead for certain.
 * `ttl + 10 %` bears two clocks that are each 10 % wrong as long as the holder's margin is 10 % of its ttl; with a smaller margin the
 * relation `W ≥ L · (1 + ρ) / (1 − ρ)` asks for more.
 */
export function watchMs(t: RecordTimes): number {
  return Math.ceil(Math.max(t.ttlMs * (1 + CLOCK_RATE_ERROR), (lifetimeMs(t) * (1 + CLOCK_RATE_ERROR)) / (1 - CLOCK_RATE_ERROR)));
}

/** What `watchMs` adds to the ttl: the drift margin of the failover bound. */
export function driftMarginMs(t: RecordTimes): number {
  return watchMs(t) - t.ttlMs;
}

/** X of rules C3 and T1: the age, by the store's own stamps, from which its holder is dead for certain. */
export function storeAgeMs(t: RecordTimes, skewMs: number): number {
  return Math.ceil(lifetimeMs(t) / (1 - CLOCK_RATE_ERROR)) + 1000 + skewMs;
}

export function defaultMarginMs(ttlMs: number): number {
  // A second of margin would eat a short ttl whole; those are for tests (see MIN_TTL_MS) and keep a fifth.
  return Math.ceil(ttlMs >= 5000 ? Math.max(1000, ttlMs / 10) : ttlMs / 5);
}

export function defaultPollMs(ttlMs: number): number {
  return Math.min(5000, Math.floor(ttlMs / 3));
}

/** Waiting for a lock begins with short waits: most are held for a moment. They double up to a poll. */
export const FIRST_POLL_MS = 200;

/** How long a tenancy may last: nothing is renewed beyond, and its signal aborts `graceMs` before. */
export interface LongestHold {
  readonly ms: number;
  readonly graceMs: number;
  /** What it counts from. Default: the acquisition. */
  readonly from?: Instant | undefined;
}

/** The work hears of the end of its longest hold a tenth of the time before it, and no sooner than it would be given up on. */
export function longestHold(maxHoldMs: number | undefined, drainMs: number, from?: Instant): LongestHold | undefined {
  return maxHoldMs === undefined ? undefined : { ms: maxHoldMs, graceMs: Math.min(drainMs, maxHoldMs / 10), from };
}

/** What a release says of a minimum hold that has so much left: viewers' clocks may be fast. 0: nothing is left. */
export function holdOnMs(leftMs: number): number {
  return leftMs > 0 ? Math.min(MAX_RECORD_MS, Math.ceil(leftMs * (1 + CLOCK_RATE_ERROR))) : 0;
}

export function defaultRequestTimeoutMs(ttlMs: number, marginMs: number): number {
  return Math.min(5000, Math.max(1, Math.floor((ttlMs - ttlMs / 3 - marginMs) * 0.45)));
}

/**
 * The timing that follows from what was configured, and every relation that it breaks, in words that name both options and their values.
 */
export function deriveTiming(o: {
  readonly ttlMs: number;
  readonly marginMs?: number | undefined;
  readonly requestTimeoutMs?: number | undefined;
}): { readonly timing: LeaseTiming; readonly faults: readonly string[] } {
  const { ttlMs } = o;
  const marginMs = o.marginMs ?? defaultMarginMs(ttlMs);
  const renewEveryMs = Math.floor(ttlMs / 3);
  const requestTimeoutMs = o.requestTimeoutMs ?? defaultRequestTimeoutMs(ttlMs, marginMs);
  const faults: string[] = [];
  if (marginMs < ttlMs / 10)
    faults.push(
      `marginMs ${marginMs} is below a tenth of ttlMs ${ttlMs}: clocks that are 10 % wrong would overlap. Use at least ${Math.ceil(ttlMs / 10)}`,
    );
  const room = ttlMs - renewEveryMs - marginMs;
  if (room <= 0)
    faults.push(
      `marginMs ${marginMs} leaves no time between a renewal (every third of ttlMs ${ttlMs}) and the deadline. Use a marginMs below ${Math.floor((ttlMs * 2) / 3)}`,
    );
  else if (requestTimeoutMs >= room)
    faults.push(
      `requestTimeoutMs ${requestTimeoutMs} and marginMs ${marginMs} do not fit into ttlMs ${ttlMs}: one hung renewal would end the lease. Use a requestTimeoutMs below ${room}, or a longer ttlMs`,
    );
  return { timing: { ttlMs, marginMs, renewEveryMs, requestTimeoutMs }, faults };
}
