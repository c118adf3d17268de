/** The rules of fenced objects (F), and those of the record and of writing where they bear on a pointer, broken. */
import { BAR, BODIES, edit, FENCED, POINTER, type TestedMutant } from "./files.ts";

export const FENCING: readonly TestedMutant[] = [
  {
    id: "F1-open-changes-no-bytes",
    breaks: "F1: an open with an unchanged body writes the same bytes, as if the token stood in metadata",
    edits: [
      edit(
        "fencing/bar.ts",
        "const replaced = base !== undefined",
        "if (base?.content === content) return base;\n  const replaced = base !== undefined",
      ),
    ],
    tests: [BAR, FENCED],
  },
  {
    id: "F1-nonce-kept",
    breaks: "F1, R1: a write keeps the nonce of the one before",
    edits: [edit("fencing/bar.ts", "nonce: by.nonce,", "nonce: base?.nonce ?? by.nonce,")],
    tests: [BAR, FENCED],
  },
  {
    id: "F2-lower-token-accepted",
    breaks: "F2: an older token may write",
    edits: [edit("fencing/bar.ts", "if (seen.fencingToken <= mine.fencingToken) return;", "if (mine.fencingToken > 0) return;")],
    tests: [BAR, FENCED],
  },
  {
    id: "F2-equal-token-refused",
    breaks: "F2: a tenancy may write once only",
    edits: [
      edit("fencing/bar.ts", "if (seen.fencingToken <= mine.fencingToken) return;", "if (seen.fencingToken < mine.fencingToken) return;"),
    ],
    tests: [BAR, FENCED],
  },
  {
    id: "F2-bar-checked-once",
    breaks: "F2: what got in between is written over, whatever its token",
    edits: [
      edit(
        "fencing/fenced-object.ts",
        "for (let round = 0; ; round++) {\n      checkBar(this.name, base?.pointer, call.fence);",
        "for (let round = 0; ; round++) {\n      if (round === 0) checkBar(this.name, base?.pointer, call.fence);",
      ),
    ],
    tests: [FENCED],
  },
  {
    id: "F3-any-lease",
    breaks: "F3: tokens of two leases are compared",
    edits: [edit("fencing/bar.ts", "if (seen.leaseKey !== mine.key)", 'if (mine.key === "")')],
    tests: [BAR, FENCED],
  },
  {
    id: "F4-asked-at-the-door-alone",
    breaks: "F4: the lease is not asked before each request that writes",
    edits: [edit("fencing/fenced-object.ts", "return { ...checked, signal,", "return { ...checked, beforeSend: () => {}, signal,")],
    tests: [FENCED],
  },
  {
    id: "F5-taken-back-while-it-may-land",
    breaks: "F5: the body of a write whose fate is not known is deleted",
    edits: [edit("fencing/fenced-object.ts", "if (!(error instanceof FencedOutError)) throw error;", "")],
    tests: [BODIES],
  },
  {
    id: "F5-taken-back-though-named",
    breaks:
      "F5: a body is deleted that the pointer names, because the write that named it had no reply and its nonce is gone from the pointer",
    edits: [
      edit(
        "fencing/fenced-object.ts",
        "if (newest !== undefined && namedBodies(newest.pointer).has(sent.name)) return;",
        'if (newest === undefined && sent.name === "") return;',
      ),
    ],
    tests: [BODIES],
  },
  {
    id: "F5-replaced-body-deleted-at-once",
    breaks: "F5: the body that was replaced is deleted under its readers",
    edits: [
      edit(
        "fencing/fenced-object.ts",
        "const dropped = base?.pointer.kept;",
        'const dropped = base?.pointer.content.kind === "object" ? base.pointer.content.name : undefined;',
      ),
      edit("fencing/fenced-object.ts", "dropped !== undefined && dropped !== pointer.kept", "dropped !== undefined"),
    ],
    tests: [BODIES],
  },
  {
    id: "F5-open-forgets-what-is-kept",
    breaks: "F5: an open loses sight of the body before",
    edits: [edit("fencing/bar.ts", "kept: base?.content === content ? base.kept : replaced,", "kept: replaced,")],
    tests: [BAR, BODIES],
  },
  {
    id: "F5-prune-at-the-bar",
    breaks: "F5: prune deletes bodies of the token at the bar, one of which may be on its way",
    edits: [edit("fencing/bodies.ts", "?? Infinity) < pointer.fencingToken", "?? Infinity) <= pointer.fencingToken")],
    tests: [BODIES],
  },
  {
    id: "F5-prune-takes-the-named",
    breaks: "F5: prune deletes the current body when an earlier token wrote it",
    edits: [edit("fencing/bodies.ts", " && !named.has(name);", ";")],
    tests: [BODIES],
  },
  {
    id: "F6-gone-body-is-final",
    breaks: "F6: a reader whose body went away under its hands does not read the pointer again",
    edits: [edit("fencing/fenced-object.ts", 'if (read.kind !== "absent" || look === LOOKS)', "if (look > 0)")],
    tests: [BODIES],
  },
  {
    id: "F6-size-not-checked",
    breaks: "F6: whatever stands under a body's name is taken for it",
    edits: [edit("fencing/fenced-object.ts", 'read.kind === "found" && read.body.length === content.bytes', 'read.kind === "found"')],
    tests: [BODIES],
  },
  {
    id: "R4-pointer-drops-fields",
    breaks: "R4: a put drops fields of a later version",
    edits: [edit("fencing/bar.ts", "extra: base?.extra ?? {},", "extra: {},")],
    tests: [BAR, FENCED],
  },
  {
    id: "W3-pointer-superseded-is-unknown",
    breaks: "W3: a write that others have written over since counts as refused",
    edits: [
      edit(
        "fencing/bar.ts",
        'if (pointer.before.includes(nonce)) return { kind: "settled", as: { kind: "superseded" }, applied: true };',
        "",
      ),
    ],
    tests: [BAR, FENCED],
  },
  {
    id: "W3-pointer-own-refusal",
    breaks: "W3: a refusal by one's own lost reply is taken for another's write",
    edits: [edit("fencing/bar.ts", 'if (pointer.nonce === nonce) return { kind: "mine", etag };', "")],
    tests: [BAR, FENCED],
  },
  {
    id: "W6-pointer-gone-is-absent",
    breaks: "W6: a pointer that is gone is made anew, with a bar that begins below",
    edits: [
      edit(
        "fencing/fenced-object.ts",
        'if (instead.kind === "gone") throw this.#known.regressed(undefined);',
        'if (instead.kind === "gone") {\n        base = undefined;\n        continue;\n      }',
      ),
    ],
    tests: [FENCED],
  },
  {
    id: "W7-pointer-order-of-sight",
    breaks: "W7: the newest read counts, however old what it shows",
    edits: [
      edit(
        "fencing/known.ts",
        "if (this.newest !== undefined && compareRecords(version.pointer, this.newest.pointer) < 0)",
        "if (this.newest !== undefined && compareRecords(version.pointer, this.newest.pointer) < -1e9)",
      ),
      edit("fencing/bar.ts", "compareRecords(pointer, write.highest) < 0", "compareRecords(pointer, write.highest) < -1e9"),
    ],
    tests: [BAR, FENCED],
  },
  {
    id: "W9-fenced-unproven",
    breaks: "W9: a fenced write goes out before the store is proven",
    edits: [edit("fencing/fenced-object.ts", ", this.#store.ensureSafe({ signal: call.signal })]", "]")],
    tests: [FENCED],
  },
  {
    id: "H10-pointer-forgotten",
    breaks: "H10: a pointer that was deleted is begun anew by a process that knew it",
    edits: [
      edit(
        "fencing/fenced-object.ts",
        "else if (known.newest === undefined) return undefined;",
        "else if (look === LOOKS) return undefined;",
      ),
    ],
    tests: [FENCED],
  },
  {
    id: "F5-body-name-leads-elsewhere",
    breaks: "F5: a damaged pointer may name any key",
    edits: [edit("fencing/pointer.ts", "if (tokenOfBody(value) === undefined) throw", 'if (value === "") throw')],
    tests: [POINTER],
  },
  {
    id: "W3-body-changed-under-way",
    breaks: "W3: every attempt is the same bytes, those at the time of the call",
    edits: [edit("fencing/checks.ts", ": new Uint8Array(body);", ": body;")],
    tests: [FENCED],
  },
];
