/**
 * The store's time, as this process can tell it: each answer has a `Date`, cut to the second, so the store's clock was at least there when
 * the answer came, and less than a second further when the request went. Several answers narrow it down to milliseconds; between them both of
 * the machine's clocks must agree. A tick is due by the earliest time that this allows: a node whose clock is fast runs nothing early.
 */
import { clockGapMs, type Instant, readClocks } from "../clock/deadline.ts";
import type { Clock } from "../clock/clock.ts";
import type { ListResult, ObjectStore, ReadResult, StoreVerdict, WriteResult } from "../store/object-store.ts";

/** How much a clock may run wrong between two answers. One that runs wrong by three times as much is still less than a second early within `FRESH_MS`. */
const DRIFT = 1e-4;
/** Older answers do not tell the time well enough to claim a tick by. A little more than an hour, so that hourly ticks need no look. */
export const FRESH_MS = 3_900_000;
/** A sleep ends so late at most, however old the newest answer is: days of `DRIFT` are minutes, and a tick that late would be a missed one. */
const MAX_WAKE_LATE_MS = 2_000;
/** Clocks that parted so far say nothing any more: a suspended machine, or a clock that was set. */
const MAX_GAP_MS = 1000;
const MAX_SAMPLES = 8;

interface Sample {
  readonly dateMs: number;
  readonly sentAt: Instant;
  readonly at: Instant;
}

export interface StoreNow {
  readonly atLeastMs: number;
  readonly atMostMs: number;
}

export class StoreTime {
  readonly #clock: Clock;
  #samples: Sample[] = [];
  #newest: Sample | undefined;
  /** Answers came, and none had a date: there is only the own clock to go by. */
  #dateless = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(dateMs: number | undefined, sentAt: Instant): void {
    this.#dateless = dateMs === undefined;
    if (dateMs === undefined) return;
    this.#newest = { dateMs, sentAt, at: readClocks(this.#clock) };
    this.#samples.push(this.#newest);
    if (this.#samples.length > MAX_SAMPLES) this.#forgetOne();
  }

  /** The oldest that is neither the newest nor one of those that bound the time best: an answer from just after a full second is worth keeping. */
  #forgetOne(): void {
    const now = readClocks(this.#clock);
    const all = bounds(this.#samples, now);
    const useless = this.#samples.findIndex((sample, i) => {
      const own = bounds([sample], now);
      return i < this.#samples.length - 1 && own.atLeastMs < all.atLeastMs && own.atMostMs > all.atMostMs;
    });
    this.#samples.splice(Math.max(0, useless), 1);
  }

  /** `undefined` where no answer tells it: none has come yet, or the clocks have parted since. */
  now(): StoreNow | undefined {
    const now = readClocks(this.#clock);
    if (this.#dateless) return { atLeastMs: now.wallMs, atMostMs: now.wallMs };
    const isFresh = (s: Sample): boolean => s === this.#newest || now.monotonicMs - s.at.monotonicMs <= FRESH_MS;
    this.#samples = this.#samples.filter((s) => isFresh(s) && Math.abs(clockGapMs(s.at, now)) <= MAX_GAP_MS);
    const newest = this.#samples.at(-1);
    if (newest === undefined) return undefined;
    const all = bounds(this.#samples, now);
    // Servers whose clocks differ: the newest answer counts alone.
    return all.atLeastMs <= all.atMostMs ? all : bounds([newest], now);
  }

  /**
   * For what must be told though the clocks have parted since the newest answer: counted on from there by the clock that moved less, which is early
   * rather than late. The own clock where no answer had a date.
   */
  estimateMs(): number {
    const known = this.now();
    if (known !== undefined) return known.atLeastMs;
    const now = readClocks(this.#clock);
    return this.#newest === undefined ? now.wallMs : leastBy(this.#newest, now);
  }

  /** By how much more than `estimateMs` it may be. */
  spanMs(): number {
    const now = this.now();
    return now === undefined ? 0 : now.atMostMs - now.atLeastMs;
  }

  /** What sleeps go by; nothing is claimed by it. As `estimateMs`, but never far behind what this machine's clocks say. */
  wakeMs(): number {
    const estimateMs = this.estimateMs();
    if (this.#dateless || this.#newest === undefined) return estimateMs;
    return Math.max(estimateMs, this.#newest.dateMs + elapsedMs(this.#newest.at, readClocks(this.#clock)) - MAX_WAKE_LATE_MS);
  }

  /** By how much this machine's clock is ahead of the store's for certain; negative: behind. 0 where it may be right. */
  aheadMs(): number {
    const now = this.now();
    if (now === undefined) return 0;
    const wallMs = this.#clock.wallMs();
    if (wallMs > now.atMostMs) return wallMs - now.atMostMs;
    return Math.min(0, wallMs - now.atLeastMs);
  }

  /** How old the newest answer is. */
  ageMs(): number {
    const newest = this.#samples.at(-1);
    return newest === undefined ? Infinity : this.#clock.monotonicMs() - newest.at.monotonicMs;
  }
}

function leastBy({ dateMs, at }: Sample, now: Instant): number {
  return dateMs + elapsedMs(at, now) * (1 - DRIFT);
}

/** By the clock that moved less. */
function elapsedMs(since: Instant, now: Instant): number {
  return Math.max(0, Math.min(now.monotonicMs - since.monotonicMs, now.wallMs - since.wallMs));
}

function bounds(samples: readonly Sample[], now: Instant): StoreNow {
  const least = samples.map((sample) => leastBy(sample, now));
  const most = samples.map(({ dateMs, sentAt }) => {
    const elapsedAtMostMs = Math.max(0, now.monotonicMs - sentAt.monotonicMs, now.wallMs - sentAt.wallMs);
    return dateMs + 1000 + elapsedAtMostMs * (1 + DRIFT);
  });
  return { atLeastMs: Math.floor(Math.max(...least)), atMostMs: Math.ceil(Math.min(...most)) };
}

/** A store whose answers tell the time. */
export class TimedStore implements ObjectStore {
  readonly url: string;
  readonly clock: ObjectStore["clock"];
  readonly random: ObjectStore["random"];
  readonly time: StoreTime;
  readonly #inner: ObjectStore;

  constructor(inner: ObjectStore) {
    this.#inner = inner;
    this.url = inner.url;
    this.clock = inner.clock;
    this.random = inner.random;
    this.time = new StoreTime(inner.clock);
  }

  stats(): ReturnType<ObjectStore["stats"]> {
    return this.#inner.stats();
  }

  prepare(): Promise<void> {
    return this.#inner.prepare();
  }

  checkKey(key: string): void {
    this.#inner.checkKey?.(key);
  }

  ensureSafe(options?: Parameters<ObjectStore["ensureSafe"]>[0]): Promise<StoreVerdict> {
    return this.#inner.ensureSafe(options);
  }

  async knownVerdict(options?: Parameters<ObjectStore["ensureSafe"]>[0]): Promise<StoreVerdict | undefined> {
    return await this.#inner.knownVerdict?.(options);
  }

  get(...args: Parameters<ObjectStore["get"]>): Promise<ReadResult> {
    return this.#timed(() => this.#inner.get(...args));
  }

  create(...args: Parameters<ObjectStore["create"]>): Promise<WriteResult> {
    return this.#timed(() => this.#inner.create(...args));
  }

  replace(...args: Parameters<ObjectStore["replace"]>): Promise<WriteResult> {
    return this.#timed(() => this.#inner.replace(...args));
  }

  list(...args: Parameters<ObjectStore["list"]>): Promise<ListResult> {
    return this.#timed(() => this.#inner.list(...args));
  }

  remove(...args: Parameters<ObjectStore["remove"]>): ReturnType<ObjectStore["remove"]> {
    return this.#inner.remove(...args);
  }

  async #timed<R extends ReadResult | WriteResult | ListResult>(send: () => Promise<R>): Promise<R> {
    const sentAt = readClocks(this.clock);
    const result = await send();
    if ("dateMs" in result) this.time.note(result.dateMs, sentAt);
    return result;
  }
}

const timed = new WeakMap<ObjectStore, TimedStore>();

/** One for each store of a process: whatever is asked through it tells the time to all its schedulers. */
export function timedStore(store: ObjectStore): TimedStore {
  if (store instanceof TimedStore) return store;
  let made = timed.get(store);
  if (made === undefined) timed.set(store, (made = new TimedStore(store)));
  return made;
}
