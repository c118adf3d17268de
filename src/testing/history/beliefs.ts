import type { Contradiction } from "./contradiction.ts";
import type { Attempt, Belief } from "./line.ts";

/**
 * What the nodes believed, against each other and against what was written. Touching intervals do not overlap: a belief may begin at the very
 * moment at which another ends.
 */
export function checkBeliefs(key: string, beliefs: readonly Belief[], attempts: readonly Attempt[]): Contradiction[] {
  const contradictions: Contradiction[] = [];
  const inOrder = [...beliefs].sort((a, b) => a.fromMs - b.fromMs || a.toMs - b.toMs || a.fencingToken - b.fencingToken);
  const [first, ...rest] = inOrder;
  // Of all that began before, the one that ended last and the one with the largest token are those that a later one can contradict.
  let lasting = first;
  let newest = first;
  for (const belief of rest) {
    if (lasting !== undefined && belief.fromMs < lasting.toMs) contradictions.push(overlap(key, lasting, belief));
    else if (newest !== undefined && belief.fencingToken <= newest.fencingToken) contradictions.push(tokenOrder(key, newest, belief));
    if (lasting === undefined || belief.toMs > lasting.toMs) lasting = belief;
    if (newest === undefined || belief.fencingToken > newest.fencingToken) newest = belief;
  }
  return [...contradictions, ...unfounded(key, beliefs, attempts)];
}

function overlap(key: string, a: Belief, b: Belief): Contradiction {
  const forMs = Math.min(a.toMs, b.toMs) - b.fromMs;
  const who = a.node === b.node ? `${a.node} believed twice` : "two nodes believed";
  return { kind: "beliefs-overlap", key, message: `${who} at the same time, for ${forMs.toFixed(3)} ms`, lines: [a, b] };
}

function tokenOrder(key: string, a: Belief, b: Belief): Contradiction {
  const message =
    a.fencingToken === b.fencingToken
      ? "two beliefs had the same fencing token"
      : "a later belief had a smaller fencing token than an earlier one";
  return { kind: "belief-token-order", key, message, lines: [a, b] };
}

/** Only where the history carries the records' tokens: a belief needs a write, sent before it began, that acquired its token. */
function unfounded(key: string, beliefs: readonly Belief[], attempts: readonly Attempt[]): Contradiction[] {
  const firstSentMs = new Map<number, number>();
  for (const a of attempts) {
    if (a.fencingToken === undefined || a.kind === "read" || (a.outcome !== "applied" && a.outcome !== "unknown")) continue;
    firstSentMs.set(a.fencingToken, Math.min(a.sentMs, firstSentMs.get(a.fencingToken) ?? Infinity));
  }
  if (firstSentMs.size === 0) return [];
  return beliefs
    .filter((belief) => (firstSentMs.get(belief.fencingToken) ?? Infinity) > belief.fromMs)
    .map((belief) => ({
      kind: "belief-without-write",
      key,
      message: `no write that carries token ${belief.fencingToken} had been sent when this belief began`,
      lines: [belief],
    }));
}
