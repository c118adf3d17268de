import { RecordError } from "../errors.ts";
import { compareRecords, type Position } from "../record/record.ts";
import type { Version } from "./bar.ts";

/** What this process knows of one pointer: the base of the next write, and the order that reads must keep (rule W7). */
export class KnownPointer {
  readonly #key: string;
  /** The newest version seen, without an inline body: a table of many objects must stay small. */
  newest: Version | undefined;

  constructor(key: string) {
    this.#key = key;
  }

  get highest(): Position | undefined {
    return this.newest?.pointer;
  }

  /** Takes in a version that was read or written. @returns whether it is older than one already known: a stale read. */
  note(version: Version): "news" | "stale" {
    if (this.newest !== undefined && compareRecords(version.pointer, this.newest.pointer) < 0) return "stale";
    const { etag, pointer } = version;
    this.newest = pointer.content.kind === "inline" ? { etag, pointer: { ...pointer, content: { kind: "none" } } } : version;
    return "news";
  }

  /** What is to be said when reads go on showing an older version, or nothing, where a newer one was seen (rule H10). */
  regressed(seen: Position | undefined): RecordError {
    const what = seen === undefined ? "it was deleted" : `it went back to fencing token ${seen.fencingToken}, version ${seen.version}`;
    return new RecordError(
      `the fenced object at "${this.#key}": ${what}, but this process has seen fencing token ${this.highest?.fencingToken ?? 0}, version ${this.highest?.version ?? 0} ` +
        `(restored, deleted or replaced by hand). An older token could write it now; nothing is written by a process that knows`,
      { key: this.#key, kind: "regressed" },
    );
  }
}

const LIMIT = 1_000;
const byStore = new WeakMap<object, Map<string, KnownPointer>>();

/** The one entry of a store object for this key: it outlives the calls. The least recently used ones are dropped beyond the limit. */
export function knownPointer(store: object, key: string): KnownPointer {
  const table = byStore.get(store) ?? new Map<string, KnownPointer>();
  byStore.set(store, table);
  const known = table.get(key) ?? new KnownPointer(key);
  table.delete(key);
  table.set(key, known);
  const [oldest] = table.keys();
  if (table.size > LIMIT && oldest !== undefined) table.delete(oldest);
  return known;
}
