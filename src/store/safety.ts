/**
 * What stands before the first write of a process: is this bucket proved (the verdict object, else the probe, run by one process for all), and
 * does a condition of *this* client arrive on *this* path (rule W9: one write that must be refused)? Both beside the caller's first read.
 */
import { toIso } from "../clock/calendar.ts";
import { backoffMs, freshId, sleep } from "../clock/wait.ts";
import { StoreUnavailableError, StoreUnsafeError } from "../errors.ts";
import { VERSION } from "../version.ts";
import type { WriteResult } from "./object-store.ts";
import { ATTEMPTS, paceMs } from "./pace.ts";
import { removeLeftovers, runProbe, type ProbePort } from "./probe.ts";
import {
  encodeVerdict,
  errorOfFailure,
  failureOfError,
  MAX_VERDICT_BYTES,
  nextStep,
  proofBody,
  verdictKey,
  viewOf,
  type Body,
  type Failure,
  type Findings,
  type Known,
  type Place,
  type Step,
  type View,
} from "./verdict.ts";

export interface SafetyOptions {
  readonly place: Place;
  /** Who probes, for people: host and process. */
  readonly by: string;
  /** The ETag quoting that the user decided; a verdict that says otherwise is not believed. */
  readonly quoting?: "quoted" | "unquoted" | undefined;
  /** Runs of this store object, kept by it from call to call: an outage may have left one of them standing as "probing". */
  readonly ownRuns?: Set<string> | undefined;
  readonly signal?: AbortSignal | undefined;
}

const WATCH_BASE_MS = 200;
const WATCH_CAP_MS = 1_000;
/** A dead prober takes 30 s to be noticed, a slow probe its time: nobody waits longer than this for a verdict. */
const MAX_WAIT_MS = 120_000;

/** @throws StoreUnsafeError, StoreAccessError, StoreUnavailableError, or the reason of `signal`. */
export async function proveSafe(port: ProbePort, options: SafetyOptions): Promise<Findings> {
  const [path, view] = await Promise.allSettled([provePath(port, options), readView(port, options)]);
  options.signal?.throwIfAborted();
  // A dropped condition is the news that matters, whatever the read said.
  if (path.status === "rejected" && path.reason instanceof StoreUnsafeError) throw path.reason;
  if (view.status === "rejected") throw view.reason;
  if (path.status === "rejected") throw path.reason;
  return await settle(port, options, view.value);
}

/**
 * Writes what the full probe found, good or bad, over whatever stands there. False where another process was faster or the store did not take it.
 */
export async function saveVerdict(port: ProbePort, options: SafetyOptions, found: Findings | Failure): Promise<boolean> {
  const view = await readView(port, options);
  const run = freshId(port.random, 8);
  const state: Body = "code" in found ? { state: "failed", run, failure: found, full: true } : { state: "good", run, findings: found };
  return (await save(port, options, state, view.kind === "absent" ? undefined : view.etag)) !== undefined;
}

/** The verdict of somebody else, by one read. `undefined` where there is none, or no answer. */
export async function readVerdict(port: ProbePort, options: Pick<SafetyOptions, "place" | "signal">): Promise<Findings | undefined> {
  const read = await port.get(verdictKey(options.place), { maxBytes: MAX_VERDICT_BYTES, signal: options.signal });
  options.signal?.throwIfAborted();
  if (read.kind !== "found") return undefined;
  const view = viewOf(read, options.place);
  return view.kind === "good" ? view.findings : undefined;
}

/** Rule W9, each process for itself: a wrong but well-formed ETag must be refused. */
async function provePath(port: ProbePort, options: SafetyOptions): Promise<void> {
  const key = verdictKey(options.place);
  let last: Extract<WriteResult, { kind: "busy" | "unknown" }> | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (attempt > 0) await pause(port, options, paceMs(port.random, attempt, last));
    const nonce = freshId(port.random);
    const result = await port.replace(key, `"${freshId(port.random)}"`, proofBody(nonce), { signal: options.signal });
    options.signal?.throwIfAborted();
    if (result.kind === "refused") return;
    if (result.kind === "denied") throw result.error;
    if (result.kind === "applied") {
      await port.remove(key);
      throw new StoreUnsafeError(
        `the store ${port.url} applied a write whose condition (If-Match with a wrong ETag) had to be refused: the store ignores conditions, or ` +
          "something on this process's way to it (a proxy, a client's middleware) takes the header away",
        { step: "path-proof" },
      );
    }
    last = result;
  }
  throw new StoreUnavailableError(`the store ${port.url} could not be proved safe: ${last?.error.message ?? "no answer"}`, {
    cause: last?.error,
  });
}

/** Believes, probes, or watches another probe, until there is a verdict. */
async function settle(port: ProbePort, options: SafetyOptions, first: View): Promise<Findings> {
  const startMs = port.clock.monotonicMs();
  const oldFailure = first.kind === "failed" ? first.run : undefined;
  let watched: Known["watched"];
  let view = first;
  for (let look = 0; port.clock.monotonicMs() - startMs < MAX_WAIT_MS; look++) {
    const nowMs = port.clock.monotonicMs();
    const step = nextStep(view, { watched, oldFailure, ownRuns: options.ownRuns }, nowMs);
    if (step.do === "believe") return step.findings;
    if (step.do === "fail") throw errorOfFailure(step);
    if (step.do === "claim") {
      const findings = await claimAndProbe(port, options, step);
      if (findings !== undefined) return findings;
    }
    // Only what the *view* showed is watched from when it was first seen; a changed record starts anew.
    if (view.kind === "probing" && watched?.etag !== view.etag) watched = { etag: view.etag, sinceMs: nowMs };
    await pause(port, options, backoffMs(port.random, look, WATCH_BASE_MS, WATCH_CAP_MS));
    view = await readView(port, options, view);
  }
  throw new StoreUnavailableError(
    `the store ${port.url} has no verdict: other processes have been probing it for ${MAX_WAIT_MS / 1000} s without an end`,
  );
}

/** `undefined`: somebody else was faster. */
async function claimAndProbe(
  port: ProbePort,
  options: SafetyOptions,
  claim: Extract<Step, { do: "claim" }>,
): Promise<Findings | undefined> {
  const run = freshId(port.random, 8);
  // Whatever becomes of the claim: when this call ends, nobody carries the run on.
  remember(options.ownRuns, run);
  const mine = await save(port, options, { state: "probing", run }, claim.etag);
  if (mine === undefined) return undefined;
  try {
    if (claim.deadRun !== undefined) await removeLeftovers(port, options.place, claim.deadRun);
    const findings = await runProbe(port, { place: options.place, run, signal: options.signal });
    // A good probe of my own is proof enough for me, even if the verdict can't be kept.
    await save(port, options, { state: "good", run, findings }, mine);
    return findings;
  } catch (error) {
    // Those who watched this probe get its error; one that was only given up frees the way for the next.
    const failure = options.signal?.aborted === true ? undefined : failureOfError(error);
    await save(port, { ...options, signal: undefined }, { state: "failed", run, failure }, mine);
    throw error;
  }
}

/**
 * Writes the verdict object under its condition. Returns the ETag where it stands, `undefined` where another was faster or it can't be told.
 * Never on a guess: a doubtful write is looked up by its body.
 */
async function save(port: ProbePort, options: SafetyOptions, state: Body, etag: string | undefined): Promise<string | undefined> {
  const key = verdictKey(options.place);
  const head = { place: options.place, by: options.by, at: toIso(port.clock.wallMs()), packageVersion: VERSION };
  const body = encodeVerdict(head, state);
  const request = { signal: options.signal };
  let rightButRefused = 0;
  let inDoubt = 0;
  let last: WriteResult | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (attempt > 0) await pause(port, options, paceMs(port.random, attempt, last));
    const result = etag === undefined ? await port.create(key, body, request) : await port.replace(key, etag, body, request);
    options.signal?.throwIfAborted();
    last = result;
    if (result.kind === "applied") return result.etag;
    if (result.kind === "denied") {
      if (state.state === "probing") throw result.error;
      return undefined;
    }
    const now = await port.get(key, { maxBytes: MAX_VERDICT_BYTES, signal: options.signal });
    options.signal?.throwIfAborted();
    if (now.kind === "found" && sameBytes(now.body, body)) return now.etag;
    if (result.kind !== "refused") continue;
    if (now.kind !== "found" || now.etag !== etag) return undefined;
    if (result.status === 404) inDoubt++;
    // The ETag is the one that stands, and yet refused: a store that wants it without quotes (the probe will tell), or a read that is behind.
    rightButRefused++;
    port.useEtagQuoting?.(rightButRefused % 2 === 1 ? "unquoted" : "quoted");
  }
  if (rightButRefused < ATTEMPTS || state.state !== "probing") return undefined;
  // Rule W6: a crashed server of several drives says 404 to the right ETag of some keys, and means no other key by it.
  if (inDoubt > 0) {
    throw new StoreUnavailableError(
      `the store ${port.url} answers 404 to the very ETag that it shows for ${key}: its drives disagree, as after a crash. ` +
        "Let the server heal it, or remove that object: it is only the verdict of the last probe",
    );
  }
  throw new StoreUnsafeError(
    `the store ${port.url} refuses a replace with the very ETag that it shows (${etag ?? ""}): nothing could ever be renewed on it. ` +
      "If etagQuoting is set, leave it out: some stores take ETags only without their quotes",
    { step: "replace" },
  );
}

async function readView(port: ProbePort, options: SafetyOptions, before?: View): Promise<View> {
  const key = verdictKey(options.place);
  const ifNoneMatch = before === undefined || before.kind === "absent" ? undefined : before.etag;
  for (let attempt = 0; ; attempt++) {
    const read = await port.get(key, { maxBytes: MAX_VERDICT_BYTES, ifNoneMatch, signal: options.signal });
    options.signal?.throwIfAborted();
    if (read.kind === "denied") throw read.error;
    if (read.kind === "not-modified" && before !== undefined) return before;
    if (read.kind === "found" || read.kind === "absent" || read.kind === "too-large")
      return believable(viewOf(read, options.place), options);
    const error =
      read.kind === "unavailable"
        ? read.error
        : new StoreUnavailableError(`the store ${port.url} answered 304 to a read without a condition`);
    if (attempt + 1 >= ATTEMPTS) throw error;
    await pause(port, options, paceMs(port.random, attempt));
  }
}

function believable(view: View, options: SafetyOptions): View {
  const contradicted = view.kind === "good" && options.quoting !== undefined && options.quoting !== view.findings.quoting;
  return contradicted ? { kind: "useless", etag: view.etag } : view;
}

const MAX_OWN_RUNS = 100;

/** Bounded: the oldest goes first. */
function remember(runs: Set<string> | undefined, run: string): void {
  if (runs === undefined) return;
  runs.add(run);
  if (runs.size > MAX_OWN_RUNS) for (const oldest of runs.values()) return void runs.delete(oldest);
}

async function pause(port: ProbePort, options: SafetyOptions, ms: number): Promise<void> {
  await sleep(port.clock, ms, { signal: options.signal, keepAlive: true });
  options.signal?.throwIfAborted();
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i]);
}
