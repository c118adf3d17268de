import { type Chain, withWitnesses } from "./chain.ts";
import type { Contradiction } from "./contradiction.ts";
import type { Attempt } from "./line.ts";

/** Rule R2 along the chain: an acquisition raises the token by one, everything else keeps it. Looks at pairs of which both tokens are known. */
export function checkTokens(key: string, chain: Chain): Contradiction[] {
  const contradictions: Contradiction[] = [];
  for (let i = 1; i < chain.steps.length; i++) {
    const [before, after] = [chain.steps[i - 1], chain.steps[i]];
    if (before === undefined || after === undefined) continue;
    const message = tokenFault(before, after);
    if (message !== undefined) contradictions.push({ kind: "token-order", key, message, lines: withWitnesses(chain, [before, after]) });
  }
  return contradictions;
}

function tokenFault(before: Attempt, after: Attempt): string | undefined {
  if (before.fencingToken === undefined || after.fencingToken === undefined) return undefined;
  const grown = after.fencingToken - before.fencingToken;
  if (grown < 0) return `the fencing token fell from ${before.fencingToken} to ${after.fencingToken}`;
  if (grown > 1) return `the fencing token jumped from ${before.fencingToken} to ${after.fencingToken}`;
  if (grown === 1 || after.state !== "held") return undefined;
  if (before.state === "released") return `a released record was acquired without a new fencing token (${after.fencingToken})`;
  const changedHands = before.instance !== undefined && after.instance !== undefined && before.instance !== after.instance;
  return changedHands ? `the record changed hands without a new fencing token (${after.fencingToken})` : undefined;
}
