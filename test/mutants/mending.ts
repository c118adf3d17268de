/** The way out of a damaged, unwritable or rolled-back key, taken carelessly. */
import { edit, type TestedMutant } from "./files.ts";

const MEND = "test/lease/mend.test.ts";
const REMAINS = "test/lease/remains.test.ts";
const SESSION_MEND = "test/session/mend.test.ts";

export const MENDING: readonly TestedMutant[] = [
  {
    id: "mend-without-a-watch",
    breaks: "W6: a key is written anew while somebody may still believe in it",
    edits: [edit("lease/mend.ts", "store.clock.monotonicMs() - sinceMs >= forMs", "forMs > 0")],
    tests: [MEND],
  },
  {
    id: "mend-create-first",
    breaks: "W1, W6: a create, without asking whether the version that was seen can be replaced",
    edits: [
      edit(
        "lease/mend.ts",
        "let end = await send(store, key, record, seen, seen?.etag);",
        "let end = await send(store, key, record, seen, undefined);",
      ),
    ],
    tests: [MEND],
  },
  {
    id: "mend-create-over-the-unknown",
    breaks: "W3, W6: a create while the replacement may still land",
    edits: [edit("lease/mend.ts", 'end.kind === "undecided" && !end.mayLand && end.error === undefined)', 'end.kind === "undecided")')],
    tests: [MEND],
  },
  {
    id: "mend-over-a-change",
    breaks: "O1: what somebody wrote meanwhile is written over",
    edits: [edit("lease/mend.ts", 'if (typeof sight === "object") return sight;', "")],
    tests: [MEND],
  },
  {
    id: "mend-stale-is-change",
    breaks: "W7: an older version that a read shows counts as a change, and a key in doubt is never mended",
    edits: [edit("lease/mend.ts", 'compareRecords(record, known) < 0) return "stale";', 'false) return "stale";')],
    tests: [MEND],
  },
  {
    id: "mend-without-a-copy",
    breaks: "bad input loses nothing: what stood there is gone",
    edits: [edit("lease/mend.ts", "if (seen !== undefined) await o.keep?.(seen.body);", "")],
    tests: [MEND],
  },
  {
    id: "mend-forgets-the-record",
    breaks: "R4: fields of a later version, and what the face keeps, end with the repair",
    edits: [edit("lease/mend.ts", "extra: record?.extra ?? {},", "extra: {},")],
    tests: [MEND],
  },
  {
    id: "mend-under-a-living-session",
    breaks: "S15: a lock is freed while the session that holds it believes",
    edits: [edit("lease/mend.ts", "for (const session of sessions) {", "for (const session of sessions.slice(0, 0)) {")],
    tests: [SESSION_MEND],
  },
  {
    id: "mend-dead-session-not-ended",
    breaks: "S7: a lock is freed of a dead session that was not ended in the store",
    edits: [
      edit(
        "lease/mend.ts",
        "if (nowMs - seen.sinceMs < watchMs(seen.record)) continue;",
        "if (nowMs - seen.sinceMs < watchMs(seen.record)) continue;\n    open = false;\n    if (!open) continue;",
      ),
    ],
    tests: [SESSION_MEND],
  },
  {
    id: "remains-of-a-cut-number",
    breaks: "a token that was cut in the middle is taken for a whole one",
    edits: [edit("lease/remains.ts", "(\\\\d{1,16})\\\\s*[,}\\\\]]`", "(\\\\d{1,16})`")],
    tests: [REMAINS],
  },
  {
    id: "remains-of-a-newer-version",
    breaks: "R4: what a newer version wrote and was torn is repaired by an older one",
    edits: [edit("lease/remains.ts", 'newer: newer || (number("format", MAX_TOKEN) ?? 0) > RECORD_FORMAT,', "newer,")],
    tests: [REMAINS],
  },
  {
    id: "remains-of-the-newest-alone",
    breaks: "H10: a token that an earlier version names is given out again",
    edits: [edit("lease/remains.ts", 'fencingToken: highest("fencingToken"),', "fencingToken: parts[0]?.fencingToken,")],
    tests: [REMAINS],
  },
  {
    id: "regression-without-a-way-out",
    breaks: "H10: who refuses to go on does not say how life goes on",
    edits: [
      edit("record/way-out.ts", 'return text === undefined ? "" : `. The way out: ${text}`;', 'return text === undefined ? "" : "";'),
    ],
    tests: [MEND],
  },
];
