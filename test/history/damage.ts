/** One kind of damage each, done to a good history: what a broken store, a broken protocol or a broken resource would have left behind. */
import type { Attempt, Belief, ContradictionKind, FencedWrite, HistoryLine } from "../../src/testing/history/index.ts";
import type { Generated } from "./generate.ts";

export interface Damage {
  readonly name: string;
  /** What the checker may call it. */
  readonly kinds: readonly ContradictionKind[];
  /** Whether its proof is an absence: then the lines alone, called incomplete, contradict nothing. */
  readonly byAbsence?: boolean;
  /** `undefined` where this history has no place for it. */
  do(history: Generated, pick: <T>(from: readonly T[]) => T | undefined): readonly HistoryLine[] | undefined;
}

type Applied = Attempt & { readonly etag: string; readonly answeredMs: number };

const isApplied = (a: Attempt): a is Applied => a.outcome === "applied";

function withAttempts(history: Generated, attempts: readonly Attempt[]): readonly HistoryLine[] {
  return [...attempts, ...history.beliefs, ...history.fenced];
}

function swap(history: Generated, old: Attempt, ...by: readonly Attempt[]): readonly HistoryLine[] {
  return withAttempts(history, [...history.attempts.filter((a) => a !== old), ...by]);
}

/** What was certainly current between two answers: the versions in order, each with the write that made it. */
function applied(history: Generated): Applied[] {
  return history.attempts.filter(isApplied).sort((a, b) => a.answeredMs - b.answeredMs);
}

const parent = (a: Attempt): string | undefined => (a.kind === "create" ? undefined : a.condition);

export const DAMAGES: readonly Damage[] = [
  {
    name: "a store that ignores If-Match: a refused replace of a replaced version is applied",
    kinds: ["two-writes-on-one-version", "phantom-version"],
    do(history, pick) {
      const parents = new Set(applied(history).map(parent));
      const refused = pick(history.attempts.filter((a) => a.outcome === "refused" && parents.has(parent(a))));
      return refused && swap(history, refused, { ...refused, outcome: "applied", etag: '"forced"', nonce: "forced" });
    },
  },
  {
    name: "check-then-write: two writes at the same time, both applied",
    kinds: ["two-writes-on-one-version"],
    do(history, pick) {
      const write = pick(applied(history));
      return write && withAttempts(history, [...history.attempts, { ...write, client: "twin", etag: '"twin"', nonce: "twin" }]);
    },
  },
  {
    name: "a cache: a read gives a version that was replaced before it was sent",
    kinds: ["stale-read"],
    do(history, pick) {
      const writes = applied(history);
      // Not a read that alone shows that a write of unknown fate was carried out.
      const reads = history.attempts.filter((a) => a.outcome === "found" && writes.some((w) => w.etag === a.etag));
      const read = pick(reads.filter((r) => writes.some((w) => w.answeredMs < r.sentMs && parent(w) !== undefined)));
      const replaced = read && pick(writes.filter((w) => w.answeredMs < read.sentMs && parent(w) !== undefined));
      if (read === undefined || replaced === undefined) return undefined;
      return swap(history, read, {
        ...read,
        etag: parent(replaced),
        nonce: undefined,
        fencingToken: undefined,
        state: undefined,
        instance: undefined,
      });
    },
  },
  {
    name: "a 304 for a version that was replaced",
    kinds: ["stale-read"],
    do(history, pick) {
      const replaced = pick(applied(history).filter((w) => parent(w) !== undefined));
      if (replaced === undefined) return undefined;
      const sentMs = replaced.answeredMs + 1;
      const read: Attempt = {
        type: "attempt",
        key: replaced.key,
        kind: "read",
        outcome: "not-modified",
        condition: parent(replaced),
        sentMs,
        answeredMs: sentMs + 1,
      };
      return withAttempts(history, [...history.attempts, read]);
    },
  },
  {
    name: "an acknowledged object that is gone: a read finds nothing",
    kinds: ["stale-read"],
    do(history, pick) {
      const write = pick(applied(history));
      if (write === undefined) return undefined;
      const sentMs = write.answeredMs + 1;
      return withAttempts(history, [
        ...history.attempts,
        { type: "attempt", key: write.key, kind: "read", outcome: "absent", sentMs, answeredMs: sentMs + 1 },
      ]);
    },
  },
  {
    name: "a false 412: refused while its version was there",
    kinds: ["false-refusal"],
    do(history, pick) {
      const sights = history.attempts.filter((a) => a.outcome === "found" && a.answeredMs !== undefined);
      const pairs = sights.flatMap((a) =>
        sights.filter((b) => a.etag === b.etag && b.sentMs - (a.answeredMs as number) > 0.3).map((b) => [a, b] as const),
      );
      const pair = pick(pairs);
      if (pair === undefined) return undefined;
      const [a, b] = pair;
      const sentMs = (a.answeredMs as number) + 0.1;
      const refused: Attempt = {
        type: "attempt",
        key: a.key,
        kind: "replace",
        outcome: "refused",
        condition: a.etag,
        client: "wronged",
        sentMs,
        answeredMs: b.sentMs - 0.1,
      };
      return withAttempts(history, [...history.attempts, refused]);
    },
  },
  {
    name: "a 412 at the end, for a version that nobody replaced",
    kinds: ["false-refusal"],
    byAbsence: true,
    do(history) {
      const last = applied(history).at(-1);
      if (last === undefined || history.attempts.some((a) => a.outcome === "unknown" && parent(a) === last.etag)) return undefined;
      const sentMs = 1 + Math.max(...history.attempts.map((a) => a.answeredMs ?? a.sentMs));
      const refused: Attempt = {
        type: "attempt",
        key: last.key,
        kind: "replace",
        outcome: "refused",
        condition: last.etag,
        sentMs,
        answeredMs: sentMs + 1,
      };
      // Only if a write of unknown fate did not come after it.
      if (history.attempts.some((a) => a.outcome === "unknown")) return undefined;
      return withAttempts(history, [...history.attempts, refused]);
    },
  },
  {
    name: "an effect before its cause: a version is seen before its write is sent",
    kinds: ["against-real-time", "stale-read", "false-refusal"],
    do(history, pick) {
      const seenAt = (etag: string): number =>
        Math.min(...history.attempts.filter((a) => a.outcome === "found" && a.etag === etag).map((a) => a.answeredMs ?? Infinity));
      const write = pick(applied(history).filter((w) => seenAt(w.etag) < Infinity));
      if (write === undefined) return undefined;
      const sentMs = seenAt(write.etag) + 1;
      return swap(history, write, { ...write, sentMs, answeredMs: sentMs + 2 });
    },
  },
  {
    name: "a write from nowhere",
    kinds: ["phantom-version"],
    byAbsence: true,
    do(history, pick) {
      const read = pick(history.attempts.filter((a) => a.outcome === "found"));
      return read && swap(history, read, { ...read, etag: '"nowhere"', nonce: "nowhere" });
    },
  },
  {
    name: "one ETag for two writes",
    kinds: ["ambiguous-version"],
    do(history, pick) {
      const writes = applied(history);
      const [first] = writes;
      const other = pick(writes.slice(2));
      return first && other && swap(history, other, { ...other, etag: first.etag });
    },
  },
  {
    name: "a token that falls",
    kinds: ["token-order"],
    do(history, pick) {
      const write = pick(applied(history).filter((w) => parent(w) !== undefined && (w.fencingToken ?? 0) > 1));
      return write && swap(history, write, { ...write, fencingToken: 0 });
    },
  },
  {
    name: "a token that jumps",
    kinds: ["token-order"],
    do(history, pick) {
      const write = pick(applied(history).filter((w) => parent(w) !== undefined));
      return write && swap(history, write, { ...write, fencingToken: (write.fencingToken ?? 0) + 7 });
    },
  },
  {
    name: "an acquisition that keeps the token",
    kinds: ["token-order"],
    do(history, pick) {
      const writes = applied(history);
      const byEtag = new Map(writes.map((w) => [w.etag, w]));
      const taken = pick(writes.filter((w) => (byEtag.get(parent(w) ?? "")?.fencingToken ?? Infinity) < (w.fencingToken ?? 0)));
      return taken && swap(history, taken, { ...taken, fencingToken: (taken.fencingToken as number) - 1 });
    },
  },
  {
    name: "two nodes believe at the same time",
    kinds: ["beliefs-overlap"],
    do(history, pick) {
      const { beliefs } = history;
      const first = pick(beliefs.slice(0, -1));
      const next = first && beliefs[beliefs.indexOf(first) + 1];
      return first && next && withBeliefs(history, first, { ...first, toMs: next.fromMs + 0.5 });
    },
  },
  {
    name: "a belief that comes back with its old token",
    kinds: ["belief-token-order"],
    do(history, pick) {
      const old = pick(history.beliefs.slice(0, -1));
      const last = history.beliefs.at(-1);
      return old && last && [...history.attempts, ...history.beliefs, { ...old, fromMs: last.toMs + 1, toMs: last.toMs + 2 }];
    },
  },
  {
    name: "a belief in a token that was never acquired",
    kinds: ["belief-without-write"],
    byAbsence: true,
    do(history) {
      const last = history.beliefs.at(-1);
      return last && withBeliefs(history, last, { ...last, fencingToken: last.fencingToken + 50 });
    },
  },
  {
    name: "a resource that accepts an older token",
    kinds: ["fencing"],
    do(history, pick) {
      const refused = pick(history.fenced.filter((write) => !write.accepted));
      return refused && withFenced(history, refused, { ...refused, accepted: true });
    },
  },
  {
    name: "a resource that refuses the newest token",
    kinds: ["fencing"],
    byAbsence: true,
    do(history, pick) {
      const accepted = pick(history.fenced.slice(1).filter((write) => write.accepted));
      return accepted && withFenced(history, accepted, { ...accepted, accepted: false });
    },
  },
];

function withBeliefs(history: Generated, old: Belief, by: Belief): readonly HistoryLine[] {
  return [...history.attempts, ...history.beliefs.map((belief) => (belief === old ? by : belief)), ...history.fenced];
}

function withFenced(history: Generated, old: FencedWrite, by: FencedWrite): readonly HistoryLine[] {
  return [...history.attempts, ...history.beliefs, ...history.fenced.map((write) => (write === old ? by : write))];
}
