/** A pipeline of three steps, each a process of its own, that keeps others out of the same environment from the first to the last. */
import { appendFile } from "node:fs/promises";
import { LockHeldError, Locks, NotHeldError, type ReleaseOutcome } from "s3-consensus";

const locks = new Locks({ store: "s3://ci/locks?region=eu-central-1", node: process.env["CI_JOB_URL"] });

export async function begin(environment: string): Promise<void> {
  const lock = await locks.acquire(environment, {
    ttlMs: 900_000,
    autoRenew: false,
    waitMs: 1_800_000,
    metadata: { job: 871, by: "main" },
  });
  await appendFile(process.env["GITHUB_ENV"] ?? "/dev/null", `LOCK=${await lock.handOff()}\n`);
}

export async function deploy(step: (signal: AbortSignal) => Promise<void>): Promise<string | undefined> {
  try {
    await using lock = await locks.resume(process.env["LOCK"] ?? "");
    await step(lock.signal);
    await lock.renew();
    return await lock.handOff();
  } catch (e) {
    if (e instanceof NotHeldError) return undefined;
    throw e;
  }
}

export async function end(): Promise<ReleaseOutcome> {
  const lock = await locks.resume(process.env["LOCK"] ?? "", { signal: new AbortController().signal });
  return await lock.release();
}

export function explain(e: unknown): string {
  if (!(e instanceof LockHeldError)) return String(e);
  const [first, ...others] = e.holders;
  const left = first.freeInMs === undefined ? "an unknown time" : `${Math.ceil(first.freeInMs / 1000)} s`;
  return `${e.key} is held by ${first.holder} since ${first.acquiredAt.toISOString()}, token ${first.fencingToken}; free in ${left} (${others.length} others)`;
}
