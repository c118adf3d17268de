import { MAX_TIMER_MS, type TimerHandle } from "../clock/clock.ts";
import { addMs, type Instant, readClocks, remainingMs } from "../clock/deadline.ts";
import { type AnyConsensusError, type EndReason, LeaseEndedError, LeaseLostError, StoreUnavailableError } from "../errors.ts";
import { MAX_RECORD_BYTES } from "../record/codec.ts";
import type { Flag, Json, LeaseRecord, SessionRecord, TimedRecord } from "../record/record.ts";
import { Belief } from "./belief.ts";
import type { LeaseObject, ReleaseFields } from "./lease-object.ts";
import type { LeaseSignal } from "./lease-signal.ts";
import type { SessionTie } from "./session-tie.ts";
import { settle } from "./settle.ts";
import type { ReleaseOutcome, Tenancy, TenancyHooks, TimedVersion } from "./tenancy.ts";
import { lifetimeMs } from "./timing.ts";
import { carryOut, type WriteEnd } from "./write.ts";

interface Version {
  readonly etag: string;
  readonly record: LeaseRecord;
}

interface Confirmed {
  readonly etag: string;
  readonly record: SessionRecord;
  readonly firstSentAt: Instant;
}

/**
 * One acquisition of a lock that is held through a session. It has no deadline of its own and renews nothing: it is held while the session's
 * own tenancy is, and until it is released (rule S2).
 */
export class SessionTenancy implements Tenancy {
  readonly key: string;
  /** The object of its record, by which an operator names it (rule S15). */
  readonly objectKey: string;
  readonly fencingToken: number;
  readonly record: SessionRecord;
  payload: Json | undefined;
  readonly #lease: LeaseObject;
  readonly #tie: SessionTie;
  readonly #hooks: TenancyHooks;
  readonly #confirmed: Confirmed;
  readonly #belief: Belief;
  /** Until when it may be held at most, and when its signal says so. */
  readonly #longest: { readonly end: Instant; readonly ask: Instant } | undefined;
  #timer: TimerHandle | undefined;
  /** What the newest write of this tenancy left there, once it has left. */
  #left: Promise<Version | undefined> | undefined;
  #works = 0;
  #idle: (() => void) | undefined;
  /** What its own release must say, when the session closes: a minimum hold, say (rule S16). Without, it needs none. */
  lastWords: (() => ReleaseFields | undefined) | undefined;
  #release: Promise<ReleaseOutcome> | undefined;

  constructor(lease: LeaseObject, tie: SessionTie, confirmed: Confirmed, hooks: TenancyHooks) {
    this.#lease = lease;
    this.#tie = tie;
    this.#hooks = hooks;
    this.#confirmed = confirmed;
    this.key = lease.name;
    this.objectKey = lease.settings.key;
    this.record = confirmed.record;
    this.payload = confirmed.record.payload;
    this.fencingToken = confirmed.record.fencingToken;
    this.#belief = new Belief(this, lease.counters, () => this.isHeld());
    const { maxHold } = lease.settings;
    const at = confirmed.firstSentAt;
    if (maxHold !== undefined) this.#longest = { end: addMs(at, maxHold.ms), ask: addMs(at, maxHold.ms - maxHold.graceMs) };
    tie.enlist(this);
    this.#armTimer();
  }

  get signal(): LeaseSignal {
    return this.#belief.signal;
  }

  get ended(): Promise<LeaseLostError | LeaseEndedError> {
    return this.#belief.ended;
  }

  get lost(): boolean {
    return this.#belief.over instanceof LeaseLostError;
  }

  get over(): LeaseLostError | LeaseEndedError | undefined {
    return this.#belief.over;
  }

  get holder(): string {
    return this.#lease.settings.node;
  }

  get trouble(): AnyConsensusError | undefined {
    return this.#tie.membership.trouble;
  }

  get remainingMs(): number {
    if (this.#belief.over !== undefined) return 0;
    return Math.max(0, Math.min(this.#tie.membership.remainingMs, this.#leftUntil(this.#longest?.end)));
  }

  get heldForMs(): number {
    return this.#lease.nowMs() - this.#confirmed.firstSentAt.monotonicMs;
  }

  get unconfirmedForMs(): number {
    return this.#tie.membership.unconfirmedForMs;
  }

  isHeld(): boolean {
    if (this.#belief.over !== undefined) return false;
    if (!this.#tie.membership.isHeld()) this.#end(() => this.#belief.end(this.#endOfSession()));
    else if (this.#leftUntil(this.#longest?.end) <= 0) this.#outlast();
    else if (this.#leftUntil(this.#longest?.ask) <= 0) this.#belief.askToStop("max-hold");
    return this.#belief.over === undefined;
  }

  assertHeld(): void {
    if (!this.isHeld() && this.#belief.over !== undefined) throw this.#belief.over;
  }

  /** Two GETs at once, because two records say it: the lock's and the member's. */
  async verify({ signal }: Parameters<Tenancy["verify"]>[0] = {}): Promise<void> {
    this.assertHeld();
    signal?.throwIfAborted();
    const { store, key, timing } = this.#lease.settings;
    const [read] = await Promise.all([
      store.get(key, { maxBytes: MAX_RECORD_BYTES, timeoutMs: timing.requestTimeoutMs, signal }),
      this.#tie.membership.verify({ signal }).catch((e: unknown) => {
        // What ends the session ends this lock with a reason of its own.
        this.assertHeld();
        throw e;
      }),
    ]);
    signal?.throwIfAborted();
    this.assertHeld();
    if (read.kind === "unavailable" || read.kind === "denied") throw read.error;
    if (read.kind === "not-modified") return;
    const { record } = this.#confirmed;
    const settled = settle(key, { record, base: { etag: "", record } }, read, this.#lease.written);
    if (settled.kind === "other" || settled.kind === "gone" || settled.kind === "unreadable")
      this.#end(() => this.#belief.end(this.#belief.lossOf(settled)));
    this.assertHeld();
  }

  /** An operator's word about this lock, which was written on the member record (rule S15). */
  flagged(flag: Flag): void {
    if (this.isHeld()) this.#hooks.flagged(flag);
  }

  /** The session has freed it, by this outcome. */
  givenBack(outcome: ReleaseOutcome): void {
    this.#hooks.givenBack?.(outcome);
  }

  askToStop(reason: EndReason): void {
    // Who stops the work because the session is lost tells it of that, and not of a stop.
    if (this.isHeld()) this.#belief.askToStop(reason);
  }

  endBelief(reason: EndReason): void {
    if (this.isHeld()) this.#end(() => this.#belief.endBy(reason));
  }

  renew(): Promise<void> {
    return new Promise((resolve) => {
      this.assertHeld();
      resolve();
    });
  }

  /** What is handed off leaves the session: the last write gives it a time of its own. */
  async handOff(): Promise<TimedVersion> {
    this.assertHeld();
    this.endBelief("handed-off");
    const record = this.#lease.renewal(this.record, this.payload);
    const end = await this.#sendLast(record);
    if (end.kind === "applied") return { etag: end.etag, record };
    // Of no use to anybody, and no ttl would free it (rule S14).
    this.#tie.abandon({ lease: this.#lease, nonces: [this.record.holderNonce, record.nonce], base: undefined });
    throw new StoreUnavailableError(`lease "${this.key}" was not handed off: its last write is not known to be applied`);
  }

  work(): () => void {
    this.#works += 1;
    return () => {
      this.#works -= 1;
      if (this.#works === 0) this.#idle?.();
    };
  }

  /** Resolves when no work runs under it. */
  get idle(): Promise<void> {
    return this.#works === 0 ? Promise.resolve() : new Promise((resolve) => (this.#idle = resolve));
  }

  async release(reason: EndReason = "released", fields: ReleaseFields = {}): Promise<ReleaseOutcome> {
    if (this.#release !== undefined) {
      await this.#release;
      return "already-released";
    }
    this.endBelief(reason);
    const { over } = this.#belief;
    if (over instanceof LeaseLostError || over?.reason === "handed-off") return "not-mine";
    // A session that closes frees this lock with all the others (rule S11), unless its record is to say more than that it is free.
    const saysMore = Object.keys(fields).length > 0 || this.payload !== this.record.payload;
    const freedAll = saysMore ? undefined : this.#tie.freedAll;
    this.#release = freedAll ?? this.#sendRelease(fields).catch(() => "unknown");
    return this.#release;
  }

  async #sendRelease(fields: ReleaseFields): Promise<ReleaseOutcome> {
    const base = (await this.#left) ?? this.#confirmed;
    const end = await this.#sendLast(this.#lease.release(base.record, fields, this.payload), base);
    if (end.kind === "applied") return "released";
    if (end.kind === "settled" && end.as.kind !== "still-mine") return "not-mine";
    this.#tie.abandon({ lease: this.#lease, nonces: [this.record.holderNonce], base: undefined, payload: this.payload });
    return "unknown";
  }

  /** No work may be released under, and no ttl would free it: the key stays closed for one, from now, as it would without a session. */
  #outlast(): void {
    this.#end(() => this.#belief.endBy("max-hold"));
    const record = this.#lease.renewal(this.record, this.payload);
    this.#left = this.#sendLast(record).then(
      (end) => {
        if (end.kind === "applied") return { etag: end.etag, record };
        this.#tie.abandon({ lease: this.#lease, nonces: [this.record.holderNonce], base: undefined });
        return undefined;
      },
      () => undefined,
    );
  }

  #leftUntil(at: Instant | undefined): number {
    return at === undefined ? Infinity : remainingMs(at, readClocks(this.#lease.settings.store.clock));
  }

  #armTimer(): void {
    if (this.#longest === undefined) return;
    const untilAskMs = this.signal.aborted ? Infinity : this.#leftUntil(this.#longest.ask);
    const delayMs = Math.max(0, Math.min(untilAskMs, this.#leftUntil(this.#longest.end), MAX_TIMER_MS));
    const onTimer = (): void => {
      if (this.isHeld()) this.#armTimer();
    };
    this.#timer = this.#lease.settings.store.clock.setTimer(delayMs, onTimer, { keepAlive: true });
  }

  async #sendLast(record: TimedRecord, base: Version = this.#confirmed): Promise<WriteEnd> {
    const { store, key, timing } = this.#lease.settings;
    const { counters, written } = this.#lease;
    const end = await carryOut(
      { store, key, counters, written, requestTimeoutMs: timing.requestTimeoutMs },
      { record, base },
      {
        until: addMs(readClocks(store.clock), 2 * timing.requestTimeoutMs),
        forMs: lifetimeMs(timing),
        maxAttempts: 4,
        abortRequests: false,
        explainRefusal: true,
      },
    );
    if (end.kind === "applied")
      this.#lease.view.accept({ etag: end.etag, record, sinceMs: this.#lease.nowMs(), lastModifiedMs: undefined, dateMs: undefined });
    return end;
  }

  #endOfSession(): LeaseLostError | LeaseEndedError {
    const { key, fencingToken } = this;
    try {
      this.#tie.membership.assertHeld();
    } catch (e) {
      if (e instanceof LeaseLostError) return this.#belief.lost(e.reason, `the session that it was held through is over: ${e.message}`, e);
      if (e instanceof LeaseEndedError)
        return new LeaseEndedError(`lease "${key}" (fencing token ${fencingToken}) ended with its session: ${e.reason}`, {
          key,
          reason: e.reason,
          cause: e,
        });
    }
    return this.#belief.lost("expired", "the session that it was held through is over");
  }

  #end(end: () => void): void {
    this.#timer?.cancel();
    this.#tie.dismiss(this);
    end();
  }
}
