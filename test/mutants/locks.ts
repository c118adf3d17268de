/** What locks add to the lease that they stand on, broken one by one. */
import { edit, type TestedMutant } from "./files.ts";

const REQUESTS = "test/locks/requests.test.ts";
const WORK = "test/locks/work.test.ts";
const WAYS = "test/locks/ways-to-end.test.ts";
const QUEUE = "test/locks/queue.test.ts";
const SLOTS = "test/locks/slots.test.ts";
const STATS = "test/locks/stats.test.ts";
const ONE_SHOT = "test/locks/one-shot.test.ts";

/** The callers of one process: who queues, who is refused, and who would wait for itself. */
const QUEUEING: readonly TestedMutant[] = [
  {
    id: "lock-queue-last-first",
    breaks: "the callers of one process get their turns in the order in which they came",
    edits: [
      edit("locks/local-queue.ts", "for (const next of place.waiters) return", "for (const next of [...place.waiters].reverse()) return"),
    ],
    tests: [REQUESTS],
  },
  {
    id: "lock-queue-turn-twice",
    breaks: "a turn is given on once, by who has it: a stale handle's second release moves nobody up",
    edits: [edit("locks/local-queue.ts", "leave: () => { if (left) return;", "leave: () => {")],
    tests: [QUEUE],
  },
  {
    id: "lock-queue-untold",
    breaks: "who would rather be refused than wait is told as soon as this process knows who holds the key",
    edits: [
      edit(
        "locks/local-queue.ts",
        "if (waiter.impatient) waiter.give(undefined);",
        "if (waiter.impatient && !place.told) waiter.give(undefined);",
      ),
    ],
    tests: [QUEUE],
  },
  {
    id: "lock-queue-old-news",
    breaks: "nobody is refused by what was known of the key in a turn that is over",
    edits: [edit("locks/local-queue.ts", "left = true;\n        place.told = false;", "left = true;")],
    tests: [QUEUE],
  },
  {
    id: "lock-free-is-news",
    breaks: "who would rather be refused than wait is not refused while a key is free that another of this process is about to take",
    edits: [edit("lease/waiting.ts", "hindrance = undefined; },", "hindrance = undefined; wait.onNews(); },")],
    tests: [REQUESTS],
  },
  {
    id: "lock-listener-for-each-call",
    breaks: "calls that share a signal have one listener at it",
    edits: [edit("clock/wait.ts", "listenersAt.set(signal, at);", "")],
    tests: [QUEUE],
  },
  {
    id: "lock-queue-for-ever",
    breaks: "a wait in the queue ends with its waitMs",
    edits: [edit("locks/local-queue.ts", "if (full) waiter.give(undefined);", "if (full && waiter.impatient) waiter.give(undefined);")],
    tests: [QUEUE],
  },
  {
    id: "lock-queue-kept",
    breaks: "a key that nobody wants takes no memory",
    edits: [edit("locks/local-queue.ts", "this.#places.delete(key);", "place.told = false;")],
    tests: [QUEUE],
  },
  {
    id: "lock-queue-full-waits",
    breaks: "the queue of a key is bounded",
    edits: [edit("locks/local-queue.ts", "|| place.waiters.size >= MAX_WAITERS", "")],
    tests: [QUEUE],
  },
  {
    id: "lock-reentrancy-unseen",
    breaks: "the same key inside its own withLock is an error, not a wait for itself",
    edits: [edit("locks/face.ts", "if (insideOf(store, [key]) !== undefined)", "if (insideOf(store, []) !== undefined)")],
    tests: [WORK],
  },
  {
    id: "lock-inside-for-ever",
    breaks: "a call that comes after its withLock has settled is not inside of it",
    edits: [edit("locks/inside.ts", "} finally { inside.running = false; }", "} finally { inside.running = true; }")],
    tests: [WORK],
  },
  {
    id: "lock-inside-after-its-release",
    breaks: "a lock that the work itself gave back can be acquired inside",
    edits: [edit("locks/face.ts", "(key) => held.get(key)?.blocksQueue === true", "(key) => held.has(key)")],
    tests: [WORK],
  },
  {
    id: "lock-waits-a-poll-too-long",
    breaks: "who waits for a dead holder's lock has it when the watch is over, not at the next poll",
    edits: [edit("lease/contend.ts", "nextLookMs - lease.nowMs()), freeInMs ?? Infinity, leftMs)", "nextLookMs - lease.nowMs()), leftMs)")],
    tests: [WAYS],
  },
  {
    id: "lock-refused-by-old-knowledge",
    breaks: "a try whose CAS rests on what was seen long ago is answered by a look, not by that refusal",
    edits: [edit("lease/contend.ts", "attempted = looks > 0;", "attempted = true;")],
    tests: [REQUESTS],
  },
  {
    id: "lock-one-wait-each",
    breaks: "all the keys of one withLocks share its waitMs",
    edits: [edit("locks/face.ts", ", spentMs: this.#nowMs - startMs }", " }")],
    tests: [QUEUE],
  },
];

/** Work under locks, and how a lock ends. */
const ENDING: readonly TestedMutant[] = [
  {
    id: "lock-freed-under-work",
    breaks: "H7: work that does not stop in time keeps its lock",
    edits: [
      edit(
        "locks/work.ts",
        "void settling.then(finish).catch((error: unknown) => o.failed(error));",
        "void finish({ ok: false, error: undefined }).catch((error: unknown) => o.failed(error));",
      ),
    ],
    tests: [WORK],
  },
  {
    id: "lock-stats-a-moment-late",
    breaks: "what was just lost is counted as lost, and not yet by its reason",
    edits: [edit("locks/stats.ts", "for (const lease of this.#live) if (lease.over !== undefined) this.ended(lease);", "")],
    tests: [STATS],
  },
  {
    id: "lock-loss-untold",
    breaks: "work that outlived its lock is an error, also if it returned",
    edits: [edit("locks/work.ts", "if (taken !== undefined) return fail(taken);", "")],
    tests: [WORK],
  },
  {
    id: "lock-loss-hides-the-error",
    breaks: "the function's own error wins",
    edits: [
      edit(
        "locks/work.ts",
        "if (!settled.ok && !obeyed) return fail(settled.error); if (taken !== undefined) return fail(taken);",
        "if (taken !== undefined) return fail(taken); if (!settled.ok && !obeyed) return fail(settled.error);",
      ),
    ],
    tests: [WORK],
  },
  {
    id: "lock-work-unstopped",
    breaks: "when one of several locks ends, the work under all of them is told",
    edits: [edit("locks/work.ts", "// The work needs all of them.\n    onCaller();", "")],
    tests: [WORK],
  },
  {
    id: "lock-all-or-some",
    breaks: "when one of several locks can't be had, those before it are given back",
    edits: [
      edit(
        "locks/face.ts",
        'for (const lock of [...locks.values()].reverse()) await lock.giveBack("released");\n      throw e;',
        "throw e;",
      ),
    ],
    tests: [WORK],
  },
  {
    id: "lock-unsorted",
    breaks: "several locks are taken in sorted order, so that two such calls never wait for each other",
    edits: [edit("locks/face.ts", "for (const key of sorted) {", "for (const key of keys) {")],
    tests: [WORK],
  },
  {
    id: "lock-released-twice",
    breaks: "the second release of one lock says so, and changes nothing",
    edits: [edit("lease/timed-tenancy.ts", 'await this.#release;\n      return "already-released";', "return await this.#release;")],
    tests: [WORK],
  },
  {
    id: "lock-released-after-its-hand-off",
    breaks: "O4: a stale handle frees nothing that was handed off",
    edits: [
      edit(
        "lease/timed-tenancy.ts",
        'if (over instanceof LeaseLostError || over?.reason === "handed-off")',
        "if (over instanceof LeaseLostError)",
      ),
    ],
    tests: [WAYS],
  },
  {
    id: "lock-believed-after-its-hand-off",
    breaks: "O4: belief ends before the last write of a hand-off is sent",
    edits: [edit("lease/timed-tenancy.ts", 'this.endBelief("handed-off");', "")],
    tests: [WAYS],
  },
  {
    id: "lock-hand-off-of-the-unknown",
    breaks: "O4: there is a text only of a last write that is known to be applied",
    edits: [
      edit(
        "lease/timed-tenancy.ts",
        'if (end.kind === "settled") throw this.#belief.lossOf(end.as);',
        'if (end.kind === "settled") throw this.#belief.lossOf(end.as);\n    if (end.kind === "open") return this.#confirmed;',
      ),
    ],
    tests: [WAYS],
  },
  {
    id: "lock-handed-off-beyond-its-deadline",
    breaks: "O4: the last write is not sent when what it hands off is over",
    edits: [
      edit(
        "lease/timed-tenancy.ts",
        'const until = this.#deadline;\n    this.endBelief("handed-off");',
        'const until = addMs(this.#deadline, 600_000);\n    this.endBelief("handed-off");',
      ),
    ],
    tests: [WAYS],
  },
  {
    id: "lock-resumed-over-another",
    breaks: "O4: a text resumes that very version, below nothing but a flag",
    edits: [edit("lease/resume.ts", "if (!onlyFlagged) return undefined;", "")],
    tests: [WAYS],
  },
  {
    id: "lock-resume-refuses-a-flag",
    breaks: "O4: a flag on top is no hindrance to go on",
    edits: [edit("lease/resume.ts", "if (!onlyFlagged) return undefined;", "if (onlyFlagged || !onlyFlagged) return undefined;")],
    tests: [WAYS],
  },
  {
    id: "lock-forced-whoever-holds-it",
    breaks: "O2: an operator frees the token that was seen, and no other",
    edits: [
      edit(
        "lease/operate.ts",
        'if (seen?.record.fencingToken !== o.token) return "not-mine";\n    const { record } = seen;',
        'if (seen === undefined) return "not-mine";\n    const { record } = seen;',
      ),
    ],
    tests: [WAYS],
  },
  {
    id: "lock-forced-under-work",
    breaks: "O2: without `now` nothing is freed that its holder may still work under",
    edits: [edit("lease/operate.ts", "? o.now === true || isDead({ ...seen, record }, skewMs, store)", "? true")],
    tests: [WAYS],
  },
  {
    id: "lock-asked-and-forgotten",
    breaks: "who asked the holder looks when it hears, and not whenever its poll comes",
    edits: [edit("lease/contend.ts", "heardAtMs: lease.nowMs() + nextRenewalInMs(seen)", "heardAtMs: Infinity")],
    tests: [WAYS],
  },
  {
    id: "lock-asked-in-the-renewal",
    breaks: "H6: what onAsked throws does not end the renewals",
    edits: [
      edit(
        "locks/face.ts",
        'queueMicrotask(() => guarded(onAsked, (error) => this.#emitter.emit({ type: "callback-failed", name: "onAsked", error })));',
        "onAsked();",
      ),
    ],
    tests: [WAYS],
  },
];

/** How long a lock stays, and stays closed; places, and functions. */
const LASTING: readonly TestedMutant[] = [
  {
    id: "lock-min-hold-forgotten",
    breaks: "C6: a minimum hold goes on after the release",
    edits: [edit("lease/timing.ts", "return leftMs > 0 ?", "return leftMs > MAX_RECORD_MS ?")],
    tests: [WAYS],
  },
  {
    id: "lock-min-hold-by-a-fast-clock",
    breaks: "C6: a minimum hold is not cut short by a viewer's fast clock",
    edits: [edit("lease/timing.ts", "Math.ceil(leftMs * (1 + CLOCK_RATE_ERROR))", "Math.ceil(leftMs)")],
    tests: [WAYS],
  },
  {
    id: "lock-delay-not-written",
    breaks: "C6: the lock delay stands in the record, for whoever finds the dead holder",
    edits: [edit("locks/plain-leases.ts", "renews: autoRenew, keepAlive, lockDelayMs,", "renews: autoRenew, keepAlive,")],
    tests: [WAYS],
  },
  {
    id: "lock-max-hold-unlimited",
    breaks: "the longest hold ends the lock",
    edits: [edit("lease/timing.ts", "return maxHoldMs === undefined ? undefined", "return maxHoldMs !== undefined ? undefined")],
    tests: [WORK, ONE_SHOT],
  },
  {
    id: "lock-max-hold-unannounced",
    breaks: "the work hears of the longest hold before it is over",
    edits: [edit("lease/timing.ts", "graceMs: Math.min(drainMs, maxHoldMs / 10)", "graceMs: 0")],
    tests: [WORK, ONE_SHOT],
  },
  {
    id: "lock-renewed-beyond-max-hold",
    breaks: "nothing is renewed that lasts beyond the longest hold",
    edits: [edit("lease/timed-tenancy.ts", "return this.#longest !== undefined && this.#deadline === this.#longest.end;", "return false;")],
    tests: [WORK],
  },
  {
    id: "one-shot-no-margin",
    breaks: "a lease for one invocation outlasts it by the margin in which its holder no longer believes",
    edits: [edit("locks/one-shot.ts", "Math.ceil(Math.max(leftMs / 0.9, leftMs + 1000)) + 1", "Math.ceil(leftMs)")],
    tests: [ONE_SHOT],
  },
  {
    id: "one-shot-waits",
    breaks: "a function does not wait unless it says so",
    edits: [edit("locks/one-shot.ts", "waitMs({ waitMs = 0 }: LeaseOptions,", "waitMs({ waitMs = 60_000 }: LeaseOptions,")],
    tests: [ONE_SHOT],
  },
  {
    id: "one-shot-on-unfit-times",
    breaks: "C3, T4: a function that could never tell a dead holder at its first look is refused on a store whose times are unfit",
    edits: [edit("locks/one-shot.ts", 'takeover: "store-time"', 'takeover: "auto"')],
    tests: [ONE_SHOT],
  },
  {
    id: "one-shot-time-read-once",
    breaks: "the time that is left is read at each call",
    edits: [
      edit(
        "locks/one-shot.ts",
        "return () => invocation.getRemainingTimeInMillis();",
        "{ const once = invocation.getRemainingTimeInMillis(); return () => once; }",
      ),
    ],
    tests: [ONE_SHOT],
  },
  {
    id: "slot-looks-at-all",
    breaks: "C5: while it waits a caller looks at a few of the places that were renewed a moment ago",
    edits: [edit("locks/slots.ts", "...(all ? worthALook : worthALook.slice(0, FRESH_LOOKS))", "...worthALook")],
    tests: [SLOTS],
  },
  {
    id: "slot-last-forgotten",
    breaks: "the place that was had last is tried first, by one PUT",
    edits: [edit("locks/slots.ts", "if (last !== undefined && viewOf", "if (last === -1 && viewOf")],
    tests: [SLOTS],
  },
  {
    id: "slot-damaged-ends-the-search",
    breaks: "a place whose record may not be touched does not hide the others",
    edits: [edit("locks/slots.ts", "if (e instanceof RecordError) return e;\n    throw e;", "throw e;")],
    tests: [SLOTS],
  },
  {
    id: "slot-try-waits-for-another",
    breaks: "who would rather be refused than wait is told what another search of this process has found",
    edits: [edit("locks/slots.ts", "turn.tell();", "")],
    tests: [SLOTS],
  },
  {
    id: "slot-outage-ends-the-wait",
    breaks: "who waits for a place outlives an outage",
    edits: [edit("locks/slots.ts", ".catch(ifUnavailable)", "")],
    tests: [SLOTS],
  },
  {
    id: "slot-quiet-ones-anywhere",
    breaks: "a fresh process looks first at the places that nobody has renewed for long",
    edits: [edit("locks/slots.ts", 'entry.quietMs < renewedWithinMs(search) ? "changed" : "quiet"', '"changed"')],
    tests: [SLOTS],
  },
  {
    id: "slot-of-a-session-by-its-own-record",
    breaks: "S9: the record of a place that a session holds does not tell its end",
    edits: [edit("locks/slots.ts", 'if (current.record.session !== undefined) return "stale";', "")],
    tests: [SLOTS],
  },
  {
    id: "slot-looks-at-each-of-a-session",
    breaks: "one look at a member serves all places of its session",
    edits: [edit("locks/slots.ts", "ref !== undefined && current?.etag === entry?.etag", "ref !== undefined && current === undefined")],
    tests: [SLOTS],
  },
  {
    id: "slot-waited-for-its-last-try",
    breaks: "the wait for a place begins with the call, and not with the try that got it",
    edits: [edit("locks/face.ts", "{ isTry: true, sinceMs }", "{ isTry: true }")],
    tests: [SLOTS],
  },
  {
    id: "one-shot-holds-on-after-its-wait",
    breaks: "what was waited for ends with the invocation, too",
    edits: [
      edit(
        "lease/timed-tenancy.ts",
        "const { ms, graceMs, from = this.#acquiredAt } = maxHold;",
        "const { ms, graceMs } = maxHold, from = this.#acquiredAt;",
      ),
    ],
    tests: [ONE_SHOT],
  },
  {
    id: "one-shot-waits-beyond-its-end",
    breaks: "no call waits until the invocation is at its end",
    edits: [edit("locks/one-shot.ts", "Math.min(waitMs - spentMs, this.#remainingMs() - LEAST_MS)", "waitMs - spentMs")],
    tests: [ONE_SHOT],
  },
  {
    id: "one-shot-resumes-for-ever",
    breaks: "what is resumed within an invocation ends with it",
    edits: [edit("locks/one-shot.ts", "{ ...this.#ownOptions(), lockDelayMs }", "{ lockDelayMs }")],
    tests: [ONE_SHOT],
  },
];

export const LOCKS: readonly TestedMutant[] = [...QUEUEING, ...ENDING, ...LASTING];
