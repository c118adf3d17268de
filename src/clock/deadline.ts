import type { Clock } from "./clock.ts";

/** One reading of both clocks. A deadline is an instant too: whichever clock passes its half first has passed the deadline (rule H2). */
export interface Instant {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export function readClocks(clock: Clock): Instant {
  return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
}

export function addMs(at: Instant, ms: number): Instant {
  return { monotonicMs: at.monotonicMs + ms, wallMs: at.wallMs + ms };
}

/** What is left on the clock that is nearer to its end; zero or negative means past. */
export function remainingMs(deadline: Instant, now: Instant): number {
  return Math.min(deadline.monotonicMs - now.monotonicMs, deadline.wallMs - now.wallMs);
}

/** Whichever is first, on each clock for itself. */
export function earlier(a: Instant, b: Instant): Instant {
  return { monotonicMs: Math.min(a.monotonicMs, b.monotonicMs), wallMs: Math.min(a.wallMs, b.wallMs) };
}

/** By how much the wall clock moved more than the monotonic one since `since`: a step of the wall clock, or a suspended machine. */
export function clockGapMs(since: Instant, now: Instant): number {
  return now.wallMs - since.wallMs - (now.monotonicMs - since.monotonicMs);
}
