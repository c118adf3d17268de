import { checkBeliefs } from "./beliefs.ts";
import { chainWrites } from "./chain.ts";
import type { Contradiction } from "./contradiction.ts";
import { type Epoch, epochsOf, guessHomes, type Homes, range, type Split, splitEpochs, type Straddling, VersionNames } from "./epochs.ts";
import { checkFenced } from "./fenced.ts";
import type { Attempt, Belief, FencedWrite, HistoryLine } from "./line.ts";
import { checkOrder } from "./order.ts";
import { HistoryFormatError } from "./parse.ts";
import { checkRefusals } from "./refusals.ts";
import { checkTokens } from "./tokens.ts";

export interface CheckOptions {
  /**
   * Whether every request that reached the store is in the history. Default true. With false, versions may come from nowhere, and what only an
   * absence would prove is not claimed.
   */
  readonly complete?: boolean | undefined;
}

export interface HistoryVerdict {
  /** No contradiction was found: every object behaved like one register with atomic conditions, and nobody believed beside another. */
  readonly ok: boolean;
  /** All that were found, the one with the fewest lines first. */
  readonly contradictions: readonly Contradiction[];
  readonly counts: HistoryCounts;
}

export interface HistoryCounts {
  readonly keys: number;
  readonly attempts: number;
  /** Writes in the chains: applied for certain, or of unknown fate and seen. */
  readonly appliedWrites: number;
  /** Writes of unknown fate that nobody saw. */
  readonly unseenWrites: number;
  readonly beliefs: number;
  readonly fencedWrites: number;
  /** Of these, the ones that the resource refused because their token was too old. */
  readonly refusedFencedWrites: number;
  /** Reads and refusals under way during an intervention from outside: not judged. */
  readonly unjudged: number;
}

/**
 * Was it all as if each object were one register, changed by one atomic conditional write after another? Because every write carries a nonce of
 * its own and names the version that it replaces, there is only one order that the writes can have had, and the check takes O(n log n).
 * @throws HistoryFormatError where two interventions from outside overlap in time, or an attempt has no outcome.
 */
export function checkHistory(lines: readonly HistoryLine[], options: CheckOptions = {}): HistoryVerdict {
  const { complete = true } = options;
  const byKey = groupByKey(lines);
  const contradictions: Contradiction[] = [];
  const counts = { attempts: 0, appliedWrites: 0, unseenWrites: 0, beliefs: 0, fencedWrites: 0, refusedFencedWrites: 0, unjudged: 0 };
  for (const [key, { attempts, beliefs, fenced }] of byKey) {
    const object = checkObject(key, attempts, complete);
    contradictions.push(...object.contradictions, ...checkBeliefs(key, beliefs, attempts), ...checkFenced(key, fenced));
    counts.attempts += attempts.length;
    counts.appliedWrites += object.appliedWrites;
    counts.unseenWrites += object.unseenWrites;
    counts.unjudged += object.unjudged;
    counts.beliefs += beliefs.length;
    counts.fencedWrites += fenced.length;
    counts.refusedFencedWrites += fenced.filter((write) => !write.accepted).length;
  }
  contradictions.sort((a, b) => a.lines.length - b.lines.length);
  return { ok: contradictions.length === 0, contradictions, counts: { keys: byKey.size, ...counts } };
}

interface OfKey {
  readonly attempts: Attempt[];
  readonly beliefs: Belief[];
  readonly fenced: FencedWrite[];
}

function groupByKey(lines: readonly HistoryLine[]): Map<string, OfKey> {
  const byKey = new Map<string, OfKey>();
  for (const line of lines) {
    const group: OfKey = byKey.get(line.key) ?? { attempts: [], beliefs: [], fenced: [] };
    byKey.set(line.key, group);
    if (line.type === "attempt") group.attempts.push(withOutcome(line));
    else if (line.type === "belief") group.beliefs.push(line);
    else group.fenced.push(line);
  }
  return byKey;
}

/** Without one it would say nothing, and a history of such lines would pass. @throws HistoryFormatError for values that no compiler has seen */
function withOutcome(attempt: Attempt): Attempt {
  const { outcome }: { readonly outcome?: unknown } = attempt;
  if (outcome !== undefined) return attempt;
  throw new HistoryFormatError(`an attempt has no outcome: ${JSON.stringify(attempt).slice(0, 120)}. \`outcomeOf(kind, status)\` tells it`);
}

interface ObjectVerdict {
  readonly contradictions: readonly Contradiction[];
  readonly appliedWrites: number;
  readonly unseenWrites: number;
  readonly unjudged: number;
}

function checkObject(key: string, given: readonly Attempt[], complete: boolean): ObjectVerdict {
  const attempts = given.map((a) => (a.outcome === "unknown" && a.kind !== "read" ? unbounded(a, complete) : a));
  const asGiven = new Map<HistoryLine, Attempt>(attempts.map((a, i) => [a, given[i] as Attempt]));
  const names = new VersionNames(attempts);
  const split = splitEpochs(attempts, names);
  const verdicts = checkEpochs(key, split, names, complete);
  const appliedWrites = verdicts.reduce((sum, verdict) => sum + verdict.applied.size, 0);
  const carriedOut = new Set(verdicts.flatMap((verdict) => [...verdict.applied]));
  const unseen = new Set(attempts.filter((a) => a.outcome === "unknown" && !carriedOut.has(names.of(a))).map((a) => names.of(a)));
  const contradictions = verdicts
    .flatMap((verdict) => verdict.contradictions)
    .map((c) => ({ ...c, lines: c.lines.map((line) => asGiven.get(line) ?? line) }));
  return { contradictions, appliedWrites, unseenWrites: unseen.size, unjudged: split.unjudged };
}

/**
 * A write of unknown fate may land at any time after it was sent, whenever its sender was told so. Where requests are missing, an earlier sending
 * of the same write may be among them; interventions from outside are all there.
 */
function unbounded(a: Attempt, complete: boolean): Attempt {
  const isOutside = a.kind === "overwrite" || a.kind === "delete";
  return { ...a, sentMs: complete || isOutside ? a.sentMs : -Infinity, answeredMs: undefined };
}

interface EpochVerdict {
  readonly contradictions: readonly Contradiction[];
  readonly applied: ReadonlySet<string>;
}

/** So many other places of the straddling writes are tried. */
const MOST_READINGS = 500;

/**
 * Where a write landed that was under way during an intervention is a guess at first. What contradicts the guess counts only if no other makes
 * the contradictions fewer: a write is tried on its other sides, by itself and with all that were sent after it.
 */
function checkEpochs(key: string, split: Split, names: VersionNames, complete: boolean): readonly EpochVerdict[] {
  const check = (homes: Homes): EpochVerdict[] => epochsOf(split, homes, names).map((epoch) => checkEpoch(key, epoch, names, complete));
  let homes = guessHomes(split, names);
  let best = check(homes);
  let readings = 0;
  for (let better = true; better;) {
    better = false;
    for (const other of otherHomes(split.straddling, homes)) {
      if (faults(best) === 0 || ++readings > MOST_READINGS) return best;
      const verdicts = check(other);
      if (faults(verdicts) >= faults(best)) continue;
      [homes, best, better] = [other, verdicts, true];
      break;
    }
  }
  return best;
}

function* otherHomes(straddling: readonly Straddling[], homes: Homes): Generator<Homes> {
  for (const [i, { attempt, first, last }] of straddling.entries())
    for (const home of range(first, last)) {
      if (homes.get(attempt) === home) continue;
      yield new Map(homes).set(attempt, home);
      const along = straddling.slice(i).filter((later) => later.first <= home && home <= later.last);
      if (along.length > 1) yield new Map([...homes, ...along.map((later) => [later.attempt, home] as const)]);
    }
}

function faults(verdicts: readonly EpochVerdict[]): number {
  return verdicts.reduce((sum, verdict) => sum + verdict.contradictions.length, 0);
}

function checkEpoch(key: string, epoch: Epoch, names: VersionNames, complete: boolean): EpochVerdict {
  const { chains, contradictions } = chainWrites(key, epoch, names, complete);
  const applied = new Set(chains.flatMap((chain) => chain.versions.filter((_, i) => chain.steps[i] !== undefined)));
  // What does not form a chain has no order to check.
  if (contradictions.length > 0) return { contradictions, applied };
  const found = chains.flatMap((chain) => {
    const disorder = checkOrder(key, chain, epoch.attempts, names);
    if (disorder !== undefined) return [disorder];
    const refusal = checkRefusals(key, chain, epoch.attempts, names);
    return [...(refusal === undefined ? [] : [refusal]), ...checkTokens(key, chain)];
  });
  return { contradictions: found, applied };
}
