/** Sessions in virtual time, and their locks as the lease room gives them: without the faces. */
import type { AnyConsensusError } from "../../src/errors.ts";
import { contend, type ContendOptions } from "../../src/lease/contend.ts";
import { LeaseObject, type LeaseSettings } from "../../src/lease/lease-object.ts";
import type { Tenancy } from "../../src/lease/tenancy.ts";
import { deriveTiming } from "../../src/lease/timing.ts";
import { decodeRecord, encodeRecord } from "../../src/record/codec.ts";
import type { Flag, LeaseRecord, SessionRecord, TimedRecord } from "../../src/record/record.ts";
import { Cleaner } from "../../src/session/cleaner.ts";
import { gated } from "../../src/session/gate.ts";
import { Holdings } from "../../src/session/holdings.ts";
import type { ObjectStore, StoreVerdict } from "../../src/store/object-store.ts";
import type { TestNode, TestWorld } from "../../src/testing/sim/test-world.ts";

export const TTL = 15_000;
export const LIFE = 13_500;
export const WATCH = 16_500;
export const POLL = 5_000;
export const TIMING = deriveTiming({ ttlMs: TTL }).timing;

export interface Call {
  readonly kind: "get" | "create" | "replace";
  readonly key: string;
  readonly etag: string | undefined;
  readonly atMs: number;
}

export interface CountedStore extends ObjectStore {
  readonly calls: Call[];
  /** What was sent since the last time that this was asked for: "get a", "replace members/…". */
  sent(): string[];
}

const goodVerdict: StoreVerdict = { storeTime: true, skewMs: 1_000, remarks: [] };

/** A store whose path was proven before (rule W9), and that writes down what is sent. */
export function counted(inner: ObjectStore): CountedStore {
  const calls: Call[] = [];
  let told = 0;
  const note = (kind: Call["kind"], key: string, etag?: string): void =>
    void calls.push({ kind, key, etag, atMs: inner.clock.monotonicMs() });
  return {
    calls,
    sent: () => calls.slice(told, (told = calls.length)).map((c) => `${c.kind} ${c.key.replace(/members\/.*/, "member")}`),
    url: inner.url,
    clock: inner.clock,
    random: inner.random,
    stats: () => inner.stats(),
    prepare: () => inner.prepare(),
    ensureSafe: () => Promise.resolve(goodVerdict),
    get: (key, o) => (note("get", key, o?.ifNoneMatch), inner.get(key, o)),
    create: (key, body, o) => (note("create", key), inner.create(key, body, o)),
    replace: (key, etag, body, o) => (note("replace", key, etag), inner.replace(key, etag, body, o)),
    list: (prefix, o) => inner.list(prefix, o),
    remove: (key, o) => inner.remove(key, o),
  };
}

export interface Member {
  readonly store: CountedStore;
  readonly membership: Tenancy;
  readonly tie: Holdings;
  readonly cleaner: Cleaner;
  readonly key: string;
}

let ids = 0;

/** A member without the `Session` around it. */
export async function member(world: TestWorld, node: TestNode, over: Partial<LeaseSettings> = {}): Promise<Member> {
  const store = counted(node.store);
  const key = `locks/members/m${++ids}`;
  const tied: { tie: Holdings | undefined } = { tie: undefined };
  const lease = new LeaseObject({ store, key, node: node.name, timing: TIMING, pollMs: POLL, takeover: "observe", isFresh: true, ...over });
  const membership = await world.until(
    contend(lease, {
      signal: new AbortController().signal,
      hooks: { renewalFailed() {}, flagged: (flag) => void tied.tie?.flagged(flag) },
      onLook() {},
      onTrouble() {},
    }),
  );
  if (membership === undefined) throw new Error("the member was not acquired");
  const cleaner = new Cleaner({
    clock: store.clock,
    isHeld: () => membership.isHeld(),
    pollMs: POLL,
    onTooMany: () => membership.endBelief("stopped"),
    onTrouble() {},
  });
  void membership.ended.then(() => cleaner.stop());
  const tie = (tied.tie = new Holdings(membership, cleaner));
  return { store, membership, tie, cleaner, key };
}

export interface Attempt {
  readonly lease: LeaseObject;
  readonly stop: AbortController;
  readonly done: Promise<Tenancy | undefined>;
  readonly flags: Flag[];
  readonly troubles: AnyConsensusError[];
}

/** Contends for a key: through a member's session, or on one's own. */
export function contending(
  store: ObjectStore,
  key: string,
  through: Member | undefined,
  over: Partial<LeaseSettings> & Partial<Pick<ContendOptions, "untilMs">> = {},
): Attempt {
  const { untilMs, ...settings } = over;
  const session = through?.tie;
  const lease = new LeaseObject({
    store: through === undefined ? store : gated(store),
    key,
    node: "n",
    timing: TIMING,
    pollMs: POLL,
    takeover: "auto",
    ...settings,
    session,
  });
  const stop = new AbortController();
  const flags: Flag[] = [];
  const troubles: AnyConsensusError[] = [];
  const done = contend(lease, {
    signal: stop.signal,
    untilMs,
    hooks: { renewalFailed() {}, flagged: (flag) => void flags.push(flag) },
    onLook() {},
    onTrouble: (error) => void troubles.push(error),
  });
  done.catch(() => {});
  return { lease, stop, done, flags, troubles };
}

export async function locked(world: TestWorld, through: Member, key: string): Promise<Tenancy> {
  const tenancy = await world.until(contending(through.store, key, through).done);
  if (tenancy === undefined) throw new Error(`${key} was not acquired`);
  return tenancy;
}

export function recordAt(world: TestWorld, key: string): LeaseRecord {
  const body = world.peek(key);
  if (body === undefined) throw new Error(`there is nothing at ${key}`);
  return decodeRecord(key, body);
}

export function sessionRecordAt(world: TestWorld, key: string): SessionRecord {
  const record = recordAt(world, key);
  if (record.session === undefined) throw new Error(`${key} names no session`);
  return record;
}

export function timedRecordAt(world: TestWorld, key: string): TimedRecord {
  const record = recordAt(world, key);
  if (record.session !== undefined) throw new Error(`${key} names a session`);
  return record;
}

export function put(world: TestWorld, key: string, record: LeaseRecord): void {
  world.overwrite(key, encodeRecord(key, record));
}
