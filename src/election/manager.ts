import { link } from "../clock/wait.ts";
import {
  type AnyConsensusError,
  ConfigError,
  ConsensusError,
  type HolderInfo,
  LockHeldError,
  NotHeldError,
  RecordError,
  StoreUnavailableError,
  type WorkNotStoppedError,
} from "../errors.ts";
import { contend } from "../lease/contend.ts";
import { describeHolder, holderOf, memberOf, verdictOn } from "../lease/holder-info.ts";
import { look } from "../lease/look.ts";
import { LeaseObject, type ReleaseFields } from "../lease/lease-object.ts";
import type { KeyView } from "../lease/observations.ts";
import type { SessionTie } from "../lease/session-tie.ts";
import type { Tenancy, TenancyHooks } from "../lease/tenancy.ts";
import { inBackground, type Running } from "../lease/running.ts";
import { Emitter, guarded, type Wiring } from "../lease/wiring.ts";
import type { Flag, Json } from "../record/record.ts";
import type { ObjectStore, Stats, StoreVerdict } from "../store/object-store.ts";
import { openStore } from "../store/open-store.ts";
import { type Handlers, Leading, type OnDone } from "./lead.ts";
import { type LeaderChange, LeaderWatch } from "./leader-watch.ts";
import { metadataReader } from "./metadata.ts";
import { LeaderObserver, ObserverLoop } from "./observer.ts";
import { checkCampaign, checkRun, checkStepDown, managerConfig, type ManagerConfig, type ManagerOptions } from "./options.ts";
import { LeaderTerm, type Term } from "./term.ts";

/** Green while all is well, and as a follower; red when this node leads but could not renew, or can't take part at all. */
export type Health =
  | { readonly ok: true; readonly role: "leader" | "follower" | "idle"; readonly lastContactMs: number | undefined }
  | {
      readonly ok: false;
      readonly role: "leader" | "follower";
      readonly lastContactMs: number | undefined;
      readonly error: AnyConsensusError;
    };

/**
 * One election, seen from one node. Guarantee: while clock *rates* are wrong by at most 10 %, at most one node believes that it leads, and
 * fencing tokens grow with every election. Assumption: the store keeps its conditions, which is probed. Not promised: that nothing happens
 * between a check and its effect; hand the fencing token to whatever you write to.
 */
export class Manager<M extends Json = Json> {
  readonly #config: ManagerConfig;
  readonly #store: ObjectStore;
  readonly #lease: LeaseObject;
  readonly #session: SessionTie | undefined;
  readonly #emitter: Emitter;
  readonly #watch = new LeaderWatch<M>();
  readonly #observers: ObserverLoop;
  readonly #parse: (value: Json | undefined) => M | undefined;
  /** Tells a run's `onLeaderChange` what was known before it began, when the first look has confirmed it. */
  #tellPresent: (() => void) | undefined;
  #term: LeaderTerm | undefined;
  #leading: Leading<M> | undefined;
  /** A run or a campaign is under way: it does the looking. */
  #contending = false;
  #busy: "run" | "campaign" | undefined;
  #cooldownUntilMs = 0;
  #campaignSinceMs = 0;
  #lastContactAtMs: number | undefined;
  #trouble: AnyConsensusError | undefined;

  /**
   * @param session what its terms are held through, with the timing of that: `session.manager(options)` says it.
   * @throws ConfigError with every fault of the options at once.
   */
  constructor(options: Wiring & ManagerOptions<M>, session?: SessionTie) {
    this.#config = managerConfig(options);
    this.#store = openStore(options.store);
    this.#store.checkKey?.(this.#config.key);
    this.#emitter = new Emitter(options);
    this.#parse = metadataReader(options.parseMetadata, (error) =>
      this.#emitter.emit({ type: "callback-failed", name: "parseMetadata", error }),
    );
    const { key, node, timing, pollMs, takeover, metadata } = this.#config;
    this.#session = session;
    this.#lease = new LeaseObject({ store: this.#store, key, node, timing, pollMs, takeover, metadata, session });
    this.#observers = new ObserverLoop({
      clock: this.#store.clock,
      pollMs,
      look: (signal) => this.#readLeader(signal, true),
      isFollowed: () => this.#contending || this.current !== undefined,
    });
  }

  /**
   * Campaigns, leads, and campaigns again after a loss, until `signal` aborts; then it stops the work, frees the key, and returns.
   * @throws ConfigError when it already runs; StoreUnsafeError, StoreAccessError; WorkNotStoppedError. An outage it outlives.
   */
  async run(
    handlers: Handlers<M>,
    options?: { readonly signal?: AbortSignal | undefined; readonly onDone?: OnDone | undefined },
  ): Promise<void> {
    checkRun(handlers, options);
    this.#enter("run", "Manager.run");
    const stop = new AbortController();
    const unlinks = [link(options?.signal, stop), this.#session?.whenOver((reason) => stop.abort(reason))];
    const unlisten = this.#listen(handlers);
    try {
      while (!stop.signal.aborted) {
        const tenancy = await this.#campaign(stop.signal, undefined, (error) => this.#takeNote(error)).catch((e: unknown) => {
          if (stop.signal.aborted && e === stop.signal.reason) return undefined;
          throw e;
        });
        if (tenancy === undefined) break;
        if ((await this.#lead(tenancy, handlers, options?.onDone ?? "keep", stop.signal)) === "stop") break;
      }
      // No waiting brings a lost session back.
      if (this.#session?.membership.lost === true) this.#session.membership.assertHeld();
    } catch (e) {
      if (ConsensusError.is(e)) this.#trouble = e;
      throw e;
    } finally {
      unlisten();
      for (const unlink of unlinks) unlink?.();
      this.#busy = undefined;
    }
  }

  /** `run` for frameworks: returns at once. Nobody needs to await `done`; an error that ends it is in `health()`, the log, and `stop()`. */
  start(handlers: Handlers<M>, options?: { readonly onDone?: OnDone | undefined }): Running {
    return inBackground(
      (signal) => this.run(handlers, { ...options, signal }),
      (err) => this.#emitter.log("error", { err }, "the election's run ended"),
    );
  }

  /**
   * Waits until this node is elected. The term is renewed until it is released, lost, or the process ends.
   * @throws LockHeldError (or what hindered) when `waitMs` passes; the reason of `signal`; RecordError, StoreUnsafeError, StoreAccessError.
   */
  async campaign(options?: { readonly signal?: AbortSignal | undefined; readonly waitMs?: number | undefined }): Promise<Term> {
    checkCampaign(options);
    this.#enter("campaign", "Manager.campaign");
    let hindrance: StoreUnavailableError | undefined;
    const stop = new AbortController();
    const unlink = link(options?.signal, stop);
    try {
      const untilMs = options?.waitMs === undefined ? undefined : this.#lease.nowMs() + options.waitMs;
      const tenancy = await this.#campaign(stop.signal, untilMs, (error) => {
        this.#takeNote(error);
        if (error instanceof RecordError) throw error;
        hindrance = error;
      });
      if (tenancy === undefined) throw this.#refusal(options?.waitMs ?? 0, hindrance);
      return this.#install(tenancy);
    } finally {
      unlink();
      this.#busy = undefined;
    }
  }

  /** The term that this node holds, by both clocks, now. */
  get current(): Term | undefined {
    return this.#term?.isHeld() === true ? this.#term : undefined;
  }

  isLeader(): boolean {
    return this.current !== undefined;
  }

  /** The leader as last seen, without a request. */
  get lastLeader(): HolderInfo<M> | undefined {
    return this.#watch.last;
  }

  /**
   * The leader, by one GET; by one more, once, where the store's stamps call a leader dead: they count only where another process found them fit.
   * Never writes, never probes. @throws RecordError, StoreUnavailableError, StoreAccessError, the reason of `signal`.
   */
  async leader(options?: { readonly signal?: AbortSignal | undefined }): Promise<HolderInfo<M> | undefined> {
    await this.#readLeader(options?.signal, false);
    return this.#watch.last;
  }

  /** The present leader first, then each change; the newest wins. Ends by `break`, or rejects with the reason of `signal`. */
  observe(options?: { readonly signal?: AbortSignal | undefined }): AsyncIterableIterator<LeaderChange<M>> {
    const presentIsKnown = this.#watch.known && (this.#contending || this.current !== undefined || this.#observers.runs);
    return new LeaderObserver(this.#watch, this.#observers, options?.signal, presentIsKnown);
  }

  /**
   * Gives leadership back: the work is told to stop, and when it has, the key is freed. This node stays out for `cooldownMs`; with `to`, the
   * node of that name may take it at once, and the others only a poll and two seconds later (rule C7).
   * @throws NotHeldError when this node does not lead; WorkNotStoppedError when the work does not stop (it leads on until it does).
   */
  async stepDown(options?: { readonly cooldownMs?: number | undefined; readonly to?: string | undefined }): Promise<void> {
    checkStepDown(options);
    const term = this.#term;
    if (term?.isHeld() !== true)
      throw new NotHeldError(`Manager.stepDown: "${this.#config.name}" is not led by this node (${this.#config.node})`, {
        key: this.#config.key,
      });
    const { to, cooldownMs } = options ?? {};
    const fields = this.#reservation(to);
    const leading = this.#leading;
    if (leading?.term !== term) {
      this.#coolDown(cooldownMs);
      await term.giveBack("stepped-down", fields);
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const settled = (e?: WorkNotStoppedError): void => (e === undefined ? resolve() : reject(e));
      leading.ask({ reason: "stepped-down", fields, cooldownMs, settled });
    });
  }

  #reservation(to: string | undefined): ReleaseFields {
    return to === undefined ? {} : { reservedFor: to, reserveMs: this.#config.pollMs + 2000 };
  }

  /** No request. For a liveness probe of whatever runs this. */
  health(): Health {
    const tenancy = this.current === undefined ? undefined : this.#term?.tenancy;
    const lastContactMs =
      tenancy?.unconfirmedForMs ?? (this.#lastContactAtMs === undefined ? undefined : this.#lease.nowMs() - this.#lastContactAtMs);
    if (tenancy !== undefined) {
      // One failed attempt is no illness: the next renewal's time must have passed, too.
      const { trouble, unconfirmedForMs } = tenancy;
      const ill = trouble !== undefined && unconfirmedForMs > 1.5 * this.#config.timing.renewEveryMs;
      return ill ? { ok: false, role: "leader", lastContactMs, error: trouble } : { ok: true, role: "leader", lastContactMs };
    }
    if (this.#trouble !== undefined && !(this.#trouble instanceof StoreUnavailableError))
      return { ok: false, role: "follower", lastContactMs, error: this.#trouble };
    return { ok: true, role: this.#contending ? "follower" : "idle", lastContactMs };
  }

  /** Counters since this manager was made; see `LEASE_COUNTERS`. Requests by kind are in `store.stats()`. */
  stats(): Stats {
    return this.#lease.counters.snapshot();
  }

  #enter(what: "run" | "campaign", call: string): void {
    const fault =
      this.#busy !== undefined
        ? `this manager is in a ${this.#busy} already; wait for it to end, or make another Manager (they exclude each other like strangers)`
        : this.current !== undefined
          ? `this manager already leads (fencing token ${this.current.fencingToken}); release that term first`
          : undefined;
    if (fault !== undefined) throw new ConfigError(call, [fault]);
    this.#busy = what;
    this.#trouble = undefined;
  }

  async #campaign(
    signal: AbortSignal,
    untilMs: number | undefined,
    onTrouble: (e: StoreUnavailableError | RecordError) => void,
  ): Promise<Tenancy | undefined> {
    this.#contending = true;
    this.#campaignSinceMs = this.#lease.nowMs();
    try {
      return await contend(this.#lease, {
        signal,
        untilMs,
        notBeforeMs: this.#cooldownUntilMs,
        hooks: this.#hooks,
        onTrouble,
        onLook: (view, verdict) => this.#look(view, verdict),
      });
    } finally {
      this.#contending = false;
    }
  }

  async #lead(tenancy: Tenancy, handlers: Handlers<M>, onDone: OnDone, stop: AbortSignal): Promise<"again" | "stop"> {
    const { drainMs } = this.#config;
    const term = this.#install(tenancy);
    const leading = new Leading<M>(term, handlers, { clock: this.#store.clock, emitter: this.#emitter, drainMs });
    this.#leading = leading;
    void leading.over.then(() => {
      if (this.#leading === leading) this.#leading = undefined;
    });
    const onStop = (): void => leading.ask({ reason: "stopped", settled() {} });
    if (stop.aborted) onStop();
    else stop.addEventListener("abort", onStop, { once: true });
    try {
      const end = await leading.run(onDone);
      if (end.gaveWay && end.next === "again") this.#coolDown(end.cooldownMs);
      return end.next;
    } finally {
      stop.removeEventListener("abort", onStop);
    }
  }

  #install(tenancy: Tenancy): LeaderTerm {
    const { name, key } = this.#config;
    const term = new LeaderTerm(name, tenancy, this.#emitter);
    this.#term = term;
    this.#trouble = undefined;
    this.#emitter.emit({
      type: "acquired",
      lease: { key, fencingToken: term.fencingToken },
      waitedMs: this.#lease.nowMs() - this.#campaignSinceMs,
    });
    void tenancy.ended.then(() => this.#publishEnd());
    this.#publish(describeHolder(key, tenancy.record, tenancy.remainingMs, this.#parse));
    return term;
  }

  readonly #hooks: TenancyHooks = {
    renewalFailed: (error, remainingMs) => {
      const { key } = this.#config;
      this.#emitter.emit({ type: "renewal-failed", lease: { key, fencingToken: this.#term?.fencingToken ?? 0 }, remainingMs, error });
    },
    flagged: (flag: Flag) => this.#obey(flag),
  };

  /** An operator's word. The work is told to stop, and nothing is freed under it (rules O1, H7). */
  #obey(flag: Flag): void {
    const term = this.#term;
    if (flag.kind === "asked" || term?.isHeld() !== true) return;
    const fields = this.#reservation(flag.to);
    const { cooldownMs } = flag;
    const leading = this.#leading;
    if (leading?.term !== term) {
      // Whoever campaigned for a term has its work in its own hands, and gives it back when that has stopped. Out of it from then on.
      void term.tenancy.ended.then(() => this.#coolDown(cooldownMs));
      return term.askToRelease("stepped-down", fields);
    }
    const settled = (e?: WorkNotStoppedError): void => {
      if (e !== undefined)
        this.#emitter.log("error", { err: e, flag: flag.kind }, "an operator's request to step down is not carried out yet");
    };
    leading.ask({ reason: "stepped-down", fields, cooldownMs, settled });
  }

  #look(view: KeyView, verdict: StoreVerdict | undefined): void {
    this.#lastContactAtMs = this.#lease.nowMs();
    this.#trouble = undefined;
    this.#publish(holderOf(this.#config.key, view.current, this.#lease.nowMs(), this.#parse, verdict, memberOf(this.#store, view.current)));
  }

  #takeNote(error: StoreUnavailableError | RecordError): void {
    if (this.#trouble?.message !== error.message)
      this.#emitter.log("warn", { code: error.code }, `can't take part in "${this.#config.name}": ${error.message}`);
    this.#trouble = error;
  }

  #publish(leader: HolderInfo<M> | undefined): void {
    if (this.#watch.publish(leader)) this.#emitter.emit({ type: "leader", name: this.#config.name, leader });
    else this.#tellPresent?.();
  }

  /** A term of ours is over: whoever leads, it is not the holder that our own last record names. No request. */
  #publishEnd(): void {
    if (this.#watch.last?.fencingToken === this.#term?.fencingToken) this.#publish(undefined);
  }

  /** @returns whether the store answered. */
  async #readLeader(signal: AbortSignal | undefined, transientIsFine: boolean): Promise<boolean> {
    signal?.throwIfAborted();
    const trouble = await look(this.#lease, signal);
    if (trouble instanceof StoreUnavailableError && transientIsFine) return false;
    if (trouble !== undefined) throw trouble;
    const { view } = this.#lease;
    this.#look(view, await verdictOn(view.current, this.#store, signal));
    return true;
  }

  #listen(handlers: Handlers<M>): () => void {
    if (handlers.onLeaderChange === undefined) return () => {};
    let scheduled = false;
    const tell = (): void => {
      scheduled = false;
      guarded(
        () => handlers.onLeaderChange?.({ leader: this.#watch.last }),
        (error) => this.#emitter.emit({ type: "callback-failed", name: "onLeaderChange", error }),
      );
    };
    const schedule = (): void => {
      this.#tellPresent = undefined;
      if (scheduled) return;
      scheduled = true;
      queueMicrotask(tell);
    };
    if (this.#watch.known) this.#tellPresent = schedule;
    const unlisten = this.#watch.listen(schedule);
    return () => {
      this.#tellPresent = undefined;
      unlisten();
    };
  }

  #coolDown(ms: number | undefined): void {
    this.#cooldownUntilMs = this.#lease.nowMs() + (ms ?? this.#config.cooldownMs);
  }

  #refusal(waitMs: number, hindrance: StoreUnavailableError | undefined): ConsensusError {
    const seen = this.#lease.view.current;
    if (seen?.record.state === "held") {
      const holder = describeHolder(this.#config.key, seen.record, undefined, this.#parse);
      const message = `"${this.#config.name}" is led by ${holder.holder} since ${seen.record.acquiredAt} (fencing token ${holder.fencingToken}); waited ${waitMs} ms`;
      return new LockHeldError(message, { key: this.#config.key, holders: [holder], retryAfterMs: this.#config.pollMs });
    }
    return hindrance ?? new StoreUnavailableError(`"${this.#config.name}" could not be acquired within ${waitMs} ms`);
  }
}
