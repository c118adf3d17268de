import type { ReadResult } from "../store/object-store.ts";
import type { Instant } from "../clock/deadline.ts";
import { RecordError } from "../errors.ts";
import { decodeRecord, MAX_RECORD_BYTES } from "../record/codec.ts";
import type { WrittenNonces } from "./written.ts";
import { wayOut } from "../record/way-out.ts";
import { compareRecords, type LeaseRecord, type Position } from "../record/record.ts";

/** One version of a record, as it was first seen. */
export interface Sighting<R extends LeaseRecord = LeaseRecord> {
  readonly etag: string;
  readonly record: R;
  /** On this process's monotonic clock, after the reply that first showed it (rule C2). */
  readonly sinceMs: number;
  /** `Last-Modified` of the response that showed it, where the store sends one. */
  readonly lastModifiedMs: number | undefined;
  /** The newest `Date` of a response that showed this version (rule T3: it belongs to the ETag that a CAS will name). */
  readonly dateMs: number | undefined;
}

/** What a read said that contradicts what is known: an older version, or nothing where there was a record (rules W6, W7, H10). */
interface Contradiction {
  readonly sighting: Sighting | undefined;
  readonly sinceMs: number;
}

/** A read of ours that found nothing, at a key that may be deleted. */
export interface Absence {
  /** The store's `Date` of that answer: the first token of whoever creates it (rule P1). */
  readonly dateMs: number | undefined;
  /** Before the read was sent: its answer may have waited for a process that was stopped. */
  readonly askedAt: Instant;
}

/**
 * By which a lease object knows what it wrote. One that was left behind, because the fate of a write is open, is taken up by the next lease object,
 * which then knows its orphan (rule C1).
 */
export interface Identity {
  readonly instance: string;
  readonly written: WrittenNonces;
}

/** What one read meant for the view. */
export type Noted =
  | "new" // a version not seen before, or an absence that contradicts nothing
  | "same"
  | "stale" // older than what is known: ignored, but remembered as a contradiction
  | RecordError;

/** What this process knows of one key. It outlives a call, so that a watch that was begun is not begun again (rule C2). */
export class KeyView {
  readonly key: string;
  /** The newest version seen. */
  current: Sighting | undefined;
  /** A read of ours said that there is no object, and nothing contradicts it (rule W6). */
  absent = false;
  /** The newest read that found nothing, where the key may be deleted. */
  absence: Absence | undefined;
  /** The highest position ever seen, kept through deletions and roll-backs (rule H10). */
  highest: Position | undefined;
  /** A CAS on this ETag was refused: on the newest version seen, that settles that the store has something else. */
  refused: { readonly etag: string | undefined; readonly atMs: number } | undefined;
  contradiction: Contradiction | undefined;
  leftBehind: Identity | undefined;
  /** When a read last told something, on this process's monotonic clock. */
  notedAtMs: number = -Infinity;

  constructor(key: string) {
    this.key = key;
  }

  /** Takes in a read. Everything but `found`, `absent` and `not-modified` says nothing about the record. */
  note(read: Extract<ReadResult, { kind: "found" | "absent" | "not-modified" | "too-large" }>, nowMs: number): Noted {
    this.notedAtMs = nowMs;
    switch (read.kind) {
      case "not-modified":
        if (this.current !== undefined) this.current = { ...this.current, dateMs: read.dateMs };
        this.contradiction = undefined;
        return "same";
      case "absent":
        return this.#noteAbsent(nowMs);
      case "too-large":
        return new RecordError(
          `the object at "${this.key}" has ${read.size ?? "too many"} bytes; a record has at most ${MAX_RECORD_BYTES} (foreign record; it is left as it is)${wayOut(this.key, "repair")}`,
          { key: this.key, kind: "foreign" },
        );
      case "found":
        return this.#noteFound(read, nowMs);
    }
  }

  /**
   * A key that may be deleted is gone. That is no regression as long as the store's clock is beyond every token that was seen: whoever creates it
   * goes on from there (rule P1).
   * @returns whether it was taken in; otherwise it is `note`'s.
   */
  noteAbsence(absence: Absence, nowMs: number): boolean {
    if (this.highest !== undefined && !((absence.dateMs ?? 0) > this.highest.fencingToken)) return false;
    this.notedAtMs = nowMs;
    this.absence = absence;
    this.absent = true;
    this.current = undefined;
    this.contradiction = undefined;
    return true;
  }

  #noteAbsent(nowMs: number): Noted {
    if (this.highest === undefined) {
      const news = !this.absent;
      this.absent = true;
      this.current = undefined;
      return news ? "new" : "same";
    }
    this.#contradict(undefined, nowMs);
    return "stale";
  }

  #noteFound(read: Extract<ReadResult, { kind: "found" }>, nowMs: number): Noted {
    const { etag, lastModifiedMs, dateMs } = read;
    if (etag === this.current?.etag) {
      this.current = { ...this.current, dateMs, lastModifiedMs };
      this.contradiction = undefined;
      return "same";
    }
    let record: LeaseRecord;
    try {
      record = decodeRecord(this.key, read.body);
    } catch (e) {
      if (e instanceof RecordError) return e;
      throw e;
    }
    const sighting: Sighting = { etag, record, sinceMs: nowMs, lastModifiedMs, dateMs };
    if (this.highest !== undefined && compareRecords(record, this.highest) < 0) {
      this.#contradict(sighting, nowMs);
      return "stale";
    }
    this.accept(sighting);
    return "new";
  }

  #contradict(sighting: Sighting | undefined, nowMs: number): void {
    const before = this.contradiction;
    if (before !== undefined && before.sighting?.etag === sighting?.etag) return;
    this.contradiction = { sighting, sinceMs: nowMs };
  }

  /** Takes a version as the newest: a read that is not older than any before, or a write of our own that was applied. */
  accept(sighting: Sighting): void {
    // The answer to a write of ours may come after a read that showed a later version: the later one stays (rule W7).
    if (this.highest !== undefined && compareRecords(sighting.record, this.highest) < 0) return;
    this.current = sighting;
    this.absent = false;
    this.contradiction = undefined;
    this.highest = { fencingToken: sighting.record.fencingToken, version: sighting.record.version };
  }

  noteRefused(etag: string | undefined, nowMs: number): void {
    this.refused = { etag, atMs: nowMs };
    // A create that was refused: there is an object after all, and the next read will show it.
    if (etag === undefined) this.absent = false;
  }

  /**
   * Whether an older version that reads show is the truth (rolled back, deleted): it has persisted for `forMs`, and a CAS on the newest
   * version seen was refused (rule W7). With a lower token that is a regression, and no leadership comes of it (rule H10); with the same
   * token, only older by versions, watching starts again from it.
   */
  settleContradiction(nowMs: number, forMs: number): RecordError | undefined {
    const c = this.contradiction;
    if (c === undefined || this.highest === undefined || nowMs - c.sinceMs < forMs) return undefined;
    if (this.current !== undefined && this.refused?.etag !== this.current.etag) return undefined;
    const seen = c.sighting?.record;
    if (seen !== undefined && seen.fencingToken === this.highest.fencingToken) {
      this.current = c.sighting;
      this.highest = { fencingToken: seen.fencingToken, version: seen.version };
      this.contradiction = undefined;
      return undefined;
    }
    const what = seen === undefined ? "the record was deleted" : `the record went back to fencing token ${seen.fencingToken}`;
    return new RecordError(
      `"${this.key}": ${what}, but fencing token ${this.highest.fencingToken} was given out before (token regression: restored, deleted or replaced by hand). ` +
        `Nobody who knows that takes it until an operator writes a released record with at least that token` +
        wayOut(this.key, "accept-regression", acceptance(this.highest.fencingToken, this.current?.record)),
      { key: this.key, kind: "regressed" },
    );
  }
}

/** What the command has to be told beside the name: whoever knows of the higher token believes in it for its ttl at most. */
export function acceptance(token: number, known: LeaseRecord | undefined): string {
  return `--token ${token}${known?.ttlMs === undefined ? "" : ` --ttl ${known.ttlMs}ms`}`;
}

/** The views of one store in one process, the least recently used ones dropped beyond the limit. */
export class Observations {
  readonly #views = new Map<string, KeyView>();
  readonly #limit: number;

  constructor(limit = 10_000) {
    this.#limit = limit;
  }

  view(key: string): KeyView {
    return this.keep(new KeyView(key));
  }

  /** The view of that key, where there is one: for who looks at so many that it would push out the others'. */
  peek(key: string): KeyView | undefined {
    return this.#views.get(key);
  }

  /** The view of that key that everybody has; `view` itself where there is none any more. It is the most recently used one from now on. */
  keep(candidate: KeyView): KeyView {
    const { key } = candidate;
    const view = this.#views.get(key) ?? candidate;
    this.#views.delete(key);
    this.#views.set(key, view);
    if (this.#views.size > this.#limit) {
      const oldest = this.#views.keys().next();
      if (oldest.done !== true) this.#views.delete(oldest.value);
    }
    return view;
  }
}

const byStore = new WeakMap<object, Observations>();

/** The one table of a store object: every lease on that store in this process shares what was seen. */
export function observationsOf(store: object): Observations {
  let table = byStore.get(store);
  if (table === undefined) byStore.set(store, (table = new Observations()));
  return table;
}

/** A store object that stands before another one knows what that one knows. */
export function shareObservations(store: object, table: Observations): void {
  byStore.set(store, table);
}
