import { backoffMs } from "../clock/wait.ts";
import type { Random } from "../clock/clock.ts";
import type { WriteResult } from "./object-store.ts";

/** Tries of one request before it is given up, where nothing but patience is at stake. */
export const ATTEMPTS = 6;
const BASE_MS = 100;
/** About one write a second is what some stores take for one key (rule W5). */
const CAP_MS = 1_500;
const MAX_ASKED_MS = 5_000;

/** How long to wait before the next try: full jitter, but about a second, or what it asked for, once the store said "slow down". */
export function paceMs(random: Random, attempt: number, last?: WriteResult): number {
  if (last?.kind !== "busy") return backoffMs(random, attempt, BASE_MS, CAP_MS);
  return Math.min(MAX_ASKED_MS, last.retryAfterMs ?? 0) + CAP_MS * (0.5 + random.unit() / 2);
}
