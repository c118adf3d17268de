/** How tasks stand, for people: read from their records, changing nothing. */
import { type AnyConsensusError, RecordError } from "../errors.ts";
import { holderOf, verdictOn } from "../lease/holder-info.ts";
import { type KeyView, observationsOf } from "../lease/observations.ts";
import { MAX_RECORD_BYTES } from "../record/codec.ts";
import type { RunRecord } from "../record/run-record.ts";
import type { ObjectStore, StoreVerdict } from "../store/object-store.ts";
import { decodeState, toRunRecord } from "./task-state.ts";

export interface TaskStatus {
  readonly task: string;
  /** The schedule that the record knows, in words. `undefined` for a task that no node has seen yet. */
  readonly schedule: string | undefined;
  /** Whether its ticks are held back, as of the last claim. */
  readonly paused: boolean;
  readonly revision: number;
  /** The newest run. One that is marked as running although its holder is dead shows as abandoned. */
  readonly run: RunRecord | undefined;
  /** The newest first. */
  readonly history: readonly RunRecord[];
  /** What hinders reading it, or what is wrong with its record. */
  readonly error: AnyConsensusError | undefined;
}

const PARALLEL = 16;
const MAX_PAGES = 1000;

/** With `listPrefix` one LIST says which of the records have changed since they were last read here; the others are not asked for. */
export async function readTasks(
  store: ObjectStore,
  tasks: readonly { readonly name: string; readonly key: string }[],
  timeoutMs: number,
  listPrefix?: string,
): Promise<readonly TaskStatus[]> {
  const etags = listPrefix === undefined ? undefined : await listed(store, listPrefix, timeoutMs);
  const rest = [...tasks.entries()];
  const found: TaskStatus[] = [];
  const worker = async (): Promise<void> => {
    for (let next = rest.shift(); next !== undefined; next = rest.shift())
      found[next[0]] = await readTask(store, next[1], timeoutMs, etags);
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, tasks.length) }, worker));
  return found;
}

async function listed(store: ObjectStore, prefix: string, timeoutMs: number): Promise<ReadonlyMap<string, string>> {
  const etags = new Map<string, string>();
  let after: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await store.list(prefix, { timeoutMs, after });
    if (answer.kind !== "page") throw answer.error;
    for (const entry of answer.entries) etags.set(entry.key, entry.etag);
    after = answer.next;
    if (after === undefined) break;
  }
  return etags;
}

async function readTask(
  store: ObjectStore,
  { name, key }: { readonly name: string; readonly key: string },
  timeoutMs: number,
  etags: ReadonlyMap<string, string> | undefined,
): Promise<TaskStatus> {
  const view = observationsOf(store).view(key);
  const none: TaskStatus = { task: name, schedule: undefined, paused: false, revision: 0, run: undefined, history: [], error: undefined };
  const unchanged = etags !== undefined && etags.get(key) === view.current?.etag;
  if (!unchanged) {
    const read = await store.get(key, { ifNoneMatch: view.current?.etag, maxBytes: MAX_RECORD_BYTES, timeoutMs });
    if (read.kind === "unavailable" || read.kind === "denied") return { ...none, error: read.error };
    const noted = view.note(read, store.clock.monotonicMs());
    if (noted instanceof RecordError) return { ...none, error: noted };
  }
  if (view.current === undefined) return none;
  try {
    return describe(name, view, await verdictOn(view.current, store, undefined), store.clock.monotonicMs());
  } catch (e) {
    if (e instanceof RecordError) return { ...none, error: e };
    throw e;
  }
}

function describe(name: string, view: KeyView, verdict: StoreVerdict | undefined, nowMs: number): TaskStatus {
  const seen = view.current;
  const { run, history, schedule, paused, revision } = decodeState(view.key, seen?.record.payload);
  const unfinished = run !== undefined && run.end === undefined;
  const alive = holderOf(view.key, seen, nowMs, () => undefined, verdict) !== undefined;
  const newest = run === undefined ? [] : [toRunRecord(name, unfinished && !alive ? { ...run, state: "abandoned" } : run)];
  const all = [...newest, ...[...history].reverse().map((entry) => toRunRecord(name, entry))];
  return { task: name, schedule, paused, revision, run: newest[0], history: all, error: undefined };
}
