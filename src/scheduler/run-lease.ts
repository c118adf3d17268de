/** A lease that a run can stand on, as one process sees it: looked at, judged, taken. */
import { type RecordError, type StoreUnavailableError } from "../errors.ts";
import { take } from "../lease/contend.ts";
import { endMember } from "../lease/end-member.ts";
import { type Judgement, judge } from "../lease/judge.ts";
import { LeaseObject } from "../lease/lease-object.ts";
import { look } from "../lease/look.ts";
import { type KeyView, observationsOf, type Sighting } from "../lease/observations.ts";
import type { SessionTie } from "../lease/session-tie.ts";
import type { LogicalWrite } from "../lease/settle.ts";
import type { Tenancy, TenancyHooks } from "../lease/tenancy.ts";
import { defaultPollMs, deriveTiming, type LeaseTiming, MAX_TTL_MS, watchMs } from "../lease/timing.ts";
import type { Json, LeaseRecord } from "../record/record.ts";
import type { StoreVerdict } from "../store/object-store.ts";
import type { LeaseStanding } from "./decide.ts";
import type { SchedulerConfig } from "./options.ts";
import type { TimedStore } from "./store-time.ts";

/** An invocation keeps so much of its time for the write that finishes a run. */
export const RESERVE_MS = 1_000;
/** Looks of one turn at a lease whose holder's session has to be ended first. */
const MAX_LOOKS = 3;

export interface RunLeaseContext {
  readonly store: TimedStore;
  readonly config: SchedulerConfig;
  /** What runs are held through; without: a lease of their own. */
  readonly session: SessionTie | undefined;
}

export class RunLease {
  readonly key: string;
  readonly #context: RunLeaseContext;
  #lease: LeaseObject;
  #verdict: StoreVerdict | undefined;
  /** The newest tenancy whose function was begun here. */
  #begun = 0;
  /** The run that stands on it here and now. */
  #running: number | undefined;

  constructor(key: string, context: RunLeaseContext) {
    this.key = key;
    this.#context = context;
    this.#lease = this.#leaseObject(context.config.timing, true);
  }

  get object(): LeaseObject {
    return this.#lease;
  }

  get view(): KeyView {
    return this.#lease.view;
  }

  get seen(): Sighting | undefined {
    return this.#lease.view.current;
  }

  /** The store was found fit to write to, and how far its times can be trusted. */
  get verdict(): StoreVerdict | undefined {
    return this.#verdict;
  }

  /** A run of this process stands on it. */
  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** The token of the next acquisition. */
  get nextToken(): number {
    return (this.seen?.record.fencingToken ?? 0) + 1;
  }

  /** How long it must be seen unchanged until its holder is dead for certain. */
  get watchMs(): number {
    const record = this.seen?.record;
    const member =
      record?.session === undefined ? undefined : observationsOf(this.#context.store).view(record.session.member).current?.record;
    const timed = [record, member].find((r) => r !== undefined && r.session === undefined);
    return watchMs(timed?.session === undefined && timed !== undefined ? timed : this.#lease.settings.timing);
  }

  /**
   * One GET; two where it is held through a session, whose dead member is ended then (rule S7). @throws what hinders it.
   */
  async look(signal: AbortSignal): Promise<void> {
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      // Both, even when one fails: a look that has ended has no request under way.
      const [looked, safe] = await Promise.allSettled([
        look(this.#lease, signal),
        this.#verdict ?? this.#context.store.ensureSafe({ signal }),
      ]);
      if (looked.status === "rejected") throw looked.reason;
      if (safe.status === "rejected") throw safe.reason;
      const trouble = looked.value;
      this.#verdict = safe.value;
      if (trouble !== undefined) throw trouble;
      const regressed = this.view.settleContradiction(this.#lease.nowMs(), this.#lease.settings.pollMs);
      if (regressed !== undefined) throw regressed;
      const judgement = this.#judge();
      if (judgement?.kind === "untouchable") throw judgement.error;
      if (judgement?.kind !== "end") return;
      let hindered: StoreUnavailableError | undefined;
      if (await endMember(this.#lease, judgement, { signal, onTrouble: (e) => (hindered = e) })) return;
      if (hindered !== undefined) throw hindered;
    }
  }

  #judge(): Judgement | undefined {
    const { seen } = this;
    if (seen === undefined || seen.record.state === "released") return undefined;
    const skewMs = this.#verdict?.storeTime === true ? this.#verdict.skewMs : undefined;
    return judge(seen, this.#lease.judge(skewMs), this.#lease.nowMs());
  }

  standing(): LeaseStanding {
    const { seen } = this;
    if (this.#running !== undefined) return "held";
    if (seen === undefined) return "free";
    const { record } = seen;
    if (record.state === "released") return record.endedBy === "other" ? "dead" : isUnfinished(record) ? "unbegun" : "free";
    const judgement = this.#judge();
    if (judgement?.kind !== "free") return "held";
    return judgement.by === "orphan" && record.fencingToken > this.#begun ? "unbegun" : "dead";
  }

  /** For one invocation: what is taken now is held until shortly before its end, and keeps others out until then. It is not renewed. */
  forInvocation(remainingMs: number): void {
    // What a session holds, it holds as long as it lives.
    if (this.#context.session !== undefined) return;
    const ttlMs = Math.min(MAX_TTL_MS, Math.ceil((remainingMs - RESERVE_MS / 2) / 0.9));
    const { timing } = deriveTiming({ ttlMs, marginMs: Math.ceil(ttlMs / 10) });
    const requestTimeoutMs = Math.min(timing.requestTimeoutMs, this.#context.config.timing.requestTimeoutMs);
    this.#lease = this.#leaseObject({ ...timing, requestTimeoutMs }, false);
  }

  /**
   * Takes it for a run. @param token its fencing token is at least this. @returns `undefined` when another was faster.
   * @throws what hindered it.
   */
  async take(payload: Json, hooks: TenancyHooks, token?: number): Promise<Tenancy | undefined> {
    let trouble: StoreUnavailableError | RecordError | undefined;
    const { session } = this.#context;
    const open: LogicalWrite[] = [];
    const options = {
      // A claim is carried to its end: a stop in the middle of it is looked at afterwards.
      signal: new AbortController().signal,
      untilMs: this.#lease.nowMs() + 2 * this.#lease.settings.timing.requestTimeoutMs,
      hooks,
      payload,
      leastToken: token,
      onTrouble: (e: StoreUnavailableError | RecordError) => void (trouble = e),
    };
    let taken: Tenancy | undefined;
    try {
      taken = await take(this.#lease, options, "released", open);
    } finally {
      const last = open.at(-1);
      // What may still land, nobody wants, and no ttl would free it (rule S14).
      if (taken === undefined && last !== undefined)
        session?.abandon({ lease: this.#lease, nonces: open.map((a) => a.record.nonce), base: { etag: last.base?.etag } });
    }
    if (taken === undefined && trouble !== undefined) throw trouble;
    return taken;
  }

  /** The function of this tenancy runs: if it ends without a word, the run was abandoned. */
  noteBegun(fencingToken: number): void {
    this.#begun = fencingToken;
    this.#running = fencingToken;
  }

  noteEnded(): void {
    this.#running = undefined;
  }

  #leaseObject(timing: LeaseTiming, renews: boolean): LeaseObject {
    const pollMs = defaultPollMs(timing.ttlMs);
    const { store, session } = this.#context;
    const { node } = this.#context.config;
    return new LeaseObject({ store, key: this.key, node, timing, pollMs, takeover: "auto", renews, releaseKeepsFlag: true, session });
  }
}

/** Its newest run has no end: it was claimed, and given back before it began. */
function isUnfinished({ payload }: LeaseRecord): boolean {
  const run: unknown = typeof payload === "object" && payload !== null ? Reflect.get(payload, "run") : undefined;
  return typeof run === "object" && run !== null && Reflect.get(run, "end") === undefined;
}
