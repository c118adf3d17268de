import { type Chain, withWitnesses } from "./chain.ts";
import type { Contradiction } from "./contradiction.ts";
import { ABSENT, endOf, type VersionNames } from "./epochs.ts";
import type { Attempt } from "./line.ts";
import { placeAll } from "./order.ts";

/** The earliest moment at which a version can have begun, and the lines that say so. */
interface Earliest {
  readonly ms: number;
  readonly lines: readonly Attempt[];
}

/**
 * A refused write says: at some moment since I was sent, the object was not what I named. So its version began after it was sent, or was replaced
 * before it was answered.
 *
 * All versions are taken to begin as early as they can. A refusal whose version can't have been replaced so soon must have come before it, which
 * makes that version, and all after it, begin later. If in the end a version would have to begin after somebody had seen it, the refusals can't
 * all be true; otherwise this very schedule is one in which they are. Assumes an order that has been checked.
 */
export function checkRefusals(key: string, chain: Chain, attempts: readonly Attempt[], names: VersionNames): Contradiction | undefined {
  const refusals = namedRefusals(chain, attempts);
  if (refusals.length === 0) return undefined;
  const schedule = earliestBeginnings(chain, attempts, names);
  const firstSight = earliestSights(chain, attempts, names);
  const settled = new Set<Attempt>();
  // In an incomplete history the write that replaced the last version may be among the missing ones.
  const unseenMs = chain.fromTheStart ? firstUnseen(chain, attempts, names) : -Infinity;
  for (let changed = true; changed;) {
    changed = false;
    for (const { refused, index } of refusals) {
      const bound = schedule[index + 1] as Earliest;
      const isLast = index === chain.versions.length - 1;
      const replaced = isLast && bound.ms <= endOf(refused) && unseenMs > bound.ms ? { ms: unseenMs, lines: [] } : bound;
      if (settled.has(refused) || replaced.ms <= endOf(refused)) continue;
      settled.add(refused);
      const lines = [refused, ...replaced.lines];
      const before = mustHaveBegun(chain, index, refused, firstSight[index]);
      if (before !== undefined) return falseRefusal(key, refused, withWitnesses(chain, [...before, ...lines]));
      changed = delay(schedule, index, { ms: refused.sentMs, lines }) || changed;
    }
  }
  return undefined;
}

function namedRefusals(chain: Chain, attempts: readonly Attempt[]): { readonly refused: Attempt; readonly index: number }[] {
  const indexOf = new Map(chain.versions.map((version, i) => [version, i]));
  return attempts.flatMap((refused) => {
    if (refused.outcome !== "refused") return [];
    const index = indexOf.get(refused.kind === "create" ? ABSENT : (refused.condition ?? ABSENT));
    return index === undefined ? [] : [{ refused, index }];
  });
}

/** What shows that the version had begun when the write was sent; nothing but the chain itself for one that was there from the start. */
function mustHaveBegun(chain: Chain, index: number, refused: Attempt, sight: Attempt | undefined): readonly Attempt[] | undefined {
  if (sight !== undefined && endOf(sight) < refused.sentMs) return [sight];
  return index === 0 && chain.fromTheStart && chain.steps[0] === undefined ? [] : undefined;
}

/** For each version, and for the one that would replace the last: everything of the versions before was sent by then. */
function earliestBeginnings(chain: Chain, attempts: readonly Attempt[], names: VersionNames): Earliest[] {
  const latestOf: (Attempt | undefined)[] = [];
  for (const { attempt, place } of placeAll(chain, attempts, names)) {
    // A write at 2i − 1 bounds the beginning of version i; what saw version i at 2i bounds that of version i + 1.
    const bounded = Math.floor((place + 1) / 2) + (place % 2 === 0 ? 1 : 0);
    const known = latestOf[bounded];
    if (known === undefined || attempt.sentMs > known.sentMs) latestOf[bounded] = attempt;
  }
  const schedule: Earliest[] = [];
  let bound: Earliest = { ms: -Infinity, lines: [] };
  for (let i = 0; i <= chain.versions.length; i++) {
    const step = chain.steps[i];
    const own = latestOf[i];
    if (own !== undefined && own.sentMs >= bound.ms) bound = { ms: own.sentMs, lines: [own] };
    else if (step !== undefined && bound.lines.length > 0) bound = { ms: bound.ms, lines: [...bound.lines, step] };
    schedule.push(bound);
  }
  return schedule;
}

/** For each version the earliest answer that shows that it, or a later one, had begun. */
function earliestSights(chain: Chain, attempts: readonly Attempt[], names: VersionNames): (Attempt | undefined)[] {
  const sights: (Attempt | undefined)[] = chain.versions.map(() => undefined);
  for (const { attempt, place } of placeAll(chain, attempts, names)) {
    const index = Math.ceil(place / 2);
    const known = sights[index];
    if (known === undefined || endOf(attempt) < endOf(known)) sights[index] = attempt;
  }
  for (let i = sights.length - 2; i >= 0; i--) {
    const [here, later] = [sights[i], sights[i + 1]];
    if (later !== undefined && (here === undefined || endOf(later) < endOf(here))) sights[i] = later;
  }
  return sights;
}

function delay(schedule: Earliest[], from: number, to: Earliest): boolean {
  let changed = false;
  for (let i = from; i < schedule.length && (schedule[i] as Earliest).ms < to.ms; i++) {
    schedule[i] = to;
    changed = true;
  }
  return changed;
}

/** From when on a write that nobody saw may have replaced the last version. */
function firstUnseen(chain: Chain, attempts: readonly Attempt[], names: VersionNames): number {
  const last = chain.versions.at(-1);
  const seen = new Set(chain.versions);
  const unseen = attempts.filter(
    (a) => a.outcome === "unknown" && (a.kind === "create" ? ABSENT : a.condition) === last && !seen.has(names.of(a)),
  );
  return unseen.reduce((earliest, a) => Math.min(earliest, a.sentMs), Infinity);
}

function falseRefusal(key: string, refused: Attempt, lines: readonly Attempt[]): Contradiction {
  const what = refused.kind === "create" ? "the object was absent" : "the version that it named was the current one";
  const message =
    lines.filter((line) => line.outcome === "refused").length > 1
      ? "these refusals can't all be true: the version that one of them named would have begun after it was seen"
      : `${what} all the time, yet this write was refused`;
  return { kind: "false-refusal", key, message, lines: lines };
}
