/** A locker for tus uploads: who comes later asks the holder to let go, and the holder's request is told so. */
import { type Lock, LockHeldError, Locks, type Store } from "s3-consensus";

/** The interface that the upload server has. */
interface TusLock {
  lock(stop: AbortSignal, requestRelease: () => void): Promise<void>;
  unlock(): Promise<void>;
}
interface TusLocker {
  newLock(id: string): TusLock;
}

export class ConsensusLocker implements TusLocker {
  readonly #locks: Locks;

  constructor(store: Store) {
    this.#locks = new Locks({ store, defaults: { ttlMs: 10_000, askHolder: true, waitMs: 5_000 } });
  }

  newLock(id: string): TusLock {
    const locks = this.#locks;
    let held: Lock | undefined;
    return {
      async lock(signal, requestRelease) {
        try {
          held = await locks.acquire(`upload/${id}`, { signal, onAsked: requestRelease });
          held.signal.addEventListener("abort", requestRelease, { once: true });
        } catch (e) {
          if (e instanceof LockHeldError) throw new Error(`423: the upload is in use by ${e.holders[0].holder}`, { cause: e });
          throw e;
        }
      },
      async unlock() {
        await held?.release();
        held = undefined;
      },
    };
  }
}
