import { type AnyConsensusError, LeaseLostError, RecordError, StoreUnavailableError, WorkNotStoppedError } from "../errors.ts";
import { type Health, Manager } from "../election/manager.ts";
import type { ManagerOptions } from "../election/options.ts";
import { contend } from "../lease/contend.ts";
import { LeaseObject } from "../lease/lease-object.ts";
import type { LeaseSignal } from "../lease/lease-signal.ts";
import type { SessionTenancy } from "../lease/session-tenancy.ts";
import type { ReleaseOutcome, Tenancy, TenancyHooks } from "../lease/tenancy.ts";
import { Emitter, type Wiring } from "../lease/wiring.ts";
import { freshId, link, sleep } from "../clock/wait.ts";
import type { HoldOptions, LockApi } from "../locks/api.ts";
import { LockFace } from "../locks/face.ts";
import { memberKey } from "../record/keys.ts";
import type { Flag, Json } from "../record/record.ts";
import type { SchedulerOptions, Task } from "../scheduler/options.ts";
import { Scheduler } from "../scheduler/scheduler.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { openStore } from "../store/open-store.ts";
import { Cleaner } from "./cleaner.ts";
import { gated } from "./gate.ts";
import { Holdings } from "./holdings.ts";
import { SessionLeases } from "./session-leases.ts";
import {
  checkSessionManager,
  checkSessionScheduler,
  pruneConfig,
  type PruneMembersOptions,
  sessionConfig,
  type SessionConfig,
  type SessionOptions,
} from "./options.ts";
import { pruneMembers } from "./prune.ts";

/** What a scheduler may say for itself; the rest is the session's. */
export type SessionSchedulerOptions<T extends readonly Task[]> = Pick<
  SchedulerOptions<T>,
  "tasks" | "gate" | "drainMs" | "concurrency" | "spreadMs" | "maxClockOffsetMs"
>;

/** What an election may say for itself; the rest is the session's. */
export type SessionManagerOptions<M extends Json> = Pick<
  ManagerOptions<M>,
  "name" | "pollMs" | "drainMs" | "cooldownMs" | "metadata" | "parseMetadata"
>;

/**
 * One heartbeat for many leases. One member object is renewed every third of the ttl, and whatever is held through the session costs no renewals of its
 * own and lives exactly as long as it. A session that is lost does not come back: its signal says so once for all, every lease ends with it, and a new
 * one is opened under a new id, so that nothing of the old one is ever inherited.
 */
export class Session implements AsyncDisposable {
  readonly node: string;
  readonly #config: SessionConfig;
  readonly #options: SessionOptions;
  readonly #store: ObjectStore;
  /** The store for everything but the member record. */
  readonly #gated: ObjectStore;
  readonly #emitter: Emitter;
  readonly #membership: Tenancy;
  readonly #holdings: Holdings;
  #locks: LockFace<HoldOptions> | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Opens a session, by one PUT. Waits for a store that does not answer for at most twice the ttl.
   * @throws ConfigError with every fault at once; the reason of `signal`; StoreUnavailableError, StoreUnsafeError, StoreAccessError.
   */
  static async open(options: SessionOptions): Promise<Session> {
    const config = sessionConfig(options);
    const store = openStore(options.store);
    const { node, timing, pollMs, metadata } = config;
    const key = memberKey(config.prefix, freshId(store.random));
    store.checkKey?.(key);
    const lease = new LeaseObject({ store, key, node, timing, pollMs, takeover: "observe", metadata, isFresh: true });
    const opened: { session: Session | undefined } = { session: undefined };
    let hindrance: StoreUnavailableError | undefined;
    const hooks: TenancyHooks = {
      renewalFailed(error, remainingMs) {
        if (opened.session !== undefined) opened.session.#renewalFailed(error, remainingMs);
      },
      flagged(flag) {
        if (opened.session !== undefined) opened.session.#obey(flag);
      },
    };
    const membership = await contend(lease, {
      signal: options.signal ?? new AbortController().signal,
      untilMs: lease.nowMs() + 2 * timing.ttlMs,
      hooks,
      onLook() {},
      onTrouble: (error) => {
        if (error instanceof RecordError) throw error;
        hindrance = error;
      },
    });
    if (membership === undefined)
      throw hindrance ?? new StoreUnavailableError(`a session could not be opened within ${2 * timing.ttlMs} ms`);
    return (opened.session = new Session(options, config, store, membership));
  }

  /**
   * Deletes the member records of sessions below `prefix` that are over: closed, or ended by others, at least `olderThanMs` ago by the store's clock, from
   * 3,600,000 (after an end by others never within 7 days: lock delays count from it). A session that died without a word, that long ago, is ended
   * first, and deleted by a later call. No session has to be open for it. Sixteen at a time: a LIST a thousand members, a GET, and a DELETE or a PUT.
   * @returns how many it deleted.
   * @throws ConfigError, StoreUnavailableError, StoreAccessError, StoreUnsafeError (the store's times are unfit), the reason of `signal`.
   */
  static async prune(options: PruneMembersOptions): Promise<number> {
    const { store, space, olderThanMs, signal } = pruneConfig(options);
    const emitter = new Emitter(options);
    const onUnreadable = (error: RecordError): void => emitter.emit({ type: "unreadable", error });
    return (await pruneMembers({ store: openStore(store), space, olderThanMs, signal, onUnreadable })).deleted;
  }

  /** @param membership the tenancy that everything here stands and falls with. Use `Session.open`. */
  private constructor(options: SessionOptions, config: SessionConfig, store: ObjectStore, membership: Tenancy) {
    this.node = config.node;
    this.#options = options;
    this.#config = config;
    this.#store = store;
    this.#gated = gated(store);
    this.#emitter = new Emitter(options);
    this.#membership = membership;
    const cleaner = new Cleaner({
      clock: store.clock,
      isHeld: () => membership.isHeld(),
      pollMs: config.pollMs,
      onTooMany: () => this.#giveUp(),
      onTrouble: (key, error) => this.#emitter.log("warn", { key, err: error }, "an open end of this session is not settled yet"),
    });
    this.#holdings = new Holdings(membership, cleaner);
    const close = new AbortController();
    const unlink = link(options.signal, close);
    const onAbort = (): void => void this.close().catch((err: unknown) => this.#emitter.log("error", { err }, "the session did not close"));
    close.signal.addEventListener("abort", onAbort, { once: true });
    void membership.ended.then((end) => {
      unlink();
      cleaner.stop();
      if (end instanceof LeaseLostError)
        this.#emitter.emit({ type: "lost", lease: { key: membership.key, fencingToken: membership.fencingToken }, error: end });
    });
  }

  /** Aborts once, when the session is lost or closes: with it, everything that is held through it. */
  get signal(): LeaseSignal {
    return this.#membership.signal;
  }

  /**
   * Locks of this session: one object for all calls. They cost no renewals and last as long as the session; their options have no ttl of their own.
   * Who waits for one is refused with the session's loss, or its end.
   */
  locks(): LockApi<HoldOptions> {
    this.#locks ??= new LockFace({
      source: new SessionLeases(this.#gated, this.#holdings, this.#config),
      emitter: this.#emitter,
      drainMs: this.#config.drainMs,
      defaults: {},
    });
    return this.#locks;
  }

  /**
   * An election of this session: its term costs no renewals, and is lost when the session is. `run` then rejects with that loss; it returns when the
   * session is closed. @throws ConfigError with every fault of the options at once.
   */
  manager<M extends Json = Json>(options: SessionManagerOptions<M>): Manager<M> {
    checkSessionManager(options);
    return new Manager<M>({ drainMs: this.#config.drainMs, ...options, ...this.#own() }, this.#holdings);
  }

  /**
   * A scheduler of this session: its runs cost no renewals and are lost when the session is, each with its own signal and reason. `run` then rejects
   * with that loss; it returns when the session is closed. What a run says by `progress` is seen when it has ended, because nothing is written before.
   * @throws ConfigError with every fault of the options and of all tasks at once.
   */
  scheduler<const T extends readonly Task[]>(options: SessionSchedulerOptions<T>): Scheduler<T> {
    checkSessionScheduler(options);
    return new Scheduler<T>({ drainMs: this.#config.drainMs, ...options, ...this.#own() }, this.#holdings);
  }

  /** What the faces of this session share with it. */
  #own(): Wiring & Pick<ManagerOptions<Json>, "prefix" | "ttlMs" | "marginMs" | "requestTimeoutMs"> {
    const { prefix, timing } = this.#config;
    const { ttlMs, marginMs, requestTimeoutMs } = timing;
    const { logger, onEvent } = this.#options;
    return { store: this.#gated, node: this.node, logger, onEvent, prefix, ttlMs, marginMs, requestTimeoutMs };
  }

  /** No request. Red when it could not renew, or is lost. */
  health(): Health {
    const { trouble, unconfirmedForMs } = this.#membership;
    const lastContactMs = unconfirmedForMs;
    if (!this.#membership.isHeld()) {
      const error = this.#endOf();
      return error instanceof LeaseLostError
        ? { ok: false, role: "follower", lastContactMs, error }
        : { ok: true, role: "idle", lastContactMs };
    }
    // One failed attempt is no illness: the next renewal's time must have passed, too.
    const ill = trouble !== undefined && unconfirmedForMs > 1.5 * this.#config.timing.renewEveryMs;
    return ill ? { ok: false, role: "leader", lastContactMs, error: trouble } : { ok: true, role: "leader", lastContactMs };
  }

  /**
   * Tells all work to stop, waits for it, and frees everything by one PUT. What was acquired without a function around it is given back as it is.
   * @throws WorkNotStoppedError when work has not stopped after `drainMs`: then everything stays held until it has, and closes by itself.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** As `close`, but never throws. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch(() => {});
  }

  async #close(): Promise<void> {
    // Whoever waits for a lock of this session waits no longer, and nothing new is acquired.
    this.#membership.askToStop("stopped");
    let resolveFreed!: (outcome: ReleaseOutcome) => void;
    this.#holdings.freedAll = new Promise((resolve) => (resolveFreed = resolve));
    const { locks } = this.#holdings;
    for (const lock of locks) lock.askToStop("stopped");
    const free = this.#drain(locks).then(() => this.#free(locks, resolveFreed));
    const timer = new AbortController();
    const { drainMs } = this.#config;
    const inTime = await Promise.race([
      free.then(() => true),
      sleep(this.#store.clock, drainMs, { signal: timer.signal, keepAlive: true }).then((full) => !full),
    ]);
    timer.abort();
    if (!inTime)
      throw new WorkNotStoppedError(
        `work of the session of ${this.node} had not stopped ${drainMs} ms after its signal aborted (drainMs). Everything stays held until it does, or this process ends`,
        { key: this.#membership.key, waitedMs: drainMs },
      );
  }

  /** Nothing is given back under running work, and nothing is left to wait for once the session is lost (rule H7). */
  async #drain(locks: readonly SessionTenancy[]): Promise<void> {
    await Promise.race([this.#membership.ended, Promise.all(locks.map((lock) => lock.idle))]);
  }

  async #free(locks: readonly SessionTenancy[], freed: (outcome: ReleaseOutcome) => void): Promise<void> {
    // A lock that stays closed for a while says so itself, before the session's end would free it (rule S16).
    await Promise.all(
      locks.map(async (lock) => {
        const words = lock.isHeld() ? lock.lastWords?.() : undefined;
        if (words !== undefined) lock.givenBack(await lock.release("stopped", words));
      }),
    );
    const rest = this.#holdings.locks;
    for (const lock of rest) lock.endBelief("stopped");
    const { key, fencingToken, lost } = this.#membership;
    // Belief in all of it ends before the write that frees it is sent (rules S11, H7).
    const outcome = await this.#membership.release("stopped");
    freed(outcome);
    for (const lock of rest) lock.givenBack(outcome);
    if (!lost && outcome !== "already-released") this.#emitter.emit({ type: "released", lease: { key, fencingToken }, outcome });
  }

  #endOf(): unknown {
    try {
      this.#membership.assertHeld();
      return undefined;
    } catch (e) {
      return e;
    }
  }

  #renewalFailed(error: AnyConsensusError, remainingMs: number): void {
    const { key, fencingToken } = this.#membership;
    this.#emitter.emit({ type: "renewal-failed", lease: { key, fencingToken }, remainingMs, error });
  }

  /** An operator's word: for one of the locks, or for the whole session (rule S15). */
  #obey(flag: Flag): void {
    if (this.#holdings.flagged(flag) || flag.kind === "asked") return;
    this.#emitter.log("warn", { flag: flag.kind }, "an operator wants this session to end");
    void this.close().catch((err: unknown) => this.#emitter.log("error", { err }, "the session did not close"));
  }

  /** Too many ends are open to look after them: without the session they are all free, a ttl from now (rule S14). */
  #giveUp(): void {
    this.#emitter.log("error", {}, "the session is given up: too many of its writes are without an answer");
    this.#membership.endBelief("stopped");
  }
}
