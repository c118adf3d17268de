/** What to do about an open end of a session, seeing what stands there now (rule S14). Pure but for the fresh nonce. */
import type { Abandoned } from "../lease/session-tie.ts";
import type { LogicalWrite } from "../lease/settle.ts";
import { compareRecords, type LeaseRecord, type TimedRecord } from "../record/record.ts";

/**
 * The record shows what nobody wants: it is released. It shows the version that an acquisition on its way still needs: that one is rewritten once, as
 * released, and the acquisition can never be applied any more. It shows anything else: then the store has decided.
 */
export function settleBy(
  { lease, nonces, base, payload }: Abandoned,
  seen: { readonly etag: string; readonly record: LeaseRecord } | undefined,
): LogicalWrite<TimedRecord> | "decided" | "look again" {
  const { highest } = lease.view;
  if (seen === undefined) {
    // A create may still land: it is forestalled by another one.
    const isForestalled = base !== undefined && base.etag === undefined && highest === undefined;
    return isForestalled ? { base: undefined, record: lease.release(lease.acquisition(undefined), {}) } : "look again";
  }
  const { record } = seen;
  // A read from before what is known settles nothing (rule W7).
  if (highest !== undefined && compareRecords(record, highest) < 0) return "look again";
  if (record.state === "held" && nonces.includes(record.holderNonce))
    return { base: seen, record: lease.release(record, {}, payload ?? record.payload) };
  if (base?.etag !== seen.etag) return "decided";
  // It was free for the taking. As released it stays so; what kept others out of it is kept, and by which write its holder released it.
  const endedBy = record.state === "released" ? record.endedBy : "other";
  return { base: seen, record: { ...lease.release(record, {}), holderNonce: record.holderNonce, endedBy } };
}
