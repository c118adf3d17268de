/** The deletion of ephemeral keys (rules P) and listings, broken one by one. */
import { edit, type TestedMutant } from "./files.ts";

const EPHEMERAL = "test/locks/ephemeral.test.ts";
const PRUNE = "test/locks/prune.test.ts";
const PRUNABLE = "test/locks/prunable.test.ts";
const LISTING = "test/locks/listing.test.ts";

const TOKENS: readonly TestedMutant[] = [
  {
    id: "P1-first-token-1",
    breaks: "P1: a deleted key begins again at token 1",
    edits: [
      edit(
        "lease/lease-object.ts",
        "this.settings.ephemeral === true ? this.#firstToken() : leastToken;",
        "this.settings.ephemeral === null ? this.#firstToken() : leastToken;",
      ),
    ],
    tests: [EPHEMERAL],
  },
  {
    id: "P1-own-clock",
    breaks: "P1, C4: the first token is the time of the machine that creates the key",
    edits: [
      edit(
        "lease/lease-object.ts",
        "const dateMs = this.view.absence?.dateMs;",
        "const dateMs = this.view.absence?.dateMs && Math.round(this.settings.store.clock.wallMs());",
      ),
    ],
    tests: [EPHEMERAL],
  },
  {
    id: "P1-unfit-times",
    breaks: "P1: tokens are numbered by times that the probe found unfit",
    edits: [
      edit("lease/contend.ts", "if (ephemeral === true && !verdict.storeTime)", "if (ephemeral === undefined && !verdict.storeTime)"),
    ],
    tests: [EPHEMERAL],
  },
  {
    id: "P1-clock-behind-the-tokens",
    breaks: "P1, H10: a key is created although the store's clock is not beyond the tokens that were seen",
    edits: [
      edit(
        "lease/observations.ts",
        "if (this.highest !== undefined && !((absence.dateMs ?? 0) > this.highest.fencingToken)) return false;",
        "",
      ),
    ],
    tests: [EPHEMERAL],
  },
  {
    id: "P1-space-of-plain-locks",
    breaks: "P1: ephemeral locks lie among the plain ones, where a program that does not know of them creates at token 1",
    edits: [
      edit(
        "locks/plain-leases.ts",
        'leaseKey(this.#storePrefix, "ephemeral", bareName(name))',
        'leaseKey(this.#storePrefix, "locks", name)',
      ),
    ],
    tests: [EPHEMERAL],
  },
  {
    id: "P1-name-without-mark",
    breaks: "P1: two locks with tokens that can't be compared are told by one name",
    edits: [
      edit("locks/names.ts", "return ephemeral ? EPHEMERAL_MARK + bareName(name) : name;", "return ephemeral ? bareName(name) : name;"),
    ],
    tests: [EPHEMERAL],
  },
  {
    id: "P2-created-whenever",
    breaks: "P2: a create leaves however long ago its read found nothing",
    edits: [
      edit(
        "lease/contend.ts",
        "write.base === undefined && ephemeral === true && view.absence ?",
        "write.base === undefined && ephemeral === null && view.absence ?",
      ),
    ],
    tests: [EPHEMERAL],
  },
  {
    id: "P2-from-the-reply",
    breaks: "P2: the minute counts from the answer, which may have waited for a process that was stopped",
    edits: [
      edit(
        "lease/look.ts",
        "if (isGone(view, answer, lease.nowMs(), askedAt)) return undefined;",
        "if (isGone(view, answer, lease.nowMs(), askedAt && readClocks(store.clock))) return undefined;",
      ),
    ],
    tests: [EPHEMERAL],
  },
];

const DELETION: readonly TestedMutant[] = [
  {
    id: "P2-young",
    breaks: "P2: a record is deleted within the hour of its release",
    edits: [edit("locks/prunable.ts", "Math.max(olderThanMs, MIN_OLDER_THAN_MS, closedMs)", "Math.max(olderThanMs, closedMs)")],
    tests: [PRUNABLE],
  },
  {
    id: "P2-age-without-the-cut",
    breaks: "P2: the age is taken without the second that stamps are cut to, and their skew",
    edits: [edit("locks/prunable.ts", "closedMs) + 1000 + skewMs;", "closedMs);")],
    tests: [PRUNABLE],
  },
  {
    id: "P2-tokens-ahead",
    breaks: "P2: a record is deleted whose tokens are ahead of the store's clock",
    edits: [edit("locks/prunable.ts", ">= leastAgeMs && clockIsBeyond;", ">= leastAgeMs && (clockIsBeyond || dateMs > 0);")],
    tests: [PRUNABLE, PRUNE],
  },
  {
    id: "P3-not-closed",
    breaks: "P3: a record is deleted that was not closed before",
    edits: [
      edit(
        "locks/prune.ts",
        "const closed = await closedOver(run, seen);",
        "const closed = { etag: seen.etag, firstSentAt: readClocks(run.store.clock), by: closedOver };",
      ),
    ],
    tests: [PRUNE],
  },
  {
    id: "P3-closed-too-shortly",
    breaks: "P3: it is closed for less than a DELETE may be under way",
    edits: [edit("locks/prunable.ts", "export const CLOSED_MS: number = 35 * 60_000;", "export const CLOSED_MS: number = 20 * 60_000;")],
    tests: [PRUNE],
  },
  {
    id: "P3-clocks-of-readers",
    breaks: "P3: readers whose clocks are fast open it early",
    edits: [
      edit("locks/prunable.ts", "Math.ceil(CLOSED_MS * (1 + CLOCK_RATE_ERROR))", "Math.ceil(CLOSED_MS * (1 + 0 * CLOCK_RATE_ERROR))"),
    ],
    tests: [PRUNABLE],
  },
  {
    id: "P3-sent-hours-later",
    breaks: "P3: a pruner that was stopped sends its DELETE when it goes on",
    edits: [
      edit(
        "locks/prune.ts",
        "{ ifMatch: closed.etag, timeoutMs, sendBy }",
        "{ ifMatch: closed.etag, timeoutMs: timeoutMs + 0 * sendBy.wallMs }",
      ),
    ],
    tests: [PRUNE],
  },
  {
    id: "P3-no-condition",
    breaks: "P3: the DELETE does not name the version that was closed",
    edits: [edit("locks/prune.ts", "{ ifMatch: closed.etag, timeoutMs", "{ timeoutMs")],
    tests: [PRUNE],
  },
  {
    id: "P3-closed-for-nothing",
    breaks: "P3: records are closed that could not be deleted",
    edits: [edit("locks/prune.ts", "const how = await run.mayDelete();", "const how = 'by version' as string;")],
    tests: [PRUNE],
  },
  {
    id: "P3-left-closed-by-an-abort",
    breaks: "P3: an abort leaves records closed that were about to be deleted",
    edits: [
      edit(
        "locks/prune.ts",
        "if (closed !== undefined) await deleteClosed",
        "signal.throwIfAborted();\n    if (closed !== undefined) await deleteClosed",
      ),
    ],
    tests: [PRUNE],
  },
  {
    id: "P4-held",
    breaks: "P4: what is held is deleted when it is old",
    edits: [
      edit(
        "locks/prunable.ts",
        'lastModifiedMs === undefined || record.state !== "released") return false;',
        "lastModifiedMs === undefined || record.session !== undefined) return false;",
      ),
    ],
    tests: [PRUNABLE, PRUNE],
  },
  {
    id: "P4-flagged-or-unknown",
    breaks: "P4: what this version does not know the meaning of is deleted",
    edits: [
      edit(
        "locks/prunable.ts",
        "if (record.flag !== undefined || record.payload !== undefined || Object.keys(record.extra).length > 0) return false;",
        "",
      ),
    ],
    tests: [PRUNABLE, PRUNE],
  },
  {
    id: "P4-closed-by-its-user",
    breaks: "P4, C6: a minimum hold or a lock delay ends with a deletion",
    edits: [
      edit(
        "locks/prunable.ts",
        "Math.max(olderThanMs, MIN_OLDER_THAN_MS, closedMs)",
        "Math.max(olderThanMs, MIN_OLDER_THAN_MS, 0 * closedMs)",
      ),
    ],
    tests: [PRUNABLE, PRUNE],
  },
];

const LISTINGS: readonly TestedMutant[] = [
  {
    id: "list-passes-over-in-silence",
    breaks: "a listing tells of each object that is no record",
    edits: [edit("locks/listing.ts", "onUnreadable(e);", "void onUnreadable;")],
    tests: [LISTING],
  },
  {
    id: "list-reads-all-again",
    breaks: "a listing reads only what has changed since the last one",
    edits: [edit("locks/listing.ts", "seen.note(key, view.current);", "void seen;")],
    tests: [LISTING],
  },
  {
    id: "list-pushes-out",
    breaks: "a listing of many does not push out what leases know of their keys",
    edits: [edit("locks/listing.ts", "observationsOf(store).peek(key) ?? new KeyView(key)", "observationsOf(store).view(key)")],
    tests: [LISTING],
  },
  {
    id: "list-a-look-for-each-lock",
    breaks: "a listing looks at a session once for all its locks",
    edits: [edit("lease/member-looks.ts", "this.#looks.set(member.key, looking);", "")],
    tests: [LISTING],
  },
];

export const PRUNING: readonly TestedMutant[] = [...TOKENS, ...DELETION, ...LISTINGS];
