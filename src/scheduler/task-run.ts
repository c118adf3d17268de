/** One run of a task: the user's function inside a tenancy, from the claim to the write that finishes it. */
import { toDate } from "../clock/calendar.ts";
import { addMs, readClocks, remainingMs } from "../clock/deadline.ts";
import { backoffMs, sleep } from "../clock/wait.ts";
import { messageOf } from "../errors.ts";
import { look } from "../lease/look.ts";
import type { LeaseObject } from "../lease/lease-object.ts";
import { LeaseFace } from "../lease/lease-face.ts";
import type { ReleaseOutcome, Tenancy } from "../lease/tenancy.ts";
import { lifetimeMs } from "../lease/timing.ts";
import { guarded, type Logger } from "../lease/wiring.ts";
import { carryOut } from "../lease/write.ts";
import type { Json } from "../record/record.ts";
import type { TaskRun } from "./options.ts";
import { MAX_ERROR_LENGTH, MAX_VALUE_BYTES, type RunEntry } from "./task-state.ts";

/** Why a run was asked to stop, beside its timeout. */
export type StopReason = "cancelled" | "stopped";

const MAX_PROGRESS_LENGTH = 200;
/** How long a finish is tried again through an outage. Whoever takes the task over before makes it fail. */
const FINISH_PATIENCE_MS = 3_600_000;

export interface RunContext {
  readonly task: string;
  readonly lease: LeaseObject;
  readonly logger: Logger | undefined;
  /** Milliseconds after the start at which the signal aborts. */
  readonly timeoutMs: number;
  /** A finish that the store does not answer is given up here, on the monotonic clock. */
  readonly finishByMs: number | undefined;
  /** The store's time. */
  nowMs(): number;
  readonly fn: (run: TaskRun) => unknown;
  /** What the record is to say when the run has ended so. */
  finished(entry: RunEntry): Json;
  changed(entry: RunEntry): void;
}

/** The user's face of a run. */
class Face extends LeaseFace implements TaskRun {
  readonly task: string;
  readonly scheduledAt: Date;
  readonly startedAt: Date;
  readonly attempt: number;
  readonly catchUp: TaskRun["catchUp"];
  readonly log: Logger;
  readonly #progress: TaskRun["progress"];

  constructor(task: string, entry: RunEntry, tenancy: Tenancy, log: Logger, progress: TaskRun["progress"]) {
    super(tenancy);
    this.task = task;
    this.scheduledAt = toDate(entry.tick);
    this.startedAt = toDate(entry.start);
    this.attempt = entry.attempt;
    this.catchUp = (entry.missed ?? 0) > 0 ? { missed: entry.missed ?? 0 } : false;
    this.log = log;
    this.#progress = progress;
    // They are handed around without their object.
    this.progress = this.progress.bind(this);
  }

  progress(text: string, fraction?: number): void {
    this.#progress(text, fraction);
  }
}

export class Performance {
  readonly tenancy: Tenancy;
  readonly #context: RunContext;
  #entry: RunEntry;
  #stop: StopReason | undefined;

  constructor(context: RunContext, tenancy: Tenancy, entry: RunEntry) {
    this.#context = context;
    this.tenancy = tenancy;
    this.#entry = entry;
  }

  get entry(): RunEntry {
    return this.#entry;
  }

  /** Tells the function to stop. Its lease is kept until it has settled (rule H7). */
  askToStop(reason: StopReason): void {
    this.#stop ??= reason;
    this.tenancy.askToStop(reason);
  }

  /** Resolves when the function has settled and the record says so, or can't be made to. Never rejects. */
  async run(): Promise<RunEntry> {
    const timer = new AbortController();
    void this.#timeOut(timer.signal);
    // A session that closes waits until its record says how it ended.
    const settled = this.tenancy.work?.();
    try {
      return await this.#perform(timer);
    } finally {
      settled?.();
    }
  }

  async #perform(timer: AbortController): Promise<RunEntry> {
    const outcome = await this.#call();
    timer.abort();
    const entry = this.#ended(outcome);
    this.#entry = entry;
    if (entry.state !== "abandoned" && !(await this.#finish(entry)))
      this.#entry = { ...entry, state: "abandoned", error: "another took it over before it was finished" };
    return this.#entry;
  }

  async #timeOut(signal: AbortSignal): Promise<void> {
    const { lease, timeoutMs } = this.#context;
    if (!(await sleep(lease.settings.store.clock, timeoutMs, { signal, keepAlive: true })) || !this.tenancy.isHeld()) return;
    this.tenancy.askToStop("timed-out");
    this.#update({ ...this.#entry, state: "timed-out", error: `it had not ended after ${timeoutMs} ms (timeoutMs)` });
    this.#context.changed(this.#entry);
  }

  async #call(): Promise<{ readonly value: unknown } | { readonly error: unknown }> {
    const { task, logger, fn } = this.#context;
    const about = { task, scheduledAt: toDate(this.#entry.tick), attempt: this.#entry.attempt, fencingToken: this.tenancy.fencingToken };
    const face = new Face(task, this.#entry, this.tenancy, boundLogger(logger, about), (text, fraction) => this.#progress(text, fraction));
    try {
      return { value: await fn(face) };
    } catch (error) {
      return { error };
    }
  }

  #progress(text: unknown, fraction: unknown): void {
    const said = String(text).slice(0, MAX_PROGRESS_LENGTH);
    const part = typeof fraction === "number" && fraction >= 0 && fraction <= 1 ? { fraction } : {};
    this.#update({ ...this.#entry, progress: { text: said, ...part } });
  }

  /** The next renewal writes it. */
  #update(entry: RunEntry): void {
    this.#entry = entry;
    const before = this.tenancy.payload;
    if (typeof before === "object" && before !== null) this.tenancy.payload = { ...(before as object), run: entry } as unknown as Json;
  }

  #ended(outcome: { readonly value: unknown } | { readonly error: unknown }): RunEntry {
    const entry = { ...this.#entry, end: Math.max(this.#entry.start, this.#context.nowMs()) };
    // The clock is looked at before the answer (rule H3): what ran beyond its lease may have run beside another.
    if (!this.tenancy.isHeld()) return { ...entry, state: "abandoned", error: cut(messageOf(this.tenancy.signal.reason)) };
    if (entry.state === "timed-out") return entry;
    if ("error" in outcome) {
      const why = outcome.error === undefined ? "it rejected with undefined" : wordsOf(outcome.error);
      return { ...entry, state: this.#stop === undefined ? "failed" : "cancelled", error: cut(why) };
    }
    if (this.#stop === "cancelled") return { ...entry, state: "cancelled" };
    return { ...entry, state: "succeeded", ...valueOf(outcome.value) };
  }

  /** @returns whether the record says so now, or nothing is known to the contrary. */
  async #finish(entry: RunEntry): Promise<boolean> {
    const payload = this.#context.finished(entry);
    this.tenancy.payload = payload;
    const outcome = await this.tenancy.release(this.#stop ?? (entry.state === "timed-out" ? "timed-out" : "released"));
    if (outcome === "unknown") return await this.#finishLater(payload);
    return outcome !== ("not-mine" satisfies ReleaseOutcome);
  }

  /** The store did not answer. Belief is over, but while nobody took it over, the record may still be told how the run ended. */
  async #finishLater(payload: Json): Promise<boolean> {
    const { lease, finishByMs } = this.#context;
    const { store, key, timing } = lease.settings;
    const never = new AbortController().signal;
    const until = Math.min(lease.nowMs() + FINISH_PATIENCE_MS, finishByMs ?? Infinity);
    for (let attempt = 0; lease.nowMs() < until; attempt++) {
      if (!(await sleep(store.clock, Math.min(until - lease.nowMs(), backoffMs(store.random, attempt, 500, 10_000)), { keepAlive: true })))
        break;
      const trouble = await look(lease, never).catch((e: unknown) => e);
      const base = lease.view.current;
      if (trouble !== undefined || base === undefined) continue;
      const mine = base.record.instance === lease.instance && base.record.fencingToken === this.tenancy.fencingToken;
      if (mine && base.record.state === "released") return true;
      if (!mine) return false;
      const context = { store, key, counters: lease.counters, written: lease.written, requestTimeoutMs: timing.requestTimeoutMs };
      const record = lease.release(base.record, {}, payload);
      const until2 = addMs(readClocks(store.clock), 2 * timing.requestTimeoutMs);
      const end = await carryOut(
        context,
        { record, base },
        { until: until2, forMs: lifetimeMs(timing), abortRequests: false, explainRefusal: true },
      );
      if (end.kind === "applied") {
        lease.view.accept({ etag: end.etag, record, sinceMs: lease.nowMs(), lastModifiedMs: undefined, dateMs: undefined });
        return true;
      }
      if (remainingMs(until2, readClocks(store.clock)) > 0 && end.kind === "settled" && end.as.kind === "other") return false;
    }
    return true;
  }
}

function valueOf(value: unknown): Partial<RunEntry> {
  if (value === undefined) return {};
  try {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) return {};
    const bytes = text.length > MAX_VALUE_BYTES ? text.length : new TextEncoder().encode(text).length;
    if (bytes <= MAX_VALUE_BYTES) return { value: JSON.parse(text) as Json };
    return { error: `it succeeded; what it returned is not kept: ${bytes} bytes of JSON, and ${MAX_VALUE_BYTES} are the limit` };
  } catch (e) {
    return { error: cut(`it succeeded; what it returned is not kept: ${messageOf(e)}`) };
  }
}

/** What a function throws may be anything, even what no text can be made of. */
function wordsOf(error: unknown): string {
  try {
    return messageOf(error);
  } catch {
    return "it threw something that has no text";
  }
}

function cut(text: string): string {
  return text.length > MAX_ERROR_LENGTH ? `${text.slice(0, MAX_ERROR_LENGTH - 1)}…` : text;
}

function boundLogger(logger: Logger | undefined, about: object): Logger {
  const say =
    (level: keyof Logger) =>
    (o: object, m?: string): void =>
      guarded(() => logger?.[level]({ ...about, ...o }, m));
  return { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
}
