/** A task's record, as one process sees and writes it: looks, reads its state, marks it, and takes it for a run. */
import { addMs, readClocks } from "../clock/deadline.ts";
import { StoreAccessError } from "../errors.ts";
import type { LeaseObject } from "../lease/lease-object.ts";
import type { Tenancy, TenancyHooks } from "../lease/tenancy.ts";
import { lifetimeMs } from "../lease/timing.ts";
import { carryOut } from "../lease/write.ts";
import type { LeaseStanding } from "./decide.ts";
import { RunLease, type RunLeaseContext } from "./run-lease.ts";
import { FRESH_MS } from "./store-time.ts";
import { decodeState, encodeState, type TaskState } from "./task-state.ts";

/** How long a clock that is too far off is known to be so. */
const CLOCK_CHECK_MS = 15_000;

export class TaskRecord {
  readonly key: string;
  readonly lease: RunLease;
  readonly #context: RunLeaseContext;
  /** The version that this process wrote. */
  #ownEtag: string | undefined;

  constructor(key: string, context: RunLeaseContext) {
    this.key = key;
    this.#context = context;
    this.lease = new RunLease(key, context);
  }

  get #object(): LeaseObject {
    return this.lease.object;
  }

  /** The record as last seen. @throws RecordError. */
  get state(): TaskState | undefined {
    const { seen } = this.lease;
    return seen === undefined ? undefined : decodeState(this.key, seen.record.payload);
  }

  get etag(): string | undefined {
    return this.lease.seen?.etag;
  }

  get isFlagged(): boolean {
    return this.lease.seen?.record.flag !== undefined;
  }

  /** Nothing was seen, and nothing said that there is nothing: no write may be based on that (rule W6). */
  get isUnknown(): boolean {
    const { current, absent } = this.lease.view;
    return current === undefined && !absent;
  }

  /** The very version that stands there was refused as a base a moment ago, and looking showed nothing newer: the store is in doubt about the key (rule W6). */
  get isInDoubt(): boolean {
    const { current, refused } = this.lease.view;
    return refused !== undefined && refused.etag === current?.etag && this.#object.nowMs() - refused.atMs < this.#object.settings.pollMs;
  }

  get isOwn(): boolean {
    return this.#ownEtag !== undefined && this.etag === this.#ownEtag;
  }

  /** The token of the next acquisition. */
  get nextToken(): number {
    return this.lease.nextToken;
  }

  /** The newest version is this process's own, nobody has knocked, and the store's time is known well: a claim needs no look before it. */
  get mayBeWrittenUnseen(): boolean {
    const { time } = this.#context.store;
    return (
      this.isOwn &&
      !this.isFlagged &&
      this.lease.view.contradiction === undefined &&
      this.lease.verdict !== undefined &&
      time.now() !== undefined &&
      time.ageMs() <= FRESH_MS &&
      !this.#isClockOff()
    );
  }

  /** One GET. @throws what hinders it; StoreAccessError when this machine's clock is too far off, which a recent answer says without another. */
  async look(signal: AbortSignal): Promise<void> {
    const { store, config } = this.#context;
    // One answer in a while says it for all tasks of this process.
    if (!this.#isClockOff() || store.time.ageMs() > CLOCK_CHECK_MS) await this.lease.look(signal);
    if (this.#isClockOff()) throw clockOff(store.time.aheadMs(), config.maxClockOffsetMs);
  }

  #isClockOff(): boolean {
    const { store, config } = this.#context;
    return Math.abs(store.time.aheadMs()) > config.maxClockOffsetMs;
  }

  standing(): LeaseStanding {
    return this.lease.standing();
  }

  /**
   * Writes a state without a run on this record: an acquisition that is released in the same write. @param leastToken its fencing token is at least this.
   * @returns whether it was applied.
   */
  async mark(state: TaskState, signal: AbortSignal, leastToken?: number): Promise<boolean> {
    const { store, key, timing } = this.#object.settings;
    const { counters, written, view } = this.#object;
    const base = view.current;
    const record = this.#object.release(this.#object.acquisition(base?.record, encodeState(state), leastToken), {});
    const end = await carryOut(
      { store, key, counters, written, requestTimeoutMs: timing.requestTimeoutMs },
      { record, base },
      {
        until: addMs(readClocks(store.clock), 2 * timing.requestTimeoutMs),
        forMs: lifetimeMs(timing),
        signal,
        abortRequests: false,
        explainRefusal: false,
      },
    );
    if (end.kind === "denied") throw end.error;
    if (end.kind === "undecided" && end.error !== undefined) throw end.error;
    if (end.kind !== "applied") {
      view.noteRefused(base?.etag, this.#object.nowMs());
      return false;
    }
    view.accept({ etag: end.etag, record, sinceMs: this.#object.nowMs(), lastModifiedMs: undefined, dateMs: undefined });
    this.#ownEtag = end.etag;
    return true;
  }

  /** Takes it for a run. @returns `undefined` when another was faster. @throws what hindered it. */
  async take(state: TaskState, hooks: TenancyHooks): Promise<Tenancy | undefined> {
    return await this.lease.take(encodeState(state), hooks);
  }

  /** The tenancy is over: what stands there now is this process's own, if it is still of that tenancy. */
  noteEnded(fencingToken: number): void {
    this.lease.noteEnded();
    const { seen } = this.lease;
    this.#ownEtag = seen?.record.fencingToken === fencingToken ? seen.etag : undefined;
  }
}

function clockOff(aheadMs: number, boundMs: number): StoreAccessError {
  const by = `${Math.round(Math.abs(aheadMs) / 1000)} s ${aheadMs > 0 ? "ahead of" : "behind"}`;
  return new StoreAccessError(
    `this machine's clock is ${by} the store's, and ${boundMs} ms are the bound (maxClockOffsetMs): it claims no tick`,
    { hint: "set this machine's clock (NTP)" },
  );
}
