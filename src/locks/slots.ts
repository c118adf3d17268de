/**
 * n numbered places under one name: n plain lease objects, since a record that several write while one holds it breaks its watch (rule M). Place i of
 * "gpu" is the lock "gpu#i", and can be inspected or freed under that name like any other.
 */
import { sleep } from "../clock/wait.ts";
import { type HolderInfo, LockHeldError, RecordError, StoreUnavailableError } from "../errors.ts";
import { describeHolder, holderOf, verdictOn } from "../lease/holder-info.ts";
import type { LeaseSource } from "../lease/lease-source.ts";
import { MemberLooks } from "../lease/member-looks.ts";
import { type KeyView, observationsOf, type Sighting } from "../lease/observations.ts";
import { defaultPollMs, FIRST_POLL_MS } from "../lease/timing.ts";
import type { ObjectStore } from "../store/object-store.ts";
import type { Lock } from "./api.ts";
import { localQueueOf } from "./local-queue.ts";
import { fullName } from "./names.ts";

/** One list page shows them all. */
export const MAX_SLOTS = 1000;
/** Requests at a time. */
const PARALLEL = 8;
/** While it waits, a caller looks at so many places a round that were written a moment ago; those that ought to have been renewed it looks at all. */
const FRESH_LOOKS = 4;

export interface Search {
  readonly source: LeaseSource<never>;
  readonly key: string;
  readonly count: number;
  /** Of what is acquired: who holds one would have written it within this. */
  readonly ttlMs: number;
  /** 0: one try. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
  /** The place that was had last, if one was: the first to be tried. */
  readonly last: number | undefined;
  tryAcquire(name: string): Promise<Lock | undefined>;
  inspect(name: string): Promise<HolderInfo | undefined>;
}

export interface Found {
  readonly index: number;
  readonly lock: Lock;
}

/**
 * Finds a free place: one LIST tells which were never used, and which have stood unchanged for too long. Of the callers of one process only one
 * searches a name at a time.
 * @returns who holds the places, when the wait is over.
 * @throws the reason of the signal; what a try throws. A place whose record may not be touched is passed over as long as there are others.
 */
export async function findSlot(search: Search): Promise<Found | LockHeldError> {
  const { source, key, waitMs, signal } = search;
  const { clock, random } = source.store;
  const startMs = clock.monotonicMs();
  const leftMs = (): number => startMs + waitMs - clock.monotonicMs();
  const turn = await localQueueOf(source.store).enter(`slots of ${source.keyOf(key)}`, waitMs, signal);
  if (turn === undefined) return heldError(search, waitMs);
  try {
    for (let round = 0; ; round++) {
      const found = await searchOnce(search, round === 0 || leftMs() <= 0).catch(ifUnavailable);
      if (found !== undefined && !(found instanceof StoreUnavailableError)) return found;
      // An outage is outlived, as by who waits for one key.
      if (leftMs() <= 0) return found === undefined ? heldError(search, waitMs) : fail(found);
      turn.tell();
      const pollMs = Math.min(defaultPollMs(search.ttlMs), FIRST_POLL_MS * 2 ** Math.min(round, 20));
      await sleep(clock, Math.min(leftMs(), pollMs * (0.5 + random.unit() / 2)), { signal, keepAlive: true });
      signal.throwIfAborted();
    }
  } finally {
    turn.leave();
  }
}

function ifUnavailable(error: unknown): StoreUnavailableError {
  return error instanceof StoreUnavailableError ? error : fail(error);
}

function fail(error: unknown): never {
  throw error;
}

/** @param all looks at every place that it has no good reason to pass over. */
async function searchOnce(search: Search, all: boolean): Promise<Found | undefined> {
  const { last } = search;
  if (last !== undefined && viewOf(search, last).current?.record.state === "released") {
    const lock = await tryOne(search, last);
    if (lock !== undefined) return { index: last, lock };
  }
  const entries = await listed(search);
  const standing = (index: number): Standing => standingOf(search, index, entries.get(index));
  const unused = shuffled(search, (index) => standing(index) === "unused");
  const stale = [...entries].filter(([index]) => standing(index) === "stale").sort(byAge);
  const quiet = shuffled(search, (index) => standing(index) === "quiet");
  const worthALook = shuffled(search, (index) => standing(index) === "changed");
  const looks = [...stale.map(([index]) => index), ...quiet, ...(all ? worthALook : worthALook.slice(0, FRESH_LOOKS))];
  const members = new MemberLooks(search.source.store);
  let fault: RecordError | undefined;
  for (const index of unused) {
    const lock = await tryOne(search, index);
    if (lock !== undefined) return { index, lock };
  }
  for (let i = 0; i < looks.length; i += PARALLEL) {
    // All of them, even when one fails: a call that has been answered has no request under way.
    for (const settled of await Promise.allSettled(
      looks.slice(i, i + PARALLEL).map((index) => looked(search, index, entries.get(index), members)),
    )) {
      if (settled.status === "rejected") throw settled.reason;
      const result = settled.value;
      if (result instanceof RecordError) fault = result;
      else if (result !== undefined) {
        const lock = await tryOne(search, result);
        if (lock !== undefined) return { index: result, lock };
      }
    }
  }
  if (fault !== undefined && search.count === 1) throw fault;
  return undefined;
}

/** The place, where nobody is seen to hold it. */
async function looked(
  search: Search,
  index: number,
  entry: Listed | undefined,
  members: MemberLooks,
): Promise<number | RecordError | undefined> {
  const { source, key, signal } = search;
  const { current } = viewOf(search, index);
  const ref = current?.record.session;
  try {
    // The LIST has shown the lock's own record to be unchanged: what news there are stand in its member's.
    const holder =
      ref !== undefined && current?.etag === entry?.etag
        ? await holderThrough(source.store, current, await members.at(ref, signal), signal)
        : await search.inspect(nameOf(key, index));
    return holder === undefined ? index : undefined;
  } catch (e) {
    if (e instanceof RecordError) return e;
    throw e;
  }
}

async function holderThrough(
  store: ObjectStore,
  seen: Sighting | undefined,
  member: KeyView,
  signal: AbortSignal | undefined,
): Promise<HolderInfo | undefined> {
  const verdict = await verdictOn(seen, store, signal);
  return holderOf("", seen, store.clock.monotonicMs(), (metadata) => metadata, verdict, member);
}

async function tryOne(search: Search, index: number): Promise<Lock | undefined> {
  try {
    return await search.tryAcquire(nameOf(search.key, index));
  } catch (e) {
    if (e instanceof RecordError && search.count > 1) return undefined;
    throw e;
  }
}

/** A place as the LIST shows it. */
interface Listed {
  readonly etag: string;
  /** How long it has not been written, by the store's own clock. */
  readonly quietMs: number;
}

async function listed({ source, key, count, signal }: Search): Promise<ReadonlyMap<number, Listed>> {
  const prefix = source.keyOf(`${key}#`);
  const entries = new Map<number, Listed>();
  let after: string | undefined;
  do {
    const page = await source.store.list(prefix, { after, signal });
    signal.throwIfAborted();
    if (page.kind !== "page") throw page.error;
    for (const { key: full, etag, lastModifiedMs } of page.entries) {
      const rest = full.slice(prefix.length);
      const quietMs = page.dateMs === undefined || lastModifiedMs === undefined ? 0 : page.dateMs - lastModifiedMs;
      // "gpu#1" may be the name of places, too: "gpu#1#0" is none of "gpu".
      if (/^\d{1,4}$/.test(rest) && Number(rest) < count) entries.set(Number(rest), { etag, quietMs });
    }
    after = page.next;
  } while (after !== undefined && entries.size < count);
  return entries;
}

type Standing =
  /** Nobody ever had it. */
  | "unused"
  /** Written since it was last seen from here, if it ever was. */
  | "changed"
  /** Seen so lately that its holder need not have renewed it yet. */
  | "held"
  /** Given back, not renewed in time, or held through a session, of which its own record never tells the end. */
  | "stale"
  /** Not known, and not written for so long that a holder would have renewed it. */
  | "quiet";

function standingOf(search: Search, index: number, entry: Listed | undefined): Standing {
  if (entry === undefined) return "unused";
  const { current } = viewOf(search, index);
  if (current?.etag !== entry.etag) return entry.quietMs < renewedWithinMs(search) ? "changed" : "quiet";
  if (current.record.session !== undefined) return "stale";
  const isRenewed = search.source.store.clock.monotonicMs() - current.sinceMs < renewedWithinMs(search);
  return current.record.state === "held" && isRenewed ? "held" : "stale";
}

function renewedWithinMs({ ttlMs }: Search): number {
  return ttlMs / 2;
}

function viewOf({ source, key }: Search, index: number): KeyView {
  return observationsOf(source.store).view(source.keyOf(nameOf(key, index)));
}

export function nameOf(key: string, index: number): string {
  return `${key}#${index}`;
}

/** In an order of its own for each caller, so that those who start together do not all ask for the same. */
function shuffled({ source, count }: Search, keep: (index: number) => boolean): number[] {
  return Array.from({ length: count }, (_, index) => ({ index, at: source.store.random.unit() }))
    .filter(({ index }) => keep(index))
    .sort((a, b) => a.at - b.at)
    .map(({ index }) => index);
}

function byAge(a: readonly [number, Listed], b: readonly [number, Listed]): number {
  return b[1].quietMs - a[1].quietMs;
}

/** @throws StoreUnavailableError where nobody is known to hold any of them. */
function heldError(search: Search, waitMs: number): LockHeldError {
  const { key, count } = search;
  const all = Array.from({ length: count }, (_, index) => ({ name: nameOf(key, index), seen: viewOf(search, index).current }));
  const [first, ...rest] = all.flatMap(({ name, seen }): HolderInfo[] =>
    seen?.record.state === "held" ? [describeHolder(fullName(search.source, name), seen.record, undefined, (metadata) => metadata)] : [],
  );
  if (first === undefined) throw new StoreUnavailableError(`none of the ${count} places of "${key}" could be acquired within ${waitMs} ms`);
  const retryAfterMs = defaultPollMs(search.ttlMs);
  const message = `all ${count} places of "${key}" are held, the first of them by ${first.holder} (fencing token ${first.fencingToken}); waited ${waitMs} ms`;
  return new LockHeldError(message, { key: fullName(search.source, key), holders: [first, ...rest], retryAfterMs });
}
