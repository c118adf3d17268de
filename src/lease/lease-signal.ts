import type { LeaseEndedError, LeaseLostError } from "../errors.ts";

/** Aborts once, when the lease is lost or asked to end. Its `aborted` looks at both clocks, so it is right at the first look after a freeze. */
export interface LeaseSignal extends AbortSignal {
  readonly reason: LeaseLostError | LeaseEndedError;
}

/**
 * A signal whose state can't be stale: after the process was stopped, the deadline timer has not run yet when the next line of user code
 * does, and a plain signal would still say "not aborted" (rule H5). Each look runs `check` first, which may abort it.
 */
export function leaseSignal(controller: AbortController, check: () => void): LeaseSignal {
  const { signal } = controller;
  const native = Object.getPrototypeOf(signal) as AbortSignal;
  const aborted = (): boolean => Reflect.get(native, "aborted", signal);
  const look = (): boolean => {
    if (!aborted()) check();
    return aborted();
  };
  Object.defineProperties(signal, {
    aborted: { get: look },
    reason: { get: () => (look() ? Reflect.get(native, "reason", signal) : undefined) },
    throwIfAborted: {
      value: () => {
        if (look()) throw signal.reason;
      },
    },
  });
  return signal;
}
