/** How tasks stand, for people: read from their records, changing nothing. */
import { type AnyConsensusError, ConsensusError, RecordError } from "../errors.ts";
import { holderOf, memberOf, verdictOn } from "../lease/holder-info.ts";
import { type KeyView, observationsOf } from "../lease/observations.ts";
import { readRecord } from "../lease/operate.ts";
import { MAX_RECORD_BYTES } from "../record/codec.ts";
import type { RunRecord } from "../record/run-record.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { decodePlace, fateOf, placeKey } from "./open-runs.ts";
import { decodeState, type OpenRun, type RunEntry, type TaskState, toRunRecord } from "./task-state.ts";

export interface TaskStatus {
  readonly task: string;
  /** The schedule that the record knows, in words. `undefined` for a task that no node has seen yet. */
  readonly schedule: string | undefined;
  /** Whether its ticks are held back, as of the last claim. */
  readonly paused: boolean;
  readonly revision: number;
  /** The newest run. One that is marked as running although its holder is dead shows as abandoned. */
  readonly run: RunRecord | undefined;
  /** What is under way, the newest first: at most one, except with `overlap: "allow"`. */
  readonly running: readonly RunRecord[];
  /** The newest first. */
  readonly history: readonly RunRecord[];
  /** What hinders reading it, or what is wrong with its record. */
  readonly error: AnyConsensusError | undefined;
}

const PARALLEL = 16;
const MAX_PAGES = 1000;

/** With the places of runs that are side by side, by their tokens. */
export interface TaskLook {
  readonly status: TaskStatus;
  readonly places: ReadonlyMap<number, number>;
}

/** As `lookAtTasks`, for users. */
export async function readTasks(...args: Parameters<typeof lookAtTasks>): Promise<readonly TaskStatus[]> {
  return (await lookAtTasks(...args)).map(({ status }) => status);
}

/** With `listPrefix` one LIST says which of the records have changed since they were last read here; the others are not asked for. */
export async function lookAtTasks(
  store: ObjectStore,
  tasks: readonly { readonly name: string; readonly key: string }[],
  timeoutMs: number,
  listPrefix?: string,
): Promise<readonly TaskLook[]> {
  const etags = listPrefix === undefined ? undefined : await listed(store, listPrefix, timeoutMs);
  const rest = [...tasks.entries()];
  const found: TaskLook[] = [];
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
): Promise<TaskLook> {
  const none = { task: name, schedule: undefined, paused: false, revision: 0, run: undefined, running: [], history: [] };
  const nothing = (error?: AnyConsensusError): TaskLook => ({ status: { ...none, error }, places: new Map() });
  try {
    const view = await readView(store, key, timeoutMs, etags);
    if (view.current === undefined) return nothing();
    const state = decodeState(key, view.current.record.payload);
    const open = await Promise.all(state.open.map(async (run) => await readOpen(store, key, run, timeoutMs, etags)));
    return describe(name, state, [...(await ownRun(store, view, state.run)), ...open]);
  } catch (e) {
    if (ConsensusError.is(e)) return nothing(e);
    throw e;
  }
}

/** @throws what hinders reading it. */
async function readView(
  store: ObjectStore,
  key: string,
  timeoutMs: number,
  etags: ReadonlyMap<string, string> | undefined,
): Promise<KeyView> {
  const view = observationsOf(store).view(key);
  if (etags !== undefined && etags.get(key) === view.current?.etag) return view;
  const read = await store.get(key, { ifNoneMatch: view.current?.etag, maxBytes: MAX_RECORD_BYTES, timeoutMs });
  if (read.kind === "unavailable" || read.kind === "denied") throw read.error;
  const noted = view.note(read, store.clock.monotonicMs());
  if (noted instanceof RecordError) throw noted;
  return view;
}

interface Shown {
  readonly run: RunEntry;
  readonly runs: boolean;
  readonly place?: number | undefined;
}

/** One that is marked as running although its holder is dead shows as abandoned. */
function shown(run: RunEntry, alive: boolean, place?: number): Shown {
  const unfinished = run.end === undefined;
  return { run: unfinished && !alive ? { ...run, state: "abandoned" } : run, runs: unfinished && alive, place };
}

async function ownRun(store: ObjectStore, view: KeyView, run: RunEntry | undefined): Promise<readonly Shown[]> {
  return run === undefined ? [] : [shown(run, await isAlive(store, view))];
}

/** What its place says of it, by one GET. */
async function readOpen(
  store: ObjectStore,
  taskKey: string,
  open: OpenRun,
  timeoutMs: number,
  etags: ReadonlyMap<string, string> | undefined,
): Promise<Shown> {
  const view = await readView(store, placeKey(taskKey, open.place), timeoutMs, etags);
  const record = view.current?.record;
  const alive = record !== undefined && (await isAlive(store, view));
  const fate = fateOf(open, view.key, record, alive ? "held" : "dead");
  if (fate.kind === "ended") return shown(fate.as.run, false);
  const told = record?.fencingToken === open.token ? decodePlace(view.key, record.payload).run : open;
  return shown(told, fate.kind === "running", open.place);
}

async function isAlive(store: ObjectStore, view: KeyView): Promise<boolean> {
  if (view.current === undefined) return false;
  const { session } = view.current.record;
  if (session !== undefined) await readRecord(store, session.member);
  const verdict = await verdictOn(view.current, store, undefined);
  const member = memberOf(store, view.current);
  return holderOf(view.key, view.current, store.clock.monotonicMs(), () => undefined, verdict, member) !== undefined;
}

function describe(task: string, { schedule, paused, revision, history }: TaskState, now: readonly Shown[]): TaskLook {
  const newest = [...now].sort((a, b) => b.run.token - a.run.token);
  const record = ({ run }: Shown): RunRecord => toRunRecord(task, run);
  const all = [...newest.map(record), ...[...history].reverse().map((entry) => toRunRecord(task, entry))];
  const running = newest.filter(({ runs }) => runs);
  const places = new Map(running.flatMap(({ run, place }) => (place === undefined ? [] : [[run.token, place] as const])));
  const told = { task, schedule, paused, revision, run: all[0], running: running.map(record), history: all, error: undefined };
  return { status: told, places };
}
