import { addMs, readClocks } from "../clock/deadline.ts";
import { freshId } from "../clock/wait.ts";
import type { Flag, LeaseRecord } from "../record/record.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { Counters } from "./counters.ts";
import { fateOf } from "./member.ts";
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
  if (record.session !== undefined) {
    // It goes to the member, which is what the holder renews, and names the lock (rule S15). What is known of the member has just been looked at.
    const ref = record.session;
    const fate = fateOf(observationsOf(store).view(ref.member), ref, store.clock.monotonicMs(), 0);
    if (fate.kind !== "alive") return undefined;
    const lock = { key, fencingToken: record.fencingToken };
    return await writeFlag(store, ref.member, fate.seen, { ...flag, lock }, requestTimeoutMs);
  }
  if (record.state !== "held" || record.flag !== undefined) return undefined;
  const end = await writeOver(store, key, base, { ...record, flag }, requestTimeoutMs);
  return end.kind === "applied" ? end.etag : undefined;
}
