/** The rules of locks, sessions, fenced objects and tasks, broken one by one: what the simulator must notice in worlds where those live. */
import { FENCING as FENCED } from "../../mutants/fencing.ts";
import { PRUNING } from "../../mutants/pruning.ts";
import { SCHEDULING } from "../../mutants/scheduling.ts";
import { SESSIONS } from "../../mutants/session.ts";
import type { Edit, Mutant } from "./mutants.ts";

const edit = (file: string, find: string, put: string): Edit => ({ file: `src/${file}`, find, put });

/** Those of the unit tests' mutants that change what happens in a world, and not only what a call answers. */
/** Why the simulator can't see them; the unit tests do. */
const MASKED: Readonly<Record<string, string>> = {
  "S2-late-reply": "the lease that is adopted looks at its session's own deadline (S2, too), which is past: it ends at its first look",
  "sched-no-lease-on-the-run":
    "a run that is not renewed is lost at its deadline, and told so (H2): runs fail that need not, but never two at a time",
  "W3-pointer-own-refusal":
    "an own write that is taken for another's has no higher token, so it is written once more: a request too many, and no more",
};

function ofUnitTests(mutants: readonly Mutant[], ids: readonly string[]): Mutant[] {
  return ids.map((id) => {
    const found = mutants.find((m) => m.id === id);
    if (found === undefined) throw new Error(`there is no mutant ${id} in test/mutants`);
    return { id, breaks: found.breaks, edits: found.edits, masked: MASKED[id] };
  });
}

const SEND =
  "const result = await (baseEtag === undefined ? store.create(key, body, options) : store.replace(key, baseEtag, body, options));";

/** A write to keys of one kind goes to whatever stands there: as if it had no condition. */
const unconditional = (keys: string): Edit =>
  edit(
    "lease/deliver.ts",
    SEND,
    `const fresh = baseEtag === undefined || !key.includes("${keys}") ? undefined : await store.get(key, options);\n    const tag = fresh?.kind === "found" ? fresh.etag : baseEtag;\n    const result = await (tag === undefined ? store.create(key, body, options) : store.replace(key, tag, body, options));`,
  );

const LOCKS: readonly Mutant[] = [
  {
    id: "M-one-place-too-many",
    breaks: "M: a place beyond the last is given out",
    edits: [
      edit(
        "locks/slots.ts",
        "return Array.from({ length: count }, (_, index) => ({ index, at:",
        "return Array.from({ length: count + 1 }, (_, index) => ({ index, at:",
      ),
    ],
  },
  {
    id: "C2-half-the-watch",
    breaks: "C2: a holder that says nothing is dead after half of its time",
    edits: [edit("lease/timing.ts", "return Math.ceil(Math.max(t.ttlMs *", "return Math.ceil(0.5 * Math.max(t.ttlMs *")],
  },
  {
    id: "L-call-inside-its-own-lock-waits",
    breaks: "a call for the key inside of its own withLock is not refused",
    edits: [
      edit(
        "locks/inside.ts",
        "const found = running && where === store ? keys.find((key) => holds(key)) : undefined;",
        "const found = running && where !== where ? keys.find((key) => holds(key)) : undefined;",
      ),
    ],
  },
  {
    id: "L-queue-lets-all-in",
    breaks: "the callers of one process do not queue: each asks the store",
    edits: [edit("locks/local-queue.ts", "if (place === undefined) {", "if (place === undefined || waitMs >= 0) {")],
  },
  {
    id: "C6-minimum-hold-forgotten",
    breaks: "C6: a lock is open at once, although its minimum hold is not over",
    edits: [edit("locks/lock-handle.ts", "return holdForMs > 0 ? { holdForMs } : {};", "return holdForMs > 1e12 ? { holdForMs } : {};")],
  },
  {
    id: "C6-no-lock-delay",
    breaks: "C6: a lock of a dead holder is taken without its delay",
    edits: [edit("lease/judge.ts", "const delay = record.lockDelayMs ?? 0;", "const delay = 0;")],
  },
  {
    id: "O4-belief-kept",
    breaks: "O4: who hands off goes on believing",
    edits: [edit("lease/timed-tenancy.ts", 'this.endBelief("handed-off");', "")],
  },
  {
    id: "O4-resume-without-condition",
    breaks: "O4: a resume goes on over whatever stands there",
    edits: [edit("lease/resume.ts", "if (!onlyFlagged) return undefined;", "")],
  },
  {
    id: "O2-any-token",
    breaks: "O2: an operator frees whatever stands there, whatever token was meant",
    edits: [
      edit(
        "lease/operate.ts",
        'if (seen?.record.fencingToken !== o.token) return "not-mine";',
        'if (seen === undefined) return "not-mine";',
      ),
    ],
  },
  {
    id: "I5-given-back-untold",
    breaks: "I5: a lock that its session gives back while it closes has no end in the events",
    edits: [edit("session/session.ts", "for (const lock of rest) lock.givenBack(outcome);", "")],
  },
  {
    id: "I13-end-looks-at-the-signal",
    breaks: "I13: an end that a look has found looks again, without end",
    edits: [
      edit(
        "lease/belief.ts",
        "this.end(this.#stopping ?? this.#endedError(reason));",
        "this.end(this.signal.aborted && this.#stopping !== undefined ? this.#stopping : this.#endedError(reason));",
      ),
    ],
  },
];

const SESSION_RULES: readonly Mutant[] = [
  ...ofUnitTests(SESSIONS, [
    "S2-no-own-deadline",
    "S2-late-reply",
    "S3-sent-when-over",
    "S6-end-with-any-version",
    "S7-skip-end",
    "S9-time-lock",
    "S11-released-before-the-work",
    "S14-no-cleanup",
    "S15-lock-alone",
  ]),
  {
    id: "H3-late-acquisition-adopted",
    breaks: "H3: an acquisition whose answer comes after its deadline is adopted",
    edits: [edit("lease/contend.ts", "if (isLate(lease, applied.firstSentAt)) return undefined;\n  const tenancy", "const tenancy")],
    masked: "its deadline counts from its first send (H1) and is past: it ends at its first look",
  },
  {
    id: "S6-member-writes-without-condition",
    breaks: "S6: END and renewals of a member go to whatever stands there",
    edits: [unconditional("members/")],
  },
  {
    id: "S6-lock-writes-without-condition",
    breaks: "S6: writes of a lock, its release too, go to whatever stands there",
    edits: [unconditional("locks/locks/")],
  },
  {
    id: "S8-evidence-of-another-version",
    breaks: "S8: that one session of a holder ended counts for every lock that names that holder",
    edits: [
      edit(
        "lease/judge.ts",
        "const ref = record.session;\n  const fate",
        "const kept = ((globalThis as { kept?: Map<string, typeof record.session> }).kept ??= new Map());\n  const ref = kept.get(record.holder) ?? record.session;\n  kept.set(record.holder, ref);\n  const fate",
      ),
    ],
  },
];

const FENCING: readonly Mutant[] = ofUnitTests(FENCED, [
  "F1-open-changes-no-bytes",
  "F2-lower-token-accepted",
  "F2-bar-checked-once",
  "F5-replaced-body-deleted-at-once",
  "F5-prune-takes-the-named",
  "W3-pointer-own-refusal",
]);

const TASKS: readonly Mutant[] = ofUnitTests(SCHEDULING, [
  "sched-claims-the-name",
  "sched-due-by-own-clock",
  "sched-no-lease-on-the-run",
  "sched-released-under-work",
  "sched-finish-without-condition",
  "sched-missed-once-runs-none",
  "sched-overlap-runs",
  "sched-retries-without-end",
]);

const DELETION: readonly Mutant[] = [
  ...ofUnitTests(PRUNING, [
    "P1-first-token-1",
    "P1-own-clock",
    "P2-created-whenever",
    "P2-from-the-reply",
    "P3-not-closed",
    "P3-closed-too-shortly",
    "P3-sent-hours-later",
    "P3-no-condition",
    "P4-held",
    "P4-closed-by-its-user",
  ]),
  ...ofUnitTests(SESSIONS, ["S12-reused-id"]),
];

export const FACES: readonly Mutant[] = [...LOCKS, ...SESSION_RULES, ...DELETION, ...FENCING, ...TASKS];
