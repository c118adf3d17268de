/** What a lease counts, for `stats()`: how its writes ended, and how the unclear ones were resolved. */
export const LEASE_COUNTERS = [
  "acquired",
  "lost",
  "released",
  "renewals",
  "renewalsFailed",
  "writesApplied",
  "writesRefused",
  "writesBusy",
  "writesUnknown",
  "resolvedMine",
  "resolvedOther",
  "undecided",
  "orphansTaken",
  "takeoversByObservation",
  "takeoversByStoreTime",
  /** Locks of a session that is over. */
  "takeoversOfSessions",
  /** Dead members that this lease object ended in the store (rule S6). */
  "membersEnded",
  "staleReads",
  "clockAnomalies",
  /** Must stay 0 while clocks keep their rate: another acquired while both of this process's clocks said "held" (invariant I7). */
  "overtakenWhileValid",
] as const;

export type LeaseCounter = (typeof LEASE_COUNTERS)[number];

export class Counters {
  readonly #values: Record<LeaseCounter, number> = Object.fromEntries(LEASE_COUNTERS.map((n) => [n, 0])) as Record<LeaseCounter, number>;

  add(name: LeaseCounter): void {
    this.#values[name] += 1;
  }

  snapshot(): Readonly<Record<LeaseCounter, number>> {
    return { ...this.#values };
  }
}
