import { type HolderInfo, RecordError } from "../errors.ts";
import type { LeaseSource } from "../lease/lease-source.ts";
import { holderOf } from "../lease/holder-info.ts";
import { observationsOf } from "../lease/observations.ts";
import { unescapeName } from "../record/keys.ts";
import type { ListEntry } from "../store/object-store.ts";

const AT_ONCE = 16;
/** Beyond this many keys something else than locks lives there. */
const MAX_PAGES = 10_000;

/** The held locks whose names begin with `prefix`. One page and its answers are in memory at a time. */
export async function* listHolders(
  source: LeaseSource<never>,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<HolderInfo, undefined> {
  const { store } = source;
  let after: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    signal?.throwIfAborted();
    const listed = await store.list(source.prefix + escapedPrefix(prefix), { after, signal });
    signal?.throwIfAborted();
    if (listed.kind !== "page") throw listed.error;
    for (let i = 0; i < listed.entries.length; i += AT_ONCE) {
      const found = await Promise.all(listed.entries.slice(i, i + AT_ONCE).map((entry) => holderAt(source, entry, prefix, signal)));
      for (const holder of found) if (holder !== undefined) yield holder;
    }
    if (listed.next === undefined) return;
    after = listed.next;
  }
}

async function holderAt(
  source: LeaseSource<never>,
  { key, etag }: ListEntry,
  prefix: string,
  signal: AbortSignal | undefined,
): Promise<HolderInfo | undefined> {
  const name = unescapeName(key.slice(source.prefix.length));
  if (name === undefined || !name.startsWith(prefix)) return undefined;
  const { current } = observationsOf(source.store).view(key);
  // Unchanged since this process saw it: what it knows is what a read would tell.
  if (current?.etag === etag && current.record.session === undefined)
    return holderOf(name, current, source.store.clock.monotonicMs(), (metadata) => metadata);
  try {
    return await source.inspect(name, signal);
  } catch (e) {
    // One that is damaged or foreign does not hide the others; `inspect` names it.
    if (e instanceof RecordError) return undefined;
    throw e;
  }
}

/** As far as every name that begins so is escaped to something that begins so: up to the first dot, which may be escaped or not. */
function escapedPrefix(prefix: string): string {
  return /^[A-Za-z0-9_-]*/.exec(prefix)?.[0] ?? "";
}
