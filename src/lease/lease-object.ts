import { toIso } from "../clock/calendar.ts";
import { freshId } from "../clock/wait.ts";
import type { Json, LeaseRecord, TimedRecord } from "../record/record.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { Counters } from "./counters.ts";
import type { Judge, Takeover } from "./judge.ts";
import { type KeyView, observationsOf } from "./observations.ts";
import type { SessionTie } from "./session-tie.ts";
import { lifetimeMs, type LeaseTiming } from "./timing.ts";
import { WrittenNonces } from "./written.ts";

export interface LeaseSettings {
  readonly store: ObjectStore;
  readonly key: string;
  /** For people, and for reservations (rule C7). */
  readonly node: string;
  readonly timing: LeaseTiming;
  readonly pollMs: number;
  readonly takeover: Takeover;
  readonly metadata?: Json | undefined;
  /** Renews what it holds every third of the ttl. Default true; without it a tenancy ends at its first deadline. */
  readonly renews?: boolean | undefined;
  /** Held through this session: the record names its tenancy, and is never renewed. Without: a time of its own. */
  readonly session?: SessionTie | undefined;
  /** The key was drawn at random for this object alone, so that there is nothing to read before the first write (rule W6). */
  readonly isFresh?: boolean | undefined;
  /** A release keeps an operator's flag that no renewal has taken off: it is meant for whoever comes next, too. Default false. */
  readonly releaseKeepsFlag?: boolean | undefined;
}

/**
 * One contender for one key. Ownership is by its random instance id, never by node name or process: two of them exclude each other like
 * strangers, wherever they live (rules H9, O3).
 */
export class LeaseObject {
  readonly settings: LeaseSettings;
  readonly instance: string;
  readonly counters: Counters = new Counters();
  readonly written: WrittenNonces = new WrittenNonces();

  constructor(settings: LeaseSettings) {
    this.settings = settings;
    this.instance = freshId(settings.store.random);
  }

  get view(): KeyView {
    return observationsOf(this.settings.store).view(this.settings.key);
  }

  nowMs(): number {
    return this.settings.store.clock.monotonicMs();
  }

  judge(storeSkewMs: number | undefined): Judge {
    return {
      node: this.settings.node,
      takeover: this.settings.takeover,
      storeSkewMs,
      pollMs: this.settings.pollMs,
      memberOf: (ref) => observationsOf(this.settings.store).view(ref.member),
      isMyOrphan: (record) => record.instance === this.instance && this.written.has(record.holderNonce),
    };
  }

  /**
   * The record of an acquisition over `base`: the token grows by one, whoever held it before (rule R2). What the record keeps for its face stays,
   * or becomes `payload`.
   */
  acquisition(base: LeaseRecord | undefined, payload: Json | undefined = base?.payload): LeaseRecord {
    const { node, metadata, session } = this.settings;
    const nonce = freshId(this.settings.store.random);
    const { acquiredAt, renewedAt, ...bounds } = this.#times();
    const record = {
      state: "held" as const,
      holder: node,
      instance: this.instance,
      nonce,
      holderNonce: nonce,
      fencingToken: (base?.fencingToken ?? 0) + 1,
      version: (base?.version ?? 0) + 1,
      acquiredAt,
      renewedAt,
      metadata,
      payload,
      extra: base?.extra ?? {},
    };
    return session === undefined ? { ...record, ...bounds } : { ...record, session: session.ref };
  }

  renewal(of: TimedRecord, payload: Json | undefined = of.payload): TimedRecord {
    const { acquiredAt } = of;
    return { ...this.#next(of), ...this.#times(), payload, acquiredAt, flag: undefined };
  }

  /** Whatever is released has a time of its own, in the format that every version reads (rules S16, R4). */
  release(of: LeaseRecord, fields: ReleaseFields, payload: Json | undefined = of.payload): TimedRecord {
    const { ttlMs, marginMs, expiresAt } = of.session === undefined ? of : this.#times();
    return {
      ...this.#next(of),
      ttlMs,
      marginMs,
      expiresAt,
      session: undefined,
      payload,
      state: "released",
      endedBy: "self",
      flag: this.settings.releaseKeepsFlag === true ? of.flag : undefined,
      ...fields,
    };
  }

  #next<R extends LeaseRecord>(of: R): R {
    const nonce = freshId(this.settings.store.random);
    return { ...of, nonce, holderNonce: nonce, version: of.version + 1 };
  }

  #times(): Pick<TimedRecord, "ttlMs" | "marginMs" | "acquiredAt" | "renewedAt" | "expiresAt"> {
    const { store, timing } = this.settings;
    const now = store.clock.wallMs();
    const { ttlMs, marginMs } = timing;
    return { ttlMs, marginMs, acquiredAt: toIso(now), renewedAt: toIso(now), expiresAt: toIso(now + lifetimeMs(timing)) };
  }
}

/** What a release may add: a minimum hold (rule C6), a reservation for a successor (rule C7). */
export interface ReleaseFields {
  readonly holdForMs?: number | undefined;
  readonly reservedFor?: string | undefined;
  readonly reserveMs?: number | undefined;
}
