/**
 * Time and randomness, as ports. This folder is the only place that reads the machine's clocks, sets its timers and draws its random numbers;
 * everything else gets a `Clock` and a `Random` from the store, so that a program can be run in virtual time.
 */

export interface TimerHandle {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds on a clock that never steps. It may stand still while the machine is suspended (which is why both clocks decide, rule H2). */
  monotonicMs(): number;
  /** Milliseconds since 1970 as this machine believes. It may step at any time. */
  wallMs(): number;
  /**
   * Runs `fn` once, `delayMs` from now or later. The timer keeps the process alive only with `keepAlive` (rule H8).
   * @param delayMs at most `MAX_TIMER_MS`; longer waits are made of steps by `sleep`.
   */
  setTimer(delayMs: number, fn: () => void, options?: { readonly keepAlive?: boolean | undefined }): TimerHandle;
}

export interface Random {
  /** Fresh unpredictable bytes. */
  bytes(length: number): Uint8Array;
  /** A number in [0, 1), for jitter. */
  unit(): number;
}

/** The longest single timer: a suspended machine notices a missed wake-up this soon, and no delay overflows 2^31 ms. */
export const MAX_TIMER_MS = 30_000;
