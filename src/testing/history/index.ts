/** Checks what happened against what can have happened: requests, beliefs and fenced writes of a run, from JSON lines or from memory. */
export { type CheckOptions, checkHistory, type HistoryCounts, type HistoryVerdict } from "./check-history.ts";
export { type Contradiction, type ContradictionKind, formatContradiction } from "./contradiction.ts";
export type { Attempt, AttemptOutcome, Belief, FencedWrite, HistoryLine } from "./line.ts";
export { HistoryFormatError, outcomeOf, parseHistory } from "./parse.ts";
