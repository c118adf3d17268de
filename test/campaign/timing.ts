import { deriveTiming, watchMs as watchOf } from "../../src/lease/timing.ts";
import type { Election } from "./holder-process.ts";

/** How long a record must be seen unchanged until its holder is dead for certain (rule C2). */
export function watchMs(election: Election): number {
  return watchOf(deriveTiming({ ttlMs: election.ttlMs }).timing);
}

/** What the documentation promises: ttl + drift margin + poll + 1 s. */
export function failoverBoundMs(election: Election): number {
  return watchMs(election) + election.pollMs + 1000;
}
