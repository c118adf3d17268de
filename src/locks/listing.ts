import { fanOut } from "../clock/wait.ts";
import { type HolderInfo, RecordError } from "../errors.ts";
import { holderOf, verdictOn } from "../lease/holder-info.ts";
import { readInto } from "../lease/inspect.ts";
import type { LeaseSource } from "../lease/lease-source.ts";
import { MemberLooks } from "../lease/member-looks.ts";
import { KeyView, observationsOf, type Sighting } from "../lease/observations.ts";
import { pagesOf } from "../lease/pages.ts";
import { escapedPrefix, unescapeName } from "../record/keys.ts";
import type { ListEntry } from "../store/object-store.ts";
import { bareName, fullName } from "./names.ts";

const AT_ONCE = 16;

export interface Listing {
  readonly source: LeaseSource<never>;
  /** Of the names. */
  readonly prefix: string;
  readonly signal: AbortSignal | undefined;
  /** There is no record of this version at a key. It does not hide the others. */
  readonly onUnreadable: (error: RecordError) => void;
}

/** The held locks whose names begin with `prefix`. One page and its answers are in memory at a time, and what the table below keeps. */
export async function* listHolders(listing: Listing): AsyncGenerator<HolderInfo, undefined> {
  const { source } = listing;
  const prefix = source.ephemeral ? bareName(listing.prefix) : listing.prefix;
  const seen = sightingsOf(source.store);
  const { signals, undo } = fanOut(listing.signal, AT_ONCE);
  try {
    for await (const { entries } of pagesOf(source.store, source.prefix + escapedPrefix(prefix), listing.signal)) {
      const members = new MemberLooks(source.store);
      for (let i = 0; i < entries.length; i += AT_ONCE) {
        const looks = entries.slice(i, i + AT_ONCE).map(async (entry, at) => {
          const name = unescapeName(entry.key.slice(source.prefix.length));
          const known = { seen, members, signal: signals[at] };
          return name?.startsWith(prefix) === true ? await holderAt(listing, entry, fullName(source, name), known) : undefined;
        });
        for (const holder of await Promise.all(looks)) if (holder !== undefined) yield holder;
      }
    }
  } finally {
    undo();
  }
}

/** What one look of a listing has at hand. */
interface Known {
  readonly signal: AbortSignal | undefined;
  readonly seen: Sightings;
  readonly members: MemberLooks;
}

async function holderAt(listing: Listing, entry: ListEntry, name: string, known: Known): Promise<HolderInfo | undefined> {
  const { source, onUnreadable } = listing;
  const { store } = source;
  const { signal } = known;
  try {
    // Unchanged since this process saw it: what it knows is what a read would tell.
    const before = knownOf(store, entry, known.seen);
    const current = before ?? (await read(source, entry.key, known));
    const ref = current?.record.session;
    const member = ref && (await known.members.at(ref, signal));
    const verdict = before === undefined ? await verdictOn(current, store, signal) : undefined;
    return holderOf(name, current, store.clock.monotonicMs(), (metadata) => metadata, verdict, member);
  } catch (e) {
    if (!(e instanceof RecordError)) throw e;
    onUnreadable(e);
    return undefined;
  }
}

function knownOf(store: LeaseSource<never>["store"], { key, etag }: ListEntry, seen: Sightings): Sighting | undefined {
  return [observationsOf(store).peek(key)?.current, seen.get(key)].find((sighting) => sighting?.etag === etag);
}

/** What leases of this process know of the key learns from it, too; but a listing of many does not push out what they know of theirs. */
async function read({ store, ephemeral }: LeaseSource<never>, key: string, { seen, signal }: Known): Promise<Sighting | undefined> {
  const view = observationsOf(store).peek(key) ?? new KeyView(key);
  await readInto(store, view, signal, ephemeral);
  seen.note(key, view.current);
  return view.current;
}

const MOST_SIGHTINGS = 20_000;

/** What listings have read, for the next one: only what changed since is read again. When it is full, what is in it stays useful and the rest is read. */
class Sightings {
  readonly #byKey = new Map<string, Sighting>();

  get(key: string): Sighting | undefined {
    return this.#byKey.get(key);
  }

  note(key: string, sighting: Sighting | undefined): void {
    if (sighting === undefined) this.#byKey.delete(key);
    else if (this.#byKey.has(key) || this.#byKey.size < MOST_SIGHTINGS) this.#byKey.set(key, sighting);
  }
}

const byStore = new WeakMap<object, Sightings>();

function sightingsOf(store: object): Sightings {
  let seen = byStore.get(store);
  if (seen === undefined) byStore.set(store, (seen = new Sightings()));
  return seen;
}
