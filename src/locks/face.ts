import { link } from "../clock/wait.ts";
import {
  ConfigError,
  type HolderInfo,
  LockHeldError,
  NotHeldError,
  type RecordError,
  ReentrantLockError,
  StoreUnavailableError,
} from "../errors.ts";
import type { LeaseSource } from "../lease/lease-source.ts";
import { forceRelease } from "../lease/operate.ts";
import { MIN_OLDER_THAN_MS } from "../lease/pruning.ts";
import { signalFault } from "../lease/face-options.ts";
import type { ReleaseOutcome, TenancyHooks } from "../lease/tenancy.ts";
import { type Emitter, guarded } from "../lease/wiring.ts";
import { aBoolean, anInteger, aNumber, aString, checkOptions, required, show } from "../options.ts";
import type { Flag } from "../record/record.ts";
import type { Stats } from "../store/object-store.ts";
import type { Attempt, HoldOptions, Lock, LockApi, Semaphore, Slot, Try } from "./api.ts";
import { parseHandOff } from "./hand-off.ts";
import { insideOf, runInside } from "./inside.ts";
import { localQueueOf } from "./local-queue.ts";
import { listHolders } from "./listing.ts";
import { LockHandle } from "./lock-handle.ts";
import { bareName, fullName } from "./names.ts";
import { checkCall, holdOptions } from "./options.ts";
import { prune } from "./prune.ts";
import { SlotHandle } from "./slot-handle.ts";
import { findSlot, type Found, MAX_SLOTS, nameOf } from "./slots.ts";
import { LockStats } from "./stats.ts";
import { workUnder } from "./work.ts";

export interface FaceOptions<O extends HoldOptions> {
  /** Where its leases come from. */
  readonly source: LeaseSource<O>;
  readonly emitter: Emitter;
  readonly drainMs: number;
  readonly defaults: O;
}

type Work<T> = (lock: Lock) => Promise<T> | T;

/** The face of locks, over whatever leases its source gives. What the calls promise is said in `LockApi`. */
export class LockFace<O extends HoldOptions> implements LockApi<O> {
  readonly #source: LeaseSource<O>;
  readonly #emitter: Emitter;
  readonly #drainMs: number;
  readonly #defaults: O;
  readonly #stats: LockStats;

  constructor(o: FaceOptions<O>) {
    this.#source = o.source;
    this.#emitter = o.emitter;
    this.#drainMs = o.drainMs;
    this.#defaults = o.defaults;
    this.#stats = new LockStats(o.source.counters);
  }

  withLock<T>(key: string, fn: Work<T>): Promise<T>;
  withLock<T>(key: string, options: O | undefined, fn: Work<T>): Promise<T>;
  async withLock<T>(key: string, ...rest: readonly [Work<T>] | readonly [O | undefined, Work<T>]): Promise<T> {
    const [given, fn] = optionsAndWork("Locks.withLock", rest);
    const lock = this.#counted(await this.#take("Locks.withLock", key, given, { isTry: false }));
    if (lock instanceof LockHeldError) throw lock;
    return await this.#work([lock], given?.signal, () => fn(lock));
  }

  tryWithLock<T>(key: string, fn: Work<T>): Promise<Attempt<T>>;
  tryWithLock<T>(key: string, options: Try<O> | undefined, fn: Work<T>): Promise<Attempt<T>>;
  async tryWithLock<T>(key: string, ...rest: readonly [Work<T>] | readonly [Try<O> | undefined, Work<T>]): Promise<Attempt<T>> {
    const [given, fn] = optionsAndWork("Locks.tryWithLock", rest);
    const lock = this.#counted(await this.#take("Locks.tryWithLock", key, given, { isTry: true }));
    if (lock instanceof LockHeldError) return { ran: false, held: lock };
    return { ran: true, value: await this.#work([lock], given?.signal, () => fn(lock)) };
  }

  async withLocks<const K extends readonly string[], T>(
    keys: K,
    options: O | undefined,
    fn: (locks: { readonly [I in keyof K]: Lock }) => Promise<T> | T,
  ): Promise<T> {
    const call = "Locks.withLocks";
    if (typeof fn !== "function") throw new ConfigError(call, [`the function is ${show(fn)}: expected a function`]);
    const isList = Array.isArray(keys) && keys.length > 0 && keys.length <= MAX_KEYS && keys.every((key) => typeof key === "string");
    const whole = (key: string): string => fullName(this.#source, key);
    if (!isList || new Set(keys.map(whole)).size < keys.length)
      throw new ConfigError(call, [`keys is ${show(keys)}: expected 1 to ${MAX_KEYS} different keys`]);
    const sorted = keys.toSorted((a, b) => (whole(a) < whole(b) ? -1 : 1));
    // What one of them makes impossible is said before another is taken.
    for (const key of sorted) this.#admit(call, key, options, false);
    const locks = new Map<string, LockHandle>();
    const startMs = this.#nowMs;
    try {
      for (const key of sorted) {
        const lock = this.#counted(await this.#take(call, key, options, { isTry: false, spentMs: this.#nowMs - startMs }));
        if (lock instanceof LockHeldError) throw lock;
        locks.set(key, lock);
      }
    } catch (e) {
      for (const lock of [...locks.values()].reverse()) await lock.giveBack("released");
      throw e;
    }
    const inOrder = keys.map((key) => locks.get(key)) as { readonly [I in keyof K]: Lock };
    return await this.#work([...locks.values()], options?.signal, () => fn(inOrder));
  }

  async acquire(key: string, options?: O): Promise<Lock> {
    const lock = this.#counted(await this.#take("Locks.acquire", key, options, { isTry: false }));
    if (lock instanceof LockHeldError) throw lock;
    return lock;
  }

  async tryAcquire(key: string, options?: Try<O>): Promise<Lock | undefined> {
    const lock = this.#counted(await this.#take("Locks.tryAcquire", key, options, { isTry: true }));
    return lock instanceof LockHeldError ? undefined : lock;
  }

  async resume(text: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<Lock> {
    const { name, from } = parseHandOff(text);
    if (name !== fullName(this.#source, name))
      throw new ConfigError("Locks.resume", [`text is of "${name}", a plain lock: expected one of an ephemeral lock`]);
    checkCall("Locks.resume", name, options, { source: this.#source });
    const startMs = this.#nowMs;
    const { hooks, owner } = this.#hooks({});
    const lease = await this.#source.resume(name, from, options?.signal, hooks);
    if (lease === undefined)
      throw new NotHeldError(
        `"${name}" can't be resumed with fencing token ${from.record.fencingToken}: it was resumed, released or taken meanwhile`,
        { key: name },
      );
    return this.#own(lease, startMs, owner, {}, undefined);
  }

  async inspect(key: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<HolderInfo | undefined> {
    checkCall("Locks.inspect", key, options, { source: this.#source });
    return await this.#source.inspect(key, options?.signal);
  }

  list(options?: { readonly prefix?: string | undefined; readonly signal?: AbortSignal | undefined }): AsyncIterableIterator<HolderInfo> {
    if (options !== undefined) checkOptions("Locks.list", options, { prefix: aString("a text"), signal: signalFault });
    const onUnreadable = (error: RecordError): void => this.#emitter.emit({ type: "unreadable", error });
    return listHolders({ source: this.#source, prefix: options?.prefix ?? "", signal: options?.signal, onUnreadable });
  }

  async forceRelease(
    key: string,
    options: { readonly token: number; readonly now?: boolean | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<ReleaseOutcome> {
    const token = required(anInteger("a fencing token", 1, Number.MAX_SAFE_INTEGER));
    checkCall("Locks.forceRelease", key, options ?? {}, { source: this.#source, spec: { token, now: aBoolean } });
    const { store, node: by, ephemeral } = this.#source;
    return await forceRelease(store, this.#source.keyOf(key), { ...options, by, ephemeral });
  }

  async prune(options: {
    readonly olderThanMs: number;
    readonly prefix?: string | undefined;
    readonly signal?: AbortSignal | undefined;
  }): Promise<number> {
    const olderThanMs = required(aNumber("milliseconds", MIN_OLDER_THAN_MS, Number.MAX_SAFE_INTEGER));
    checkOptions("Locks.prune", options, { olderThanMs, prefix: aString("a text"), signal: signalFault });
    const { store, ephemeralPrefix: space } = this.#source;
    const { prefix = "", signal } = options;
    const onUnreadable = (error: RecordError): void => this.#emitter.emit({ type: "unreadable", error });
    const work = { store, space, olderThanMs: options.olderThanMs, signal, onUnreadable };
    const { deleted } = await prune(work, bareName(prefix));
    return deleted;
  }

  async slot(key: string, options: O & { readonly slots: number }): Promise<Slot> {
    const { slots, ...rest } = options ?? {};
    const found = await this.#search("Locks.slot", key, { count: slots, given: rest, isTry: false, last: undefined }, "slots");
    if (found instanceof LockHeldError) throw found;
    return new SlotHandle(found.index, found.lock);
  }

  semaphore(key: string, options: { readonly permits: number }): Semaphore<O> {
    checkCall("Locks.semaphore", key, options, { source: this.#source, spec: { permits: required(aCount) } });
    const count = options.permits;
    let last: number | undefined;
    const search = async (call: string, given: object | undefined, isTry: boolean): Promise<Slot | LockHeldError> => {
      const found = await this.#search(call, key, { count, given, isTry, last }, "permits");
      if (found instanceof LockHeldError) return found;
      last = found.index;
      return new SlotHandle(found.index, found.lock);
    };
    return {
      acquire: async (given) => {
        const found = await search("Semaphore.acquire", given, false);
        if (found instanceof LockHeldError) throw found;
        return found;
      },
      tryAcquire: async (given) => {
        const found = await search("Semaphore.tryAcquire", given, true);
        return found instanceof LockHeldError ? undefined : found;
      },
    };
  }

  async #search(
    call: string,
    key: string,
    o: { readonly count: number; readonly given: object | undefined; readonly isTry: boolean; readonly last: number | undefined },
    option: string,
  ): Promise<Found | LockHeldError> {
    const { count, given, isTry, last } = o;
    const wrong = aCount(count);
    if (wrong !== undefined) throw new ConfigError(call, [`${option} is ${show(count)}: expected ${wrong}`]);
    // The longest name of a place must make a key, too.
    const longest = nameOf(key, count - 1);
    const options = holdOptions(call, longest, given, { source: this.#source, defaults: this.#defaults, isTry });
    this.#source.store.checkKey?.(this.#source.keyOf(longest));
    const { waitMs: _, ...rest } = options;
    const sinceMs = this.#nowMs;
    const stop = new AbortController();
    const { signal } = stop;
    const unlink = link(options.signal, stop);
    try {
      const found = await findSlot({
        source: this.#source,
        key,
        count,
        ttlMs: this.#source.ttlMs(options),
        waitMs: isTry ? 0 : this.#source.waitMs(options, 0),
        signal,
        last,
        // One call, however many places it tries: it has waited from its beginning on, and is refused at most once.
        tryAcquire: async (name) => {
          const lock = await this.#take(call, name, { ...rest, signal }, { isTry: true, sinceMs });
          return lock instanceof LockHeldError ? undefined : lock;
        },
        inspect: (name) => this.inspect(name, { signal }),
      });
      return this.#counted(found);
    } finally {
      unlink();
    }
  }

  stats(): Stats {
    return this.#stats.snapshot(this.#source.store.stats());
  }

  get #nowMs(): number {
    return this.#source.store.clock.monotonicMs();
  }

  /** The options of a call that acquires, and the object of its name. @throws ConfigError, ReentrantLockError. */
  #admit(call: string, name: string, given: object | undefined, isTry: boolean): { readonly options: O; readonly key: string } {
    const options = holdOptions(call, name, given, { source: this.#source, defaults: this.#defaults, isTry });
    const { store } = this.#source;
    const key = this.#source.keyOf(name);
    store.checkKey?.(key);
    if (insideOf(store, [key]) !== undefined)
      throw new ReentrantLockError(`${call}: "${name}" is held by the withLock that this call is inside of: it would wait for itself`, {
        key: name,
      });
    return { options, key };
  }

  async #take(call: string, name: string, given: object | undefined, how: Take): Promise<LockHandle | LockHeldError> {
    const { isTry, spentMs = 0 } = how;
    const { options, key } = this.#admit(call, name, given, isTry);
    const { store } = this.#source;
    const startMs = this.#nowMs;
    const waitMs = isTry ? 0 : this.#source.waitMs(options, spentMs);
    const stop = new AbortController();
    const unlink = link(options.signal, stop);
    try {
      const turn = await localQueueOf(store).enter(key, waitMs, stop.signal);
      if (turn === undefined) {
        const refusal = this.#source.refusal(name, this.#nowMs - startMs);
        if (refusal instanceof StoreUnavailableError) throw refusal;
        return refusal;
      }
      try {
        const { hooks, owner } = this.#hooks(options);
        const wait = { signal: stop.signal, untilMs: startMs + waitMs, onNews: () => turn.tell() };
        const lease = await this.#source.acquire(name, options, wait, hooks);
        if (!(lease instanceof LockHeldError)) return this.#own(lease, how.sinceMs ?? startMs, owner, options, turn);
        turn.leave();
        return lease;
      } catch (e) {
        turn.leave();
        throw e;
      }
    } finally {
      unlink();
    }
  }

  #counted<T>(result: T | LockHeldError): T | LockHeldError {
    if (result instanceof LockHeldError) this.#stats.refused();
    return result;
  }

  #own(
    lease: LockHandle["lease"],
    startMs: number,
    owner: Owner,
    options: HoldOptions,
    turn: ConstructorParameters<typeof LockHandle>[2]["turn"],
  ): LockHandle {
    turn?.tell();
    const context = { emitter: this.#emitter, stats: this.#stats, turn, minHoldMs: options.minHoldMs };
    return (owner.lock = new LockHandle(lease, this.#nowMs - startMs, context));
  }

  async #work<T>(locks: readonly LockHandle[], signal: AbortSignal | undefined, fn: () => Promise<T> | T): Promise<T> {
    const { store } = this.#source;
    const held = new Map(locks.map((lock) => [this.#source.keyOf(lock.key), lock]));
    return await workUnder(locks, () => runInside(store, (key) => held.get(key)?.blocksQueue === true, fn), {
      clock: store.clock,
      drainMs: this.#drainMs,
      signal,
      failed: (error) => this.#emitter.emit({ type: "callback-failed", name: "withLock", error }),
    });
  }

  /** What a lease tells while it is held. The lock that it belongs to is known a moment later than the lease. */
  #hooks(options: HoldOptions): { readonly hooks: TenancyHooks; readonly owner: Owner } {
    const owner: Owner = { lock: undefined };
    const hooks: TenancyHooks = {
      renewalFailed: (error, remainingMs) => {
        const { lock } = owner;
        if (lock === undefined) return;
        const lease = { key: lock.key, fencingToken: lock.fencingToken };
        this.#emitter.emit({ type: "renewal-failed", lease, remainingMs, error });
      },
      flagged: (flag) => this.#obey(flag, owner, options.onAsked),
      givenBack: (outcome) => owner.lock?.givenBack(outcome),
    };
    return { hooks, owner };
  }

  /** Somebody waits, or an operator wants it back: then the work is told to stop, and nothing is freed under it (rules O1, H7). */
  #obey(flag: Flag, { lock }: Owner, onAsked: (() => void) | undefined): void {
    if (flag.kind !== "asked") lock?.lease.askToStop("stepped-down");
    else if (onAsked !== undefined)
      queueMicrotask(() => guarded(onAsked, (error) => this.#emitter.emit({ type: "callback-failed", name: "onAsked", error })));
  }
}

/** How many locks one `withLocks` may take. */
const MAX_KEYS = 100;

const aCount = anInteger("places", 1, MAX_SLOTS);

interface Owner {
  lock: LockHandle | undefined;
}

interface Take {
  readonly isTry: boolean;
  /** So much of the wait that the options allow is over. */
  readonly spentMs?: number;
  /** When its caller began to wait, if that was before this. */
  readonly sinceMs?: number;
}

function optionsAndWork<P, T>(
  call: string,
  rest: readonly [Work<T>] | readonly [P | undefined, Work<T>],
): readonly [P | undefined, Work<T>] {
  const [options, fn] = rest.length === 1 ? [undefined, rest[0]] : rest;
  if (typeof fn !== "function") throw new ConfigError(call, [`the function is ${show(fn)}: expected a function, after the options`]);
  return [options, fn];
}
