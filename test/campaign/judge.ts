/** What a campaign has shown: everything that was logged, checked against what can have been. */
import {
  checkHistory,
  type CheckOptions,
  type Contradiction,
  type ContradictionKind,
  formatContradiction,
  type HistoryLine,
  type HistoryVerdict,
} from "../../src/testing/history/index.ts";
import type { Arena } from "./arena.ts";

export interface Judgement {
  readonly history: readonly HistoryLine[];
  readonly verdict: HistoryVerdict;
  /** What must not be. */
  readonly contradictions: readonly Contradiction[];
  /** What this server is known for, and the protocol bears (rules W6, W7). */
  readonly borne: readonly Contradiction[];
}

/** MinIO on several drives, killed in the middle of a CAS, answers 404 to the right ETag, and its reads flip between two versions. */
const BORNE_ON_SEVERAL_DRIVES: readonly ContradictionKind[] = ["stale-read", "false-refusal"];

/** @param options `complete: false` where requests are still under way */
export function judge(arena: Arena, drives: number, options?: CheckOptions): Judgement {
  const history = [...arena.tap.attempts, ...arena.ledger.beliefs, ...arena.resource.writes];
  const verdict = checkHistory(history, options);
  const isBorne = (c: Contradiction): boolean => drives > 1 && BORNE_ON_SEVERAL_DRIVES.includes(c.kind);
  return {
    history,
    verdict,
    contradictions: verdict.contradictions.filter((c) => !isBorne(c)),
    borne: verdict.contradictions.filter(isBorne),
  };
}

export function describe(judgement: Judgement): string[] {
  return judgement.contradictions.slice(0, 5).map(formatContradiction);
}
