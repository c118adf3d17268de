/** A lease in virtual time, with a tap between it and its store: what is sent is written down, and a test may answer in the store's place. */
import { StoreAccessError, StoreUnavailableError, type AnyConsensusError, type RecordError } from "../../src/errors.ts";
import { contend, type ContendOptions } from "../../src/lease/contend.ts";
import { LeaseObject, type LeaseSettings } from "../../src/lease/lease-object.ts";
import type { Tenancy } from "../../src/lease/tenancy.ts";
import { deriveTiming } from "../../src/lease/timing.ts";
import { decodeRecord, encodeRecord } from "../../src/record/codec.ts";
import type { Flag, LeaseRecord, TimedRecord } from "../../src/record/record.ts";
import type { ObjectStore, ReadResult, RequestOptions, StoreVerdict, WriteResult } from "../../src/store/object-store.ts";
import type { TestNode, TestWorld } from "../../src/testing/sim/test-world.ts";
import { KEY, someRecord } from "./records.ts";

export const TTL = 15_000;
/** How long a holder believes: ttl - margin. */
export const LIFE = 13_500;
/** How long a record is watched before its holder is dead: W. */
export const WATCH = 16_500;
export const POLL = 5_000;

export interface Call {
  readonly kind: "get" | "create" | "replace";
  /** `If-Match` of a replace, `If-None-Match` of a get. */
  readonly etag: string | undefined;
  /** What a write puts there. */
  readonly record: LeaseRecord | undefined;
  readonly body: Uint8Array | undefined;
  readonly options: RequestOptions;
  readonly sentMs: number;
  answer: ReadResult | WriteResult | undefined;
}

export interface Taps {
  read?: ((send: () => Promise<ReadResult>, call: Call) => Promise<ReadResult>) | undefined;
  write?: ((send: () => Promise<WriteResult>, call: Call) => Promise<WriteResult>) | undefined;
  prepare?: (() => Promise<void>) | undefined;
  verdict?: (() => Promise<StoreVerdict>) | undefined;
}

export interface TappedStore extends ObjectStore {
  readonly calls: Call[];
  /** May be set at any time. */
  readonly taps: Taps;
  /** What was sent since the last time that this was asked for, as short words. */
  sent(): string[];
}

export function tap(inner: ObjectStore, taps: Taps = {}): TappedStore {
  const calls: Call[] = [];
  let told = 0;
  const note = (kind: Call["kind"], etag: string | undefined, body: Uint8Array | undefined, options: RequestOptions): Call => {
    const record = body === undefined ? undefined : decodeRecord(KEY, body);
    const call: Call = { kind, etag, record, body, options, sentMs: inner.clock.monotonicMs(), answer: undefined };
    calls.push(call);
    return call;
  };
  const write = async (send: () => Promise<WriteResult>, call: Call): Promise<WriteResult> => {
    const answer = await (taps.write === undefined ? send() : taps.write(send, call));
    call.answer = answer;
    return answer;
  };
  return {
    calls,
    taps,
    sent: () => calls.slice(told, (told = calls.length)).map((c) => c.kind),
    url: `${inner.url}/tapped`,
    clock: inner.clock,
    random: inner.random,
    stats: () => inner.stats(),
    prepare: () => (taps.prepare === undefined ? inner.prepare() : taps.prepare()),
    ensureSafe: (o) => (taps.verdict === undefined ? inner.ensureSafe(o) : taps.verdict()),
    get: async (key, options = {}) => {
      const call = note("get", options.ifNoneMatch, undefined, options);
      const send = (): Promise<ReadResult> => inner.get(key, options);
      const answer = await (taps.read === undefined ? send() : taps.read(send, call));
      call.answer = answer;
      return answer;
    },
    create: (key, body, options = {}) => write(() => inner.create(key, body, options), note("create", undefined, body, options)),
    replace: (key, etag, body, options = {}) => write(() => inner.replace(key, etag, body, options), note("replace", etag, body, options)),
    list: (prefix, options) => inner.list(prefix, options),
    remove: (key, options) => inner.remove(key, options),
  };
}

export const unavailable = new StoreUnavailableError("the tap answers nothing");
export const unknown: WriteResult = { kind: "unknown", error: unavailable };
export const refused: WriteResult = { kind: "refused", status: 412, dateMs: undefined };
export const missing: WriteResult = { kind: "refused", status: 404, dateMs: undefined };
export const deniedWrite: WriteResult = { kind: "denied", error: new StoreAccessError("the tap denies", { hint: "none" }) };
export const noAnswer: ReadResult = { kind: "unavailable", error: unavailable };

export function leaseOn(store: ObjectStore, over: Partial<LeaseSettings> = {}): LeaseObject {
  const { timing } = deriveTiming({ ttlMs: TTL });
  return new LeaseObject({ store, key: KEY, node: "a", timing, pollMs: POLL, takeover: "auto", ...over });
}

export interface Heard {
  readonly failures: { readonly error: AnyConsensusError; readonly remainingMs: number }[];
  readonly flags: Flag[];
  readonly troubles: (StoreUnavailableError | RecordError)[];
  looks: number;
}

export interface Attempt extends Heard {
  readonly lease: LeaseObject;
  readonly stop: AbortController;
  readonly done: Promise<Tenancy | undefined>;
}

/** A lease object that contends. */
export function contending(lease: LeaseObject, over: Partial<ContendOptions> = {}): Attempt {
  const stop = new AbortController();
  const heard: Heard = { failures: [], flags: [], troubles: [], looks: 0 };
  const done = contend(lease, {
    signal: stop.signal,
    hooks: {
      renewalFailed: (error, remainingMs) => void heard.failures.push({ error, remainingMs }),
      flagged: (flag) => void heard.flags.push(flag),
    },
    onLook: () => void heard.looks++,
    onTrouble: (error) => void heard.troubles.push(error),
    ...over,
  });
  done.catch(() => {});
  return Object.assign(heard, { lease, stop, done });
}

/** Acquired, at once or after whatever wait it takes. */
export async function acquired(
  world: TestWorld,
  lease: LeaseObject,
  over: Partial<ContendOptions> = {},
): Promise<Attempt & { readonly tenancy: Tenancy }> {
  const attempt = contending(lease, over);
  const tenancy = await world.until(attempt.done, 120_000);
  if (tenancy === undefined) throw new Error("it was not acquired");
  return Object.assign(attempt, { tenancy });
}

export function recordIn(world: TestWorld): TimedRecord {
  const body = world.peek(KEY);
  if (body === undefined) throw new Error("there is no record");
  const record = decodeRecord(KEY, body);
  if (record.session !== undefined) throw new Error("it names a session");
  return record;
}

/** What an operator's tool does: writes over the record that is there now, changing this much. */
export function operatorWrites(world: TestWorld, over: Partial<TimedRecord>): TimedRecord {
  const now = recordIn(world);
  const record: TimedRecord = { ...now, nonce: `operator-${now.version + 1}`, version: now.version + 1, ...over };
  world.overwrite(KEY, encodeRecord(KEY, record));
  return record;
}

/** Runs the world in small steps until `is` holds; answers with the true time then. */
export async function when(world: TestWorld, is: () => boolean, withinMs = 120_000, stepMs = 1): Promise<number> {
  const end = world.nowMs + withinMs;
  while (!is()) {
    if (world.nowMs >= end) throw new Error(`it did not happen within ${withinMs} ms`);
    await world.advance(stepMs);
  }
  return world.nowMs;
}

export const goodVerdict: StoreVerdict = { storeTime: true, skewMs: 1_000, remarks: [] };

/** A node whose path to the store was proven before (rule W9), so that only the lease's own requests are counted. */
export function proven(node: TestNode): TappedStore {
  return tap(node.store, { verdict: () => Promise.resolve(goodVerdict) });
}

/** Another's record, held unless said otherwise. */
export function put(world: TestWorld, over: Parameters<typeof someRecord>[0] = {}): void {
  world.overwrite(KEY, encodeRecord(KEY, someRecord({ holder: "z", instance: "other", holderNonce: "o", ...over })));
}
