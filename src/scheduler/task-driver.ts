/** One task, as one process follows it: looks at its record, decides, claims, runs, and says when to look again. */
import { ConsensusError } from "../errors.ts";
import type { SessionTie } from "../lease/session-tie.ts";
import type { Tenancy, TenancyHooks } from "../lease/tenancy.ts";
import { defaultPollMs } from "../lease/timing.ts";
import type { Emitter, Logger } from "../lease/wiring.ts";
import { sleep } from "../clock/wait.ts";
import type { Json } from "../record/record.ts";
import type { RunRecord, TaskEventKind } from "../record/run-record.ts";
import type { Beside } from "./beside.ts";
import { type Control, type ControlContext, NO_CONTROL } from "./control.ts";
import { decide, type Note, type Occurrence, type Plan } from "./decide.ts";
import { attemptOf, encodePlace } from "./open-runs.ts";
import { DEFAULT_TIMEOUT_MS, type SchedulerConfig, type TaskConfig, type TaskRun } from "./options.ts";
import type { TimedStore } from "./store-time.ts";
import { Places } from "./places.ts";
import { RESERVE_MS, type RunLease } from "./run-lease.ts";
import { TaskRecord } from "./task-record.ts";
import { Performance, type StopReason } from "./task-run.ts";
import { encodeState, type Retry, type RunEntry, type TaskState, toRunRecord, withLook } from "./task-state.ts";
import type { Schedule } from "./tick-times.ts";
import { Wishes } from "./wishes.ts";
import { ZoneData, zoneData } from "./zone-data.ts";

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

type Claim = Extract<Plan, { kind: "claim" }>;

/** A run that is this process's to begin. */
interface Claimed {
  readonly lease: RunLease;
  readonly tenancy: Tenancy;
  readonly entry: RunEntry;
  /** What its lease's record is to say when it has ended so. */
  finished(ended: RunEntry): Json;
  /** What it says now. */
  payload(): Json;
}

/** What one turn may do. */
export interface Turn {
  /** Ends looks and claims between requests. */
  readonly signal: AbortSignal;
  /** An invocation that ends: claims what can end before, with a lease that covers the rest, and renews nothing. */
  readonly during?: { remainingMs(): number } | undefined;
  /** Looks come when somebody calls, and not when a tick is due. */
  readonly called?: boolean | undefined;
  /** Somebody is known to have written since: even a process that had the last word looks first. */
  readonly looks?: boolean | undefined;
  /** Takes the runs that go on beside the turn (`overlap: "allow"`). */
  readonly beside: Beside;
}

export type TurnEnd = {
  readonly task: string;
  readonly ran: readonly RunEntry[];
  /** It runs elsewhere, or another was faster. */
  readonly elsewhere: boolean;
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
  busy = false;
  /** What hinders it, if something does. */
  trouble: ConsensusError | undefined;
  /** What runs here and now. */
  readonly performances: Set<Performance> = new Set();
  readonly #context: DriverContext;
  readonly #record: TaskRecord;
  readonly #places: Places;
  readonly #wishes: Wishes;
  readonly #zones: ZoneData;
  #schedule: Promise<Schedule> | undefined;
  #lookedAtMs: number | undefined;
  /** When to look next, in the store's time; `undefined`: never. */
  #nextAtMs: number | undefined = 0;
  /** After a failure by the monotonic clock instead: what the store's time was thought to be may turn out to be hours off at the next answer. */
  #retryAtMs: number | undefined;
  #failures = 0;
  #flagged = 0;
  /** Ticks wait for a run to end. */
  #waitsForRoom = false;
  /** A run has ended beside this turn, which may not know. */
  #endedMeanwhile = false;

  constructor(task: TaskConfig, context: DriverContext) {
    this.task = task;
    this.#context = context;
    this.#record = new TaskRecord(task.key, context);
    this.#places = new Places(task.key, context);
    this.#zones = new ZoneData(task.name, context.emitter);
    const { requestTimeoutMs } = context.config.timing;
    this.#wishes = new Wishes({ store: context.store, key: task.key, requestTimeoutMs });
  }

  get schedule(): Promise<Schedule> {
    return (this.#schedule ??= this.task.times.open());
  }

  get controlContext(): ControlContext {
    return this.#wishes.context;
  }

  counters(): Readonly<Record<string, number>> {
    return this.#record.lease.object.counters.snapshot();
  }

  /** How the run ended that was asked for by this number, as the record was last seen. */
  endOf(asked: number): RunEntry | undefined {
    const { run, history = [], open = [] } = this.#record.state ?? {};
    const found = [...history, ...(run === undefined ? [] : [run])].find((entry) => entry.asked === asked);
    return found?.end === undefined ? this.#places.endOf(open, asked) : found;
  }

  /** For how long there is nothing to do, where the store's time is `nowMs`; `undefined`: for ever. */
  idleMs(nowMs: number): number | undefined {
    if (this.#retryAtMs !== undefined) return this.#retryAtMs - this.#context.store.clock.monotonicMs();
    return this.#nextAtMs === undefined ? undefined : this.#nextAtMs - nowMs;
  }

  /** Tells everything that runs here to stop. */
  askToStop(reason: StopReason): void {
    for (const performance of this.performances) performance.askToStop(reason);
  }

  /** Looks and does what is due, until nothing is. Never rejects; trouble is a value, and says when to try again. */
  async turn(turn: Turn, byHand = false): Promise<TurnEnd> {
    const ran: RunEntry[] = [];
    this.#endedMeanwhile = false;
    try {
      const end = await this.#turn(turn, ran, byHand);
      this.#lookedAtMs = this.#nowMs();
      this.trouble = undefined;
      this.#failures = 0;
      this.#retryAtMs = undefined;
      this.#nextAtMs = this.#endedMeanwhile ? this.#lookedAtMs : end.nextAtMs;
      return { task: this.task.name, ran, elsewhere: end.elsewhere, error: undefined };
    } catch (e) {
      if (turn.signal.aborted && e === turn.signal.reason) return { task: this.task.name, ran, elsewhere: false, error: undefined };
      if (!ConsensusError.is(e)) throw e;
      if (this.trouble?.message !== e.message)
        this.#context.emitter.log("warn", { code: e.code, task: this.task.name }, `task "${this.task.name}": ${e.message}`);
      this.trouble = e;
      this.#retryAtMs = this.#context.store.clock.monotonicMs() + this.#backOff(e);
      return { task: this.task.name, ran, elsewhere: false, error: e };
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
    const schedule = await this.schedule;
    // A paused task is not written to, so only a look shows that it is paused no more.
    let known = turn.looks !== true && this.#record.mayBeWrittenUnseen && this.#record.state?.paused !== true;
    let asked = byHand;
    this.#waitsForRoom = false;
    for (let step = 0; step < MAX_STEPS; step++) {
      if (turn.signal.aborted) break;
      const looked = !known;
      if (looked) {
        this.#context.count("looks");
        await this.#record.look(turn.signal);
      }
      const { etag } = this.#record;
      const plan = await this.#plan(asked, turn);
      // Another scheduler of this process, or a look for people, has seen a newer version meanwhile: that one was not judged.
      if (this.#record.etag !== etag) continue;
      const writes = plan.kind === "mark" || plan.kind === "claim";
      if (writes && looked && this.#record.isInDoubt)
        return { elsewhere: true, nextAtMs: this.#nowMs() + defaultPollMs(this.#context.config.timing.ttlMs) };
      switch (plan.kind) {
        case "superseded":
          return { elsewhere: false, nextAtMs: this.#superseded() };
        case "wait":
          return { elsewhere: false, nextAtMs: this.#jittered(plan.nextAt, schedule) };
        case "elsewhere":
          this.#waitsForRoom = true;
          return { elsewhere: true, nextAtMs: this.#watched(plan.nextAt, schedule) };
        case "mark":
          known = await this.#mark(plan.state, plan.notes, turn.signal);
          break;
        case "claim": {
          if (!this.#canEnd(turn) || (plan.places !== undefined && turn.beside.isFull())) {
            this.#waitsForRoom = true;
            return { elsewhere: false, nextAtMs: this.#nowMs() };
          }
          const claimed = await this.#claim(plan, turn, ran);
          if (claimed) asked &&= plan.occurrence.kind !== "trigger" || plan.occurrence.asked !== undefined;
          else if (looked) return { elsewhere: true, nextAtMs: this.#watched(schedule.next(this.#nowMs()), schedule) };
          known = claimed && this.#record.mayBeWrittenUnseen;
        }
      }
    }
    return { elsewhere: false, nextAtMs: this.#nowMs() };
  }

  #nowMs(): number {
    return this.#context.store.time.estimateMs();
  }

  /** @throws RecordError, and what reading the control object throws. */
  async #plan(byHand: boolean, turn: Turn): Promise<Plan> {
    const { task } = this;
    const { state } = this.#record;
    const schedule = await this.schedule;
    const standing = this.#record.standing();
    const open = state?.open ?? [];
    if (standing !== "held") await this.#places.look(open, turn.signal);
    const wish = standing === "held" ? NO_CONTROL : await this.#wishes.of(state, this.#record.etag ?? "", this.#record.isFlagged);
    const nowMs = this.#nowMs();
    if (this.#record.isUnknown) return { kind: "elsewhere", nextAt: schedule.next(nowMs) };
    const plan = decide({
      state,
      standing,
      definition: { definition: task.times.definition, revision: task.revision, schedule: task.times.text },
      schedule,
      policy: { ...task.policy, graceOfLooks: turn.called === true && !task.graceGiven },
      fates: this.#places.fates(open),
      nowMs,
      knownSinceMs: this.#lookedAtMs ?? nowMs,
      wish: { ...wish, byHand: byHand && state !== undefined },
    });
    this.#zones.compare(state?.run ?? state?.open.at(-1));
    return plan;
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

  /** Claims, and runs: to its end where runs are one after the other, otherwise beside this turn. @returns whether it was claimed and begun. */
  async #claim(plan: Claim, turn: Turn, ran: RunEntry[]): Promise<boolean> {
    const on: { performance?: Performance } = {};
    const remainingMs = turn.during?.remainingMs();
    const claimed = await (plan.places === undefined
      ? this.#claimAlone(plan, this.#hooks(on, true), remainingMs)
      : this.#claimBeside(plan, plan.places, this.#hooks(on, false), turn));
    this.#context.count(claimed === undefined ? "claimsLost" : "claims");
    if (claimed === undefined) return false;
    const { lease, tenancy, entry } = claimed;
    // Claimed, and asked to stop before it began: given back as it was, for another to begin at once.
    if (turn.signal.aborted) {
      tenancy.payload = claimed.payload();
      await tenancy.release("stopped");
      return false;
    }
    if (!tenancy.isHeld()) return false;
    on.performance = this.#performance(claimed, turn);
    lease.noteBegun(tenancy.fencingToken);
    this.performances.add(on.performance);
    this.#tell("claimed", entry);
    const run = this.#perform(on.performance, lease);
    if (plan.places === undefined) {
      ran.push(await run);
      this.#record.noteEnded(tenancy.fencingToken);
    } else turn.beside.add(run.then((ended) => this.#endedBeside(ended)));
    return true;
  }

  async #claimAlone(plan: Claim, hooks: TenancyHooks, remainingMs: number | undefined): Promise<Claimed | undefined> {
    const { lease } = this.#record;
    if (remainingMs !== undefined) lease.forInvocation(remainingMs);
    const entry = this.#running(plan.occurrence, this.#record.nextToken);
    const { state, notes } = this.#claimedState(plan, entry);
    const claimed = { ...state, run: entry };
    this.#flagged = 0;
    const tenancy = await this.#record.take(claimed, hooks);
    if (tenancy === undefined) return undefined;
    this.#tellNotes(notes);
    const finished = (ended: RunEntry): Json => encodeState(this.#finished(claimed, ended));
    return { lease, tenancy, entry, finished, payload: () => encodeState(claimed) };
  }

  /** First a place, then the tick: what the record lists has a lease from the beginning. */
  async #claimBeside(plan: Claim, places: readonly number[], hooks: TenancyHooks, turn: Turn): Promise<Claimed | undefined> {
    const { etag, state: seen, nextToken } = this.#record;
    const run = this.#running(plan.occurrence, nextToken);
    const options = {
      record: { open: seen?.open ?? [], token: nextToken - 1 },
      hooks,
      remainingMs: turn.during?.remainingMs(),
      signal: turn.signal,
    };
    const taken = await this.#places.take(places, run, options);
    if (taken === undefined) return undefined;
    const { place, lease, tenancy, entry } = taken;
    const { state, notes } = this.#claimedState(plan, entry);
    const claimed = { ...state, run: undefined, open: [...state.open, { ...entry, place }] };
    let applied = false;
    try {
      // Only over the version that was judged: a look for people may have seen a newer one.
      applied = this.#record.etag === etag && (await this.#record.mark(claimed, turn.signal, entry.token));
    } finally {
      // It may still have been claimed: then the place says that it never began.
      if (!applied) await tenancy.release("stopped");
    }
    if (!applied) return undefined;
    this.#tellNotes(notes);
    const finished = (ended: RunEntry): Json => encodePlace({ run: ended, retry: this.#retryAfter(ended) });
    return { lease, tenancy, entry, finished, payload: () => encodePlace({ run: entry }) };
  }

  #claimedState(plan: Claim, entry: RunEntry): { readonly state: TaskState; readonly notes: readonly RunEntry[] } {
    const before = plan.state.run === undefined ? [] : [plan.state.run];
    const notes = plan.notes.map((note) => this.#entryOf(note));
    const { looks, history } = plan.state;
    return { state: { ...plan.state, looks: withLook(looks, entry.start), history: [...history, ...before, ...notes] }, notes };
  }

  #running(occurrence: Occurrence, token: number): RunEntry {
    const { node } = this.#context.config;
    return { ...occurrence, state: "running", holder: node, token, start: this.#nowMs(), tz: zoneData() };
  }

  #performance(claimed: Claimed, turn: Turn): Performance {
    const { lease, tenancy, entry } = claimed;
    const invocationMs = turn.during === undefined ? undefined : turn.during.remainingMs() - RESERVE_MS;
    const context = {
      task: this.task.name,
      lease: lease.object,
      logger: this.#context.logger,
      timeoutMs: Math.min(this.task.timeoutMs ?? invocationMs ?? DEFAULT_TIMEOUT_MS, invocationMs ?? Infinity),
      finishByMs: invocationMs === undefined ? undefined : lease.object.nowMs() + invocationMs + RESERVE_MS / 2,
      nowMs: () => this.#nowMs(),
      fn: (run: TaskRun) => this.task.run(run),
      finished: (ended: RunEntry) => claimed.finished(ended),
      changed: (e: RunEntry) => this.#tell("timed-out", e),
    };
    return new Performance(context, tenancy, entry);
  }

  async #perform(performance: Performance, lease: RunLease): Promise<RunEntry> {
    const ended = await performance.run();
    this.performances.delete(performance);
    lease.noteEnded();
    const { state: how } = ended;
    this.#context.count(how === "succeeded" ? "runsSucceeded" : how === "abandoned" ? "runsAbandoned" : "runsFailed");
    if (how !== "running" && how !== "timed-out") this.#tell(how, ended);
    return ended;
  }

  /** Its place says how it ended. Somebody has to look only for what is to follow it, or waits for its place. */
  #endedBeside(ended: RunEntry): RunEntry {
    const retry = this.#retryAfter(ended);
    const at = retry?.at ?? (this.#waitsForRoom ? this.#nowMs() : undefined);
    if (at === undefined) return ended;
    this.#endedMeanwhile = true;
    this.#nextAtMs = Math.min(this.#nextAtMs ?? at, at);
    return ended;
  }

  #retryAfter(entry: RunEntry): Retry | undefined {
    const isWanted = (this.#wishes.known?.cancel ?? 0) >= entry.token;
    const again = entry.state === "failed" || entry.state === "timed-out" || (entry.state === "cancelled" && !isWanted);
    if (!again || entry.attempt > this.task.policy.retries) return undefined;
    const delayMs = entry.state === "cancelled" ? 0 : Math.min(600_000, this.task.retryDelayMs * 2 ** Math.min(entry.attempt - 1, 20));
    // What is not known of the time is waited for, too: a pause is never shorter than was said.
    return attemptOf(entry, entry.attempt + 1, (entry.end ?? entry.start) + (delayMs && delayMs + this.#context.store.time.spanMs()));
  }

  #finished(state: TaskState, entry: RunEntry): TaskState {
    const control = this.#flagged > 0 ? this.#wishes.known : undefined;
    const unread = state.unread || this.#flagged > 0;
    return { ...state, run: entry, retry: this.#retryAfter(entry), paused: control?.paused ?? state.paused, unread };
  }

  #hooks(on: { readonly performance?: Performance }, alone: boolean): TenancyHooks {
    return {
      renewalFailed: (error, remainingMs) => {
        const fencingToken = on.performance?.tenancy.fencingToken ?? 0;
        this.#context.emitter.emit({ type: "renewal-failed", lease: { key: this.task.key, fencingToken }, remainingMs, error });
      },
      flagged: (flag) => {
        if (alone) this.#flagged += 1;
        if (flag.kind === "asked") void this.#obey(on);
        else on.performance?.askToStop("cancelled");
      },
    };
  }

  /** Somebody knocked: what do operators want of these runs? A look that fails is made up for by whoever comes next (`unread`). */
  async #obey(on: { readonly performance?: Performance }): Promise<void> {
    const { store, timing } = this.#record.lease.object.settings;
    const signal = on.performance?.tenancy.signal;
    // Who knocks while the flag still stands leaves it at that, so the object is read again when a renewal has taken the flag off.
    for (let round = 0; round < 2; round++) {
      try {
        this.cancelIfWanted(await this.#wishes.read(signal));
      } catch {
        // The next claimer reads it.
      }
      // Told to stop, or over: there is nothing left to obey, and nothing to wait for.
      const slept = await sleep(store.clock, 1.5 * timing.renewEveryMs, { signal });
      if (!slept || this.performances.size === 0) return;
    }
  }

  /** The run that was meant, and those that had begun before it. */
  cancelIfWanted(control: Control): void {
    for (const performance of this.performances) if (control.cancel >= performance.tenancy.fencingToken) performance.askToStop("cancelled");
  }

  /** Nodes look at a random moment after a tick, and before the next one; the one that had the last goes first, and needs no look. */
  #jittered(tickMs: number | undefined, schedule: Schedule): number | undefined {
    if (tickMs === undefined) return undefined;
    const spreadMs = Math.min(this.#context.config.spreadMs, (schedule.next(tickMs) ?? Infinity) - tickMs);
    const first = this.#record.isOwn;
    const part = this.#context.store.random.unit();
    return tickMs + spreadMs * (first ? part / 10 : 0.4 + 0.6 * part);
  }

  /** Another runs it: whether it still lives is seen after W at the earliest. */
  #watched(tickMs: number | undefined, schedule: Schedule): number {
    const W = this.#record.lease.watchMs;
    const watch = this.#nowMs() + W * (1 + this.#context.store.random.unit() / 2);
    return Math.min(watch, this.#jittered(tickMs, schedule) ?? watch);
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
}
