/** Numbers for workers, and permits for a scarce thing: two kinds of several at once. */
import { type Held, type LockApi, LockHeldError, Locks, type Semaphore, type Slot } from "s3-consensus";

const locks = new Locks({ store: "s3://jobs/prod" });

/** A snowflake generator needs a machine id that nobody else has while it runs. */
export async function machineId(): Promise<Slot> {
  const place: Slot = await locks.slot("snowflake", { slots: 1024, lockDelayMs: 1_000, metadata: { host: "a" } });
  place.signal.addEventListener("abort", () => process.exit(1));
  return place;
}

export function gpus(api: LockApi): Semaphore {
  return api.semaphore("gpu", { permits: 4 });
}

export async function train(job: (device: number, signal: AbortSignal) => Promise<void>): Promise<"done" | readonly string[]> {
  try {
    await using gpu = await gpus(locks).acquire({ waitMs: 60_000, maxHoldMs: 3_600_000 });
    await job(gpu.index, gpu.signal);
    return "done";
  } catch (e) {
    if (e instanceof LockHeldError) return e.holders.map((h) => `${h.key} ${h.holder} ${JSON.stringify(h.metadata)}`);
    throw e;
  }
}

/** Whatever is held is given back in the same way. */
export async function giveBack(all: readonly Held[]): Promise<void> {
  await Promise.all(all.map(async (held) => await held.release()));
}
