import { toIso } from "../clock/calendar.ts";
import { freshId } from "../clock/wait.ts";
import { StoreUnsafeError } from "../errors.ts";
import type { Json, LeaseRecord, TimedRecord } from "../record/record.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { Counters } from "./counters.ts";
import type { Judge, Takeover } from "./judge.ts";
import { type Identity, type KeyView, observationsOf } from "./observations.ts";
import type { SessionTie } from "./session-tie.ts";
import { lifetimeMs, type LeaseTiming, type LongestHold } from "./timing.ts";
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
  /** What its user calls it: stands in what is told and thrown. Default: `key`. */
  readonly name?: string | undefined;
  /** The first waits between two looks are shorter, and double from this one up to `pollMs`. Default: all are `pollMs`. */
  readonly firstPollMs?: number | undefined;
  /** Whether the timers of a tenancy keep the process alive (rule H8). Default true. */
  readonly keepAlive?: boolean | undefined;
  readonly maxHold?: LongestHold | undefined;
  /** Its key may be deleted while nobody holds it; who creates it begins with the store's time as token (rule P1). */
  readonly ephemeral?: boolean | undefined;
  /** How long the key stays closed after a tenancy that was not ended by its holder (rule C6). */
  readonly lockDelayMs?: number | undefined;
}

/**
 * One contender for one key. Ownership is by its random instance id, never by node name or process: two of them exclude each other like
 * strangers, wherever they live (rules H9, O3).
 */
export class LeaseObject {
  readonly settings: LeaseSettings;
  readonly instance: string;
  readonly counters: Counters;
  readonly written: WrittenNonces;
  readonly #view: KeyView;

  constructor(
    settings: LeaseSettings,
    shared: { readonly counters?: Counters | undefined; readonly identity?: Identity | undefined } = {},
  ) {
    this.settings = settings;
    this.instance = shared.identity?.instance ?? freshId(settings.store.random);
    this.written = shared.identity?.written ?? new WrittenNonces();
    this.counters = shared.counters ?? new Counters();
    this.#view = observationsOf(settings.store).view(settings.key);
  }

  /** Kept while somebody works with it, however many other keys are looked at meanwhile: a watch that began must not begin again (rule C2). */
  get view(): KeyView {
    return observationsOf(this.settings.store).keep(this.#view);
  }

  /** What its user calls it. */
  get name(): string {
    return this.settings.name ?? this.settings.key;
  }

  nowMs(): number {
    return this.settings.store.clock.monotonicMs();
  }

  /** The next lease object of this process on this key may know what this one wrote: nobody believes in any of it. */
  leaveBehind(): void {
    this.view.leftBehind = { instance: this.instance, written: this.written };
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
   * or becomes `payload`. With `leastToken` it skips some: one row of tokens can go over several keys.
   */
  acquisition(base: LeaseRecord | undefined, payload: Json | undefined = base?.payload, leastToken: number = 1): LeaseRecord {
    const { node, metadata, lockDelayMs, session } = this.settings;
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
      lockDelayMs,
      extra: base?.extra ?? {},
    };
    const first = base === undefined && this.settings.ephemeral === true ? this.#firstToken() : leastToken;
    const fencingToken = Math.max(record.fencingToken, first);
    return session === undefined ? { ...record, fencingToken, ...bounds } : { ...record, fencingToken, session: session.ref };
  }

  /** It has a time of its own from now on, whatever it was held by. */
  renewal(of: LeaseRecord, payload: Json | undefined = of.payload): TimedRecord {
    const { acquiredAt } = of;
    return { ...this.#next(of), ...this.#times(), payload, session: undefined, acquiredAt, flag: undefined };
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

  /** Of a key that may be deleted: the store's time, which is beyond every token that was given out before the last deletion (rules P1, P2). */
  #firstToken(): number {
    const dateMs = this.view.absence?.dateMs;
    if (dateMs !== undefined && Number.isSafeInteger(dateMs) && dateMs > 0) return dateMs;
    throw new StoreUnsafeError(
      `the store ${this.settings.store.url} did not say its time (Date) when it found nothing at "${this.name}": without it the tokens of an ephemeral key could go back. Use plain locks`,
      { step: "times of the store" },
    );
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
