import { type Chain, withWitnesses } from "./chain.ts";
import type { Contradiction } from "./contradiction.ts";
import { ABSENT, endOf, type VersionNames } from "./epochs.ts";
import type { Attempt } from "./line.ts";

/**
 * A line with its place in the chain: the write that made version i stands at 2i − 1, what saw version i at 2i. A lower place comes before a
 * higher one; reads at one place have no order.
 */
interface Placed {
  readonly attempt: Attempt;
  readonly place: number;
}

/**
 * Compares the order of the versions with real time. They contradict each other exactly when some line had its answer before another was sent,
 * and stands at a higher place. One pass over the places with the latest sending so far finds whether there is such a pair.
 */
export function checkOrder(key: string, chain: Chain, attempts: readonly Attempt[], names: VersionNames): Contradiction | undefined {
  const byPlace = placeAll(chain, attempts, names);
  let latestBelow = -Infinity;
  let latestHere = -Infinity;
  let place = -Infinity;
  for (const { attempt, place: here } of byPlace) {
    if (here > place) {
      latestBelow = Math.max(latestBelow, latestHere);
      latestHere = -Infinity;
      place = here;
    }
    if (endOf(attempt) < latestBelow) return closestPair(key, chain, byPlace);
    latestHere = Math.max(latestHere, attempt.sentMs);
  }
  return undefined;
}

export function placeAll(chain: Chain, attempts: readonly Attempt[], names: VersionNames): Placed[] {
  const indexOf = new Map(chain.versions.map((version, i) => [version, i]));
  const placed: Placed[] = chain.steps.flatMap((attempt, i) => (attempt === undefined ? [] : [{ attempt, place: 2 * i - 1 }]));
  for (const attempt of attempts) {
    const version =
      attempt.outcome === "found"
        ? names.of(attempt)
        : attempt.outcome === "not-modified"
          ? attempt.condition
          : attempt.outcome === "absent"
            ? ABSENT
            : undefined;
    const index = version === undefined ? undefined : indexOf.get(version);
    if (index !== undefined) placed.push({ attempt, place: 2 * index });
  }
  return placed.sort((a, b) => a.place - b.place);
}

/** The contradiction with the fewest versions between its two ends: if a window of some width has one in it, so has every wider one. */
function closestPair(key: string, chain: Chain, byPlace: readonly Placed[]): Contradiction {
  let tooNarrow = 0;
  let wideEnough = 2 * chain.versions.length;
  let best = pairWithin(byPlace, wideEnough);
  while (wideEnough - tooNarrow > 1) {
    const width = Math.floor((tooNarrow + wideEnough) / 2);
    const pair = pairWithin(byPlace, width);
    if (pair === undefined) tooNarrow = width;
    else [wideEnough, best] = [width, pair];
  }
  if (best === undefined) throw new Error("the fast pass and the exact one disagree: this is a defect of the checker");
  return explain(key, chain, best.lower, best.higher);
}

/** Two lines at most so many places apart, of which the higher had its answer before the lower was sent. One pass. */
function pairWithin(byPlace: readonly Placed[], width: number): { readonly lower: Placed; readonly higher: Placed } | undefined {
  // Of the lines below, those that were sent later than all that came after them: the first was sent last of all.
  const below: Placed[] = [];
  let first = 0;
  let entered = 0;
  for (const higher of byPlace) {
    for (; (byPlace[entered] as Placed).place < higher.place; entered++) {
      const lower = byPlace[entered] as Placed;
      while (below.length > first && (below.at(-1) as Placed).attempt.sentMs <= lower.attempt.sentMs) below.pop();
      below.push(lower);
    }
    while (below.length > first && (below[first] as Placed).place < higher.place - width) first++;
    const lower = below[first];
    if (lower !== undefined && endOf(higher.attempt) < lower.attempt.sentMs) return { lower, higher };
  }
  return undefined;
}

function explain(key: string, chain: Chain, lower: Placed, higher: Placed): Contradiction {
  const between: Attempt[] = [];
  for (let place = lower.place + 1; place < higher.place; place++) {
    const step = place % 2 === 0 ? undefined : chain.steps[(place + 1) / 2];
    if (step !== undefined) between.push(step);
  }
  const stale = lower.attempt.kind === "read" || lower.attempt.outcome === "absent";
  const lines = withWitnesses(chain, [lower.attempt, ...between, higher.attempt]);
  const message = stale
    ? "the first line was sent after the last had its answer, yet saw an older version"
    : higher.attempt.kind === "read"
      ? "the last line had its answer before the first was sent, yet saw what came of it"
      : "the last line had its answer before the first was sent, yet its version comes after it";
  return { kind: stale ? "stale-read" : "against-real-time", key, message, lines };
}
