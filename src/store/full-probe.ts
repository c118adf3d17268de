import type { ObjectStore } from "./object-store.ts";
import { FULL_PROBE, runProbe } from "./probe.ts";
import { S3Store, type FullProbe, type FullProbeOptions } from "./s3-store.ts";

/**
 * The whole probe, as the `doctor` command runs it: every step, 20 races of creates and 20 of replaces with 16 writers each (about 750 requests).
 * Uses keys of its own below the hidden folder and removes them. With `save`, its result becomes the verdict of the bucket.
 * @throws StoreUnsafeError, StoreAccessError, StoreUnavailableError, or the reason of `signal`.
 */
export async function fullProbe(store: ObjectStore, options: FullProbeOptions = {}): Promise<FullProbe> {
  if (store instanceof S3Store) return await store.fullProbe(options);
  const place = { endpoint: store.url, bucket: "", prefix: "" };
  return { ...(await runProbe(store, { place, plan: FULL_PROBE, signal: options.signal, onStep: options.onStep })), saved: false };
}
