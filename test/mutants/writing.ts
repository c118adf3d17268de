/** The rules of the record (R) and of writing (W), broken. */
import { edit, CODEC, SEEN, WRITE, TENANCY, ENDING, CONTEND, type TestedMutant } from "./files.ts";

export const RECORD_AND_WRITING: readonly TestedMutant[] = [
  {
    id: "R1-bytes-change-on-resend",
    breaks: "R1, W3: a resend is another write, under a nonce that nobody remembers",
    edits: [
      edit(
        "lease/deliver.ts",
        "const result = await (baseEtag === undefined ? store.create(key, body, options) : store.replace(key, baseEtag, body, options));",
        'const text = new TextDecoder().decode(body).replace(/"nonce":"[^"]*/, (n) => (attempt === 0 ? n : `${n}.${attempt}`));\n    const bytes = new TextEncoder().encode(text);\n    const result = await (baseEtag === undefined ? store.create(key, bytes, options) : store.replace(key, baseEtag, bytes, options));',
      ),
    ],
    tests: [WRITE],
  },
  {
    id: "R2-not-bumped",
    breaks: "R2: an acquisition keeps the token",
    edits: [edit("lease/lease-object.ts", "fencingToken: (base?.fencingToken ?? 0) + 1,", "fencingToken: base?.fencingToken ?? 1,")],
    tests: [CONTEND, ENDING],
  },
  {
    id: "R2-version-stands-still",
    breaks: "R2: a renewal keeps the version",
    edits: [edit("lease/lease-object.ts", "version: of.version + 1 }", "version: of.version }")],
    tests: [TENANCY],
  },
  {
    id: "R4-dropped-at-acquisition",
    breaks: "R4: an acquisition drops fields of a later version",
    edits: [edit("lease/lease-object.ts", "extra: base?.extra ?? {},", "extra: {},")],
    tests: [ENDING],
  },
  {
    id: "R4-dropped-at-reading",
    breaks: "R4: fields of a later version are not kept",
    edits: [edit("record/codec.ts", "extra: unknownFields(o, KNOWN),", "extra: {},")],
    tests: [CODEC],
  },
  {
    id: "R4-newer-accepted",
    breaks: "R4: a record of a newer format is read as if it were known",
    edits: [edit("record/fields.ts", "if (format > kind.newest)", "if (format > kind.newest + 100)")],
    tests: [CODEC, CONTEND],
  },
  {
    id: "R4-unreadable-is-absent",
    breaks: "R4: an object that can't be read counts as none",
    edits: [
      edit(
        "lease/observations.ts",
        "      if (e instanceof RecordError) return e;",
        "      if (e instanceof RecordError) return this.#noteAbsent(nowMs);",
      ),
    ],
    tests: [SEEN, CONTEND],
  },
  {
    id: "W3-refusal-after-unknown",
    breaks: "W3: a refusal counts as a loss although an earlier attempt was unknown",
    edits: [edit("lease/deliver.ts", "if (!mayLand && !limits.explainRefusal)", "if (!limits.explainRefusal)")],
    tests: [WRITE],
  },
  {
    id: "W3-nonce-not-kept",
    breaks: "W3: nonces are not remembered",
    edits: [edit("lease/write.ts", "      onFirstSend: (at) => written.add(write.record.nonce, at),\n", "")],
    tests: [WRITE, CONTEND],
  },
  {
    id: "W3-gives-up-at-the-first-unknown",
    breaks: "W3: one attempt without an answer ends a write",
    edits: [edit("lease/deliver.ts", "attempt >= (limits.maxAttempts ?? Infinity)", "attempt >= 1")],
    tests: [WRITE, TENANCY],
  },
  {
    id: "W5-no-pacing",
    breaks: "W5: retries follow one another at once",
    edits: [
      edit("lease/deliver.ts", "return askedMs + capMs * (0.5 + store.random.unit() / 2);", "return askedMs * 0;"),
      edit(
        "lease/deliver.ts",
        "return backoffMs(store.random, attempt, Math.min(50, capMs), capMs);",
        "return backoffMs(store.random, attempt, 1, 1);",
      ),
    ],
    tests: [WRITE],
  },
  {
    id: "W5-no-jitter",
    breaks: "W5: all who failed together come back together",
    edits: [edit("clock/wait.ts", "ceiling * (1 - random.unit())", "ceiling")],
    tests: [WRITE],
  },
  {
    id: "W6-create-again-unseen",
    breaks: "W6: a create that was refused is tried again without a look",
    edits: [edit("lease/observations.ts", "    if (etag === undefined) this.absent = false;\n", "")],
    tests: [SEEN],
  },
  {
    id: "W6-create-without-a-look",
    breaks: "W6: a look that failed counts as one that found nothing",
    edits: [
      edit("lease/contend.ts", "        : view.absent\n", "        : view.absent || view.highest === undefined\n"),
      edit("lease/contend.ts", "const next = trouble ?? (safe instanceof", "const next = (safe instanceof"),
    ],
    tests: [CONTEND],
  },
  {
    id: "W7-late-own-answer",
    breaks: "W7: the late answer to a write of one's own hides a later version",
    edits: [
      edit(
        "lease/observations.ts",
        "if (this.highest !== undefined && compareRecords(sighting.record, this.highest) < 0) return;",
        "if (this.highest !== undefined && compareRecords(sighting.record, this.highest) < -1e9) return;",
      ),
    ],
    tests: [SEEN, CONTEND],
  },
  {
    id: "W7-lower-without-refusal",
    breaks: "W7: a lower version is the truth although no CAS on the higher was refused",
    edits: [
      edit("lease/observations.ts", "if (this.current !== undefined && this.refused?.etag !== this.current.etag) return undefined;", ""),
    ],
    tests: [SEEN],
  },
  {
    id: "W9-unproven",
    breaks: "W9: goes on where the proof of the path could not be made",
    edits: [
      edit(
        "lease/contend.ts",
        "const next = trouble ?? (safe instanceof StoreUnavailableError ? safe : decide(lease, verdict, options.notBeforeMs ?? 0));",
        "const next = trouble ?? decide(lease, verdict, options.notBeforeMs ?? 0);",
      ),
    ],
    tests: [CONTEND],
  },
  {
    id: "W2-busy-is-certain",
    breaks: "W2: a 503 counts as not applied",
    edits: [
      edit("lease/deliver.ts", 'mayLand ||= result.kind === "unknown" || !result.certain;', 'mayLand ||= result.kind === "unknown";'),
    ],
    tests: [WRITE],
  },
];
