/** Records for tests: one that is right, and ways to change it. */
import { encodeRecord } from "../../src/record/codec.ts";
import type { TimedRecord } from "../../src/record/record.ts";

export const KEY = "locks/elections/x";

let count = 0;

export function someRecord(over: Partial<TimedRecord> = {}): TimedRecord {
  const nonce = over.nonce ?? `nonce-${++count}`;
  return {
    state: "held",
    holder: "a",
    instance: "instance-a",
    nonce,
    holderNonce: nonce,
    fencingToken: 1,
    version: 1,
    ttlMs: 15_000,
    marginMs: 1_500,
    acquiredAt: "2026-01-01T00:00:00.000Z",
    renewedAt: "2026-01-01T00:00:00.000Z",
    expiresAt: "2026-01-01T00:00:13.500Z",
    extra: {},
    ...over,
  };
}

export function someBody(over: Partial<TimedRecord> = {}): Uint8Array {
  return encodeRecord(KEY, someRecord(over));
}

export function jsonBody(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
