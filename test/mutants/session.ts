/** The rules of sessions (S), broken one by one. */
import { edit, type TestedMutant } from "./files.ts";

const RULES = "test/session/rules.test.ts";
const SESSION = "test/session/session.test.ts";
const LOCKS = "test/session/locks.test.ts";
const CLEANER = "test/session/cleaner.test.ts";
const PRUNE = "test/session/prune.test.ts";
const GATE = "test/session/gate.test.ts";
const OPERATORS = "test/session/operators.test.ts";

export const SESSIONS: readonly TestedMutant[] = [
  {
    id: "S8-seen-before-the-call",
    breaks: "S8: a try is refused by what was seen of a session before it, which may be closed by now",
    edits: [edit("lease/contend.ts", "looks === 0 ? startMs : lookedAtMs - pollMs / 4", "lookedAtMs - pollMs / 4")],
    tests: [LOCKS],
  },
  {
    id: "S1-by-id-only",
    breaks: "S1: a lock that names an old tenancy looks alive as long as the member's next one lives",
    edits: [
      edit("lease/member.ts", 'if (record.fencingToken > ref.token) return { kind: "ended", by: "other", seen };', ""),
      edit("lease/member.ts", "if (record.fencingToken === ref.token) {", "if (record.fencingToken >= ref.token) {"),
    ],
    tests: [RULES],
  },
  {
    id: "S2-no-own-deadline",
    breaks: "S2: a lock is believed in after its session is over",
    edits: [
      edit(
        "lease/session-tenancy.ts",
        "if (!this.#tie.membership.isHeld()) this.#end(() => this.#belief.end(this.#endOfSession()));\n    else if (this.#leftUntil",
        "if (this.#leftUntil",
      ),
    ],
    tests: [RULES],
  },
  {
    id: "S2-late-reply",
    breaks: "S2: an answer that comes after the session's end is adopted",
    edits: [
      edit(
        "lease/contend.ts",
        "if (session !== undefined) return !session.membership.isHeld();",
        "if (session !== undefined) return false;",
      ),
    ],
    tests: [RULES],
  },
  {
    id: "S3-sent-when-over",
    breaks: "S3: a lock write is sent again after its session is over",
    edits: [
      edit("lease/contend.ts", "beforeSend: session && (() => session.membership.assertHeld()),", ""),
      edit("lease/contend.ts", "session.whenOver((reason) => stop.abort(reason))", "() => {}"),
    ],
    tests: [RULES],
  },
  {
    id: "S6-end-with-any-version",
    breaks: "S6: a member is ended without having been watched for W",
    edits: [
      edit(
        "lease/judge.ts",
        'return member.kind === "free" ? { kind: "end", ref, member: fate.seen } : member;',
        'return { kind: "end", ref, member: fate.seen };',
      ),
    ],
    tests: [RULES],
  },
  {
    id: "S7-skip-end",
    breaks: "S7: a lock is taken from a dead member that was not ended in the store",
    edits: [edit("lease/judge.ts", 'return member.kind === "free" ? { kind: "end", ref, member: fate.seen } : member;', "return member;")],
    tests: [RULES],
  },
  {
    id: "S9-time-lock",
    breaks: "S9: a session's lock is judged by its own age",
    edits: [
      edit(
        "lease/judge.ts",
        "if (record.session !== undefined) return judgeSession(record, by, nowMs);",
        'if (record.session !== undefined) return nowMs - seen.sinceMs > 16_500 ? { kind: "free", by: "observation" } : judgeSession(record, by, nowMs);',
      ),
    ],
    tests: [RULES],
  },
  {
    id: "S9-format-of-everybody",
    breaks: "S9, R4: a record that names a session is written in the format that versions without sessions read",
    edits: [
      edit("record/codec.ts", "const format = session === undefined ? TIMED_FORMAT : RECORD_FORMAT;", "const format = TIMED_FORMAT;"),
    ],
    tests: ["test/record/codec.test.ts"],
  },
  {
    id: "S10-smaller-is-ended",
    breaks: "S10: a member whose token is smaller than the one named counts as ended",
    edits: [
      edit(
        "lease/member.ts",
        'if (nowMs - current.sinceMs < pollMs) return { kind: "unknown" };',
        'if (pollMs > 0) return { kind: "ended", by: "other", seen };',
      ),
    ],
    tests: [RULES],
  },
  {
    id: "S10-absent-read-is-ended",
    breaks: "S10: a read of nothing is taken for an end, without a create that confirms it",
    edits: [edit("lease/judge.ts", 'return { kind: "end", ref, member: undefined };', 'return { kind: "free", by: "session" };')],
    tests: [RULES],
  },
  {
    id: "S11-released-before-the-work",
    breaks: "S11, H7: close frees everything under running work",
    edits: [edit("session/session.ts", "Promise.all(locks.map((lock) => lock.idle))", "Promise.resolve()")],
    tests: [SESSION, LOCKS],
  },
  {
    id: "S12-reused-id",
    breaks: "S12: a node's sessions have one id, and a janitor's late DELETE hits the living one",
    edits: [
      edit(
        "session/session.ts",
        "const key = memberKey(config.prefix, freshId(store.random));",
        "const key = memberKey(config.prefix, node);",
      ),
    ],
    tests: [PRUNE],
  },
  {
    id: "S12-living-member-deleted",
    breaks: "S12: a member record is deleted before its tenancy is ended in the store",
    edits: [
      edit("session/prune.ts", '>= storeAgeMs(record, skewMs) ? "end" : "keep";', '>= storeAgeMs(record, skewMs) ? "delete" : "keep";'),
    ],
    tests: [PRUNE],
  },
  {
    id: "S12-ended-without-proof",
    breaks: "S6, C3: a member is ended by a janitor before its ttl is over by the store's time",
    edits: [edit("session/prune.ts", '>= storeAgeMs(record, skewMs) ? "end" : "keep";', '>= 0 ? "end" : "keep";')],
    tests: [PRUNE],
  },
  {
    id: "S12-delay-begins-anew",
    breaks: "S12, C6: a deletion begins the lock delays anew that count from the member's end",
    edits: [
      edit(
        "session/prune.ts",
        'record.endedBy === "other" && ageMs < MAX_RECORD_MS ? "keep" : "delete";',
        'ageMs < 0 * MAX_RECORD_MS ? "keep" : "delete";',
      ),
    ],
    tests: [PRUNE],
  },
  {
    id: "S14-no-cleanup",
    breaks: "S14: what was given up on its way is forgotten",
    edits: [edit("session/holdings.ts", "this.#cleaner.add(left);", "void left;")],
    tests: [CLEANER],
  },
  {
    id: "S9-holder-looks-dead",
    breaks: "S9: of a lock that a session holds, its own record's last renewal is told, which never changes",
    edits: [edit("lease/holder-info.ts", "freeInMs, parse, bound.record.renewedAt)", "freeInMs, parse)")],
    tests: [LOCKS],
  },
  {
    id: "S14-no-kill",
    breaks: "S14: an acquisition that may still land is waited for, and not killed",
    edits: [
      edit(
        "session/cleaning.ts",
        'if (base?.etag !== seen.etag) return "decided";',
        'if (base?.etag !== seen.etag) return "decided";\n  if (seen.etag !== "") return "decided";',
      ),
    ],
    tests: [CLEANER],
  },
  {
    id: "S14-hides-the-release",
    breaks: "S14: a released record that is rewritten says no more which write of its holder released it",
    edits: [edit("session/cleaning.ts", "holderNonce: record.holderNonce, ", "")],
    tests: [CLEANER],
  },
  {
    id: "S14-sees-no-release-below",
    breaks: "S14: a release is taken for another's because its record was rewritten",
    edits: [edit("lease/settle.ts", "seen.nonce === write.record.nonce || isBelow", "seen.nonce === write.record.nonce")],
    tests: [CLEANER],
  },
  {
    id: "S15-lock-alone",
    breaks: "S15: an operator frees the lock alone, and its holder believes on",
    edits: [
      edit("lease/operate.ts", "if (dead === undefined) return false;", "if (dead === undefined || o.now === true) return o.now === true;"),
    ],
    tests: [OPERATORS],
  },
  {
    id: "S15-flag-for-all",
    breaks: "S15: a flag that names one lock is obeyed by all",
    edits: [
      edit(
        "session/holdings.ts",
        "if (lock.objectKey === meant.key && lock.fencingToken === meant.fencingToken) lock.flagged(word);",
        "lock.flagged(word);",
      ),
    ],
    tests: [SESSION, OPERATORS],
  },
  {
    id: "S16-end-is-clean",
    breaks: "S16: an end by another counts as a clean release, and no lock delay applies",
    edits: [
      edit(
        "lease/member.ts",
        'state: "released", endedBy: "other", flag: undefined, nonce',
        'state: "released", endedBy: "self", flag: undefined, nonce',
      ),
    ],
    tests: [RULES],
  },
  {
    id: "S16-minimum-hold-forgotten",
    breaks: "S16: a minimum hold ends with the session",
    edits: [edit("session/session.ts", "const words = lock.isHeld() ? lock.lastWords?.() : undefined;", "const words = undefined;")],
    tests: [LOCKS],
  },
  {
    id: "S14-ends-at-trouble",
    breaks: "S14: an open end whose record can't be read for a moment is not looked after any more",
    edits: [
      edit(
        "session/cleaner.ts",
        "`an open end is not settled yet: ${messageOf(error)}`);",
        "`an open end is not settled yet: ${messageOf(error)}`);\n        return;",
      ),
    ],
    tests: [CLEANER],
  },
  {
    id: "session-waiters-stay-listed",
    breaks: "who no longer waits is forgotten: a session may see thousands come and go",
    edits: [edit("session/holdings.ts", "return () => this.#waiting.delete(listener);", "return () => false;")],
    tests: [CLEANER],
  },
  {
    id: "session-gate-leaks",
    breaks: "a request that throws gives its place back",
    edits: [
      edit(
        "session/gate.ts",
        "try {\n      return await send();\n    } finally {",
        "const answer = await send();\n    try {\n      return answer;\n    } finally {",
      ),
    ],
    tests: [GATE],
  },
  {
    id: "session-gate-place-for-the-gone",
    breaks: "who gave up waiting for a place is not given it",
    edits: [edit("session/gate.ts", "waiting.splice(waiting.indexOf(go), 1);", "")],
    tests: [GATE],
  },
];
