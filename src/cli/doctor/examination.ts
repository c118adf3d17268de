/** The examination of a bucket, from the first request to the last: everything that `doctor` says comes from here. */
import { freshId } from "../../clock/wait.ts";
import { ConsensusError, StoreAccessError, StoreUnavailableError } from "../../errors.ts";
import { deriveTiming } from "../../lease/timing.ts";
import { fullProbe } from "../../store/full-probe.ts";
import { PROBE_STEPS, type ProbeStep } from "../../store/probe.ts";
import type { WireAnswer } from "../../store/s3-answer.ts";
import type { S3Store } from "../../store/s3-store.ts";
import { HIDDEN_FOLDER } from "../../store/verdict.ts";
import { bad, type Check, good, remark, unknown } from "./check.ts";
import { type Cost, costOf } from "./cost.ts";
import { type Latency, measure, type Measured } from "./latency.ts";
import { judgePermissions, type Permitted } from "./permissions.ts";
import { probeLines } from "./probe-lines.ts";
import { type BucketSettings, judgeLifecycle, judgeObjectLock, judgeVersioning, type LifecycleRule } from "./settings.ts";

export interface ExaminationOptions {
  readonly ttlMs: number;
  readonly nodes: number;
  /** The result becomes the verdict of the bucket, which every process then believes. */
  readonly save: boolean;
  readonly signal: AbortSignal;
  /** Says what is being done now. */
  progress(text: string): void;
}

export interface Examination {
  readonly checks: readonly Check[];
  readonly latency: { readonly get: Latency; readonly put: Latency } | undefined;
  readonly cost: Cost;
  /** What ended it before its time. */
  readonly failure: ConsensusError | undefined;
  readonly saved: boolean;
  readonly requests: number;
}

export interface Place {
  readonly bucket: string;
  /** Empty, or with a slash at its end. */
  readonly prefix: string;
}

/** A clock that is further off makes the scheduler of that node wait for others. */
const CLOCK_REMARK_MS = 5_000;

export async function examine(store: S3Store, place: Place, options: ExaminationOptions): Promise<Examination> {
  const checks: Check[] = [];
  const cost = costOf(options.ttlMs, options.nodes);
  let saved = false;
  let latency: Examination["latency"];
  const end = (failure?: ConsensusError): Examination => {
    const { get = 0, put = 0, list = 0, delete: removed = 0, setting = 0 } = store.stats();
    return { checks, latency, cost, failure, saved, requests: get + put + list + removed + setting };
  };
  try {
    options.progress("looking for the bucket");
    const reached = await reach(store);
    checks.push(...reached.checks);
    if (reached.failure !== undefined) return end(reached.failure);
    const refused = checks.find((check) => check.verdict === "bad");
    if (refused !== undefined) return end(new StoreAccessError(refused.detail ?? "", { hint: refused.advice ?? "" }));
    const probed = await probe(store, options);
    checks.push(...probed.lines);
    saved = probed.saved;
    if (probed.failure !== undefined) return end(probed.failure);
    options.progress("measuring");
    const measured = await measure(store, options.signal);
    latency = { get: measured.get, put: measured.put };
    checks.push(...judgeMeasured(measured, options.ttlMs));
    options.progress("reading the bucket's settings");
    const set = await settings(store, place.prefix, options.ttlMs);
    checks.push(
      ...set.checks,
      judgePermissions({ list: reached.mayList, remove: measured.removed, ...set.permitted }, place.bucket, place.prefix),
    );
    return end();
  } catch (e) {
    options.signal.throwIfAborted();
    if (ConsensusError.is(e)) return end(e);
    throw e;
  }
}

const REACH = "the bucket answers, and a missing object is told as missing";
const REACH_ADVICE =
  "check the endpoint's name and port, whether it is http:// or https:// there, and that an S3 server listens there and not something else; then network, proxy and firewall";

interface Reached {
  readonly checks: readonly Check[];
  readonly mayList: boolean | undefined;
  readonly failure?: StoreUnavailableError | undefined;
}

/** The first look: is anybody there, may we read, and what time is it? */
async function reach(store: S3Store): Promise<Reached> {
  const sentMs = store.clock.wallMs();
  const read = await store.get(`${HIDDEN_FOLDER}doctor-${freshId(store.random, 8)}`, { maxBytes: 1024 });
  const wallMs = (sentMs + store.clock.wallMs()) / 2;
  if (read.kind === "unavailable")
    return { checks: [unknown("reach", REACH, read.error.message, REACH_ADVICE)], mayList: undefined, failure: read.error };
  if (read.kind === "denied") {
    const hint = read.error instanceof StoreAccessError ? read.error.hint : "";
    const said = read.error.message.replace(`: ${hint}`, "");
    return { checks: [bad("reach", REACH, said, hint)], mayList: undefined };
  }
  const listed = await store.list("", { limit: 1 });
  const list =
    listed.kind === "page"
      ? good("list", "permission to list")
      : remark(
          "list",
          "permission to list",
          listed.error.message,
          "allow s3:ListBucket: without it `ls`, `watch` and `list` don't work, and AWS answers 403 for a key that does not exist",
        );
  const checks = [good("reach", REACH, store.url), list, clockLine("dateMs" in read ? read.dateMs : undefined, wallMs)];
  return { checks, mayList: listed.kind === "page" ? true : listed.kind === "denied" ? false : undefined };
}

function clockLine(dateMs: number | undefined, wallMs: number): Check {
  const [id, title] = ["clock", "this machine's clock against the store's"] as const;
  if (dateMs === undefined) return unknown(id, title, "the store sent no Date");
  // The header is cut to the second: in the mean it is half a second behind.
  const offMs = wallMs - (dateMs + 500);
  const seconds = (Math.abs(offMs) / 1000).toFixed(0);
  if (Math.abs(offMs) <= CLOCK_REMARK_MS) return good(id, title, "within 5 s");
  return remark(
    id,
    title,
    `this machine is ${seconds} s ${offMs < 0 ? "behind" : "ahead"}`,
    "set it (NTP). Leases do not need it; AWS refuses requests from 15 minutes on, and a scheduler that is 30 s off claims nothing",
  );
}

async function probe(
  store: S3Store,
  options: ExaminationOptions,
): Promise<{ readonly lines: readonly Check[]; readonly saved: boolean; readonly failure: ConsensusError | undefined }> {
  const passed = new Map<ProbeStep, number>();
  const onStep = (step: ProbeStep): void => {
    passed.set(step, (passed.get(step) ?? 0) + 1);
    options.progress(
      `trying conditions and races: ${PROBE_STEPS.indexOf(step) + 1} of ${PROBE_STEPS.length} (${step} ${passed.get(step) ?? 0})`,
    );
  };
  try {
    const found = await fullProbe(store, { signal: options.signal, save: options.save, onStep });
    const { remarks, storeTime, saved } = found;
    return { lines: probeLines({ passed, remarks, storeTime, failure: undefined }), saved, failure: undefined };
  } catch (e) {
    options.signal.throwIfAborted();
    if (!ConsensusError.is(e)) throw e;
    return { lines: probeLines({ passed, remarks: [], storeTime: undefined, failure: e }), saved: false, failure: e };
  }
}

function judgeMeasured(measured: Measured, ttlMs: number): readonly Check[] {
  const { put, busy, deleteKeepsConditions, removed } = measured;
  const { timing } = deriveTiming({ ttlMs });
  const times = `GET ${text(measured.get)}, PUT ${text(put)}`;
  return [
    put.p99Ms * 3 > timing.requestTimeoutMs
      ? remark("latency", "latency", `${times}; one request may take ${timing.requestTimeoutMs} ms at this ttl`, "use a longer ttlMs")
      : good("latency", "latency", times),
    busy > 0
      ? remark(
          "write-rate",
          "writes of one key in a row",
          `${busy} of ${put.count + busy} were put off (409, 429 or 503)`,
          "keep the ttl at 10 s or more: a renewal is one write each third of it",
        )
      : good("write-rate", "writes of one key in a row", `${put.count} without a complaint`),
    deleteKeepsConditions === undefined
      ? unknown("delete-condition", "DELETE with a condition", "it could not be told")
      : good(
          "delete-condition",
          "DELETE with a condition",
          deleteKeepsConditions ? "the store keeps it" : "the store ignores it, and nothing here relies on it",
        ),
    removed
      ? good("delete", "permission to delete")
      : remark(
          "delete",
          "permission to delete",
          "none: the probe's few objects stay, under a hidden key, and `prune` can't work",
          "allow s3:DeleteObject on the prefix, if you want them gone",
        ),
  ];
}

function text(latency: Latency): string {
  return `p50 ${latency.p50Ms.toFixed(1)} ms, p99 ${latency.p99Ms.toFixed(1)} ms`;
}

async function settings(
  store: S3Store,
  prefix: string,
  ttlMs: number,
): Promise<{ readonly checks: readonly Check[]; readonly permitted: Omit<Permitted, "list" | "remove"> }> {
  const versioning = await ask(store, "versioning");
  const lifecycle = await ask(store, "lifecycle");
  const lock = await ask(store, "object-lock");
  const rules = "value" in lifecycle ? ((lifecycle.value as { Rules?: readonly LifecycleRule[] } | undefined)?.Rules ?? []) : [];
  const may = (answer: Awaited<ReturnType<typeof ask>>): boolean | undefined =>
    "value" in answer ? true : answer.forbidden ? false : undefined;
  const permitted = { versioning: may(versioning), lifecycle: may(lifecycle), objectLock: may(lock) };
  const checks = [
    "value" in versioning
      ? judgeVersioning({ versioning: versioning.value ?? {}, rules }, prefix, ttlMs)
      : untold("versioning", "old versions of records", versioning),
    "value" in lifecycle ? judgeLifecycle(rules, prefix) : untold("lifecycle", "lifecycle rules", lifecycle),
    "value" in lock
      ? judgeObjectLock((lock.value as { ObjectLockConfiguration?: BucketSettings["objectLock"] } | undefined)?.ObjectLockConfiguration)
      : untold("object-lock", "object lock", lock),
  ];
  return { checks, permitted };
}

const PERMISSION = {
  versioning: "s3:GetBucketVersioning",
  lifecycle: "s3:GetLifecycleConfiguration",
  "object-lock": "s3:GetBucketObjectLockConfiguration",
} as const;

type Untold = { readonly forbidden: boolean; readonly why: string };

/** `value` undefined: nothing is set. */
async function ask(store: S3Store, setting: keyof typeof PERMISSION): Promise<{ readonly value: unknown } | Untold> {
  const answer = await store.examine({ op: "setting", key: "", setting });
  if (!isAnswer(answer)) return { forbidden: false, why: answer.error.message };
  if (answer.status < 300) return { value: answer.value };
  if (answer.status === 404 && /NotFound|NoSuch/.test(answer.code ?? "") && answer.code !== "NoSuchBucket") return { value: undefined };
  return {
    forbidden: answer.status === 403,
    why: `the store answered ${answer.status}${answer.code === undefined ? "" : ` ${answer.code}`}`,
  };
}

function untold(id: keyof typeof PERMISSION, title: string, why: Untold): Check {
  if (why.forbidden) return remark(id, title, "not allowed to look", `look by yourself, or allow ${PERMISSION[id]}`);
  return unknown(id, title, `this store does not tell (${why.why})`);
}

function isAnswer(value: WireAnswer | { readonly error: ConsensusError | StoreUnavailableError }): value is WireAnswer {
  return !("error" in value);
}
