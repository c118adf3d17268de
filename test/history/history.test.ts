import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Attempt, checkHistory, formatContradiction, type HistoryVerdict } from "../../src/testing/history/index.ts";
import { bruteForce } from "./brute-force.ts";
import { generate, KEY } from "./generate.ts";

function expectGood(verdict: HistoryVerdict, seed: number): void {
  const [first] = verdict.contradictions;
  if (first !== undefined) throw new Error(`false alarm with seed ${seed}:\n${formatContradiction(first)}`);
}

describe("good histories raise no alarm", () => {
  test("3,000 runs of clients over a network that delays, loses, repeats and holds back", () => {
    let applied = 0;
    let unseen = 0;
    let refused = 0;
    for (let seed = 1; seed <= 3000; seed++) {
      const { attempts, beliefs, fenced } = generate({ seed, clients: 1 + (seed % 5), trouble: (seed % 7) / 10 });
      const verdict = checkHistory([...attempts, ...beliefs, ...fenced]);
      expectGood(verdict, seed);
      applied += verdict.counts.appliedWrites;
      unseen += verdict.counts.unseenWrites;
      refused += attempts.filter((a) => a.outcome === "refused").length;
    }
    // The runs had in them what the checker is for.
    expect(applied).toBeGreaterThan(10_000);
    expect(unseen).toBeGreaterThan(1000);
    expect(refused).toBeGreaterThan(3000);
  });

  test("1,000 runs in which somebody from outside overwrites and deletes", () => {
    let cuts = 0;
    for (let seed = 1; seed <= 1000; seed++) {
      const { attempts } = generate({ seed, clients: 3, interventions: 1 + (seed % 3), trouble: 0.2 });
      cuts += attempts.filter((a) => a.kind === "overwrite" || a.kind === "delete").length;
      expectGood(checkHistory(attempts), seed);
    }
    expect(cuts).toBeGreaterThan(1000);
  });

  test("what a history lacks is no contradiction when it is called incomplete", () => {
    for (let seed = 1; seed <= 1500; seed++) {
      const { attempts } = generate({ seed, trouble: (seed % 7) / 10 });
      const some = attempts.filter((_, i) => (i * 7 + seed) % 3 !== 0);
      const verdict = checkHistory(some, { complete: false });
      expectGood(verdict, seed);
    }
  });

  test("an incomplete history may lack the sending that carried a write out, and have a later one", () => {
    const c = { type: "attempt", key: KEY } as const;
    const lines: Attempt[] = [
      { ...c, kind: "create", outcome: "applied", etag: "e0", nonce: "n0", sentMs: 0, answeredMs: 5 },
      { ...c, kind: "read", outcome: "found", etag: "e1", nonce: "n1", sentMs: 10, answeredMs: 15 },
      { ...c, kind: "replace", condition: "e0", outcome: "unknown", nonce: "n1", status: 503, sentMs: 20, answeredMs: 25 },
    ];
    expectGood(checkHistory(lines, { complete: false }), 0);
    const [found] = checkHistory(lines).contradictions;
    expect(found?.kind).toBe("against-real-time");
    // As it was given, with its answer.
    expect(found?.lines).toContain(lines[2]);
  });

  test("interventions without an answer keep their times, in an incomplete history, too", () => {
    const c = { type: "attempt", key: KEY } as const;
    const lines: Attempt[] = [
      { ...c, kind: "delete", outcome: "applied", sentMs: 0, answeredMs: 5 },
      { ...c, kind: "overwrite", outcome: "unknown", etag: "x", sentMs: 20 },
      { ...c, kind: "read", outcome: "found", etag: "x", sentMs: 30, answeredMs: 35 },
    ];
    for (const complete of [true, false]) expectGood(checkHistory(lines, { complete }), 0);
  });

  test("3,000 runs with outsiders in which many moments touch", () => {
    for (let seed = 1; seed <= 3000; seed++) {
      const { attempts } = generate({ seed, clients: 3, interventions: 1 + (seed % 3), trouble: 0.4 });
      expectGood(checkHistory(attempts.map((a) => coarse(a, 3))), seed);
    }
  });

  test("a write under way during an intervention may be on either side of it, whatever became of others", () => {
    const c = { type: "attempt", key: KEY } as const;
    const verdict = checkHistory([
      { ...c, kind: "create", outcome: "unknown", nonce: "n0", sentMs: 10, answeredMs: 20 },
      { ...c, kind: "read", outcome: "found", etag: "e0", nonce: "n0", sentMs: 22, answeredMs: 24 },
      { ...c, kind: "delete", outcome: "applied", sentMs: 30, answeredMs: 40 },
      { ...c, kind: "create", outcome: "applied", etag: "e1", nonce: "n1", sentMs: 35, answeredMs: 45 },
      { ...c, kind: "overwrite", outcome: "applied", etag: "x", nonce: "x", sentMs: 50, answeredMs: 60 },
    ]);
    expectGood(verdict, 0);
  });
});

/** A clock of fewer digits: a moment that was before another is before it, or the same. */
function coarse(a: Attempt, tickMs: number): Attempt {
  const cut = (ms: number): number => Math.floor(ms / tickMs) * tickMs;
  return { ...a, sentMs: cut(a.sentMs), answeredMs: a.answeredMs === undefined ? undefined : cut(a.answeredMs) };
}

describe("100,000 attempts take seconds, not minutes", () => {
  function long(): Attempt[] {
    const attempts: Attempt[] = [];
    for (let i = 0; i < 50_000; i++) {
      const [sentMs, etag] = [i * 10, `e${i}`];
      const write = i === 0 ? ({ kind: "create" } as const) : ({ kind: "replace", condition: `e${i - 1}` } as const);
      attempts.push({ type: "attempt", key: KEY, ...write, outcome: "applied", etag, sentMs, answeredMs: sentMs + 5 });
      attempts.push({ type: "attempt", key: KEY, kind: "read", outcome: "found", etag, sentMs: sentMs + 2, answeredMs: sentMs + 8 });
    }
    return attempts;
  }

  function timed(attempts: readonly Attempt[]): HistoryVerdict {
    const startedMs = performance.now();
    const verdict = checkHistory(attempts);
    expect(performance.now() - startedMs).toBeLessThan(15_000);
    return verdict;
  }

  test("when all is well", () => {
    expect(timed(long()).ok).toBe(true);
  });

  test("when the last of them read what was replaced long ago", () => {
    const attempts = long();
    const last = attempts.at(-1) as Attempt;
    const { contradictions } = timed([...attempts.slice(0, -1), { ...last, etag: "e20000" }]);
    expect(contradictions.map(({ kind, lines }) => [kind, lines.length])).toEqual([["stale-read", 2]]);
  });
});

describe("the fast check agrees with the definition", () => {
  const etags = ["e1", "e2", "e3"] as const;
  const time = fc.integer({ min: 0, max: 12 });
  const attempt = fc
    .record({
      what: fc.integer({ min: 0, max: 8 }),
      etag: fc.constantFrom(...etags),
      condition: fc.constantFrom(...etags),
      a: time,
      b: time,
    })
    .map(({ what, etag, condition, a, b }): Attempt => {
      const times = { sentMs: Math.min(a, b), answeredMs: Math.max(a, b) };
      const of = (fields: Pick<Attempt, "kind" | "outcome"> & Partial<Attempt>): Attempt => ({
        type: "attempt",
        key: KEY,
        ...fields,
        ...times,
      });
      switch (what) {
        case 0:
          return of({ kind: "create", outcome: "applied", etag });
        case 1:
          return of({ kind: "create", outcome: "refused" });
        case 2:
          return of({ kind: "read", outcome: "absent" });
        case 3:
        case 4:
          return of({ kind: "replace", outcome: "applied", etag, condition });
        case 5:
          return of({ kind: "replace", outcome: "refused", condition });
        case 6:
          return of({ kind: "read", outcome: "not-modified", condition });
        case 7:
          return { ...of({ kind: "replace", outcome: "unknown", etag, condition }), answeredMs: undefined };
        default:
          return of({ kind: "read", outcome: "found", etag });
      }
    });

  /** What the protocol promises and the checker stands on: an ETag names one write, and that one replaces another version. */
  function sane(attempts: readonly Attempt[]): boolean {
    const writes = attempts.filter((a) => (a.outcome === "applied" || a.outcome === "unknown") && a.etag !== undefined);
    const unseen = writes.filter(
      (w) =>
        w.outcome === "unknown" &&
        !attempts.some((a) => a.outcome !== "refused" && (a.condition === w.etag || (a !== w && a.etag === w.etag))),
    );
    return (
      new Set(writes.map((a) => a.etag)).size === writes.length &&
      writes.every((a) => a.etag !== a.condition) &&
      // Nobody can name the ETag of a version that nobody has seen.
      !attempts.some((a) => a.outcome === "refused" && unseen.some((w) => w.etag === a.condition))
    );
  }

  test("on small random histories, good and bad", () => {
    const seen = { good: 0, bad: 0 };
    fc.assert(
      fc.property(fc.array(attempt, { minLength: 2, maxLength: 7 }), (attempts) => {
        fc.pre(sane(attempts));
        const good = bruteForce(attempts);
        seen[good ? "good" : "bad"]++;
        const verdict = checkHistory(attempts);
        if (verdict.ok !== good)
          throw new Error(
            `the definition says ${good ? "good" : "bad"}, the checker says ${JSON.stringify(verdict.contradictions, undefined, 1)}`,
          );
      }),
      { numRuns: 15_000, seed: 4 },
    );
    expect(seen.good).toBeGreaterThan(1000);
    expect(seen.bad).toBeGreaterThan(1000);
  });

  test("on pieces of generated histories in which one thing was changed", () => {
    const seen = { good: 0, bad: 0 };
    for (let seed = 1; seed <= 1500; seed++) {
      const { attempts } = generate({ seed, clients: 3, requests: 9, trouble: 0.4 });
      const named = attempts.map((a) => ({ ...a, etag: a.etag ?? (a.nonce === undefined ? undefined : `"e${a.nonce.slice(5)}"`) }));
      const i = seed % named.length;
      const changed = named.map((a, j): Attempt => (j !== i ? a : change(a, named[(i * 3 + 1) % named.length] as Attempt, seed)));
      const writes = changed.filter((a) => a.outcome === "applied" || a.outcome === "unknown");
      // A request that arrived twice has one ETag twice; the definition above has no notion of a resend.
      if (new Set(writes.map((a) => a.etag)).size < writes.length) continue;
      const good = bruteForce(changed);
      seen[good ? "good" : "bad"]++;
      const verdict = checkHistory(changed);
      const kinds = verdict.contradictions.filter((c) => c.kind !== "token-order");
      if ((kinds.length === 0) !== good)
        throw new Error(`seed ${seed}: the definition says ${good ? "good" : "bad"}; ${JSON.stringify({ kinds, changed }, undefined, 1)}`);
    }
    expect(seen.good).toBeGreaterThan(200);
    expect(seen.bad).toBeGreaterThan(200);
  });

  function change(a: Attempt, other: Attempt, seed: number): Attempt {
    if (seed % 3 === 0 && a.outcome === "found" && other.etag !== undefined) return { ...a, etag: other.etag, nonce: other.nonce };
    if (seed % 3 === 1 && a.outcome === "applied") return { ...a, outcome: "refused", etag: undefined };
    if (a.answeredMs === undefined) return a;
    const lengthMs = a.answeredMs - a.sentMs;
    return { ...a, sentMs: other.sentMs, answeredMs: other.sentMs + lengthMs };
  }
});
