/** The rules of contending (C) and of operators (O), S4, the timing relations and some invariants, broken. */
import {
  edit,
  TIMING,
  JUDGE,
  SEEN,
  TENANCY,
  CONTEND,
  TAKEOVER,
  MANAGER,
  CALLBACKS,
  STOP,
  STEP_DOWN,
  CAMPAIGN,
  OBSERVE,
  OPTIONS,
  HEALTH,
  type TestedMutant,
} from "./files.ts";

export const CONTENDING: readonly TestedMutant[] = [
  {
    id: "C1-orphan-adopted",
    breaks: "C1, W7: an orphan is adopted under its old token",
    edits: [
      edit(
        "lease/contend.ts",
        "record: lease.acquisition(view.current?.record, options.payload ?? view.current?.record.payload, options.leastToken),",
        'record: by === "orphan" && view.current?.record.session === undefined && view.current !== undefined ? lease.renewal(view.current.record) : lease.acquisition(view.current?.record),',
      ),
    ],
    tests: [CONTEND],
  },
  {
    id: "C2-taken-without-a-watch",
    breaks: "C2: a record that was not watched for W is free",
    edits: [edit("lease/judge.ts", "watched >= closed.watchMs)", "watched >= closed.watchMs / 2)")],
    tests: [JUDGE, CONTEND, TAKEOVER],
  },
  {
    id: "C2-watch-begins-with-each-call",
    breaks: "C2: observations do not outlive a call",
    edits: [
      edit(
        "lease/observations.ts",
        "if (table === undefined) byStore.set(store, (table = new Observations()));",
        "byStore.set(store, (table = new Observations()));",
      ),
    ],
    tests: [SEEN, CONTEND, TAKEOVER],
  },
  {
    id: "C3-own-clock-for-the-date",
    breaks: "C3, C4: the own clock stands in for a Date that is missing",
    edits: [
      edit(
        "lease/judge.ts",
        "seen.dateMs === undefined || seen.lastModifiedMs === undefined ? undefined : seen.dateMs - seen.lastModifiedMs;",
        "seen.lastModifiedMs === undefined ? undefined : (seen.dateMs ?? nowMs + 1e15) - seen.lastModifiedMs;",
      ),
    ],
    tests: [JUDGE],
  },
  {
    id: "C3-store-time-for-ever",
    breaks: 'C3: takeover "store-time" waits for ever where the times are unfit',
    edits: [
      edit(
        "lease/contend.ts",
        'if (takeover !== "store-time" || verdict.storeTime) return verdict;',
        "if (takeover.length > 0) return verdict;",
      ),
    ],
    tests: [CONTEND, TAKEOVER],
  },
  {
    id: "C5-herd",
    breaks: "C5: candidates that started together look together",
    edits: [edit("lease/contend.ts", "look === 0 || fullMs < pollMs ? fullMs * (0.5 + store.random.unit() / 2) : fullMs", "fullMs")],
    tests: [CONTEND],
  },
  {
    id: "C5-a-look-that-is-not-needed",
    breaks: "C5: a key that is known to be free is looked at first",
    edits: [
      edit(
        "lease/contend.ts",
        "let nextLookMs = !coolingDown && knownFree(lease) ? lease.nowMs() + pollMs : lease.nowMs();",
        "let nextLookMs = !coolingDown && knownFree(lease) ? lease.nowMs() : lease.nowMs();",
      ),
    ],
    tests: [CONTEND, MANAGER, CAMPAIGN],
  },
  {
    id: "C6-no-lock-delay",
    breaks: "C6: the lock delay after a death is left out",
    edits: [edit("lease/judge.ts", "const delay = record.lockDelayMs ?? 0;", "const delay = 0;")],
    tests: [JUDGE],
  },
  {
    id: "C6-delay-after-ones-own-end",
    breaks: "C6: the lock delay applies to a clean release, too",
    edits: [edit("lease/judge.ts", 'record.endedBy === "other" ? (record.lockDelayMs ?? 0) : 0', "record.lockDelayMs ?? 0")],
    tests: [JUDGE],
  },
  {
    id: "C6-orphan-ignores-its-delay",
    breaks: "C6: a lock delay does not bind the process whose tenancy died",
    edits: [
      edit(
        "lease/judge.ts",
        'record.state === "held" && (record.lockDelayMs ?? 0) === 0 && by.isMyOrphan(record)',
        'record.state === "held" && by.isMyOrphan(record)',
      ),
    ],
    tests: [JUDGE],
  },
  {
    id: "C6-no-hold",
    breaks: "C6: the minimum hold is left out",
    edits: [edit("lease/judge.ts", "Math.max(record.holdForMs ?? 0, delay, reserve)", "Math.max(delay, reserve)")],
    tests: [JUDGE],
  },
  {
    id: "C7-no-reservation",
    breaks: "C7: whoever comes first takes what was reserved",
    edits: [
      edit(
        "lease/judge.ts",
        "record.reservedFor === undefined || record.reservedFor === by.node ? 0",
        "record.reservedFor === undefined || by.node !== undefined ? 0",
      ),
    ],
    tests: [JUDGE, STEP_DOWN],
  },
  {
    id: "C7-the-named-one-waits",
    breaks: "C7: the named successor waits like the others",
    edits: [
      edit(
        "lease/judge.ts",
        "record.reservedFor === undefined || record.reservedFor === by.node ? 0",
        "record.reservedFor === undefined ? 0",
      ),
    ],
    tests: [JUDGE, STEP_DOWN],
  },
  {
    id: "C7-reserved-for-ever",
    breaks: "C7: a reservation goes over into the next record",
    edits: [
      edit(
        "lease/lease-object.ts",
        "      renewedAt,\n      metadata,",
        "      renewedAt,\n      reservedFor: base?.reservedFor,\n      metadata,",
      ),
    ],
    tests: [STEP_DOWN],
  },
  {
    id: "O1-flag-frees-under-work",
    breaks: "O1, H7: a flag releases a campaigned term under its user's work",
    edits: [
      edit(
        "election/manager.ts",
        'return term.askToRelease("stepped-down", fields);',
        'return void term.giveBack("stepped-down", fields);',
      ),
    ],
    tests: [STEP_DOWN],
  },
  {
    id: "O1-cooldown-forgotten",
    breaks: "O1: the leader stays out for its own cooldown, not for the operator's",
    edits: [edit("election/manager.ts", "const { cooldownMs } = flag;", "const cooldownMs = undefined;")],
    tests: [STEP_DOWN],
  },
  {
    id: "O1-asked-is-obeyed",
    breaks: "O1: `asked` makes a leader step down",
    edits: [
      edit("election/manager.ts", 'if (flag.kind === "asked" || term?.isHeld() !== true) return;', "if (term?.isHeld() !== true) return;"),
    ],
    tests: [STEP_DOWN],
  },
  {
    id: "timing-margin-too-small",
    breaks: "timing: a margin below the drift bound is accepted",
    edits: [edit("lease/timing.ts", "if (marginMs < ttlMs / 10)", "if (marginMs < ttlMs / 100)")],
    tests: [TIMING, OPTIONS],
  },
  {
    id: "timing-timeout-too-long",
    breaks: "timing: a request time limit that one hung renewal can't survive is accepted",
    edits: [edit("lease/timing.ts", "else if (requestTimeoutMs >= room)", "else if (requestTimeoutMs >= 2 * room)")],
    tests: [TIMING, OPTIONS],
  },
  {
    id: "I4-books",
    breaks: "I5: an acquisition that was won after a stop is counted as released and not as acquired",
    edits: [
      edit("lease/contend.ts", '  lease.counters.add("acquired");\n  if (options.signal.aborted) {', "  if (options.signal.aborted) {"),
      edit(
        "lease/contend.ts",
        '  if (by === "orphan") lease.counters',
        '  lease.counters.add("acquired");\n  if (by === "orphan") lease.counters',
      ),
    ],
    tests: [CONTEND, STOP, HEALTH],
  },
  {
    id: "given-up-and-left-closed",
    breaks: "stop: an acquisition whose reply was lost leaves the key closed for W",
    edits: [edit("lease/contend.ts", "await giveUp(lease, write, options.hooks);", "await Promise.resolve(options.hooks);")],
    tests: [CONTEND],
  },
  {
    id: "wait-without-end",
    breaks: "waitMs: a wait does not end while every write is lost",
    edits: [
      edit("lease/contend.ts", "if (attempted && leftOf(options, lease) <= 0) return undefined;", ""),
      edit("lease/contend.ts", "if (!refused && leftOf(options, lease) <= 0) return undefined;", ""),
    ],
    tests: [CONTEND],
  },
  {
    id: "no-cooldown",
    breaks: "Manager: leadership that was given back is taken again at once",
    edits: [edit("election/manager.ts", 'if (end.gaveWay && end.next === "again") this.#coolDown(end.cooldownMs);', "")],
    tests: [CALLBACKS, STEP_DOWN],
  },
  {
    id: "no-snapshot",
    breaks: "Manager: a node that joins does not hear of the present leader",
    edits: [
      edit("election/observer.ts", "this.#fresh ||= !this.#toldPresent;", ""),
      edit("election/manager.ts", "if (this.#watch.known) this.#tellPresent = schedule;", ""),
    ],
    tests: [OBSERVE],
  },
  {
    id: "O1-flag-stays",
    breaks: "O1: the holder's renewal leaves the flag in the record",
    edits: [edit("lease/lease-object.ts", "acquiredAt, flag: undefined };", "acquiredAt };")],
    tests: [TENANCY],
  },
  {
    id: "C5-no-304",
    breaks: "C5: a poll reads the whole record",
    edits: [
      edit(
        "lease/look.ts",
        'ifNoneMatch: takeover === "observe" || view.current?.lastModifiedMs !== undefined ? view.current?.etag : undefined,',
        "ifNoneMatch: undefined,",
      ),
    ],
    tests: [CONTEND, MANAGER],
  },
  {
    id: "H3-late-acquisition-adopted",
    breaks: "H3, W7: an acquisition that was answered after its deadline is adopted",
    edits: [edit("lease/contend.ts", "if (isLate(lease, applied.firstSentAt)) return undefined;", "")],
    tests: [CONTEND],
  },
];
