/** A task's record, as one process sees and writes it: looks, judges its lease, marks it, and takes it for a run. */
import { addMs, readClocks } from "../clock/deadline.ts";
import { type RecordError, StoreAccessError, type StoreUnavailableError } from "../errors.ts";
import { take } from "../lease/contend.ts";
import { judge } from "../lease/judge.ts";
import { LeaseObject } from "../lease/lease-object.ts";
import { look } from "../lease/look.ts";
import type { Tenancy, TenancyHooks } from "../lease/tenancy.ts";
import { defaultPollMs, deriveTiming, lifetimeMs, type LeaseTiming, MAX_TTL_MS, watchMs } from "../lease/timing.ts";
import { carryOut } from "../lease/write.ts";
import type { LeaseRecord } from "../record/record.ts";
import type { StoreVerdict } from "../store/object-store.ts";
import type { LeaseStanding } from "./decide.ts";
import type { SchedulerConfig } from "./options.ts";
import type { TimedStore } from "./store-time.ts";
import { decodeState, encodeState, type TaskState } from "./task-state.ts";

/** Own answers older than this do not tell the store's time well enough to claim without a look. */
const FRESH_MS = 3_600_000;
/** An invocation keeps so much of its time for the write that finishes a run. */
export const RESERVE_MS = 1_000;

export class TaskRecord {
  readonly key: string;
  readonly #store: TimedStore;
  readonly #config: SchedulerConfig;
  #lease: LeaseObject;
  #verdict: StoreVerdict | undefined;
  /** The version that this process wrote. */
  #ownEtag: string | undefined;
  /** The newest tenancy whose function was begun here. */
  #begun = 0;

  constructor(key: string, store: TimedStore, config: SchedulerConfig) {
    this.key = key;
    this.#store = store;
    this.#config = config;
    this.#lease = this.#leaseObject(config.timing, true);
  }

  get lease(): LeaseObject {
    return this.#lease;
  }

  /** The record as last seen. @throws RecordError. */
  get state(): TaskState | undefined {
    const { current } = this.#lease.view;
    return current === undefined ? undefined : decodeState(this.key, current.record.payload);
  }

  get etag(): string | undefined {
    return this.#lease.view.current?.etag;
  }

  get isFlagged(): boolean {
    return this.#lease.view.current?.record.flag !== undefined;
  }

  /** Nothing was seen, and nothing said that there is nothing: no write may be based on that (rule W6). */
  get isUnknown(): boolean {
    const { current, absent } = this.#lease.view;
    return current === undefined && !absent;
  }

  get isOwn(): boolean {
    return this.#ownEtag !== undefined && this.etag === this.#ownEtag;
  }

  /** The token of the next acquisition. */
  get nextToken(): number {
    return (this.#lease.view.current?.record.fencingToken ?? 0) + 1;
  }

  /** How long it must be seen unchanged until its holder is dead for certain. */
  get watchMs(): number {
    const record = this.#lease.view.current?.record;
    return watchMs(record?.session === undefined && record !== undefined ? record : this.#lease.settings.timing);
  }

  /** The newest version is this process's own, nobody has knocked, and the store's time is known well: a claim needs no look before it. */
  get mayBeWrittenUnseen(): boolean {
    const { time } = this.#store;
    return (
      this.isOwn &&
      !this.isFlagged &&
      this.#lease.view.contradiction === undefined &&
      this.#verdict !== undefined &&
      time.now() !== undefined &&
      time.ageMs() <= FRESH_MS &&
      !this.#isClockOff()
    );
  }

  /** One GET. @throws what hinders it; StoreAccessError when this machine's clock is too far off. */
  async look(signal: AbortSignal): Promise<void> {
    const [trouble, verdict] = await Promise.all([look(this.#lease, signal), this.#verdict ?? this.#store.ensureSafe({ signal })]);
    this.#verdict = verdict;
    if (trouble !== undefined) throw trouble;
    const regressed = this.#lease.view.settleContradiction(this.#lease.nowMs(), this.#lease.settings.pollMs);
    if (regressed !== undefined) throw regressed;
    if (this.#isClockOff()) throw clockOff(this.#store.time.aheadMs(), this.#config.maxClockOffsetMs);
  }

  #isClockOff(): boolean {
    return Math.abs(this.#store.time.aheadMs()) > this.#config.maxClockOffsetMs;
  }

  standing(): LeaseStanding {
    const seen = this.#lease.view.current;
    if (seen === undefined) return "free";
    const { record } = seen;
    if (record.state === "released") return record.endedBy === "other" ? "dead" : isUnfinished(record) ? "unbegun" : "free";
    const skewMs = this.#verdict?.storeTime === true ? this.#verdict.skewMs : undefined;
    const judgement = judge(seen, this.#lease.judge(skewMs), this.#lease.nowMs());
    if (judgement.kind !== "free") return "held";
    return judgement.by === "orphan" && record.fencingToken > this.#begun ? "unbegun" : "dead";
  }

  /** Writes a state without a run: an acquisition that is released in the same write. @returns whether it was applied. */
  async mark(state: TaskState, signal: AbortSignal): Promise<boolean> {
    const { store, key, timing } = this.#lease.settings;
    const { counters, written, view } = this.#lease;
    const base = view.current;
    const record = this.#lease.release(this.#lease.acquisition(base?.record, encodeState(state)), {});
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
      view.noteRefused(base?.etag, this.#lease.nowMs());
      return false;
    }
    view.accept({ etag: end.etag, record, sinceMs: this.#lease.nowMs(), lastModifiedMs: undefined, dateMs: undefined });
    this.#ownEtag = end.etag;
    return true;
  }

  /** For one invocation: what is taken now is held until shortly before its end, and keeps others out until then. It is not renewed. */
  forInvocation(remainingMs: number): void {
    const ttlMs = Math.min(MAX_TTL_MS, Math.ceil((remainingMs - RESERVE_MS / 2) / 0.9));
    const { timing } = deriveTiming({ ttlMs, marginMs: Math.ceil(ttlMs / 10) });
    const requestTimeoutMs = Math.min(timing.requestTimeoutMs, this.#config.timing.requestTimeoutMs);
    this.#lease = this.#leaseObject({ ...timing, requestTimeoutMs }, false);
  }

  /** Takes it for a run. @returns `undefined` when another was faster. @throws what hindered it. */
  async take(state: TaskState, hooks: TenancyHooks): Promise<Tenancy | undefined> {
    let trouble: StoreUnavailableError | RecordError | undefined;
    const taken = await take(
      this.#lease,
      {
        // A claim is carried to its end: a stop in the middle of it is looked at afterwards.
        signal: new AbortController().signal,
        untilMs: this.#lease.nowMs() + 2 * this.#lease.settings.timing.requestTimeoutMs,
        hooks,
        payload: encodeState(state),
        onTrouble: (e) => (trouble = e),
      },
      "released",
    );
    if (taken === undefined && trouble !== undefined) throw trouble;
    return taken;
  }

  /** The function of this tenancy runs: if it ends without a word, the run was abandoned. */
  noteBegun(fencingToken: number): void {
    this.#begun = fencingToken;
  }

  /** The tenancy is over: what stands there now is this process's own, if it is still of that tenancy. */
  noteEnded(fencingToken: number): void {
    const { current } = this.#lease.view;
    this.#ownEtag = current?.record.fencingToken === fencingToken ? current.etag : undefined;
  }

  #leaseObject(timing: LeaseTiming, renews: boolean): LeaseObject {
    const pollMs = defaultPollMs(timing.ttlMs);
    const { node } = this.#config;
    return new LeaseObject({ store: this.#store, key: this.key, node, timing, pollMs, takeover: "auto", renews, releaseKeepsFlag: true });
  }
}

/** Its newest run has no end: it was claimed, and given back before it began. */
function isUnfinished({ payload }: LeaseRecord): boolean {
  const run: unknown = typeof payload === "object" && payload !== null ? Reflect.get(payload, "run") : undefined;
  return typeof run === "object" && run !== null && Reflect.get(run, "end") === undefined;
}

function clockOff(aheadMs: number, boundMs: number): StoreAccessError {
  const by = `${Math.round(Math.abs(aheadMs) / 1000)} s ${aheadMs > 0 ? "ahead of" : "behind"}`;
  return new StoreAccessError(
    `this machine's clock is ${by} the store's, and ${boundMs} ms are the bound (maxClockOffsetMs): it claims no tick`,
    { hint: "set this machine's clock (NTP)" },
  );
}
