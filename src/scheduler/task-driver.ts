/** One task, as one process follows it: looks at its record, decides, claims, runs, and says when to look again. */
import { ConsensusError } from "../errors.ts";
import type { SessionTie } from "../lease/session-tie.ts";
import type { Tenancy, TenancyHooks } from "../lease/tenancy.ts";
import type { Emitter, Logger } from "../lease/wiring.ts";
import { sleep } from "../clock/wait.ts";
import type { RunRecord, TaskEventKind } from "../record/run-record.ts";
import { type Control, type ControlContext, NO_CONTROL, readControl, type SeenControl } from "./control.ts";
import { decide, type Note, type Occurrence, type Plan, type Wish } from "./decide.ts";
import { DEFAULT_TIMEOUT_MS, type SchedulerConfig, type TaskConfig } from "./options.ts";
import type { TimedStore } from "./store-time.ts";
import { RESERVE_MS } from "./run-lease.ts";
import { TaskRecord } from "./task-record.ts";
import { Performance } from "./task-run.ts";
import { encodeState, type RunEntry, type TaskState, toRunRecord, withLook } from "./task-state.ts";
import type { Schedule } from "./tick-times.ts";

export interface DriverContext {
  readonly store: TimedStore;
  readonly config: SchedulerConfig;
  readonly emitter: Emitter;
  readonly logger: Logger | undefined;
  /** What runs are held through; without: a lease of their own each. */
  readonly session: SessionTie | undefined;
  tell(kind: TaskEventKind, run: RunRecord): void;
  count(name: DriverCounter): void;
}

export const DRIVER_COUNTERS = ["looks", "claims", "claimsLost", "marks", "runsSucceeded", "runsFailed", "runsAbandoned"] as const;
export type DriverCounter = (typeof DRIVER_COUNTERS)[number];

/** What one turn may do. */
export interface Turn {
  /** Ends looks and claims between requests. */
  readonly signal: AbortSignal;
  /** An invocation that ends: claims what can end before, with a lease that covers the rest, and renews nothing. */
  readonly during?: { remainingMs(): number } | undefined;
  /** Looks come when somebody calls, and not when a tick is due. */
  readonly called?: boolean | undefined;
}

export type TurnEnd = {
  readonly task: string;
  readonly ran: readonly RunEntry[];
  /** It runs elsewhere, or another was faster. */
  readonly elsewhere: boolean;
  /** The next look, in the store's time; `undefined`: never. */
  readonly nextAtMs: number | undefined;
  readonly error: ConsensusError | undefined;
};

/** A run with less time is not begun. */
const LEAST_RUN_MS = 1_000;
/** Claims and marks of one turn, so that it ends. */
const MAX_STEPS = 1_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

export class TaskDriver {
  readonly task: TaskConfig;
  /** When to look next, in the store's time. */
  nextAtMs: number | undefined = 0;
  busy = false;
  /** What hinders it, if something does. */
  trouble: ConsensusError | undefined;
  performance: Performance | undefined;
  readonly #context: DriverContext;
  readonly #record: TaskRecord;
  #schedule: Promise<Schedule> | undefined;
  #control: SeenControl | undefined;
  /** The version of the record for which the control object was read. */
  #controlFor: string | undefined;
  #lookedAtMs: number | undefined;
  #failures = 0;
  #toldTz = false;
  #flagged = 0;

  constructor(task: TaskConfig, context: DriverContext) {
    this.task = task;
    this.#context = context;
    this.#record = new TaskRecord(task.key, context);
  }

  get schedule(): Promise<Schedule> {
    return (this.#schedule ??= this.task.times.open());
  }

  get controlContext(): ControlContext {
    return { store: this.#context.store, key: this.task.key, requestTimeoutMs: this.#context.config.timing.requestTimeoutMs };
  }

  counters(): Readonly<Record<string, number>> {
    return this.#record.lease.object.counters.snapshot();
  }

  /** How the run ended that was asked for by this number, as the record was last seen. */
  endOf(asked: number): RunEntry | undefined {
    const { run, history = [] } = this.#record.state ?? {};
    const found = [...history, ...(run === undefined ? [] : [run])].find((entry) => entry.asked === asked);
    return found?.end === undefined ? undefined : found;
  }

  /** Looks and does what is due, until nothing is. Never rejects; trouble is a value, and says when to try again. */
  async turn(turn: Turn, byHand = false): Promise<TurnEnd> {
    const ran: RunEntry[] = [];
    try {
      const end = await this.#turn(turn, ran, byHand);
      this.#lookedAtMs = this.#nowMs();
      this.trouble = undefined;
      this.#failures = 0;
      this.nextAtMs = end.nextAtMs;
      return { task: this.task.name, ...end, ran, error: undefined };
    } catch (e) {
      if (turn.signal.aborted && e === turn.signal.reason)
        return { task: this.task.name, ran, elsewhere: false, nextAtMs: this.nextAtMs, error: undefined };
      if (!ConsensusError.is(e)) throw e;
      if (this.trouble?.message !== e.message)
        this.#context.emitter.log("warn", { code: e.code, task: this.task.name }, `task "${this.task.name}": ${e.message}`);
      this.trouble = e;
      this.nextAtMs = this.#nowMs() + this.#backOff(e);
      return { task: this.task.name, ran, elsewhere: false, nextAtMs: this.nextAtMs, error: e };
    }
  }

  /** An outage is waited out with growing pauses, so that nobody floods the store at its return. */
  #backOff(error: ConsensusError): number {
    const capMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    const full = error.code === "STORE_UNAVAILABLE" ? capMs : LAST_RETRY_MS;
    return full * (0.5 + this.#context.store.random.unit() / 2);
  }

  async #turn(
    turn: Turn,
    ran: RunEntry[],
    byHand: boolean,
  ): Promise<{ readonly elsewhere: boolean; readonly nextAtMs: number | undefined }> {
    let known = this.#record.mayBeWrittenUnseen;
    let asked = byHand;
    for (let step = 0; step < MAX_STEPS; step++) {
      if (turn.signal.aborted) break;
      const looked = !known;
      if (looked) {
        this.#context.count("looks");
        await this.#record.look(turn.signal);
      }
      const { etag } = this.#record;
      const plan = await this.#plan(asked, turn.called === true);
      // Another scheduler of this process, or a look for people, has seen a newer version meanwhile: that one was not judged.
      if (this.#record.etag !== etag) continue;
      switch (plan.kind) {
        case "superseded":
          return { elsewhere: false, nextAtMs: this.#superseded() };
        case "wait":
          return { elsewhere: false, nextAtMs: this.#jittered(plan.nextAt) };
        case "elsewhere":
          return { elsewhere: true, nextAtMs: this.#watched(plan.nextAt) };
        case "mark":
          known = await this.#mark(plan.state, plan.notes, turn.signal);
          break;
        case "claim": {
          if (!this.#canEnd(turn)) return { elsewhere: false, nextAtMs: this.#nowMs() };
          const entry = await this.#claim(plan, turn);
          if (entry !== undefined) {
            ran.push(entry);
            asked = false;
          } else if (looked) return { elsewhere: true, nextAtMs: this.#watched((await this.schedule).next(this.#nowMs())) };
          known = entry !== undefined && this.#record.mayBeWrittenUnseen;
        }
      }
    }
    return { elsewhere: false, nextAtMs: this.#nowMs() };
  }

  #nowMs(): number {
    const { store } = this.#context;
    return store.time.now()?.atLeastMs ?? store.clock.wallMs();
  }

  /** @throws RecordError, and what reading the control object throws. */
  async #plan(byHand: boolean, called: boolean): Promise<Plan> {
    const { task } = this;
    const { state } = this.#record;
    const schedule = await this.schedule;
    const standing = this.#record.standing();
    const wish = standing === "held" ? NO_CONTROL : await this.#wish(state);
    const nowMs = this.#nowMs();
    if (this.#record.isUnknown) return { kind: "elsewhere", nextAt: schedule.next(nowMs) };
    const plan = decide({
      state,
      standing,
      definition: { definition: task.times.definition, revision: task.revision, schedule: task.times.text },
      schedule,
      policy: { ...task.policy, graceOfLooks: called && !task.graceGiven },
      nowMs,
      knownSinceMs: this.#lookedAtMs ?? nowMs,
      wish: { ...wish, byHand: byHand && state !== undefined },
    });
    this.#compareZones(state);
    return plan;
  }

  /** What operators want: as the record has it, unless a flag or an unusual end says that the object has to be read. */
  async #wish(state: TaskState | undefined): Promise<Wish> {
    const { etag = "", isFlagged } = this.#record;
    const flagged = state === undefined || isFlagged || state.unread;
    const unusual = state?.run !== undefined && state.run.end === undefined;
    if (!flagged && !unusual) return { paused: state.paused, notBeforeMs: 0, triggers: state.triggered };
    if (this.#control === undefined || this.#controlFor !== etag) {
      this.#control = await readControl(this.controlContext, this.#control);
      this.#controlFor = etag;
    }
    return this.#control.control;
  }

  /** Whether a run that is claimed now can end before its invocation does. */
  #canEnd(turn: Turn): boolean {
    if (turn.during === undefined) return true;
    const leftMs = turn.during.remainingMs() - RESERVE_MS;
    return leftMs >= Math.max(LEAST_RUN_MS, this.task.timeoutMs ?? 0);
  }

  /** Writes what was found, without a run: an acquisition that is released in the same write. @returns whether it was applied. */
  async #mark(state: TaskState, notes: readonly Note[], signal: AbortSignal): Promise<boolean> {
    const entries = notes.map((note) => this.#entryOf(note));
    const marked: TaskState = { ...state, looks: withLook(state.looks, this.#nowMs()), history: [...state.history, ...entries] };
    const applied = await this.#record.mark(marked, signal);
    this.#context.count(applied ? "marks" : "claimsLost");
    if (applied) this.#tellNotes(entries);
    return applied;
  }

  #entryOf(note: Note): RunEntry {
    const token = this.#record.nextToken;
    return { kind: "tick", attempt: 1, holder: this.#context.config.node, token, ...note };
  }

  #tellNotes(entries: readonly RunEntry[]): void {
    for (const entry of entries)
      if (entry.state === "abandoned" || entry.state === "skipped" || entry.state === "missed") this.#tell(entry.state, entry);
  }

  #tell(kind: TaskEventKind, entry: RunEntry): void {
    this.#context.tell(kind, toRunRecord(this.task.name, entry));
  }

  async #claim(plan: Extract<Plan, { kind: "claim" }>, turn: Turn): Promise<RunEntry | undefined> {
    if (turn.during !== undefined) this.#record.lease.forInvocation(turn.during.remainingMs());
    const entry = this.#running(plan.occurrence, this.#record.nextToken);
    const before = plan.state.run === undefined ? [] : [plan.state.run];
    const noted = plan.notes.map((note) => this.#entryOf(note));
    const { looks, history } = plan.state;
    const state: TaskState = { ...plan.state, looks: withLook(looks, entry.start), run: entry, history: [...history, ...before, ...noted] };
    const tenancy = await this.#record.take(state, this.#hooks);
    this.#context.count(tenancy === undefined ? "claimsLost" : "claims");
    if (tenancy === undefined) return undefined;
    this.#tellNotes(noted);
    return await this.#perform(tenancy, entry, state, turn);
  }

  #running(occurrence: Occurrence, token: number): RunEntry {
    const { kind, tick, attempt, missed, since, asked } = occurrence;
    const { node } = this.#context.config;
    const start = this.#nowMs();
    return {
      kind,
      tick,
      state: "running",
      attempt,
      holder: node,
      token,
      start,
      missed,
      ...(since === undefined ? {} : { since }),
      ...(asked === undefined ? {} : { asked }),
      tz: zoneData(),
    };
  }

  async #perform(tenancy: Tenancy, entry: RunEntry, state: TaskState, turn: Turn): Promise<RunEntry | undefined> {
    const invocationMs = turn.during === undefined ? undefined : turn.during.remainingMs() - RESERVE_MS;
    const lease = this.#record.lease.object;
    const performance = new Performance(
      {
        task: this.task.name,
        lease,
        logger: this.#context.logger,
        timeoutMs: Math.min(this.task.timeoutMs ?? invocationMs ?? DEFAULT_TIMEOUT_MS, invocationMs ?? Infinity),
        finishByMs: invocationMs === undefined ? undefined : lease.nowMs() + invocationMs + RESERVE_MS / 2,
        nowMs: () => this.#nowMs(),
        fn: (run) => this.task.run(run),
        finished: (ended) => this.#finished(state, ended),
        changed: (e) => this.#tell("timed-out", e),
      },
      tenancy,
      entry,
    );
    // Claimed, and asked to stop before it began: given back as it was, for another to begin at once.
    if (turn.signal.aborted) {
      tenancy.payload = encodeState(state);
      await tenancy.release("stopped");
      return undefined;
    }
    this.#record.lease.noteBegun(tenancy.fencingToken);
    this.#flagged = 0;
    this.performance = performance;
    this.#tell("claimed", entry);
    const ended = await performance.run();
    this.performance = undefined;
    this.#record.noteEnded(tenancy.fencingToken);
    const { state: how } = ended;
    this.#context.count(how === "succeeded" ? "runsSucceeded" : how === "abandoned" ? "runsAbandoned" : "runsFailed");
    if (how !== "running" && how !== "timed-out") this.#tell(how, ended);
    return ended;
  }

  #finished(state: TaskState, entry: RunEntry): TaskState {
    const again =
      entry.state === "failed" ||
      entry.state === "timed-out" ||
      (entry.state === "cancelled" && this.#control?.control.cancel !== entry.token);
    const end = entry.end ?? entry.start;
    const delayMs = entry.state === "cancelled" ? 0 : Math.min(600_000, this.task.retryDelayMs * 2 ** Math.min(entry.attempt - 1, 20));
    const retry =
      again && entry.attempt <= this.task.policy.retries
        ? {
            kind: entry.kind,
            tick: entry.tick,
            attempt: entry.attempt + 1,
            missed: entry.missed ?? 0,
            since: entry.since ?? entry.start,
            at: end + delayMs,
          }
        : undefined;
    const control = this.#flagged > 0 ? this.#control?.control : undefined;
    return { ...state, run: entry, retry, paused: control?.paused ?? state.paused, unread: state.unread || this.#flagged > 0 };
  }

  readonly #hooks: TenancyHooks = {
    renewalFailed: (error, remainingMs) => {
      const fencingToken = this.performance?.tenancy.fencingToken ?? 0;
      this.#context.emitter.emit({ type: "renewal-failed", lease: { key: this.task.key, fencingToken }, remainingMs, error });
    },
    flagged: (flag) => {
      this.#flagged += 1;
      if (flag.kind === "asked") void this.#obey();
      else this.performance?.askToStop("cancelled");
    },
  };

  /** Somebody knocked: what do operators want of this run? A look that fails is made up for by whoever comes next (`unread`). */
  async #obey(): Promise<void> {
    const { store, timing } = this.#record.lease.object.settings;
    const { performance } = this;
    // Who knocks while the flag still stands leaves it at that, so the object is read again when a renewal has taken the flag off.
    for (let round = 0; round < 2 && this.performance === performance; round++) {
      try {
        this.#control = await readControl(this.controlContext, this.#control);
        this.cancelIfWanted(this.#control.control);
      } catch {
        // The next claimer reads it.
      }
      await sleep(store.clock, 1.5 * timing.renewEveryMs);
    }
  }

  cancelIfWanted(control: Control): void {
    if (this.performance !== undefined && control.cancel === this.performance.tenancy.fencingToken) this.performance.askToStop("cancelled");
  }

  /** Nodes look at a random moment after a tick; the one that had the last goes first, and needs no look. */
  #jittered(tickMs: number | undefined): number | undefined {
    if (tickMs === undefined) return undefined;
    const { spreadMs } = this.#context.config;
    const first = this.#record.isOwn;
    const part = this.#context.store.random.unit();
    return tickMs + spreadMs * (first ? part / 10 : 0.4 + 0.6 * part);
  }

  /** Another runs it: whether it still lives is seen after W at the earliest. */
  #watched(tickMs: number | undefined): number {
    const W = this.#record.lease.watchMs;
    const watch = this.#nowMs() + W * (1 + this.#context.store.random.unit() / 2);
    return Math.min(watch, this.#jittered(tickMs) ?? watch);
  }

  #superseded(): number {
    const seen = this.#record.state;
    this.#context.emitter.log(
      "warn",
      { task: this.task.name, revision: this.task.revision, newest: seen?.revision },
      `task "${this.task.name}": the record has revision ${seen?.revision ?? 0} (${seen?.schedule ?? ""}); this node has ${this.task.revision} and claims nothing`,
    );
    return this.#nowMs() + 10 * LAST_RETRY_MS;
  }

  #compareZones(state: TaskState | undefined): void {
    const [theirs, ours] = [state?.run?.tz, zoneData()];
    if (theirs === undefined || ours === undefined || theirs === ours || this.#toldTz) return;
    this.#toldTz = true;
    const message = `task "${this.task.name}": ${state?.run?.holder ?? ""} has time-zone data ${theirs}, this node has ${ours}: they may differ about ticks`;
    this.#context.emitter.log("warn", { task: this.task.name, theirs, ours }, message);
  }
}

/** The version of the time-zone data, where the runtime tells it. */
function zoneData(): string | undefined {
  return (globalThis as { process?: { versions?: { tz?: string } } }).process?.versions?.tz;
}
