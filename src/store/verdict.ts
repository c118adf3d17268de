/**
 * The verdict object: one hidden object below the prefix that says whether the bucket was probed, is being probed, or failed. Its codec and the
 * decision what to do about what it shows; both pure.
 */
import { ConsensusError, StoreAccessError, StoreUnavailableError, StoreUnsafeError } from "../errors.ts";
import { contentHash } from "./hash.ts";
import type { ReadResult, StoreVerdict } from "./object-store.ts";

/** Grows when the probe learns to see more: verdicts of another version are not believed. */
export const PROBE_VERSION = 1;
export const VERDICT_FORMAT = "s3-consensus/verdict";
export const HIDDEN_FOLDER = ".s3-consensus/";
export const MAX_VERDICT_BYTES = 16_384;
/** By the store's own times. */
const MAX_AGE_MS = 30 * 86_400_000;
/** A prober whose record stood unchanged for so long is dead. On the watcher's own monotonic clock. */
export const DEAD_PROBER_MS = 30_000;

/** What is proved: this bucket at this endpoint. */
export interface Place {
  readonly endpoint: string;
  readonly bucket: string;
  readonly prefix: string;
}

export interface Findings extends StoreVerdict {
  readonly quoting: "quoted" | "unquoted";
}

export interface Failure {
  readonly code: "STORE_UNSAFE" | "STORE_ACCESS" | "STORE_UNAVAILABLE";
  readonly message: string;
  readonly step?: string | undefined;
  readonly hint?: string | undefined;
}

/** What stands at the verdict's key. */
export type View =
  | { readonly kind: "absent" }
  | { readonly kind: "good"; readonly etag: string; readonly findings: Findings }
  | { readonly kind: "probing"; readonly etag: string; readonly run: string }
  | { readonly kind: "failed"; readonly etag: string; readonly run: string; readonly failure: Failure | undefined; readonly lasts: boolean }
  /** Damaged, foreign, too old, of another version, or the body of a path proof: as good as absent, but replaced only by its ETag. */
  | { readonly kind: "useless"; readonly etag: string };

export function placeHash(place: Place): string {
  return contentHash(new TextEncoder().encode(`${place.endpoint}\n${place.bucket}`));
}

export function verdictKey(place: Place): string {
  return `${HIDDEN_FOLDER}verdict-${placeHash(place)}`;
}

interface Head {
  readonly place: Place;
  readonly by: string;
  readonly at: string;
  readonly packageVersion: string;
}

export type Body =
  | { readonly state: "probing"; readonly run: string }
  | { readonly state: "good"; readonly run: string; readonly findings: Findings }
  /** Without a failure: the prober gave up of its own accord, and the next may begin. */
  | { readonly state: "failed"; readonly run: string; readonly failure: Failure | undefined; readonly full?: true | undefined };

export function encodeVerdict(head: Head, body: Body): Uint8Array {
  const { place, by, at, packageVersion } = head;
  const record = {
    format: VERDICT_FORMAT,
    probeVersion: PROBE_VERSION,
    ...body,
    endpoint: place.endpoint,
    bucket: place.bucket,
    by,
    at,
    packageVersion,
  };
  return new TextEncoder().encode(JSON.stringify(record));
}

/** The body of the write that must be refused (rule W9). Should a careless store write it, nobody takes it for a verdict. */
export function proofBody(nonce: string): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ format: "s3-consensus/path-proof", note: "this object must never exist", nonce }));
}

export function viewOf(read: Extract<ReadResult, { kind: "found" | "absent" | "too-large" }>, place: Place): View {
  if (read.kind === "absent") return read;
  const { etag } = read;
  if (read.kind === "too-large") return { kind: "useless", etag };
  const record = parse(read.body);
  if (record === undefined || record["format"] !== VERDICT_FORMAT || record["probeVersion"] !== PROBE_VERSION)
    return { kind: "useless", etag };
  if (record["endpoint"] !== place.endpoint || record["bucket"] !== place.bucket) return { kind: "useless", etag };
  const run = record["run"];
  if (typeof run !== "string" || !/^[0-9a-f]{8,64}$/.test(run)) return { kind: "useless", etag };
  if (record["state"] === "probing") return { kind: "probing", etag, run };
  const ageMs = read.dateMs === undefined || read.lastModifiedMs === undefined ? 0 : read.dateMs - read.lastModifiedMs;
  if (record["state"] === "failed") {
    const failure = failureIn(record["failure"]);
    return {
      kind: "failed",
      etag,
      run,
      failure,
      lasts: record["full"] === true && failure?.code === "STORE_UNSAFE" && ageMs <= MAX_AGE_MS,
    };
  }
  const findings = record["state"] === "good" ? findingsIn(record["findings"]) : undefined;
  if (findings === undefined) return { kind: "useless", etag };
  return ageMs > MAX_AGE_MS ? { kind: "useless", etag } : { kind: "good", etag, findings };
}

/** What a waiting process remembers of its earlier looks. */
export interface Known {
  /** The probing record of somebody else that I saw last, and since when it has not changed, on my monotonic clock. */
  readonly watched?: { readonly etag: string; readonly sinceMs: number } | undefined;
  /** Runs of my own that have ended, whether or not their end could be written down. */
  readonly ownRuns?: ReadonlySet<string> | undefined;
  /** The run whose failure stood there when I came. */
  readonly oldFailure?: string | undefined;
}

export type Step =
  | { readonly do: "believe"; readonly findings: Findings }
  /** `deadRun`: the probe that is taken over; its objects may still lie about. */
  | { readonly do: "claim"; readonly etag: string | undefined; readonly deadRun?: string | undefined }
  | { readonly do: "wait" }
  | { readonly do: "fail"; readonly failure: Failure; readonly lasts: boolean };

/** @param nowMs on the same clock as `sinceMs`. */
export function nextStep(view: View, known: Known, nowMs: number): Step {
  switch (view.kind) {
    case "absent":
      return { do: "claim", etag: undefined };
    case "good":
      return { do: "believe", findings: view.findings };
    case "useless":
      return { do: "claim", etag: view.etag };
    case "probing": {
      const dead =
        known.ownRuns?.has(view.run) === true || (known.watched?.etag === view.etag && nowMs - known.watched.sinceMs >= DEAD_PROBER_MS);
      return dead ? { do: "claim", etag: view.etag, deadRun: view.run } : { do: "wait" };
    }
    case "failed":
      // A probe that failed while I waited speaks for me too, so that a hundred processes probe a bad store once; whoever comes later tries again.
      // What a full probe has seen lasts: a store that only races show would pass the quick one half of the time.
      if (view.failure !== undefined && (view.lasts || view.run !== known.oldFailure))
        return { do: "fail", failure: view.failure, lasts: view.lasts };
      return { do: "claim", etag: view.etag };
  }
}

export function failureOfError(error: unknown): Failure | undefined {
  if (!ConsensusError.is(error)) return undefined;
  const message = error.message.slice(0, 2000);
  switch (error.code) {
    case "STORE_UNSAFE":
      return { code: error.code, message, step: error.step };
    case "STORE_ACCESS":
      return { code: error.code, message, hint: error.hint };
    case "STORE_UNAVAILABLE":
      return { code: error.code, message };
    default:
      return undefined;
  }
}

export function errorOfFailure({
  failure,
  lasts,
}: Extract<Step, { do: "fail" }>): StoreUnsafeError | StoreAccessError | StoreUnavailableError {
  const by = lasts
    ? "a full probe, and kept in the bucket for 30 days, or until one passes: s3-consensus doctor --save"
    : "another process that probed the store at the same time";
  const message = `${failure.message} (found by ${by})`;
  switch (failure.code) {
    case "STORE_UNSAFE":
      return new StoreUnsafeError(message, { step: failure.step ?? "probe" });
    case "STORE_ACCESS":
      return new StoreAccessError(message, { hint: failure.hint ?? failure.message });
    case "STORE_UNAVAILABLE":
      return new StoreUnavailableError(message);
  }
}

function parse(body: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function findingsIn(value: unknown): Findings | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const f = value as Partial<Record<keyof Findings, unknown>>;
  if (typeof f.storeTime !== "boolean" || typeof f.skewMs !== "number" || !(f.skewMs >= 0 && f.skewMs <= 3_600_000)) return undefined;
  if (f.quoting !== "quoted" && f.quoting !== "unquoted") return undefined;
  const remarks = Array.isArray(f.remarks) ? f.remarks.filter((r) => typeof r === "string").slice(0, 20) : [];
  return { storeTime: f.storeTime, skewMs: f.skewMs, quoting: f.quoting, remarks };
}

function failureIn(value: unknown): Failure | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const f = value as Partial<Record<keyof Failure, unknown>>;
  if (typeof f.message !== "string" || (f.code !== "STORE_UNSAFE" && f.code !== "STORE_ACCESS" && f.code !== "STORE_UNAVAILABLE"))
    return undefined;
  return {
    code: f.code,
    message: f.message,
    step: typeof f.step === "string" ? f.step : undefined,
    hint: typeof f.hint === "string" ? f.hint : undefined,
  };
}
