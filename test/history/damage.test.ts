import { describe, expect, test } from "vitest";
import { checkHistory, formatContradiction, type Contradiction } from "../../src/testing/history/index.ts";
import { type Damage, DAMAGES } from "./damage.ts";
import { randomOf } from "../support/random.ts";
import { generate } from "./generate.ts";

const SEEDS = 300;

interface Found {
  readonly damaged: number;
  readonly found: readonly Contradiction[];
}

function damageMany(damage: Damage): Found {
  const found: Contradiction[] = [];
  let damaged = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = randomOf(seed * 7919);
    const history = generate({ seed, clients: 3, requests: 40, trouble: 0.15 });
    const lines = damage.do(history, (from) => from[Math.floor(random() * from.length)]);
    if (lines === undefined) continue;
    damaged++;
    const { contradictions } = checkHistory(lines);
    const named = contradictions.find((c) => damage.kinds.includes(c.kind));
    if (named === undefined)
      throw new Error(
        `seed ${seed}: "${damage.name}" was not found; ${contradictions.map(formatContradiction).join("\n") || "nothing was"}`,
      );
    found.push(named);
  }
  return { damaged, found };
}

describe.each(DAMAGES)("$name", (damage) => {
  test("is found each time, with as few lines as it takes", () => {
    const { damaged, found } = damageMany(damage);
    // The damage fits into enough of the histories for the rest to mean something.
    expect(damaged).toBeGreaterThan(20);
    if (damage.byAbsence === true) return;
    for (const contradiction of found) {
      // What rests on the time of a write of unknown fate rests on an absence: that it was not sent before.
      if (contradiction.lines.some((line) => line.type === "attempt" && line.kind !== "read" && line.outcome === "unknown")) continue;
      const stillThere = (lines: Contradiction["lines"]): boolean =>
        checkHistory(lines, { complete: false }).contradictions.some((c) => c.kind === contradiction.kind);
      expect(stillThere(contradiction.lines), formatContradiction(contradiction)).toBe(true);
      for (const line of contradiction.lines) {
        const rest = contradiction.lines.filter((other) => other !== line);
        expect(stillThere(rest), `one line is too many in\n${formatContradiction(contradiction)}`).toBe(false);
      }
    }
  });
});

test("a contradiction reads as a sentence and its lines", () => {
  const write = { type: "attempt", key: "k", kind: "replace", condition: '"e1"', client: "a", status: 200, outcome: "applied" } as const;
  const { contradictions } = checkHistory([
    {
      type: "attempt",
      key: "k",
      kind: "create",
      outcome: "applied",
      etag: '"e1"',
      nonce: "n1",
      fencingToken: 1,
      state: "held",
      sentMs: 90,
      answeredMs: 95,
      line: 1,
    },
    { ...write, etag: '"e2"', nonce: "n2", fencingToken: 2, sentMs: 100, answeredMs: 102.5, line: 3 },
    { ...write, etag: '"e3"', nonce: "n3", fencingToken: 2, client: "b", sentMs: 101, answeredMs: 103, line: 4 },
  ]);
  expect(contradictions.map(formatContradiction)).toEqual([
    [
      `two-writes-on-one-version at "k": these two writes both replaced the same version: the store's conditions are not atomic, or did not reach it`,
      `  line 3      +0.000 to +2.500 ms  a: replace if e1 → applied (200): e2, nonce n2, token 2`,
      `  line 4      +1.000 to +3.000 ms  b: replace if e1 → applied (200): e3, nonce n3, token 2`,
    ].join("\n"),
  ]);
});
