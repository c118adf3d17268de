/** What one election or lock costs a month, by the list prices of AWS in us-east-1. Pure. */
import { defaultPollMs } from "../../lease/timing.ts";

const HOURS_A_MONTH = 730;
const DOLLARS = { put: 0.005 / 1000, get: 0.0004 / 1000 };

export interface Cost {
  readonly ttlMs: number;
  readonly nodes: number;
  readonly putsPerHour: number;
  readonly getsPerHour: number;
  /** US dollars. */
  readonly perMonth: number;
}

/** One holder that renews every third of its ttl, and `nodes` − 1 that look once a poll. */
export function costOf(ttlMs: number, nodes: number): Cost {
  const putsPerHour = 3_600_000 / (ttlMs / 3);
  const getsPerHour = (nodes - 1) * (3_600_000 / defaultPollMs(ttlMs));
  const perMonth = HOURS_A_MONTH * (putsPerHour * DOLLARS.put + getsPerHour * DOLLARS.get);
  return { ttlMs, nodes, putsPerHour: Math.round(putsPerHour), getsPerHour: Math.round(getsPerHour), perMonth };
}
