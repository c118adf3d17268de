/** Five thousand devices, each owned by one gateway: one session, one heartbeat. */
import { type Lock, type LockApi, Session, type SessionOptions } from "s3-consensus";

export async function gateway(options: SessionOptions, devices: readonly string[], serve: (lock: Lock) => Promise<void>): Promise<number> {
  await using session = await Session.open({ ...options, ttlMs: options.ttlMs ?? 15_000 });
  const api: LockApi = session.locks();
  const owned = new Map<string, Lock>();
  const left = [...devices];
  // As many at a time as the session sends anyway.
  await Promise.all(
    Array.from({ length: 32 }, async () => {
      for (let id = left.pop(); id !== undefined && !session.signal.aborted; id = left.pop()) {
        const lock = await api.tryAcquire(`device/${id}`, { metadata: { gateway: session.node } });
        if (lock !== undefined) owned.set(id, lock);
      }
    }),
  );
  await Promise.all([...owned.values()].map(async (lock) => await serve(lock)));
  return owned.size;
}

export async function lostAtOnce(session: Session, locks: ReadonlyMap<string, Lock>): Promise<readonly string[]> {
  if (!session.signal.aborted) await new Promise((resolve) => session.signal.addEventListener("abort", resolve, { once: true }));
  const { reason } = session.signal;
  return reason.code === "LEASE_LOST" ? [...locks].map(([id, lock]) => `${id}: ${lock.signal.reason.message}`) : [];
}
