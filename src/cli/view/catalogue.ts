/** What is held, as a reader sees it: one LIST, and a GET for each record that has changed since. Never writes, never probes. */
import { ConfigError, messageOf, RecordError } from "../../errors.ts";
import { decodeRecord, MAX_RECORD_BYTES } from "../../record/codec.ts";
import { bareName, fullName } from "../../locks/names.ts";
import { escapeName, isControlKey, leaseKey, unescapeName } from "../../record/keys.ts";
import type { LeaseRecord } from "../../record/record.ts";
import type { ListEntry, ObjectStore } from "../../store/object-store.ts";

export const KINDS = ["election", "lock", "ephemeral", "task", "member"] as const;
export type ViewKind = (typeof KINDS)[number];

const SPACES = { election: "elections", lock: "locks", ephemeral: "ephemeral", task: "tasks", member: "members" } as const;
/** Shown when asked for: what sessions are made of, and locks by the million. */
export const HIDDEN: readonly ViewKind[] = ["ephemeral", "member"];
/** For `--help`. */
export const SHOWN_HELP: string = `${KINDS.join(", ")} (default: all but ephemeral locks and members)`;
const PARALLEL_GETS = 16;
const MAX_PAGES = 100;

/** One record. `ageMs`: since its last write by the store's own stamps, and by this machine's monotonic clock since they were read. */
export interface LeaseView {
  readonly kind: ViewKind;
  readonly name: string;
  readonly key: string;
  /** Nothing of a reader's is proof of a death: a candidate's own watching is. `overdue`: not renewed for longer than its ttl. */
  readonly state: "held" | "free" | "overdue" | "unreadable";
  readonly etag: string;
  readonly record: LeaseRecord | undefined;
  readonly ageMs: number | undefined;
  /** What is the matter with an unreadable one. */
  readonly problem: string | undefined;
}

interface Known {
  readonly etag: string;
  readonly record: LeaseRecord | undefined;
  readonly problem: string | undefined;
  /** When it was written, on our monotonic clock. */
  readonly writtenAtMs: number | undefined;
}

export interface Filter {
  readonly kind?: ViewKind | undefined;
  readonly prefix?: string | undefined;
}

/**
 * An ephemeral lock is told by its name, too, as its handle tells it (`ephemeral:x`): no plain lock has such a one.
 * @throws ConfigError for an empty name, as a shell makes of a variable that is not set.
 */
export function keyOf(prefix: string, kind: ViewKind, name: string): string {
  if (name === "") throw new ConfigError(`the name of the ${kind}`, ["it is empty"]);
  if (kind === "ephemeral" || (kind === "lock" && name !== bareName(name))) return leaseKey(prefix, SPACES.ephemeral, bareName(name));
  return `${prefix}${SPACES[kind]}/${escapeName(name)}`;
}

export class Catalogue {
  readonly #store: ObjectStore;
  readonly #prefix: string;
  readonly #known = new Map<string, Known>();

  constructor(store: ObjectStore, prefix: string) {
    this.#store = store;
    this.#prefix = prefix;
  }

  /** Held ones first, then by kind and name. @throws StoreAccessError, StoreUnavailableError. */
  async scan(filter: Filter): Promise<LeaseView[]> {
    const entries = (await this.#list(filter)).flatMap((entry) => {
      const named = this.#nameOf(entry.key);
      return named !== undefined && wanted(named, filter) ? [{ ...named, ...entry }] : [];
    });
    const present = new Set(entries.map(({ key }) => key));
    for (const key of this.#known.keys()) if (!present.has(key)) this.#known.delete(key);
    const changed = entries.filter(({ key, etag }) => this.#known.get(key)?.etag !== etag);
    let next = 0;
    const work = async (): Promise<void> => {
      for (let entry = changed[next++]; entry !== undefined; entry = changed[next++]) await this.#read(entry.key);
    };
    await Promise.all(Array.from({ length: Math.min(PARALLEL_GETS, changed.length) }, work));
    const views = entries.flatMap(({ key, kind, name }) => this.#view(key, kind, name) ?? []);
    return views.sort((a, b) => rank(a) - rank(b) || a.kind.localeCompare(b.kind) || a.name.localeCompare(b.name));
  }

  /** By one GET; `undefined` where there is no record. */
  async one(kind: ViewKind, name: string): Promise<LeaseView | undefined> {
    const key = keyOf(this.#prefix, kind, name);
    await this.#read(key);
    return this.#view(key, kind, name);
  }

  async #list({ kind, prefix = "" }: Filter): Promise<ListEntry[]> {
    // A name of nothing but dots is spelled otherwise than the start of a longer one.
    const start = kind === "ephemeral" ? bareName(prefix) : prefix;
    const escaped = /^\.*$/.test(start) ? "" : escapeName(start);
    const below = kind === undefined ? this.#prefix : `${this.#prefix}${SPACES[kind]}/${escaped}`;
    const entries: ListEntry[] = [];
    let after: string | undefined;
    for (let page = 0; ; page++) {
      const result = await this.#store.list(below, { after });
      if (result.kind !== "page") throw result.error;
      entries.push(...result.entries);
      after = result.next && this.#past(result.next, kind);
      if (after === undefined) return entries;
      if (page >= MAX_PAGES) throw new ConfigError("too many records", [`more than ${entries.length}: name a PREFIX and a --kind`]);
    }
  }

  /** Where the next page begins: a space that nobody asked for is not walked through. */
  #past(last: string, kind: ViewKind | undefined): string {
    const space = HIDDEN.map((each) => `${this.#prefix}${SPACES[each]}`).find((each) => last.startsWith(`${each}/`));
    // "0" is what comes after "/".
    return kind === undefined && space !== undefined ? `${space}0` : last;
  }

  #nameOf(key: string): { readonly kind: ViewKind; readonly name: string } | undefined {
    const [space, ...segments] = key.slice(this.#prefix.length).split("/");
    const kind = KINDS.find((k) => SPACES[k] === space);
    if (kind === undefined || segments.length === 0 || (kind === "task" && isControlKey(key))) return undefined;
    const name = segments.map((segment) => unescapeName(segment) ?? segment).join("/");
    return { kind, name: fullName({ ephemeral: kind === "ephemeral" }, name) };
  }

  async #read(key: string): Promise<void> {
    const before = this.#known.get(key);
    const read = await this.#store.get(key, { ifNoneMatch: before?.etag, maxBytes: MAX_RECORD_BYTES });
    switch (read.kind) {
      case "unavailable":
      case "denied":
        throw read.error;
      case "not-modified":
        return;
      case "absent":
        this.#known.delete(key);
        return;
      case "too-large":
        this.#known.set(key, { etag: read.etag, record: undefined, problem: "too large for a record", writtenAtMs: undefined });
        return;
      case "found": {
        const { etag, body, dateMs, lastModifiedMs } = read;
        const ageMs = dateMs === undefined || lastModifiedMs === undefined ? undefined : Math.max(0, dateMs - lastModifiedMs);
        const writtenAtMs = ageMs === undefined ? undefined : this.#store.clock.monotonicMs() - ageMs;
        try {
          this.#known.set(key, { etag, record: decodeRecord(key, body), problem: undefined, writtenAtMs });
        } catch (e) {
          if (!(e instanceof RecordError)) throw e;
          this.#known.set(key, { etag, record: undefined, problem: messageOf(e), writtenAtMs });
        }
      }
    }
  }

  #view(key: string, kind: ViewKind, name: string): LeaseView | undefined {
    const known = this.#known.get(key);
    if (known === undefined) return undefined;
    const { etag, record, problem, writtenAtMs } = known;
    const ageMs = writtenAtMs === undefined ? undefined : this.#store.clock.monotonicMs() - writtenAtMs;
    return { kind, name, key, etag, record, problem, ageMs, state: stateOf(record, ageMs) };
  }
}

function wanted({ kind, name }: { readonly kind: ViewKind; readonly name: string }, filter: Filter): boolean {
  const { kind: asked, prefix = "" } = filter;
  const isAsked = asked === undefined ? !HIDDEN.includes(kind) : kind === asked;
  return isAsked && name.startsWith(fullName({ ephemeral: kind === "ephemeral" }, prefix));
}

function stateOf(record: LeaseRecord | undefined, ageMs: number | undefined): LeaseView["state"] {
  if (record === undefined) return "unreadable";
  if (record.state !== "held") return "free";
  // A lock of a session has no time of its own.
  return record.session === undefined && ageMs !== undefined && ageMs > record.ttlMs ? "overdue" : "held";
}

function rank({ state }: LeaseView): number {
  return state === "free" ? 1 : 0;
}

/** Milliseconds until the holder's ttl is over if it does not renew. */
export function leftMs({ record, ageMs, state }: LeaseView): number | undefined {
  if (state === "free" || record?.state !== "held" || record.session !== undefined || ageMs === undefined) return undefined;
  return Math.max(0, record.ttlMs - ageMs);
}
