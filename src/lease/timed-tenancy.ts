import { MAX_TIMER_MS, type TimerHandle } from "../clock/clock.ts";
import { addMs, clockGapMs, type Instant, readClocks, remainingMs } from "../clock/deadline.ts";
import { backoffMs, sleep } from "../clock/wait.ts";
import { type AnyConsensusError, type EndReason, type LeaseEndedError, LeaseLostError } from "../errors.ts";
import { MAX_RECORD_BYTES } from "../record/codec.ts";
import type { Json, LeaseRecord, TimedRecord } from "../record/record.ts";
import { Belief } from "./belief.ts";
import type { LeaseObject, ReleaseFields } from "./lease-object.ts";
import type { LeaseSignal } from "./lease-signal.ts";
import { settle } from "./settle.ts";
import type { ReleaseOutcome, Tenancy, TenancyHooks } from "./tenancy.ts";
import { lifetimeMs } from "./timing.ts";
import { carryOut, type WriteContext, type WriteEnd } from "./write.ts";

/** A version of the record that this tenancy knows to stand in the store. */
export interface Confirmed {
  readonly etag: string;
  readonly record: TimedRecord;
  /** Before the first send of the holder's write in it: what its deadline counts from (rule H1). */
  readonly firstSentAt: Instant;
}

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
  /** The older version that reads have shown since the last write of mine was applied, if they have (rule W7). */
  #older: LeaseRecord | undefined;
  #timer: TimerHandle | undefined;
  #release: Promise<ReleaseOutcome> | undefined;

  constructor(lease: LeaseObject, confirmed: Confirmed, hooks: TenancyHooks) {
    this.#lease = lease;
    this.#hooks = hooks;
    this.#confirmed = confirmed;
    this.#acquiredAt = confirmed.firstSentAt;
    this.key = lease.settings.key;
    this.payload = confirmed.record.payload;
    this.fencingToken = confirmed.record.fencingToken;
    this.#belief = new Belief(this, lease.counters, () => this.isHeld());
    this.#deadline = this.#deadlineOf(confirmed);
    this.#armTimer();
    if (lease.settings.renews === false) return;
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

  get record(): TimedRecord {
    return this.#confirmed.record;
  }

  isHeld(): boolean {
    if (this.#belief.over === undefined && this.remainingMs <= 0) this.#expire();
    return this.#belief.over === undefined;
  }

  assertHeld(): void {
    if (!this.isHeld() && this.#belief.over !== undefined) throw this.#belief.over;
  }

  get remainingMs(): number {
    if (this.#belief.over !== undefined) return 0;
    return Math.max(0, remainingMs(this.#deadline, readClocks(this.#lease.settings.store.clock)));
  }

  get heldForMs(): number {
    return this.#lease.nowMs() - this.#acquiredAt.monotonicMs;
  }

  get unconfirmedForMs(): number {
    return this.#lease.nowMs() - this.#confirmed.firstSentAt.monotonicMs;
  }

  async verify(signal?: AbortSignal): Promise<void> {
    this.assertHeld();
    signal?.throwIfAborted();
    const { store, timing } = this.#lease.settings;
    const read = await store.get(this.key, { maxBytes: MAX_RECORD_BYTES, timeoutMs: timing.requestTimeoutMs, signal });
    signal?.throwIfAborted();
    this.assertHeld();
    if (read.kind === "unavailable" || read.kind === "denied") throw read.error;
    if (read.kind === "not-modified") return;
    const { record } = this.#confirmed;
    // A write of mine may be under way and have been applied: whatever is mine by nonce is not a loss.
    const settled = settle(this.key, { record, base: { etag: "", record } }, read, this.#lease.written);
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
    if (this.#belief.over instanceof LeaseLostError) return "not-mine";
    // What it throws is no answer of the store (a record that kept fields leave no room in): the key is freed by its ttl.
    this.#release = this.#sendRelease(fields).catch(() => "unknown");
    return this.#release;
  }

  async #renewLoop(): Promise<void> {
    const { store, timing } = this.#lease.settings;
    const signal = this.#loop.signal;
    // A flag that was written over the acquisition before its fate was known. Told when whoever acquired it has the tenancy in hand.
    const { flag } = this.#confirmed.record;
    if (flag !== undefined && (await sleep(store.clock, 0, { signal, keepAlive: true }))) this.#hooks.flagged(flag);
    for (let failures = 0; this.isHeld();) {
      const dueMs = this.#confirmed.firstSentAt.monotonicMs + timing.renewEveryMs - this.#lease.nowMs();
      const waitMs =
        failures === 0 ? dueMs : Math.max(dueMs, backoffMs(store.random, failures, 50, Math.min(1000, lifetimeMs(timing) / 8)));
      if (waitMs > 0) await sleep(store.clock, waitMs, { signal, keepAlive: true });
      if (!this.isHeld()) return;
      // However many writes fail, the one that proves the record to be mine stays among those that are remembered (rule H4).
      this.#lease.written.add(this.#confirmed.record.holderNonce, this.#confirmed.firstSentAt);
      const write = { record: this.#lease.renewal(this.#confirmed.record, this.payload), base: this.#confirmed };
      const end = await carryOut(this.#context(), write, {
        until: this.#deadline,
        forMs: lifetimeMs(timing),
        signal,
        abortRequests: true,
        explainRefusal: true,
      });
      // The clock is looked at before the answer: after a pause the answer may run before the due timer (rule H3).
      if (!this.isHeld()) return;
      failures = this.#takeRenewal(end, write.record) ? 0 : failures + 1;
    }
  }

  /** @returns whether the record is known to be mine, so that the next renewal follows the usual rhythm. */
  #takeRenewal(end: WriteEnd<TimedRecord>, record: TimedRecord): boolean {
    switch (end.kind) {
      case "applied":
        this.#lease.counters.add("renewals");
        this.#confirm({ etag: end.etag, record, firstSentAt: end.firstSentAt });
        return true;
      case "denied":
        this.#noteTrouble(end.error);
        return false;
      case "refused":
      case "undecided":
        return false;
      case "settled": {
        if (end.as.kind !== "still-mine") {
          this.#end(this.#belief.lossOf(end.as));
          return false;
        }
        const seen = end.as.record;
        // The deadline counts from the write that is proven to be below this version, never from "it is mine" alone (rule H4).
        const firstSentAt = this.#lease.written.firstSentAt(seen.holderNonce) ?? this.#confirmed.firstSentAt;
        this.#confirm({ etag: end.as.etag, record: seen, firstSentAt });
        if (seen.flag !== undefined) this.#hooks.flagged(seen.flag);
        return true;
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
    const until = addMs(readClocks(store.clock), 2 * timing.requestTimeoutMs);
    let base: { readonly etag: string; readonly record: TimedRecord } = this.#confirmed;
    for (let round = 0; round < 3; round++) {
      const record = this.#lease.release(base.record, fields, this.payload);
      const end = await carryOut(
        this.#context(),
        { record, base },
        { until, forMs: lifetimeMs(timing), maxAttempts: 4, abortRequests: false, explainRefusal: true },
      );
      if (end.kind === "applied") {
        this.#lease.view.accept({ etag: end.etag, record, sinceMs: this.#lease.nowMs(), lastModifiedMs: undefined, dateMs: undefined });
        return "released";
      }
      if (end.kind !== "settled") return "unknown";
      if (end.as.kind !== "still-mine") return "not-mine";
      // A renewal that was under way, or an operator's flag, got in between.
      base = { etag: end.as.etag, record: end.as.record };
    }
    return "unknown";
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
    return addMs(confirmed.firstSentAt, lifetimeMs(this.#lease.settings.timing));
  }

  /** The timer that ends the tenancy, whatever a hung request does. In steps, so that a jump of the wall clock is seen too. */
  #armTimer(): void {
    this.#timer?.cancel();
    const { clock } = this.#lease.settings.store;
    const onTimer = (): void => {
      if (this.isHeld()) this.#armTimer();
    };
    this.#timer = clock.setTimer(Math.min(this.remainingMs, MAX_TIMER_MS), onTimer, { keepAlive: true });
  }

  #expire(): void {
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
      const what = `the record went back to fencing token ${this.#older.fencingToken}, and no write was taken until the deadline`;
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
