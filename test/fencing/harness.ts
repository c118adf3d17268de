/** Fenced objects in virtual time, with a tap between them and their store: what is sent is written down, and a test may answer in the store's place. */
import { StoreUnavailableError, type Fence } from "../../src/errors.ts";
import { decodePointer, encodePointer, type Pointer } from "../../src/fencing/pointer.ts";
import type { ObjectStore, ReadResult, StoreVerdict, WriteResult } from "../../src/store/object-store.ts";
import type { TestWorld } from "../../src/testing/sim/test-world.ts";

export const NAME = "reports/latest.json";
export const KEY = "fenced/reports%2Flatest.json";
export const BODIES = "fenced-bodies/reports%2Flatest.json/";

export const by = (fencingToken: number, key = "locks/report"): Fence => ({ key, fencingToken });

export const large = (byte: number, length = 100_000): Uint8Array => new Uint8Array(length).fill(byte);

export interface Taps {
  read?: ((send: () => Promise<ReadResult>, key: string) => Promise<ReadResult>) | undefined;
  write?: ((send: () => Promise<WriteResult>, key: string) => Promise<WriteResult>) | undefined;
  verdict?: (() => Promise<StoreVerdict>) | undefined;
}

export interface TappedStore extends ObjectStore {
  readonly taps: Taps;
  /** What was sent since the last time that this was asked for, as short words: `get`, `create`, `cas`, `delete`, `list`, with `+` for a large body. */
  sent(): string[];
}

/** A store whose path is proven already, so that only the fenced object's own requests are counted. */
export function tap(inner: ObjectStore): TappedStore {
  const taps: Taps = {};
  const sent: string[] = [];
  const note = (word: string, key: string): void => void sent.push(key.startsWith("fenced-bodies/") ? `${word}+` : word);
  return {
    taps,
    sent: () => sent.splice(0),
    url: `${inner.url}/tapped`,
    clock: inner.clock,
    random: inner.random,
    stats: () => inner.stats(),
    prepare: () => inner.prepare(),
    ensureSafe: () => taps.verdict?.() ?? Promise.resolve({ storeTime: true, skewMs: 1_000, remarks: [] }),
    get: (key, options) => {
      note("get", key);
      const send = (): Promise<ReadResult> => inner.get(key, options);
      return taps.read?.(send, key) ?? send();
    },
    create: (key, body, options) => {
      note("create", key);
      const send = (): Promise<WriteResult> => inner.create(key, body, options);
      return taps.write?.(send, key) ?? send();
    },
    replace: (key, etag, body, options) => {
      note("cas", key);
      const send = (): Promise<WriteResult> => inner.replace(key, etag, body, options);
      return taps.write?.(send, key) ?? send();
    },
    list: (prefix, options) => {
      note("list", prefix);
      return inner.list(prefix, options);
    },
    remove: (key, options) => {
      note("delete", key);
      return inner.remove(key, options);
    },
  };
}

export const unknown: WriteResult = { kind: "unknown", error: new StoreUnavailableError("the tap answers nothing") };
export const missing: WriteResult = { kind: "refused", status: 404, dateMs: undefined };

export function pointerIn(world: TestWorld): Pointer {
  const body = world.peek(KEY);
  if (body === undefined) throw new Error("there is no pointer");
  return decodePointer(KEY, body);
}

/** Puts a pointer there as if another had written it. */
export function overwrite(world: TestWorld, over: Partial<Pointer>): Pointer {
  const pointer: Pointer = {
    leaseKey: "locks/report",
    fencingToken: 1,
    version: 1,
    nonce: "theirs",
    before: [],
    content: { kind: "none" },
    writtenAt: "2026-01-01T00:00:00.000Z",
    extra: {},
    ...over,
  };
  world.overwrite(KEY, encodePointer(KEY, pointer));
  return pointer;
}

export const text = (body: Uint8Array | undefined): string | undefined => (body === undefined ? undefined : new TextDecoder().decode(body));
