/** How things look in JSON (docs/cli.schema.json). Instants are ISO 8601, durations milliseconds; what is not known is null. */
import type { HolderInfo } from "../../errors.ts";
import { type LeaseView, leftMs } from "./catalogue.ts";

export function holderJson(h: HolderInfo): object {
  const { key, fencingToken, holder, acquiredAt, renewedAt, freeInMs = null, metadata = null } = h;
  return { key, fencingToken, holder, acquiredAt: acquiredAt.toISOString(), renewedAt: renewedAt.toISOString(), freeInMs, metadata };
}

export function leaseJson(view: LeaseView): Record<string, unknown> {
  const { kind, name, key, state, etag, record, ageMs, problem } = view;
  const whole = (ms: number | undefined): number | null => (ms === undefined ? null : Math.round(ms));
  return {
    kind,
    name,
    key,
    state,
    holder: record?.holder ?? null,
    fencingToken: record?.fencingToken ?? null,
    version: record?.version ?? null,
    acquiredAt: record?.acquiredAt ?? null,
    renewedAt: record?.renewedAt ?? null,
    ttlMs: record?.session === undefined ? (record?.ttlMs ?? null) : null,
    ageMs: whole(ageMs),
    leftMs: whole(leftMs(view)),
    metadata: record?.metadata ?? null,
    flag: record?.state === "held" ? (record.flag?.kind ?? null) : null,
    session: record?.session ?? null,
    etag,
    problem: problem ?? null,
  };
}
