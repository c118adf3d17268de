/** A process of `demo lock`: it takes the lock, keeps it renewed while it works, gives it back, and queues again. */
import { systemClock } from "../../clock/system.ts";
import { link, sleep } from "../../clock/wait.ts";
import { LockHeldError, StoreUnavailableError } from "../../errors.ts";
import type { Lock } from "../../locks/api.ts";
import { Locks } from "../../locks/locks.ts";
import { shutdownSignal } from "../../node.ts";
import { s3Store } from "../../store/s3.ts";
import { act, sayDemoted, sayElected, settings } from "./telling.ts";

const { store: url, name, node, ttlMs, pollMs, workMs } = settings;
/** Whoever has just given it back lets others have their turn. */
const REST_MS = 2 * pollMs;
const store = s3Store(url);
const locks = new Locks({ store, node });
const stop = shutdownSignal();
let held: Lock | undefined;
let sees: string | undefined;

await act(
  store,
  () => ({ held, sees: held === undefined ? sees : node }),
  async () => {
    const looking = keepLooking();
    try {
      while (!stop.aborted) {
        held = await next();
        if (held === undefined) continue;
        await hold(held);
        held = undefined;
        await sleep(systemClock, REST_MS, { signal: stop, keepAlive: true });
      }
    } catch (e) {
      if (!stop.aborted) throw e;
    }
    await looking;
  },
);

/** The others show who holds it. */
async function keepLooking(): Promise<void> {
  do {
    // A look that fails is no news; whoever waits for the lock tries on, too.
    if (held === undefined) sees = (await locks.inspect(name).catch(() => undefined))?.holder;
  } while (await sleep(systemClock, pollMs, { signal: stop }));
}

async function next(): Promise<Lock | undefined> {
  try {
    return await locks.acquire(name, { ttlMs, waitMs: 10 * ttlMs, signal: stop });
  } catch (e) {
    if (!(e instanceof LockHeldError || e instanceof StoreUnavailableError)) throw e;
    return undefined;
  }
}

async function hold(lock: Lock): Promise<void> {
  sayElected(lock);
  const ended = new AbortController();
  const undo = [link(stop, ended), link(lock.signal, ended)];
  await sleep(systemClock, workMs ?? Number.MAX_SAFE_INTEGER, { signal: ended.signal, keepAlive: true });
  for (const fn of undo) fn();
  // Belief ends with the call, before anything is sent.
  const given = lock.release();
  sayDemoted(lock.fencingToken, lock.signal.reason);
  await given;
}
