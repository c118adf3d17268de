/** The rules of holding (H), broken. */
import {
  edit,
  TIMING,
  SETTLE,
  SEEN,
  WRITE,
  TENANCY,
  ENDING,
  CONTEND,
  MANAGER,
  STOP,
  STEP_DOWN,
  OBSERVE,
  type TestedMutant,
} from "./files.ts";

export const HOLDING: readonly TestedMutant[] = [
  {
    id: "H1-retry-from-its-last-send",
    breaks: "H1: a retried write counts from its last send",
    edits: [
      edit("lease/deliver.ts", "const firstSentAt = readClocks(store.clock);", "let firstSentAt = readClocks(store.clock);"),
      edit(
        "lease/deliver.ts",
        "const result = await (baseEtag",
        "firstSentAt = readClocks(store.clock);\n    const result = await (baseEtag",
      ),
    ],
    tests: [WRITE, TENANCY],
  },
  {
    id: "H1-no-margin",
    breaks: "H1: belief lasts for the whole ttl",
    edits: [edit("lease/timing.ts", "  return t.ttlMs - t.marginMs;", "  return t.ttlMs;")],
    tests: [TENANCY, TIMING],
  },
  {
    id: "H3-assert-by-the-clock-alone",
    breaks: "H3: assertHeld lets an ended tenancy pass while its deadline is ahead",
    edits: [
      edit(
        "lease/timed-tenancy.ts",
        "if (!this.isHeld() && this.#belief.over !== undefined) throw this.#belief.over;",
        "if (remainingMs(this.#deadline, readClocks(this.#lease.settings.store.clock)) <= 0 && !this.isHeld() && this.#belief.over !== undefined) throw this.#belief.over;",
      ),
    ],
    tests: [ENDING],
  },
  {
    id: "H4-instance-and-token-alone",
    breaks: "H4, H9: instance and token prove that a record is mine",
    edits: [
      edit(
        "lease/settle.ts",
        "seen.fencingToken === fencingToken && written.has(seen.holderNonce);",
        "seen.fencingToken === fencingToken;",
      ),
    ],
    tests: [SETTLE, TENANCY],
  },
  {
    id: "H4-flag-unheard",
    breaks: "H4: a flag is wiped out and not obeyed",
    edits: [edit("lease/timed-tenancy.ts", "if (seen.flag !== undefined) this.#hooks.flagged(seen.flag);", "")],
    tests: [TENANCY, STEP_DOWN],
  },
  {
    id: "H4-flag-at-acquisition-unheard",
    breaks: "H4: a flag over an acquisition whose reply was lost is not obeyed",
    edits: [edit("lease/timed-tenancy.ts", "if (flag !== undefined && (await sleep", "if (flag !== flag && (await sleep")],
    tests: [TENANCY],
  },
  {
    id: "H4-error-is-loss",
    breaks: "H4: a renewal that is denied ends the tenancy",
    edits: [
      edit(
        "lease/timed-tenancy.ts",
        '        this.#noteTrouble(end.error);\n        return "failed";',
        '        this.#end(this.#belief.lost("expired", "denied"));\n        return "failed";',
      ),
    ],
    tests: [TENANCY],
  },
  {
    id: "H4-own-nonce-forgotten",
    breaks: "H4: after many failed writes the nonce that proves the record is forgotten",
    edits: [
      edit("lease/timed-tenancy.ts", "    this.#lease.written.add(this.#confirmed.record.holderNonce, this.#confirmed.firstSentAt);\n", ""),
    ],
    tests: [TENANCY],
  },
  {
    id: "H4-a-get-each-renewal",
    breaks: "H4: a renewal reads first",
    edits: [
      edit(
        "lease/timed-tenancy.ts",
        "const write = { record: this.#lease.renewal(this.#confirmed.record, this.payload), base: this.#confirmed };",
        "await this.#lease.settings.store.get(this.key);\n    const write = { record: this.#lease.renewal(this.#confirmed.record, this.payload), base: this.#confirmed };",
      ),
    ],
    tests: [TENANCY],
  },
  {
    id: "H5-plain-signal",
    breaks: "H5: `aborted` does not look at the clocks",
    edits: [edit("lease/lease-signal.ts", "    if (!aborted()) check();\n", "")],
    tests: [TENANCY],
  },
  {
    id: "H7-not-renewed-while-stopping",
    breaks: "H7: work that is told to stop is not covered any more",
    edits: [
      edit(
        "lease/timed-tenancy.ts",
        "for (let failures = 0; this.isHeld() && !this.#covered;) {",
        "for (let failures = 0; this.isHeld() && !this.signal.aborted;) {",
      ),
    ],
    tests: [ENDING, STOP],
  },
  {
    id: "H7-freed-when-the-drain-is-over",
    breaks: "H7: work that does not stop in time is released under",
    edits: [
      edit(
        "election/lead.ts",
        'if (message.request.reason === "stopped" || demoted !== undefined) giveUp(error);',
        'if (message.request.reason === "stopped" || demoted !== undefined) giveUp(error);\n          return this.#finish(message.request, demoted);',
      ),
    ],
    tests: [STOP, STEP_DOWN],
  },
  {
    id: "H7-step-down-after-the-run",
    breaks: "H7: a stepDown after WorkNotStoppedError releases under the work",
    edits: [
      edit(
        "election/manager.ts",
        '      stop.removeEventListener("abort", onStop);',
        '      stop.removeEventListener("abort", onStop);\n      this.#leading = undefined;',
      ),
    ],
    tests: [STOP],
  },
  {
    id: "H8-observer-keeps-alive",
    breaks: "H8: an observer keeps the process alive",
    edits: [
      edit(
        "election/observer.ts",
        "await sleep(this.#clock, this.#pollMs, { signal });",
        "await sleep(this.#clock, this.#pollMs, { signal, keepAlive: true });",
      ),
    ],
    tests: [OBSERVE],
  },
  {
    id: "H10-forgotten",
    breaks: "H10: a deletion makes forget which token was the highest",
    edits: [
      edit(
        "lease/observations.ts",
        "    if (this.highest === undefined) {\n      const news",
        "    if (nowMs >= 0) {\n      this.highest = undefined;\n      const news",
      ),
    ],
    tests: [SEEN, CONTEND, MANAGER],
  },
  {
    id: "H10-unbounded",
    breaks: "H10: what is remembered has no bound",
    edits: [edit("lease/observations.ts", "if (this.#views.size > this.#limit) {", "if (this.#views.size > this.#limit + 1e6) {")],
    tests: [SEEN],
  },
  {
    id: "H10-settled-at-once",
    breaks: "H10, W7: one stale read is a regression",
    edits: [edit("lease/observations.ts", "|| nowMs - c.sinceMs < forMs) return undefined;", "|| forMs < 0) return undefined;")],
    tests: [SEEN],
  },
  {
    id: "M-payload-of-the-acquisition-stays",
    breaks: "M: a renewal or a release writes what the acquisition kept for its face, and not what it keeps by now",
    edits: [edit("lease/lease-object.ts", "session: undefined,\n      payload,", "session: undefined,")],
    tests: [ENDING],
  },
  {
    id: "H3-revives",
    breaks: "H3: a renewal that was applied after all revives an ended tenancy",
    edits: [
      edit(
        "lease/timed-tenancy.ts",
        'return this.isHeld() ? this.#takeRenewal(end, write.record) : "failed";',
        "return this.#takeRenewal(end, write.record);",
      ),
      edit(
        "lease/timed-tenancy.ts",
        "if (this.#belief.over !== undefined) return false;",
        "if (remainingMs(this.#deadline, readClocks(this.#lease.settings.store.clock)) <= 0) return false;",
      ),
    ],
    tests: [TENANCY],
  },
];
