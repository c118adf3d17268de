/** States that must have been seen, or the run proved less than it says. */
export const NAMED_STATES = [
  "412 after an own lost reply",
  "acquisition resolved as own",
  "renewal resolved as own",
  "reply after the deadline",
  "late acquire that became an orphan",
  "orphan taken again",
  "takeover by waiting",
  "takeover by store time",
  "late renewal refused",
  "late release refused",
  "409 then applied",
  "404 on If-Match",
  "deadline while paused",
  "stop during acquire",
  "abort during renew",
  "close with a request in flight",
  "crash between PUT and reply",
  "clock rate at the bound",
  "token regression detected",
  "fenced write refused",
  // Locks.
  "queued behind a caller of the same process",
  "reentrant call refused",
  "waiter gave up",
  "asked holder obeyed",
  "lock handed off and resumed",
  "of two that resume one was refused",
  "released by force, gently",
  "released by force, at once",
  "minimum hold after the release",
  "lock delay waited for",
  "renewal under way at release",
  "release raced loss",
  "lock acquire in flight at close",
  "all permits held at once",
  // Sessions.
  "session ended by another",
  "lock taken from an ended session",
  "session lost during a call",
  "several leases lost with their session",
  "session released with its locks",
  "lock write landed after its session ended",
  "late lock write of a session cleaned up",
  // Deletion.
  "key that was deleted made anew",
  "key that was closed for deletion taken when it was open again",
  "stopped between a look at nothing and the create",
  "pruner stopped before its DELETE",
  "member record of a session that is over deleted",
  // Fenced objects.
  "fenced put refused",
  "fenced write without a reply found to be its own",
  "large body deleted when two had followed",
  "large body that no pointer ever named deleted",
  // Tasks.
  "tick claimed by another",
  "run abandoned and tried again",
  "late finish of a run refused",
  "missed run caught up with",
] as const;

export type NamedState = (typeof NAMED_STATES)[number];

export class Coverage {
  readonly #counts = new Map<string, number>();

  /** Named states must all be seen; other counts are only told. */
  saw(state: NamedState): void {
    this.count(state);
  }

  count(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  add(other: Coverage): void {
    for (const [name, n] of other.#counts) this.count(name, n);
  }

  entries(): readonly (readonly [string, number])[] {
    return [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  get missing(): readonly NamedState[] {
    return NAMED_STATES.filter((state) => this.of(state) === 0);
  }
}
