import { type LockHeldError, RecordError, StoreUnavailableError } from "../errors.ts";
import type { StoreVerdict } from "../store/object-store.ts";
import { contend } from "./contend.ts";
import type { LeaseObject } from "./lease-object.ts";
import type { Wait } from "./lease-source.ts";
import { refusalOf } from "./refusal.ts";
import type { Tenancy, TenancyHooks } from "./tenancy.ts";

/** How the calls for the leases of one source wait, and what they are told that may not have one. */
export class Waiting {
  #verdict: StoreVerdict | undefined;

  /** Waits for the lease and takes it. @returns who holds it, when the wait is over. @throws as `LeaseSource.acquire`. */
  async acquire(
    lease: LeaseObject,
    wait: Wait,
    o: { readonly askHolder: boolean | undefined; readonly hooks: TenancyHooks },
  ): Promise<Tenancy | LockHeldError> {
    const startMs = lease.nowMs();
    let hindrance: StoreUnavailableError | undefined;
    const tenancy = await contend(lease, {
      ...o,
      signal: wait.signal,
      untilMs: wait.untilMs,
      onLook: (_, verdict) => {
        this.#verdict = verdict;
        hindrance = undefined;
      },
      // One that is free is no news yet: who asked first is about to have it.
      onClosed: () => wait.onNews(),
      onTrouble: (error) => {
        if (error instanceof RecordError) throw error;
        hindrance = error;
        wait.onNews();
      },
    });
    if (tenancy !== undefined) return tenancy;
    const refusal = hindrance ?? this.refusal(lease, lease.nowMs() - startMs);
    if (refusal instanceof StoreUnavailableError) throw refusal;
    return refusal;
  }

  refusal(lease: LeaseObject, waitedMs: number): LockHeldError | StoreUnavailableError {
    return refusalOf(lease, waitedMs, this.#verdict?.storeTime === false);
  }
}
