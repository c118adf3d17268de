/**
 * What operators want of a task, in an object of its own beside the record (rule M). Whoever changes it then knocks: a flag on the record, by
 * CAS, which changes nothing else (rule O1). So nobody has to ask for it: the next claimer's write is refused or its look shows the flag, a
 * runner's renewal meets it, and only then the object is read.
 */
import { freshId, backoffMs, sleep } from "../clock/wait.ts";
import { StoreUnavailableError } from "../errors.ts";
import { deliver } from "../lease/deliver.ts";
import { writeFlag } from "../lease/flag.ts";
import { readRecord } from "../lease/operate.ts";
import { decodeRecord, encodeRecord, MAX_RECORD_BYTES } from "../record/codec.ts";
import { count, decodeFields, text } from "../record/fields.ts";
import { controlKey } from "../record/keys.ts";
import type { SessionRecord } from "../record/record.ts";
import type { ObjectStore } from "../store/object-store.ts";

export interface Control {
  readonly nonce: string;
  readonly paused: boolean;
  /** No tick up to this instant runs any more: what was due while it was paused. */
  readonly notBeforeMs: number;
  /** The run with this fencing token is to stop. */
  readonly cancel: number;
  /** How many runs by hand were ever asked for. */
  readonly triggers: number;
}

export const NO_CONTROL: Control = { nonce: "", paused: false, notBeforeMs: 0, cancel: 0, triggers: 0 };
const CONTROL_FORMAT = 1;
const MAX_CONTROL_BYTES = 8 * 1024;
const ATTEMPTS = 8;

export interface SeenControl {
  readonly etag: string | undefined;
  readonly control: Control;
}

export interface ControlContext {
  readonly store: ObjectStore;
  /** The task's own key. */
  readonly key: string;
  readonly requestTimeoutMs: number;
}

/** One GET, conditional where it was seen before. @throws RecordError, StoreUnavailableError, StoreAccessError; the reason of `signal`. */
export async function readControl(
  { store, key, requestTimeoutMs }: ControlContext,
  seen?: SeenControl,
  signal?: AbortSignal,
): Promise<SeenControl> {
  const options = { ifNoneMatch: seen?.etag, maxBytes: MAX_CONTROL_BYTES, timeoutMs: requestTimeoutMs, signal };
  const read = await store.get(controlKey(key), options);
  switch (read.kind) {
    case "not-modified":
      return seen ?? { etag: undefined, control: NO_CONTROL };
    case "absent":
      return { etag: undefined, control: NO_CONTROL };
    case "found":
      return { etag: read.etag, control: decodeControl(controlKey(key), read.body) };
    case "too-large":
      return { etag: read.etag, control: decodeControl(controlKey(key), new Uint8Array(MAX_CONTROL_BYTES + 1)) };
    case "unavailable":
    case "denied":
      throw read.error;
  }
}

/**
 * Changes what operators want, and knocks. Both by CAS, tried a few times. @param at the records to knock at: the task's, and those of runs beside others.
 * @throws StoreUnavailableError when it is not known to have been done: it may be done again. RecordError, StoreUnsafeError, StoreAccessError.
 */
export async function changeControl(
  context: ControlContext,
  change: (now: Control) => Control,
  at: readonly string[] = [context.key],
): Promise<Control> {
  await context.store.ensureSafe();
  const changed = await retried(context, () => tryChange(context, change));
  for (const key of at) await retried(context, async () => ((await tryKnock({ ...context, key })) ? true : undefined));
  return changed;
}

async function tryChange(context: ControlContext, change: (now: Control) => Control): Promise<Control | undefined> {
  const { store, key } = context;
  const seen = await readControl(context);
  const control = { ...change(seen.control), nonce: freshId(store.random) };
  const body = new TextEncoder().encode(JSON.stringify({ control: CONTROL_FORMAT, ...control }));
  return (await wrote(context, controlKey(key), body, seen.etag, (there) => decodeControl(controlKey(key), there).nonce === control.nonce))
    ? control
    : undefined;
}

/** The flag stands on the newest version of the record; a holder that has one to find yet will look after it has taken that off. */
async function tryKnock(context: ControlContext): Promise<boolean> {
  const { store, key, requestTimeoutMs } = context;
  const read = await store.get(key, { maxBytes: MAX_RECORD_BYTES, timeoutMs: requestTimeoutMs });
  if (read.kind === "absent") return true;
  if (read.kind === "unavailable" || read.kind === "denied") throw read.error;
  if (read.kind === "not-modified" || read.kind === "too-large") return false;
  const record = decodeRecord(key, read.body);
  if (record.session !== undefined) return await knockAtMember(context, { etag: read.etag, record });
  if (record.state === "held" && record.flag !== undefined) return true;
  const nonce = freshId(store.random);
  const flagged = { ...record, nonce, version: record.version + 1, flag: { kind: "asked" } as const };
  return await wrote(context, key, encodeRecord(key, flagged), read.etag, (there) => decodeRecord(key, there).nonce === nonce);
}

/** A record that is held through a session can carry no flag: its member is what the holder renews (rule S15). */
async function knockAtMember(
  { store, key, requestTimeoutMs }: ControlContext,
  seen: { readonly etag: string; readonly record: SessionRecord },
): Promise<boolean> {
  const { session, fencingToken } = seen.record;
  const member = await readRecord(store, session.member);
  const alive = member?.record.state === "held" && member.record.fencingToken === session.token;
  // A run whose session is over was not finished: whoever comes next reads the object for that.
  if (!alive) return true;
  const meant = member.record.flag?.lock;
  if (meant?.key === key && meant.fencingToken === fencingToken) return true;
  return (await writeFlag(store, key, seen, { kind: "asked" }, requestTimeoutMs)) !== undefined;
}

async function wrote(
  { store, requestTimeoutMs }: ControlContext,
  key: string,
  body: Uint8Array,
  baseEtag: string | undefined,
  isMine: (there: Uint8Array) => boolean,
): Promise<boolean> {
  const end = await deliver<"other">(
    { store, requestTimeoutMs },
    {
      key,
      body,
      baseEtag,
      maxBytes: MAX_RECORD_BYTES,
      settle: (read) =>
        read.kind === "found" && isMine(read.body) ? { kind: "mine", etag: read.etag } : { kind: "settled", as: "other", applied: false },
    },
    { forMs: 2 * requestTimeoutMs, maxAttempts: 3, abortRequests: false, explainRefusal: false },
  );
  if (end.kind === "denied") throw end.error;
  if (end.kind === "undecided") throw end.error ?? new StoreUnavailableError(`"${key}" could not be written in time`);
  return end.kind === "applied";
}

async function retried<T>({ store, key }: ControlContext, once: () => Promise<T | undefined>): Promise<T> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (attempt > 0) await sleep(store.clock, backoffMs(store.random, attempt, 50, 1000), { keepAlive: true });
    const done = await once();
    if (done !== undefined && done !== false) return done;
  }
  throw new StoreUnavailableError(`"${key}" changed under each of ${ATTEMPTS} attempts to write to it; try again`);
}

function decodeControl(key: string, body: Uint8Array): Control {
  return decodeFields(key, body, { formatField: "control", newest: CONTROL_FORMAT, maxBytes: MAX_CONTROL_BYTES }, (o) => ({
    nonce: text(o, "nonce"),
    paused: o["paused"] === true,
    notBeforeMs: count(o, "notBeforeMs", 0),
    cancel: count(o, "cancel", 0),
    triggers: count(o, "triggers", 0),
  }));
}
