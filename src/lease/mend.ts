/**
 * The way out of a key on which nothing goes on by itself: its record is damaged or foreign, it can't be written any more (rule W6), or it went back
 * behind a token that is known (rule H10). An operator has looked at it and says which token it goes on from.
 */
import { toIso } from "../clock/calendar.ts";
import { freshId, sleep } from "../clock/wait.ts";
import { RecordError, StoreUnavailableError } from "../errors.ts";
import { decodeRecord, encodeRecord, MAX_RECORD_BYTES } from "../record/codec.ts";
import { compareRecords, type LeaseRecord, type SessionRef, type TimedRecord } from "../record/record.ts";
import type { ObjectStore, ReadResult } from "../store/object-store.ts";
import { deliver, type DeliveryEnd } from "./deliver.ts";
import { writeOver } from "./flag.ts";
import { fateOf } from "./member.ts";
import { observationsOf } from "./observations.ts";
import { type OperateOptions, POLL_MS, readRecord, REQUEST_TIMEOUT_MS } from "./operate.ts";
import type { Remains } from "./remains.ts";
import { watchMs } from "./timing.ts";

/** What stands at a key, whatever it is. */
export interface Standing {
  readonly etag: string;
  readonly body: Uint8Array;
}

export interface MendOptions extends OperateOptions {
  /** What the operator was shown; `undefined`: there is no object. */
  readonly seen: Standing | undefined;
  readonly remains: Remains;
  /** The next acquisition gets this and one. */
  readonly fencingToken: number;
  /** How long anybody may still believe, in milliseconds: the longest ttl that was in use. */
  readonly ttlMs: number;
  /** Puts what stands there in safety. Nothing is written before it resolves. */
  readonly keep?: ((bytes: Uint8Array) => Promise<void>) | undefined;
}

export type Mended =
  | { readonly kind: "mended"; readonly fencingToken: number }
  /** Something else stands there by now: whoever wrote it can write it. `record`, where it is one. */
  | { readonly kind: "changed"; readonly record: LeaseRecord | undefined }
  /** The session that holds it was renewed: it believes in the lock whatever its record says (rule S15). */
  | { readonly kind: "session-lives"; readonly session: SessionRef; readonly holder: string }
  /** The store takes neither a replacement nor a new object. */
  | { readonly kind: "refused" }
  /** It is not known whether it was written. */
  | { readonly kind: "unknown" };

const ATTEMPTS = 3;
/** Looks in a row that the store may leave unanswered. */
const MAX_UNANSWERED = 10;

/**
 * Watches the key for W, so that nobody believes in it any more; then writes a released record in the place of what stands there, by CAS on the
 * version that was watched. Where the store refuses that and goes on showing the very version, the record is created anew (rule W6): the one place
 * where a create does not follow a read of nothing.
 * @throws RecordError where the record of a session in question can't be read; StoreUnavailableError, StoreAccessError, StoreUnsafeError; what `keep`
 * throws; the reason of `signal`.
 */
export async function mend(store: ObjectStore, key: string, o: MendOptions): Promise<Mended> {
  await store.ensureSafe({ signal: o.signal });
  const hindrance = await watched(store, key, o);
  if (hindrance !== undefined) return hindrance;
  const { seen } = o;
  if (seen !== undefined) await o.keep?.(seen.body);
  const record = releasedAnew(store, o);
  let end = await send(store, key, record, seen, seen?.etag);
  if (seen !== undefined && end.kind === "undecided" && !end.mayLand && end.error === undefined)
    end = await send(store, key, record, seen, undefined);
  if (end.kind === "denied") throw end.error;
  if (end.kind === "settled") return { kind: "changed", record: end.as };
  if (end.kind !== "applied") return { kind: end.kind === "undecided" && end.mayLand ? "unknown" : "refused" };
  const view = observationsOf(store).view(key);
  view.accept({ etag: end.etag, record, sinceMs: store.clock.monotonicMs(), lastModifiedMs: undefined, dateMs: undefined });
  return { kind: "mended", fencingToken: o.fencingToken };
}

/** Unchanged for W under my eyes, and so is every session through which it may be held, or that one is over. */
async function watched(store: ObjectStore, key: string, o: MendOptions): Promise<Exclude<Mended, { kind: "mended" }> | undefined> {
  const { seen, remains, signal } = o;
  const known = seen && recordOf(key, seen.body);
  const forMs = watchMs({ ttlMs: o.ttlMs, marginMs: 0 });
  let sinceMs: number | undefined;
  let unanswered = 0;
  for (;;) {
    signal?.throwIfAborted();
    const read = await store.get(key, { ifNoneMatch: seen?.etag, maxBytes: Math.max(MAX_RECORD_BYTES, seen?.body.length ?? 0), signal });
    signal?.throwIfAborted();
    if (read.kind === "denied") throw read.error;
    if (read.kind === "unavailable") {
      if (++unanswered > MAX_UNANSWERED) throw read.error;
    } else {
      unanswered = 0;
      const sight = compare(key, read, seen, known);
      if (typeof sight === "object") return sight;
      if (sight === "same") sinceMs ??= store.clock.monotonicMs();
    }
    const lives = await firstAlive(store, remains.sessions, o);
    if (lives !== undefined && lives !== "unknown") return lives;
    if (lives === undefined && sinceMs !== undefined && store.clock.monotonicMs() - sinceMs >= forMs) return undefined;
    await sleep(store.clock, o.pollMs ?? POLL_MS, { signal, keepAlive: true });
  }
}

/** An older version than the one that was shown is a stale read and says nothing (rule W7). */
function compare(
  key: string,
  read: Exclude<ReadResult, { kind: "denied" | "unavailable" }>,
  seen: Standing | undefined,
  known: LeaseRecord | undefined,
): "same" | "stale" | Extract<Mended, { kind: "changed" }> {
  if (read.kind === "not-modified") return "same";
  if (read.kind === "absent") return seen === undefined ? "same" : { kind: "changed", record: undefined };
  if (read.kind === "too-large") return { kind: "changed", record: undefined };
  if (read.etag === seen?.etag) return "same";
  const record = recordOf(key, read.body);
  if (record !== undefined && known !== undefined && compareRecords(record, known) < 0) return "stale";
  return { kind: "changed", record };
}

/** @returns the first that was renewed meanwhile; "unknown" while one might be. One that is dead is ended on the way (rule S7). */
async function firstAlive(
  store: ObjectStore,
  sessions: readonly SessionRef[],
  o: MendOptions,
): Promise<Extract<Mended, { kind: "session-lives" }> | "unknown" | undefined> {
  let open = false;
  for (const session of sessions) {
    const before = fateOf(observationsOf(store).view(session.member), session, store.clock.monotonicMs(), 0);
    await readRecord(store, session.member, o.signal).catch((e: unknown) => {
      if (!(e instanceof StoreUnavailableError)) throw e;
    });
    const nowMs = store.clock.monotonicMs();
    const fate = fateOf(observationsOf(store).view(session.member), session, nowMs, o.pollMs ?? POLL_MS);
    if (fate.kind === "ended" || fate.kind === "missing") continue;
    if (fate.kind === "strange") throw fate.error;
    open = true;
    if (fate.kind === "unknown") continue;
    const { seen } = fate;
    if (before.kind === "alive" && before.seen.etag !== seen.etag) return { kind: "session-lives", session, holder: seen.record.holder };
    if (nowMs - seen.sinceMs < watchMs(seen.record)) continue;
    await writeOver(
      store,
      session.member,
      seen,
      { ...seen.record, state: "released", endedBy: "other", flag: undefined },
      REQUEST_TIMEOUT_MS,
    );
  }
  return open ? "unknown" : undefined;
}

/** Free for whoever wants it. What its face keeps in it, and what a later version has put there, goes on (rule R4). */
function releasedAnew(store: ObjectStore, { remains, fencingToken, ttlMs, by }: MendOptions): TimedRecord {
  const { record } = remains;
  const now = toIso(store.clock.wallMs());
  const nonce = freshId(store.random);
  return {
    state: "released",
    endedBy: "other",
    holder: record?.holder ?? by ?? "operator",
    instance: nonce,
    nonce,
    holderNonce: nonce,
    fencingToken,
    version: (remains.version ?? 0) + 1,
    ttlMs,
    marginMs: 0,
    acquiredAt: record?.acquiredAt ?? now,
    renewedAt: now,
    expiresAt: now,
    metadata: record?.metadata,
    payload: record?.payload,
    lockDelayMs: record?.lockDelayMs,
    extra: record?.extra ?? {},
  };
}

/** `settled`: something that is not ours stands there instead; as a record, where it is one. "again": the very version that was to be replaced, or still nothing. */
async function send(
  store: ObjectStore,
  key: string,
  record: TimedRecord,
  seen: Standing | undefined,
  baseEtag: string | undefined,
): Promise<DeliveryEnd<LeaseRecord | undefined>> {
  return await deliver<LeaseRecord | undefined>(
    { store, requestTimeoutMs: REQUEST_TIMEOUT_MS },
    {
      key,
      body: encodeRecord(key, record),
      baseEtag,
      maxBytes: MAX_RECORD_BYTES,
      settle(read) {
        if (read.kind === "absent" || (read.kind === "found" && read.etag === seen?.etag)) return { kind: "again" };
        const there = read.kind === "found" ? recordOf(key, read.body) : undefined;
        if (there?.nonce === record.nonce) return { kind: "mine", etag: read.etag };
        return { kind: "settled", as: there, applied: false };
      },
    },
    { forMs: ATTEMPTS * REQUEST_TIMEOUT_MS, maxAttempts: ATTEMPTS, abortRequests: false, explainRefusal: true },
  );
}

export function recordOf(key: string, body: Uint8Array): LeaseRecord | undefined {
  try {
    return decodeRecord(key, body);
  } catch (e) {
    if (e instanceof RecordError) return undefined;
    throw e;
  }
}
