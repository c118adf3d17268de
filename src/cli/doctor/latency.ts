/** How long a read and a write of one small object take, one after the other. Its object is removed again. */
import { freshId } from "../../clock/wait.ts";
import type { S3Store } from "../../store/s3-store.ts";
import { HIDDEN_FOLDER } from "../../store/verdict.ts";

export interface Latency {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Measured {
  readonly get: Latency;
  readonly put: Latency;
  /** Writes that the store put off. */
  readonly busy: number;
  /** Whether a DELETE with a wrong `If-Match` was refused; `undefined` where the answer told nothing. */
  readonly deleteKeepsConditions: boolean | undefined;
  readonly removed: boolean;
}

const ROUNDS = 50;
/** A slow store is measured less often. */
const LIMIT_MS = 8_000;

export async function measure(store: S3Store, signal: AbortSignal): Promise<Measured> {
  const key = `${HIDDEN_FOLDER}doctor-${freshId(store.random, 8)}`;
  const { clock } = store;
  const startMs = clock.monotonicMs();
  const gets: number[] = [];
  const puts: number[] = [];
  let busy = 0;
  let etag: string | undefined;
  let removed = false;
  try {
    for (let round = 0; round < ROUNDS && clock.monotonicMs() - startMs < LIMIT_MS; round++) {
      signal.throwIfAborted();
      const body = new TextEncoder().encode(JSON.stringify({ format: "s3-consensus/doctor", nonce: freshId(store.random) }));
      const sentMs = clock.monotonicMs();
      const written = etag === undefined ? await store.create(key, body) : await store.replace(key, etag, body);
      const writtenMs = clock.monotonicMs();
      if (written.kind === "denied") throw written.error;
      if (written.kind === "busy") busy++;
      if (written.kind === "applied") puts.push(writtenMs - sentMs);
      const read = await store.get(key, { maxBytes: 1024 });
      if (read.kind === "denied") throw read.error;
      if (read.kind !== "unavailable") gets.push(clock.monotonicMs() - writtenMs);
      etag = read.kind === "found" ? read.etag : etag;
    }
    const refused = await store.examine({ op: "delete", key, ifMatch: `"${freshId(store.random)}"` });
    const deleteKeepsConditions = "error" in refused ? undefined : refused.status === 412 ? true : refused.status < 300 ? false : undefined;
    removed = (await store.remove(key)) === "removed";
    return { get: latencyOf(gets), put: latencyOf(puts), busy, deleteKeepsConditions, removed };
  } finally {
    // Also after an error or Ctrl-C: nothing is left behind where it may be removed.
    if (!removed) await store.remove(key);
  }
}

function latencyOf(samples: readonly number[]): Latency {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99) };
}
