import type { Abandoned, SessionTie } from "../lease/session-tie.ts";
import type { SessionTenancy } from "../lease/session-tenancy.ts";
import type { ReleaseOutcome, Tenancy } from "../lease/tenancy.ts";
import type { Flag, SessionRef } from "../record/record.ts";
import type { Cleaner } from "./cleaner.ts";

/** Everything that is held through one session. It ends all at once, each with its own signal and reason, when the session does (rule S2). */
export class Holdings implements SessionTie {
  readonly ref: SessionRef;
  readonly membership: Tenancy;
  freedAll: Promise<ReleaseOutcome> | undefined;
  readonly #locks = new Set<SessionTenancy>();
  readonly #cleaner: Cleaner;
  /** One listener at the signal for all who wait for its abort: there may be thousands. */
  readonly #waiting = new Set<(reason: unknown) => void>();

  constructor(membership: Tenancy, cleaner: Cleaner) {
    this.membership = membership;
    this.ref = { member: membership.key, token: membership.fencingToken };
    this.#cleaner = cleaner;
    const { signal } = membership;
    signal.addEventListener("abort", () => [...this.#waiting].forEach((listener) => listener(signal.reason)), { once: true });
    // Each looks at the session, finds it over, and ends by that.
    void membership.ended.then(() => this.locks.forEach((lock) => lock.isHeld()));
  }

  get locks(): readonly SessionTenancy[] {
    return [...this.#locks];
  }

  whenOver(listener: (reason: unknown) => void): () => void {
    const { signal } = this.membership;
    if (signal.aborted) listener(signal.reason);
    else this.#waiting.add(listener);
    return () => this.#waiting.delete(listener);
  }

  enlist(lock: SessionTenancy): void {
    this.#locks.add(lock);
  }

  dismiss(lock: SessionTenancy): void {
    this.#locks.delete(lock);
  }

  abandon(left: Abandoned): void {
    this.#cleaner.add(left);
  }

  /** An operator's word on the member record, for one of its locks (rule S15). @returns whether it was for one. */
  flagged({ lock: meant, ...word }: Flag): boolean {
    if (meant === undefined) return false;
    for (const lock of this.#locks) if (lock.objectKey === meant.key && lock.fencingToken === meant.fencingToken) lock.flagged(word);
    return true;
  }
}
