import type { Clock } from "../clock/clock.ts";
import { onAbort, sleep } from "../clock/wait.ts";
import { LeaseLostError, WorkNotStoppedError } from "../errors.ts";
import type { LockHandle } from "./lock-handle.ts";

export interface WorkOptions {
  readonly clock: Clock;
  readonly drainMs: number;
  /** The caller's: stops the work. */
  readonly signal: AbortSignal | undefined;
  /** Hears what work threw that nobody waits for any more. */
  failed(error: unknown): void;
}

type Settled<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

/**
 * Runs the work under these locks and gives them back when it has settled, never before (rule H7). When one of them is lost or asked to end, or the
 * caller's signal aborts, all signals abort, and the work has `drainMs` to settle.
 * @throws what the work threw; else LeaseLostError (or LeaseEndedError of a longest hold) where a lock did not last as long as the work; else the
 * reason of `signal`; WorkNotStoppedError: the locks stay held, as long as they can be, until the work settles.
 */
export async function workUnder<T>(locks: readonly LockHandle[], work: () => Promise<T>, o: WorkOptions): Promise<T> {
  const drain = new AbortController();
  const onCaller = (): void => locks.forEach((lock) => lock.lease.askToStop("stopped"));
  let ending = false;
  let overdue: (() => void) | undefined;
  const tooLate = new Promise<undefined>((resolve) => (overdue = () => resolve(undefined)));
  const onEnd = (): void => {
    if (ending || !locks.some((lock) => lock.signal.aborted && !endedByHand(lock))) return;
    ending = true;
    // The work needs all of them.
    onCaller();
    void sleep(o.clock, o.drainMs, { signal: drain.signal, keepAlive: true }).then((full) => {
      if (full) overdue?.();
    });
  };
  for (const lock of locks) lock.signal.addEventListener("abort", onEnd, { once: true });
  const unheard = o.signal && onAbort(o.signal, onCaller);
  // A session that closes waits for it.
  const worked = locks.map((lock) => lock.lease.work?.());
  const finish = async (settled: Settled<T>): Promise<T> => {
    unheard?.();
    for (const lock of locks) lock.signal.removeEventListener("abort", onEnd);
    drain.abort();
    const result = judgeWork(locks, settled, o.signal);
    for (const done of worked) done?.();
    for (const lock of [...locks].reverse()) await lock.giveBack("released");
    return result();
  };
  if (o.signal?.aborted === true) return await finish({ ok: false, error: o.signal.reason });
  // One of several may be gone, or asked for, while the others were waited for.
  const gone = locks.find((lock) => !lock.isHeld());
  if (gone !== undefined) return await finish({ ok: false, error: gone.lease.over });
  onEnd();
  const settling = settle(work);
  const settled = await Promise.race([settling, tooLate]);
  if (settled !== undefined) return await finish(settled);
  void settling.then(finish).catch((error: unknown) => o.failed(error));
  throw notStopped(locks, o.drainMs);
}

async function settle<T>(work: () => Promise<T>): Promise<Settled<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    return { ok: false, error };
  }
}

/** What the call comes to, as things are at the moment that its work settles. */
function judgeWork<T>(locks: readonly LockHandle[], settled: Settled<T>, signal: AbortSignal | undefined): () => T {
  const held = locks.map((lock) => lock.isHeld());
  const taken = locks.find((lock, i) => held[i] === false && !endedByHand(lock))?.lease.over;
  const aborted = locks.find((lock) => lock.signal.aborted);
  // Work that ends with the reason its signal aborted with, or with what an aborted call makes of it, has just obeyed.
  const obeyed = !settled.ok && ((aborted !== undefined && isAbort(settled.error, aborted.signal)) || settled.error === signal?.reason);
  const fail = (error: unknown) => (): never => {
    throw error;
  };
  if (!settled.ok && !obeyed) return fail(settled.error);
  if (taken !== undefined) return fail(taken);
  if (signal?.aborted === true) return fail(signal.reason);
  if (!settled.ok) return fail(aborted?.signal.reason ?? settled.error);
  return () => settled.value;
}

/** The work itself released it, or handed it off: nothing was taken from it. */
function endedByHand({ lease: { over } }: LockHandle): boolean {
  return over !== undefined && !(over instanceof LeaseLostError) && over.reason !== "max-hold";
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === "AbortError");
}

function notStopped(locks: readonly LockHandle[], drainMs: number): WorkNotStoppedError {
  const names = locks.map((lock) => `"${lock.key}" (fencing token ${lock.fencingToken})`).join(", ");
  const held = locks.some((lock) => lock.isHeld());
  return new WorkNotStoppedError(
    `the work under ${names} had not stopped ${drainMs} ms after its signal aborted (drainMs). ` +
      (held ? "The lock stays held until it does, or this process ends" : "The lock is over: the work must not touch anything any more"),
    { key: locks[0]?.key ?? "", waitedMs: drainMs, cause: locks.find((lock) => lock.signal.aborted)?.signal.reason },
  );
}
