/** The rules of the scheduler, broken: what a tick is claimed by, what is due, what the run's lease does, and each policy. */
import { edit, type TestedMutant } from "./files.ts";

const SCHEDULER = "test/scheduler/scheduler.test.ts";
const POLICIES = "test/scheduler/policies.test.ts";
const TIMES = "test/scheduler/times.test.ts";
const RUN_DUE = "test/scheduler/run-due.test.ts";
const OPERATORS = "test/scheduler/operators.test.ts";
const TRIGGER = "test/scheduler/trigger.test.ts";
const SESSION = "test/session/scheduler.test.ts";
const ALLOW = "test/scheduler/allow.test.ts";
const REQUESTS = "test/scheduler/requests.test.ts";

export const SCHEDULING: readonly TestedMutant[] = [
  {
    id: "sched-claims-the-name",
    breaks: "a claim is for the task's name: the tick is not written down",
    edits: [edit("scheduler/decide.ts", "state: { ...state, lastTick: tick, missedUpTo: 0, ...rest_ },", "state: { ...state, ...rest_ },")],
    tests: [SCHEDULER],
  },
  {
    id: "sched-due-by-own-clock",
    breaks: "a tick is due by the node's own clock",
    edits: [
      edit("scheduler/task-driver.ts", "return this.#context.store.time.estimateMs();", "return this.#context.store.clock.wallMs();"),
      edit("scheduler/engine.ts", "const nowMs = time.wakeMs();", "const nowMs = this.#context.clock.wallMs();"),
    ],
    tests: [TIMES],
  },
  {
    id: "sched-pause-by-the-stores-time",
    breaks: "a pause after a failed look is counted in the store's time, as it was thought to be before any answer",
    edits: [
      edit(
        "scheduler/task-driver.ts",
        "this.#retryAtMs = this.#context.store.clock.monotonicMs() + this.#backOff(e);",
        "this.#nextAtMs = this.#nowMs() + this.#backOff(e);",
      ),
    ],
    tests: [TIMES],
  },
  {
    id: "sched-clock-without-bound",
    breaks: "a node whose clock is far off claims",
    edits: [
      edit(
        "scheduler/task-record.ts",
        "return Math.abs(store.time.aheadMs()) > config.maxClockOffsetMs;",
        "return store.time.aheadMs() > 1000 * config.maxClockOffsetMs;",
      ),
    ],
    tests: [TIMES],
  },
  {
    id: "sched-clock-off-unseen",
    breaks: "a node whose clock went wrong after its last tick claims without a look",
    edits: [edit("scheduler/task-record.ts", "time.ageMs() <= FRESH_MS &&\n      !this.#isClockOff()", "time.ageMs() <= FRESH_MS")],
    tests: [TIMES],
  },
  {
    id: "sched-parted-clocks-believed",
    breaks: "an answer from before a suspend or a step of the clock tells the time",
    edits: [edit("scheduler/store-time.ts", "<= MAX_GAP_MS);", "<= 1e15);")],
    tests: [TIMES],
  },
  {
    id: "sched-old-answers-believed",
    breaks: "an answer of long ago tells the time: a clock that runs wrong claims early",
    edits: [
      edit("scheduler/store-time.ts", "=> s === this.#newest || now.monotonicMs - s.at.monotonicMs <= FRESH_MS;", "=> s.dateMs > 0;"),
    ],
    tests: [TIMES],
  },
  {
    id: "sched-wakes-by-the-bound",
    breaks: "sleeps go by the lower bound of the store's time, which falls minutes behind in days",
    edits: [
      edit("scheduler/store-time.ts", "return Math.max(estimateMs, this.#newest.dateMs", "return Math.min(estimateMs, this.#newest.dateMs"),
    ],
    tests: [TIMES],
  },
  {
    id: "sched-pause-by-the-bound",
    breaks: "the pause before another attempt is counted from the earliest time at which the run can have ended",
    edits: [edit("scheduler/task-driver.ts", "(delayMs && delayMs + this.#context.store.time.spanMs())", "delayMs")],
    tests: [POLICIES],
  },
  {
    id: "sched-spread-over-ticks",
    breaks: "looks are spread over more than the time to the next tick",
    edits: [
      edit(
        "scheduler/task-driver.ts",
        "Math.min(this.#context.config.spreadMs, (schedule.next(tickMs) ?? Infinity) - tickMs);",
        "schedule.next(tickMs) === 0 ? 0 : this.#context.config.spreadMs;",
      ),
    ],
    tests: [TIMES],
  },
  {
    id: "sched-asks-for-each-task",
    breaks: "where the clock is too far off, each task asks the store about it",
    edits: [edit("scheduler/task-record.ts", "if (!this.#isClockOff() || store.time.ageMs() > CLOCK_CHECK_MS) await", "await")],
    tests: [TIMES],
  },
  {
    id: "sched-leaves-a-timer",
    breaks: "what obeys operators outlives the run",
    edits: [edit("scheduler/task-driver.ts", "1.5 * timing.renewEveryMs, { signal })", "1.5 * timing.renewEveryMs)")],
    tests: [OPERATORS],
  },
  {
    id: "sched-no-lease-on-the-run",
    breaks: "a run's lease is not kept while it runs",
    edits: [
      edit(
        "scheduler/run-lease.ts",
        "this.#lease = this.#leaseObject(context.config.timing, true);",
        "this.#lease = this.#leaseObject(context.config.timing, false);",
      ),
    ],
    tests: [POLICIES],
  },
  {
    id: "sched-released-under-work",
    breaks: "the lease is given back at the timeout, under the running function",
    edits: [edit("scheduler/task-run.ts", 'this.tenancy.askToStop("timed-out");', 'void this.tenancy.release("timed-out");')],
    tests: [POLICIES],
  },
  {
    id: "sched-finish-without-condition",
    breaks: "a late finish overwrites the record of whoever took the task over",
    edits: [
      edit(
        "scheduler/task-run.ts",
        'if (!this.tenancy.isHeld()) return { ...entry, state: "abandoned", error: cut(messageOf(this.tenancy.signal.reason)) };',
        "",
      ),
      edit(
        "scheduler/task-run.ts",
        'if (outcome === "unknown") return await this.#finishLater(payload);',
        'const { store, key } = this.#context.lease.settings;\n    const there = await store.get(key);\n    if (outcome !== "released" && there.kind === "found") {\n      const text = JSON.parse(new TextDecoder().decode(there.body)) as object;\n      await store.replace(key, there.etag, new TextEncoder().encode(JSON.stringify({ ...text, payload })));\n      return true;\n    }',
      ),
    ],
    tests: [POLICIES],
  },
  {
    id: "sched-past-of-a-new-task",
    breaks: "a task that was never seen runs for the past",
    edits: [
      edit(
        "scheduler/decide.ts",
        "const state = { lastTick: s.nowMs, ...s.definition,",
        "const state = { lastTick: s.nowMs - 86_400_000, ...s.definition,",
      ),
    ],
    tests: [POLICIES],
  },
  {
    id: "sched-phantom-tick",
    breaks: "another definition runs for the past",
    edits: [edit("scheduler/decide.ts", "lastTick: Math.max(lastTick, s.knownSinceMs), missedUpTo: 0,", "lastTick, missedUpTo: 0,")],
    tests: [TIMES],
  },
  {
    id: "sched-older-revision-claims",
    breaks: "a node with an older revision claims",
    edits: [edit("scheduler/decide.ts", 'if (s.state.revision > s.definition.revision) return { kind: "superseded" };', "")],
    tests: [TIMES],
  },
  {
    id: "sched-missed-skip-runs",
    breaks: "missed: skip runs late ticks",
    edits: [
      edit(
        "scheduler/decide.ts",
        "if (!late) return run(newest, 0, {}, notes);",
        "if (notes.length >= 0) return run(newest, 0, {}, notes);",
      ),
    ],
    tests: [POLICIES],
  },
  {
    id: "sched-missed-once-runs-none",
    breaks: "missed: once does not say how many it runs for",
    edits: [
      edit(
        "scheduler/decide.ts",
        'if (policy === "once") return run(newest, missed.length, {}, []);',
        'if (policy === "once") return run(newest, 0, {}, []);',
      ),
    ],
    tests: [POLICIES],
  },
  {
    id: "sched-missed-all-without-max",
    breaks: "missed: all runs more than max",
    edits: [edit("scheduler/decide.ts", ".slice(-policy.all.max);", ".slice(-100);")],
    tests: [POLICIES],
  },
  {
    id: "sched-missed-all-without-window",
    breaks: "missed: all runs what is older than its window",
    edits: [
      edit(
        "scheduler/decide.ts",
        "missed.filter((tick) => s.nowMs - tick <= policy.all.windowMs)",
        "missed.filter((tick) => s.nowMs >= tick)",
      ),
    ],
    tests: [POLICIES],
  },
  {
    id: "sched-grace-without-looks",
    breaks: "a timer that comes seldom loses every tick under missed: skip",
    edits: [
      edit(
        "scheduler/decide.ts",
        "s.policy.graceOfLooks ? Math.max(s.policy.graceMs, ...gaps) : s.policy.graceMs",
        "gaps.length >= 0 ? s.policy.graceMs : 0",
      ),
    ],
    tests: [RUN_DUE],
  },
  {
    id: "sched-overlap-runs",
    breaks: "overlap: skip runs what was due during a run",
    edits: [edit("scheduler/decide.ts", "tick <= (run.end ?? 0);", "tick < 0;")],
    tests: [POLICIES],
  },
  {
    id: "sched-oldest-thousand",
    breaks: "missed: of more ticks than it looks at, the newest count",
    edits: [edit("scheduler/decide.ts", "if (ticks.length < MAX_TICKS) return ticks;", "if (ticks.length <= MAX_TICKS) return ticks;")],
    tests: ["test/scheduler/decide.test.ts"],
  },
  {
    id: "sched-overlap-of-the-last-attempt",
    breaks: "overlap: what was due between the attempts of a run counts as after it",
    edits: [edit("scheduler/decide.ts", "const since = run.since ?? run.start;", "const since = run.start;")],
    tests: ["test/scheduler/decide.test.ts"],
  },
  {
    id: "sched-overlap-queue-drops",
    breaks: "overlap: queue keeps nothing",
    edits: [edit("scheduler/decide.ts", "? overlapped.slice(-1) : [];", "? overlapped.slice(0, 0) : [];")],
    tests: [POLICIES],
  },
  {
    id: "sched-no-retry-of-the-abandoned",
    breaks: "retries: what was abandoned is not tried again",
    edits: [
      edit(
        "scheduler/decide.ts",
        "run.attempt <= s.policy.retries ? again(run.attempt + 1) : undefined;",
        "s.nowMs < 0 ? again(run.attempt + 1) : undefined;",
      ),
    ],
    tests: [POLICIES],
  },
  {
    id: "sched-leaves-a-claim-on-its-way",
    breaks: "a claim on its way when drainMs is over is given up",
    edits: [edit("scheduler/engine.ts", "return void (await settled);", "return;")],
    tests: [POLICIES],
  },
  {
    id: "sched-begun-is-unbegun",
    breaks: "a run that this process began, and lost, counts as never begun: it runs again without a word",
    edits: [edit("scheduler/run-lease.ts", 'judgement.by === "orphan" && record.fencingToken > this.#begun', 'judgement.by === "orphan"')],
    tests: [POLICIES],
  },
  {
    id: "sched-retries-without-end",
    breaks: "retries: a failure is tried again for ever",
    edits: [
      edit(
        "scheduler/task-driver.ts",
        "if (!again || entry.attempt > this.task.policy.retries) return undefined;",
        "if (!again) return undefined;",
      ),
    ],
    tests: [POLICIES],
  },
  {
    id: "sched-one-shot-beyond-its-time",
    breaks: "runDue claims what can't end in the remaining time",
    edits: [
      edit(
        "scheduler/task-driver.ts",
        "return leftMs >= Math.max(LEAST_RUN_MS, this.task.timeoutMs ?? 0);",
        "return leftMs >= LEAST_RUN_MS;",
      ),
    ],
    tests: [RUN_DUE],
  },
  {
    id: "sched-no-knock",
    breaks: "O1: what operators want is written, and nobody is told",
    edits: [
      edit(
        "scheduler/control.ts",
        "for (const key of at) await retried(context, async () => ((await tryKnock({ ...context, key })) ? true : undefined));",
        "",
      ),
    ],
    tests: [OPERATORS],
  },
  {
    id: "sched-unpause-runs-the-past",
    breaks: "unpause runs what was due while it was paused",
    edits: [edit("scheduler/scheduler.ts", "notBeforeMs: Math.max(now.notBeforeMs, at) }", "notBeforeMs: Math.min(now.notBeforeMs, at) }")],
    tests: [OPERATORS],
  },
  {
    id: "sched-triggers-forgotten",
    breaks: "of several runs that were asked for by hand only the first is remembered",
    edits: [
      edit("scheduler/decide.ts", "{ ...state, triggered, unread: s.wish.triggers > triggered }", "{ ...state, triggered, unread: false }"),
    ],
    tests: [TRIGGER],
  },
  {
    id: "sched-own-knock-unheard",
    breaks: "a process that had the last word does not look for the wish that it left itself",
    edits: [edit("scheduler/task-driver.ts", "turn.looks !== true && ", "")],
    tests: [TRIGGER],
  },
  {
    id: "sched-trigger-consumes-a-wish",
    breaks: "a run by hand that begins at once is counted as one that was asked for in the control object",
    edits: [
      edit(
        "scheduler/decide.ts",
        "if (s.wish.byHand === true) return claim(byHand, state);",
        "if (s.wish.byHand === true) return claim(byHand, { ...state, triggered: state.triggered + 1 });",
      ),
    ],
    tests: [TRIGGER],
  },
  {
    id: "sched-writes-over-the-unjudged",
    breaks: "C1: what another of this process has written meanwhile is written over",
    edits: [edit("scheduler/task-driver.ts", "if (this.#record.etag !== etag) continue;", "")],
    tests: [TRIGGER],
  },
  {
    id: "sched-dead-member-not-ended",
    breaks: "S7: a run of a dead session is never free",
    edits: [edit("scheduler/run-lease.ts", 'if (judgement?.kind !== "end") return;', "if (looks >= 0) return;")],
    tests: [SESSION],
  },
  {
    id: "sched-session-closes-without-a-word",
    breaks: "S16: the record of a run does not say how it ended when its session closes",
    edits: [
      edit(
        "lease/session-tenancy.ts",
        "const saysMore = Object.keys(fields).length > 0 || this.payload !== this.record.payload;",
        "const saysMore = Object.keys(fields).length > 0;",
      ),
    ],
    tests: [SESSION],
  },
  {
    id: "sched-cleaner-forgets-the-end",
    breaks: "S14: a finish without an answer is released as it was claimed, and runs again",
    edits: [edit("session/cleaning.ts", "lease.release(record, {}, payload ?? record.payload)", "lease.release(record, {})")],
    tests: [SESSION],
  },
  {
    id: "sched-session-not-waited-for",
    breaks: "H7: a session closes under a run",
    edits: [edit("scheduler/task-run.ts", "const settled = this.tenancy.work?.();", "const settled = (): void => {};")],
    tests: [SESSION],
  },
  {
    id: "sched-stop-hides-the-loss",
    breaks: "S2: who stops the runs of a lost session tells them of a stop",
    edits: [edit("lease/session-tenancy.ts", "if (this.isHeld()) this.#belief.askToStop(reason);", "this.#belief.askToStop(reason);")],
    tests: [SESSION],
  },
  {
    id: "sched-unpause-unheard",
    breaks: "O1: a node alone never looks whether a task is paused no more",
    edits: [edit("scheduler/task-driver.ts", " && this.#record.state?.paused !== true;", ";")],
    tests: [OPERATORS],
  },
  {
    id: "sched-allow-without-bound",
    breaks: "overlap: allow: more than `parallel` at a time",
    edits: [
      edit("scheduler/open-runs.ts", "if (open.length >= parallel) return [];", ""),
      edit(
        "scheduler/open-runs.ts",
        "Array.from({ length: parallel }, (_, place) => place)",
        "Array.from({ length: parallel + 9 }, (_, place) => place)",
      ),
    ],
    tests: [ALLOW],
  },
  {
    id: "sched-allow-forgets-the-end",
    breaks: "M: whoever takes a place takes away how the run before it ended",
    edits: [edit("scheduler/open-runs.ts", ".slice(0, MAX_BEFORE)", ".slice(0, 0)")],
    tests: [ALLOW],
  },
  {
    id: "sched-allow-keeps-one-end",
    breaks: "M: a place keeps the ends of the runs before the last, too, until the record says them",
    edits: [edit("scheduler/open-runs.ts", ", ...(place.before ?? [])];", "];")],
    tests: ["test/scheduler/decide.test.ts"],
  },
  {
    id: "sched-allow-dead-run-runs-on",
    breaks: "overlap: allow: a run whose lease is over counts as running",
    edits: [
      edit(
        "scheduler/open-runs.ts",
        'standing === "unbegun" ? "unbegun" : "abandoned" };',
        'standing === "unbegun" ? "unbegun" : "running" };',
      ),
    ],
    tests: [ALLOW],
  },
  {
    id: "sched-allow-beside-skip",
    breaks: "another policy runs beside what is still under way",
    edits: [edit("scheduler/decide.ts", "places === undefined ? state.open.length === 0 :", "places === undefined ? true :")],
    tests: [ALLOW],
  },
  {
    id: "sched-allow-tokens-by-place",
    breaks: "R2: each place has fencing tokens of its own",
    edits: [edit("scheduler/places.ts", "const token = Math.max(o.record.token + 1, lease.nextToken);", "const token = lease.nextToken;")],
    tests: [ALLOW],
  },
  {
    id: "sched-looks-before-each-claim",
    breaks: "C5: who had the last tick looks before its claim",
    edits: [
      edit(
        "scheduler/task-driver.ts",
        "let known = turn.looks !== true && this.#record.mayBeWrittenUnseen && this.#record.state?.paused !== true;",
        "let known = false;",
      ),
    ],
    tests: [REQUESTS],
  },
  {
    id: "sched-herd",
    breaks: "C5: all nodes look at the tick itself",
    edits: [
      edit(
        "scheduler/task-driver.ts",
        "return tickMs + spreadMs * (first ? part / 10 : 0.4 + 0.6 * part);",
        "return tickMs + spreadMs * (first ? part : 0) * 0;",
      ),
    ],
    tests: [REQUESTS],
  },
];
