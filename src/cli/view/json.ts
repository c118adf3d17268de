/** How a holder looks in JSON (docs/schemas/). Instants are ISO 8601, durations milliseconds. */
import type { HolderInfo } from "../../errors.ts";

export function holderJson(h: HolderInfo): object {
  const { key, fencingToken, holder, acquiredAt, renewedAt, freeInMs, metadata } = h;
  return {
    key,
    fencingToken,
    holder,
    acquiredAt: acquiredAt.toISOString(),
    renewedAt: renewedAt.toISOString(),
    freeInMs: freeInMs ?? null,
    metadata: metadata ?? null,
  };
}
