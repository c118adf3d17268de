import { addMs, readClocks } from "../clock/deadline.ts";
import { freshId } from "../clock/wait.ts";
import type { Flag, LeaseRecord } from "../record/record.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { Counters } from "./counters.ts";
import { observationsOf, type Sighting } from "./observations.ts";
import { carryOut, type WriteEnd } from "./write.ts";
import { WrittenNonces } from "./written.ts";

const ATTEMPTS = 3;

/**
 * A write over a record by one who does not hold it: CAS on exactly the version that it was copied from. What was applied is noted as seen, from
 * now on: the watch of rule C2 begins again with it.
 */
export async function writeOver(
  store: ObjectStore,
  key: string,
  base: { readonly etag: string; readonly record: LeaseRecord },
  changed: LeaseRecord,
  requestTimeoutMs: number,
): Promise<WriteEnd> {
  const record: LeaseRecord = { ...changed, nonce: freshId(store.random), version: base.record.version + 1 };
  const end = await carryOut(
    { store, key, counters: new Counters(), written: new WrittenNonces(), requestTimeoutMs },
    { record, base },
    {
      until: addMs(readClocks(store.clock), ATTEMPTS * requestTimeoutMs),
      forMs: ATTEMPTS * requestTimeoutMs,
      maxAttempts: ATTEMPTS,
      abortRequests: false,
      explainRefusal: false,
    },
  );
  if (end.kind === "applied") {
    const sinceMs = store.clock.monotonicMs();
    observationsOf(store).view(key).accept({ etag: end.etag, record, sinceMs, lastModifiedMs: undefined, dateMs: undefined });
  }
  return end;
}

/**
 * A word to the holder (rule O1): it changes `flag`, `nonce` and `version` alone, and never a record that bears a flag already, because flags without
 * end would keep a dead lease alive.
 * @returns the flagged version, or `undefined` where it was not written, or is not known to be.
 */
export async function writeFlag(
  store: ObjectStore,
  key: string,
  base: Pick<Sighting, "etag" | "record">,
  flag: Flag,
  requestTimeoutMs: number,
): Promise<string | undefined> {
  const { record } = base;
  // For a lock of a session the flag goes to the member, which is what its holder renews (rule S15).
  if (record.session !== undefined || record.state !== "held" || record.flag !== undefined) return undefined;
  const end = await writeOver(store, key, base, { ...record, flag }, requestTimeoutMs);
  return end.kind === "applied" ? end.etag : undefined;
}
