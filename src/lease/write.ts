/** A lease's own writes: `deliver`, with the record's nonce to decide what became of one. */
import { encodeRecord, MAX_RECORD_BYTES } from "../record/codec.ts";
import type { LeaseRecord } from "../record/record.ts";
import type { Counters } from "./counters.ts";
import { deliver, type DeliveryContext, type DeliveryEnd, type DeliveryLimits } from "./deliver.ts";
import { type LogicalWrite, settle, type Settlement } from "./settle.ts";
import type { WrittenNonces } from "./written.ts";

export interface WriteContext extends DeliveryContext {
  readonly key: string;
  readonly counters: Counters;
  /** Nonces of this lease object; the write's own is added before it is first sent. */
  readonly written: WrittenNonces;
  /** Called before each attempt: what it throws ends the write. */
  readonly beforeSend?: (() => void) | undefined;
  /** Hears of each older version that a read shows after a refusal (rule W7). */
  readonly onOlder?: ((record: LeaseRecord) => void) | undefined;
}

export type WriteLimits = DeliveryLimits;
export type WriteEnd<R extends LeaseRecord = LeaseRecord> = DeliveryEnd<Exclude<Settlement<R>, { kind: "mine" | "again" }>>;

/** Carries one write of a lease's record to its end. */
export async function carryOut<R extends LeaseRecord>(
  context: WriteContext,
  write: LogicalWrite<R>,
  limits: WriteLimits,
): Promise<WriteEnd<R>> {
  const { key, written } = context;
  return await deliver(
    context,
    {
      key,
      body: encodeRecord(key, write.record),
      baseEtag: write.base?.etag,
      maxBytes: MAX_RECORD_BYTES,
      beforeSend: context.beforeSend,
      onFirstSend: (at) => written.add(write.record.nonce, at),
      settle: (read) => {
        const settled = settle(key, write, read, written);
        if (settled.kind === "again" && settled.older !== undefined) context.onOlder?.(settled.older);
        if (settled.kind === "mine" || settled.kind === "again") return settled;
        return { kind: "settled", as: settled, applied: settled.kind === "still-mine" && settled.applied };
      },
    },
    limits,
  );
}
