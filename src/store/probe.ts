/**
 * The probe: proves by requests that a store keeps its conditions, one at a time and in a race. Steps alone are not enough: S3Mock passes every
 * one of them and lets two writers win in one race of ten. Everything runs on keys of its own below the hidden folder.
 */
import type { Clock, Random } from "../clock/clock.ts";
import { freshId, sleep } from "../clock/wait.ts";
import { StoreUnavailableError, StoreUnsafeError } from "../errors.ts";
import type { Found, ObjectStore, ReadResult, WriteResult } from "./object-store.ts";
import { ATTEMPTS, paceMs } from "./pace.ts";
import { judgeRace, type Standing } from "./race.ts";
import { judgeTimes, TIME_STEP_MS, type TimeSample } from "./store-times.ts";
import { HIDDEN_FOLDER, placeHash, type Findings, type Place } from "./verdict.ts";

/** What the probe needs of a store: its requests without its safety. Every `ObjectStore` will do. */
export type ProbePort = Pick<ObjectStore, "get" | "create" | "replace" | "remove"> & {
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Sends ETags with or without their quotes from now on; false where the user has decided the matter. */
  useEtagQuoting?(quoting: "quoted" | "unquoted"): boolean;
};

/** How many races of how many writers. */
export interface ProbePlan {
  readonly createRounds: number;
  readonly replaceRounds: number;
  readonly writers: number;
}

export const SMALL_PROBE: ProbePlan = { createRounds: 2, replaceRounds: 2, writers: 8 };
export const FULL_PROBE: ProbePlan = { createRounds: 20, replaceRounds: 20, writers: 16 };

/** What the store has to pass, in this order. */
export const PROBE_STEPS = [
  "create-existing",
  "replace",
  "replace-stale",
  "replace-missing",
  "create-race",
  "replace-race",
  "times",
  "not-modified",
] as const;
export type ProbeStep = (typeof PROBE_STEPS)[number];

const RACE_ATTEMPTS = 4;

interface Run {
  readonly port: ProbePort;
  readonly plan: ProbePlan;
  readonly signal: AbortSignal | undefined;
  readonly base: string;
  readonly canDelete: boolean;
  readonly used: Set<string>;
  readonly remarks: string[];
  readonly passed: (step: ProbeStep) => void;
  quoting: "quoted" | "unquoted";
}

/**
 * Runs all steps and races. Whatever waiting may mend (4xx that are no verdict, 5xx, 409, 429) is tried again, then thrown as unavailable.
 * @throws StoreUnsafeError with the step, StoreAccessError, StoreUnavailableError, or the reason of `signal`.
 */
export async function runProbe(
  port: ProbePort,
  options: {
    readonly place: Place;
    readonly plan?: ProbePlan | undefined;
    readonly run?: string | undefined;
    readonly signal?: AbortSignal | undefined;
    /** Hears of each step that was passed; of a race once for each round. */
    readonly onStep?: ((step: ProbeStep) => void) | undefined;
  },
): Promise<Findings> {
  const { place, plan = SMALL_PROBE, run: name = freshId(port.random, 8), signal } = options;
  const root = `${HIDDEN_FOLDER}probe-${placeHash(place)}`;
  const canDelete = await mayDelete(port, `${root}/${name}/step`, signal);
  // Without the right to delete, the same few keys are used again and again. With it, every run has its own, so that nothing late of a dead
  // prober can get between.
  const base = `${root}/${canDelete ? name : "fixed"}`;
  const run: Run = {
    port,
    plan,
    signal,
    base,
    canDelete,
    used: new Set(),
    remarks: [],
    passed: options.onStep ?? (() => {}),
    quoting: "quoted",
  };
  try {
    return await allSteps(run);
  } finally {
    if (canDelete) for (const key of run.used) await port.remove(key);
  }
}

/** Removes what a small probe leaves that died in the middle. Best effort: these objects harm nobody. */
export async function removeLeftovers(port: ProbePort, place: Place, run: string): Promise<void> {
  const base = `${HIDDEN_FOLDER}probe-${placeHash(place)}/${run}`;
  const races = Array.from({ length: SMALL_PROBE.createRounds }, (_, i) => `${base}/create-${i}-0`);
  for (const key of [`${base}/step`, ...races]) if ((await port.remove(key)) !== "removed") return;
}

async function allSteps(run: Run): Promise<Findings> {
  const key = `${run.base}/step`;
  run.port.useEtagQuoting?.("quoted");
  const first = await startingObject(run, key);
  await mustBeRefused(run, "create-existing", (body) => run.port.create(key, body, run), "a create of an object that exists was applied");
  run.passed("create-existing");
  const firstSentMs = run.port.clock.monotonicMs();
  const second = await rightReplace(run, key, first);
  run.passed("replace");
  const firstWrittenMs = run.port.clock.monotonicMs();
  const firstTimes = await timesOf(run, key, firstSentMs);
  await mustBeRefused(run, "replace-stale", (body) => run.port.replace(key, first, body, run), "a replace with an old ETag was applied");
  await mustStand(run, key, second);
  run.passed("replace-stale");
  const missing = `${run.base}/missing`;
  run.used.add(missing);
  await mustBeRefused(
    run,
    "replace-missing",
    (body) => run.port.replace(missing, `"${freshId(run.port.random)}"`, body, run),
    "a replace of an object that does not exist was applied",
  );
  run.passed("replace-missing");
  for (let i = 0; i < run.plan.createRounds; i++) {
    await createRace(run, i);
    run.passed("create-race");
  }
  let etag = second;
  for (let i = 0; i < run.plan.replaceRounds; i++) {
    etag = await replaceRace(run, key, etag);
    run.passed("replace-race");
  }
  const left = firstWrittenMs + TIME_STEP_MS - run.port.clock.monotonicMs();
  if (left > 0) await pause(run, left);
  const lastSentMs = run.port.clock.monotonicMs();
  const last = await rightReplace(run, key, etag);
  const lastTimes = await timesOf(run, key, lastSentMs);
  run.passed("times");
  await notModified(run, key, last, etag);
  run.passed("not-modified");
  const times = judgeTimes([firstTimes, lastTimes]);
  return { storeTime: times.storeTime, skewMs: times.skewMs, quoting: run.quoting, remarks: [...run.remarks, ...times.remarks] };
}

/** The first object of the step key: created, or in the way from an earlier probe that could not delete. */
async function startingObject(run: Run, key: string): Promise<string> {
  const found = await read(run, key);
  if (found.kind === "found") return found.etag;
  if (found.kind === "not-modified" || found.kind === "too-large") throw foreign(run);
  const written = await decided(run, "create", (body) => run.port.create(key, body, run), key);
  if (written.kind === "applied") return written.etag;
  const again = await read(run, key);
  if (again.kind === "found") throw foreign(run);
  throw unsafe(run, "create", "an object that does not exist could not be created (412)");
}

/** A replace with the right ETag. Where it is refused with its quotes and works without, the store has quirk "unquoted". */
async function rightReplace(run: Run, key: string, etag: string): Promise<string> {
  const attempt = (): Promise<WriteResult> => decided(run, "replace", (body) => run.port.replace(key, etag, body, run), key);
  let written = await attempt();
  if (written.kind === "applied") return written.etag;
  const now = await read(run, key);
  if (now.kind !== "found" || now.etag !== etag) throw foreign(run);
  if (run.quoting === "quoted" && run.port.useEtagQuoting?.("unquoted") === true) {
    run.quoting = "unquoted";
    written = await attempt();
    if (written.kind === "applied") {
      run.remarks.push("takes ETags in If-Match only without their quotes");
      return written.etag;
    }
  }
  const weak = etag.startsWith("W/") ? "; the ETag is a weak one, as a compressing proxy makes them" : "";
  throw unsafe(run, "replace", `a replace with the ETag that the store shows (${etag}) was refused${weak}`);
}

/** A write that a right store refuses. `applied` is the end; everything undecided is tried again. */
async function mustBeRefused(run: Run, step: string, write: (body: Uint8Array) => Promise<WriteResult>, why: string): Promise<void> {
  const result = await decided(run, step, write);
  if (result.kind === "applied") throw unsafe(run, step, why);
}

async function mustStand(run: Run, key: string, etag: string): Promise<void> {
  const now = await read(run, key);
  if (now.kind === "found" && now.etag !== etag && run.canDelete)
    throw unsafe(run, "refused-but-written", "a write was refused and its object stands all the same");
}

async function createRace(run: Run, round: number): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const key = `${run.base}/create-${round}${run.canDelete ? `-${attempt}` : ""}`;
    const before = await read(run, key);
    if (before.kind === "found") {
      // Left by a probe without the right to delete: the race can't be run on it again, but every create must still be refused.
      const results = await race(run, key, (body) => run.port.create(key, body, run));
      if (results.kinds.includes("applied"))
        throw unsafe(run, "create-existing", "a create of an object that exists was applied in a race");
      remarkOnce(run, "races of creates were not run again: no right to delete the objects of the last probe (s3:DeleteObject)");
      return;
    }
    const verdict = await judged(run, key, undefined, (body) => run.port.create(key, body, run));
    if (verdict.kind === "one-winner") return;
    if (verdict.kind === "unsafe") throw unsafe(run, "create-race", verdict.why);
    await afterInconclusive(run, attempt, "create-race", verdict.why);
  }
}

async function replaceRace(run: Run, key: string, etag: string): Promise<string> {
  let from = etag;
  for (let attempt = 0; ; attempt++) {
    const condition = from;
    const verdict = await judged(run, key, condition, (body) => run.port.replace(key, condition, body, run));
    if (verdict.kind === "unsafe") throw unsafe(run, "replace-race", verdict.why);
    const now = await read(run, key);
    if (now.kind !== "found") throw foreign(run);
    if (verdict.kind === "one-winner") return now.etag;
    from = now.etag;
    await afterInconclusive(run, attempt, "replace-race", verdict.why);
  }
}

async function judged(
  run: Run,
  key: string,
  before: string | undefined,
  write: (body: Uint8Array) => Promise<WriteResult>,
): Promise<ReturnType<typeof judgeRace>> {
  const { kinds, bodies } = await race(run, key, write);
  const winner = kinds.indexOf("applied");
  for (let look = 0; ; look++) {
    const now = await read(run, key);
    const standing = standingOf(now, bodies, before);
    const settled = typeof standing === "number" || winner < 0 || look >= 3;
    if (settled) return judgeRace(kinds, standing);
    await pause(run, paceMs(run.port.random, look));
  }
}

async function race(
  run: Run,
  key: string,
  write: (body: Uint8Array) => Promise<WriteResult>,
): Promise<{ readonly kinds: readonly WriteResult["kind"][]; readonly bodies: readonly string[] }> {
  run.used.add(key);
  const bodies = Array.from({ length: run.plan.writers }, () => freshId(run.port.random));
  const results = await Promise.all(bodies.map((nonce) => write(bodyOf(nonce))));
  run.signal?.throwIfAborted();
  for (const result of results) if (result.kind === "denied") throw result.error;
  return { kinds: results.map((r) => r.kind), bodies };
}

function standingOf(now: ReadResult, nonces: readonly string[], before: string | undefined): Standing {
  if (now.kind !== "found") return "absent";
  if (now.etag === before) return "before";
  const index = nonces.indexOf(nonceIn(now));
  return index < 0 ? "foreign" : index;
}

/** A 304 that is not given costs traffic; one that is wrong hides a change. */
async function notModified(run: Run, key: string, current: string, old: string): Promise<void> {
  const same = await read(run, key, current);
  if (same.kind === "found") run.remarks.push("never answers 304: each poll of a follower transfers the record");
  const changed = await read(run, key, old);
  if (changed.kind === "not-modified")
    throw unsafe(run, "stale-304", "a read was answered 304 (not modified) although the object had changed");
}

async function timesOf(run: Run, key: string, sentMs: number): Promise<TimeSample> {
  const now = await read(run, key);
  const elapsedMs = run.port.clock.monotonicMs() - sentMs;
  return now.kind === "found"
    ? { dateMs: now.dateMs, lastModifiedMs: now.lastModifiedMs, elapsedMs }
    : { dateMs: undefined, lastModifiedMs: undefined, elapsedMs };
}

/** Writes until the answer is a decision. An unknown one is decided by looking whose nonce stands. */
async function decided(
  run: Run,
  step: string,
  write: (body: Uint8Array) => Promise<WriteResult>,
  key?: string,
): Promise<Extract<WriteResult, { kind: "applied" | "refused" }>> {
  if (key !== undefined) run.used.add(key);
  const nonce = freshId(run.port.random);
  let inDoubt = false;
  let last: WriteResult | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (attempt > 0) await pause(run, paceMs(run.port.random, attempt, last));
    last = await write(bodyOf(nonce));
    run.signal?.throwIfAborted();
    if (last.kind === "denied") throw last.error;
    if (last.kind === "applied") return last;
    if (last.kind === "refused") {
      if (!inDoubt || key === undefined) return last;
      // Refused after an unknown attempt of the same write: it may have been that one (rule W3).
      const now = await read(run, key);
      return now.kind === "found" && nonceIn(now) === nonce ? { kind: "applied", etag: now.etag, dateMs: now.dateMs } : last;
    }
    if (last.kind === "unknown" || !last.certain) inDoubt = true;
  }
  throw inconclusive(run, step, last?.kind === "busy" || last?.kind === "unknown" ? last.error.message : "no decision", last);
}

async function read(run: Run, key: string, ifNoneMatch?: string): Promise<Exclude<ReadResult, { kind: "denied" | "unavailable" }>> {
  for (let attempt = 0; ; attempt++) {
    const result = await run.port.get(key, { ifNoneMatch, maxBytes: 4096, signal: run.signal });
    run.signal?.throwIfAborted();
    if (result.kind === "denied") throw result.error;
    if (result.kind !== "unavailable") return result;
    if (attempt + 1 >= ATTEMPTS) throw result.error;
    await pause(run, paceMs(run.port.random, attempt));
  }
}

/** DELETE of an object that does not exist tells whether deleting is allowed, and nothing is lost by it. */
async function mayDelete(port: ProbePort, key: string, signal: AbortSignal | undefined): Promise<boolean> {
  for (let attempt = 0; ; attempt++) {
    const result = await port.remove(key, { signal });
    signal?.throwIfAborted();
    if (typeof result === "string") return true;
    if (result.kind === "denied") return false;
    if (attempt + 1 >= ATTEMPTS) throw result.error;
    await sleep(port.clock, paceMs(port.random, attempt), { signal, keepAlive: true });
    signal?.throwIfAborted();
  }
}

async function afterInconclusive(run: Run, attempt: number, step: string, why: string): Promise<void> {
  if (attempt + 1 >= RACE_ATTEMPTS) throw inconclusive(run, step, why);
  // Long enough for a store that takes one write a second for each key, and for what still travels.
  await pause(run, TIME_STEP_MS * (1 + run.port.random.unit()));
}

async function pause(run: Run, ms: number): Promise<void> {
  await sleep(run.port.clock, ms, { signal: run.signal, keepAlive: true });
  run.signal?.throwIfAborted();
}

function remarkOnce(run: Run, remark: string): void {
  if (!run.remarks.includes(remark)) run.remarks.push(remark);
}

function bodyOf(nonce: string): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ format: "s3-consensus/probe", nonce }));
}

function nonceIn(found: Found): string {
  return /"nonce":"([0-9a-f]+)"/.exec(new TextDecoder().decode(found.body))?.[1] ?? "";
}

function unsafe(run: Run, step: string, why: string): StoreUnsafeError {
  return new StoreUnsafeError(
    `the store ${run.port.url} is not safe to lead or lock on: ${why} (probe step "${step}"). Use a store that keeps conditional writes (docs/stores.md)`,
    { step },
  );
}

function inconclusive(run: Run, step: string, why: string, cause?: unknown): StoreUnavailableError {
  return new StoreUnavailableError(`the probe of the store ${run.port.url} came to no verdict at step "${step}": ${why}`, { cause });
}

function foreign(run: Run): StoreUnavailableError {
  return new StoreUnavailableError(
    `the probe of the store ${run.port.url} came to no verdict: somebody else changed its objects below ${run.base} meanwhile`,
  );
}
