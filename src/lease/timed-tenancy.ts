import { MAX_TIMER_MS, type TimerHandle } from "../clock/clock.ts";
import { addMs, clockGapMs, type Instant, readClocks, remainingMs } from "../clock/deadline.ts";
import { backoffMs, sleep } from "../clock/wait.ts";
import {
  type AnyConsensusError,
  type EndReason,
  type LeaseEndedError,
  LeaseLostError,
  type StoreAccessError,
  StoreUnavailableError,
  type StoreUnsafeError,
} from "../errors.ts";
import { MAX_RECORD_BYTES } from "../record/codec.ts";
import type { Json, LeaseRecord, TimedRecord } from "../record/record.ts";
import { wayOut } from "../record/way-out.ts";
import { Belief, type Contrary } from "./belief.ts";
import type { LeaseObject, ReleaseFields } from "./lease-object.ts";
import type { LeaseSignal } from "./lease-signal.ts";
import { acceptance } from "./observations.ts";
import { settle } from "./settle.ts";
import type { ReleaseOutcome, Tenancy, TenancyHooks, TimedVersion } from "./tenancy.ts";
import { lifetimeMs } from "./timing.ts";
import { carryOut, type WriteContext, type WriteEnd } from "./write.ts";

/** A version of the record that this tenancy knows to stand in the store. */
export interface Confirmed {
  readonly etag: string;
  readonly record: TimedRecord;
  /** Before the first send of the holder's write in it: what its deadline counts from (rule H1). */
  readonly firstSentAt: Instant;
}

/** It is not known what became of a write. */
interface Open {
  readonly kind: "open";
  readonly error: StoreUnavailableError | StoreAccessError | StoreUnsafeError | undefined;
}

/** What became of a renewal: applied, or the record was seen to be mine without it (rule H4), or neither is known. */
type Renewed = "applied" | "seen" | "failed";

const CLOCK_ANOMALY_MS = 1000;

/**
 * One acquisition, from the applied write to its end. It is held while both clocks are before the deadline and nothing has ended it; it ends
 * once, and never revives (rule H3).
 */
export class TimedTenancy implements Tenancy {
  readonly key: string;
  readonly fencingToken: number;
  trouble: AnyConsensusError | undefined;
  payload: Json | undefined;

  readonly #lease: LeaseObject;
  readonly #hooks: TenancyHooks;
  readonly #belief: Belief;
  /** Stops the loop and the requests that it has under way. */
  readonly #loop = new AbortController();
  readonly #acquiredAt: Instant;
  #confirmed: Confirmed;
  #deadline: Instant;
  /** Where the longest hold ends, and where the work is told to stop before. */
  readonly #longest: { readonly end: Instant; readonly ask: Instant } | undefined;
  /** The older version that reads have shown since the last write of mine was applied, if they have (rule W7). */
  #older: LeaseRecord | undefined;
  #timer: TimerHandle | undefined;
  #release: Promise<ReleaseOutcome> | undefined;
  #renewal: Promise<Renewed> | undefined;

  constructor(lease: LeaseObject, confirmed: Confirmed, hooks: TenancyHooks) {
    this.#lease = lease;
    this.#hooks = hooks;
    this.#confirmed = confirmed;
    this.#acquiredAt = confirmed.firstSentAt;
    this.key = lease.name;
    this.payload = confirmed.record.payload;
    this.fencingToken = confirmed.record.fencingToken;
    this.#belief = new Belief(this, lease.counters, () => this.isHeld());
    const { maxHold, renews } = lease.settings;
    if (maxHold !== undefined) {
      const { ms, graceMs, from = this.#acquiredAt } = maxHold;
      this.#longest = { end: addMs(from, ms), ask: addMs(from, ms - graceMs) };
    }
    this.#deadline = this.#deadlineOf(confirmed);
    this.#armTimer();
    if (renews === false) return;
    // What it throws is no answer of the store (a record that kept fields leave no room in, say): the lease runs out at its deadline.
    this.#renewLoop().catch((e: unknown) => this.#noteTrouble(e as AnyConsensusError));
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

  get record(): TimedRecord {
    return this.#confirmed.record;
  }

  isHeld(): boolean {
    if (this.#belief.over === undefined && this.remainingMs <= 0) this.#expire();
    if (this.#belief.over !== undefined) return false;
    if (this.#longest !== undefined && this.#leftUntil(this.#longest.ask) <= 0) this.askToStop("max-hold");
    return true;
  }

  assertHeld(): void {
    if (!this.isHeld() && this.#belief.over !== undefined) throw this.#belief.over;
  }

  get remainingMs(): number {
    if (this.#belief.over !== undefined) return 0;
    return Math.max(0, this.#leftUntil(this.#deadline));
  }

  #leftUntil(at: Instant): number {
    return remainingMs(at, readClocks(this.#lease.settings.store.clock));
  }

  get heldForMs(): number {
    return this.#lease.nowMs() - this.#acquiredAt.monotonicMs;
  }

  get unconfirmedForMs(): number {
    return this.#lease.nowMs() - this.#confirmed.firstSentAt.monotonicMs;
  }

  async verify({ signal }: Parameters<Tenancy["verify"]>[0] = {}): Promise<void> {
    this.assertHeld();
    signal?.throwIfAborted();
    const { store, key, timing } = this.#lease.settings;
    const read = await store.get(key, { maxBytes: MAX_RECORD_BYTES, timeoutMs: timing.requestTimeoutMs, signal });
    signal?.throwIfAborted();
    this.assertHeld();
    if (read.kind === "unavailable" || read.kind === "denied") throw read.error;
    if (read.kind === "not-modified") return;
    const { record } = this.#confirmed;
    // A write of mine may be under way and have been applied: whatever is mine by nonce is not a loss.
    const settled = settle(key, { record, base: { etag: "", record } }, read, this.#lease.written);
    if (settled.kind === "other" || settled.kind === "gone" || settled.kind === "unreadable") this.#end(this.#belief.lossOf(settled));
    this.assertHeld();
  }

  askToStop(reason: EndReason): void {
    this.#belief.askToStop(reason);
  }

  endBelief(reason: EndReason): void {
    if (this.isHeld()) this.#ending(() => this.#belief.endBy(reason));
  }

  async release(reason: EndReason = "released", fields: ReleaseFields = {}): Promise<ReleaseOutcome> {
    if (this.#release !== undefined) {
      await this.#release;
      return "already-released";
    }
    this.endBelief(reason);
    const { over } = this.#belief;
    if (over instanceof LeaseLostError || over?.reason === "handed-off") return "not-mine";
    this.#release = this.#sendRelease(fields);
    return this.#release;
  }

  async renew(): Promise<void> {
    const { store, timing } = this.#lease.settings;
    for (let round = 0; round < 3; round++) {
      this.assertHeld();
      if (this.#covered) return;
      const renewed = await this.#renewOnce(addMs(readClocks(store.clock), 2 * timing.requestTimeoutMs));
      this.assertHeld();
      // "seen": an operator's flag was found on top, or a renewal that had been given up; the next round writes over that.
      if (renewed === "applied") return;
      if (renewed === "failed") break;
    }
    const what = `lease "${this.key}" could not be renewed yet; it is held for ${Math.round(this.remainingMs)} ms`;
    throw this.trouble ?? new StoreUnavailableError(what);
  }

  async handOff(): Promise<TimedVersion> {
    this.assertHeld();
    const until = this.#deadline;
    this.endBelief("handed-off");
    const end = await this.#sendLast((base) => this.#lease.renewal(base, this.payload), until);
    if (end.kind === "applied") return end.version;
    if (end.kind === "settled") throw this.#belief.lossOf(end.as);
    const what = `lease "${this.key}" was not handed off: its last write is not known to be applied. Its ttl frees it`;
    throw end.error ?? new StoreUnavailableError(what);
  }

  async #renewLoop(): Promise<void> {
    const { store, timing } = this.#lease.settings;
    const signal = this.#loop.signal;
    // A flag that was written over the acquisition before its fate was known. Told when whoever acquired it has the tenancy in hand.
    const { flag } = this.#confirmed.record;
    if (flag !== undefined && (await sleep(store.clock, 0, { signal, keepAlive: this.#keepAlive }))) this.#hooks.flagged(flag);
    for (let failures = 0; this.isHeld() && !this.#covered;) {
      const dueMs = this.#confirmed.firstSentAt.monotonicMs + timing.renewEveryMs - this.#lease.nowMs();
      const waitMs =
        failures === 0 ? dueMs : Math.max(dueMs, backoffMs(store.random, failures, 50, Math.min(1000, lifetimeMs(timing) / 8)));
      if (waitMs > 0) await sleep(store.clock, waitMs, { signal, keepAlive: this.#keepAlive });
      if (!this.isHeld()) return;
      // It was renewed on demand meanwhile.
      if (failures === 0 && this.#confirmed.firstSentAt.monotonicMs + timing.renewEveryMs - this.#lease.nowMs() > 1) continue;
      failures = (await this.#renewOnce(this.#deadline)) === "failed" ? failures + 1 : 0;
    }
  }

  /** What has been written lasts beyond the longest hold: nothing is renewed any more. */
  get #covered(): boolean {
    return this.#longest !== undefined && this.#deadline === this.#longest.end;
  }

  get #keepAlive(): boolean {
    return this.#lease.settings.keepAlive !== false;
  }

  /** One renewal at a time: who comes meanwhile shares its answer. */
  #renewOnce(until: Instant): Promise<Renewed> {
    this.#renewal ??= this.#sendRenewal(until).finally(() => (this.#renewal = undefined));
    return this.#renewal;
  }

  async #sendRenewal(until: Instant): Promise<Renewed> {
    // However many writes fail, the one that proves the record to be mine stays among those that are remembered (rule H4).
    this.#lease.written.add(this.#confirmed.record.holderNonce, this.#confirmed.firstSentAt);
    const write = { record: this.#lease.renewal(this.#confirmed.record, this.payload), base: this.#confirmed };
    const end = await carryOut(this.#context(), write, {
      until,
      forMs: lifetimeMs(this.#lease.settings.timing),
      signal: this.#loop.signal,
      abortRequests: true,
      explainRefusal: true,
    });
    // The clock is looked at before the answer: after a pause the answer may run before the due timer (rule H3).
    return this.isHeld() ? this.#takeRenewal(end, write.record) : "failed";
  }

  /** Unless it failed, the record is known to be mine, and the next renewal follows the usual rhythm. */
  #takeRenewal(end: WriteEnd<TimedRecord>, record: TimedRecord): Renewed {
    switch (end.kind) {
      case "applied":
        this.#lease.counters.add("renewals");
        this.#confirm({ etag: end.etag, record, firstSentAt: end.firstSentAt });
        return "applied";
      case "denied":
        this.#noteTrouble(end.error);
        return "failed";
      case "refused":
      case "undecided":
        return "failed";
      case "settled": {
        if (end.as.kind !== "still-mine") {
          this.#end(this.#belief.lossOf(end.as));
          return "failed";
        }
        const seen = end.as.record;
        // The deadline counts from the write that is proven to be below this version, never from "it is mine" alone (rule H4).
        const firstSentAt = this.#lease.written.firstSentAt(seen.holderNonce) ?? this.#confirmed.firstSentAt;
        this.#confirm({ etag: end.as.etag, record: seen, firstSentAt });
        if (seen.flag !== undefined) this.#hooks.flagged(seen.flag);
        return "seen";
      }
    }
  }

  #confirm(confirmed: Confirmed): void {
    const now = readClocks(this.#lease.settings.store.clock);
    if (Math.abs(clockGapMs(this.#confirmed.firstSentAt, now)) > CLOCK_ANOMALY_MS) this.#lease.counters.add("clockAnomalies");
    this.#confirmed = confirmed;
    this.#deadline = this.#deadlineOf(confirmed);
    this.trouble = undefined;
    this.#older = undefined;
    this.#lease.view.accept({
      etag: confirmed.etag,
      record: confirmed.record,
      sinceMs: this.#lease.nowMs(),
      lastModifiedMs: undefined,
      dateMs: undefined,
    });
    if (this.isHeld()) this.#armTimer();
  }

  async #sendRelease(fields: ReleaseFields): Promise<ReleaseOutcome> {
    const { store, timing } = this.#lease.settings;
    try {
      const until = addMs(readClocks(store.clock), 2 * timing.requestTimeoutMs);
      const end = await this.#sendLast((base) => this.#lease.release(base, fields, this.payload), until);
      // Nobody believes in it any more: this process need not wait for its own ttl, unless the key was to stay closed (rules C1, C6).
      if (end.kind === "open" && fields.holdForMs === undefined) this.#lease.leaveBehind();
      return end.kind === "applied" ? "released" : end.kind === "settled" ? "not-mine" : "unknown";
    } catch {
      // No answer of the store (a record that kept fields leave no room in): the key is freed by its ttl.
      return "unknown";
    }
  }

  /** The write after which this tenancy writes no more. */
  async #sendLast(
    make: (base: TimedRecord) => TimedRecord,
    until: Instant,
  ): Promise<{ readonly kind: "applied"; readonly version: TimedVersion } | { readonly kind: "settled"; readonly as: Contrary } | Open> {
    let base: TimedVersion = this.#confirmed;
    for (let round = 0; round < 3; round++) {
      const record = make(base.record);
      const end = await carryOut(
        this.#context(),
        { record, base },
        { until, forMs: lifetimeMs(this.#lease.settings.timing), maxAttempts: 4, abortRequests: false, explainRefusal: true },
      );
      if (end.kind === "applied") {
        this.#lease.view.accept({ etag: end.etag, record, sinceMs: this.#lease.nowMs(), lastModifiedMs: undefined, dateMs: undefined });
        return { kind: "applied", version: { etag: end.etag, record } };
      }
      if (end.kind !== "settled") return { kind: "open", error: end.kind === "refused" ? undefined : end.error };
      if (end.as.kind !== "still-mine") return { kind: "settled", as: end.as };
      // A renewal that was under way, or an operator's flag, got in between.
      base = { etag: end.as.etag, record: end.as.record };
    }
    return { kind: "open", error: undefined };
  }

  #context(): WriteContext {
    const { store, key, timing } = this.#lease.settings;
    const { counters, written } = this.#lease;
    return {
      store,
      key,
      counters,
      written,
      requestTimeoutMs: timing.requestTimeoutMs,
      onTrouble: (e) => this.#noteTrouble(e),
      onOlder: (record) => (this.#older = record),
    };
  }

  #noteTrouble(error: AnyConsensusError): void {
    // A release has its outcome to tell of trouble; only a renewal that fails is news to the holder.
    if (!this.isHeld()) return;
    this.trouble = error;
    this.#lease.counters.add("renewalsFailed");
    this.#hooks.renewalFailed(error, this.remainingMs);
  }

  #deadlineOf(confirmed: Confirmed): Instant {
    const own = addMs(confirmed.firstSentAt, lifetimeMs(this.#lease.settings.timing));
    const longest = this.#longest?.end;
    return longest !== undefined && longest.monotonicMs <= own.monotonicMs ? longest : own;
  }

  /** The timer that ends the tenancy, whatever a hung request does. In steps, so that a jump of the wall clock is seen too. */
  #armTimer(): void {
    this.#timer?.cancel();
    const { clock } = this.#lease.settings.store;
    const onTimer = (): void => {
      if (this.isHeld()) this.#armTimer();
    };
    const untilAskMs = this.#longest === undefined || this.#belief.asked ? Infinity : this.#leftUntil(this.#longest.ask);
    const delayMs = Math.max(0, Math.min(this.remainingMs, untilAskMs, MAX_TIMER_MS));
    this.#timer = clock.setTimer(delayMs, onTimer, { keepAlive: this.#keepAlive });
  }

  #expire(): void {
    if (this.#covered) {
      this.#belief.askToStop("max-hold");
      return this.#ending(() => this.#belief.endBy("max-hold"));
    }
    const now = readClocks(this.#lease.settings.store.clock);
    const lateMs = -remainingMs(this.#deadline, now);
    const gapMs = clockGapMs(this.#confirmed.firstSentAt, now);
    const anomaly = Math.abs(gapMs) > CLOCK_ANOMALY_MS;
    if (anomaly) this.#lease.counters.add("clockAnomalies");
    if (anomaly || lateMs > Math.max(this.#lease.settings.timing.marginMs, CLOCK_ANOMALY_MS)) {
      const what = anomaly
        ? `the wall clock moved ${Math.round(gapMs)} ms more than the monotonic clock (a suspended machine, or a clock that was set)`
        : `this process did not run for a while (stopped, or its event loop was blocked)`;
      this.#end(this.#belief.lost("frozen", `the deadline was found ${Math.round(lateMs)} ms past: ${what}`));
    } else if (this.#older !== undefined && this.#older.fencingToken < this.fencingToken) {
      const what =
        `the record went back to fencing token ${this.#older.fencingToken}, and no write was taken until the deadline` +
        wayOut(this.#lease.settings.key, "accept-regression", acceptance(this.fencingToken, this.record));
      this.#end(this.#belief.lost("token-regression", what));
    } else {
      const why = this.trouble === undefined ? "it could not be renewed" : `it could not be renewed: ${this.trouble.message}`;
      this.#end(this.#belief.lost("expired", `the deadline passed, ${why}`));
    }
  }

  #end(error: LeaseLostError): void {
    this.#ending(() => this.#belief.end(error));
  }

  /** Nothing more is sent, and no timer is left, when those who hear of the end go on. */
  #ending(end: () => void): void {
    this.#timer?.cancel();
    this.#loop.abort();
    end();
  }
}
