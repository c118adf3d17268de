import type { Attempt } from "./line.ts";
import { HistoryFormatError } from "./parse.ts";

/** The state of an object that is not there. No ETag is empty. */
export const ABSENT = "";

/**
 * The history of one object between two interventions from outside. An intervention (a restored backup, an operator's repair, a delete) has no
 * condition, so nothing chains it to what was there before, and it may bring an old ETag back. So the history is cut there.
 */
export interface Epoch {
  /** What began it; `undefined` for the first. */
  readonly start: Attempt | undefined;
  /** What is known of the state that it began with. */
  readonly startVersion: string | undefined;
  readonly attempts: readonly Attempt[];
  /** Versions of earlier epochs: seeing one again is a stale read, not a riddle. */
  readonly earlier: ReadonlySet<string>;
}

/** A history cut at its interventions. */
export interface Split {
  readonly cuts: readonly Attempt[];
  /** What certainly belongs to each epoch, and the writes of unknown fate, which are candidates in all that they can have landed in. */
  readonly parts: readonly (readonly Attempt[])[];
  /** Writes that were carried out while an intervention was under way: on which side of it, their times do not tell. */
  readonly straddling: readonly Straddling[];
  /** Reads and refusals under way during an intervention: they may belong to either side, and are not judged. */
  readonly unjudged: number;
}

export interface Straddling {
  readonly attempt: Attempt;
  readonly first: number;
  readonly last: number;
}

/** In which epoch each straddling write is taken to have landed. */
export type Homes = ReadonlyMap<Attempt, number>;

/** ETag and nonce name the same version; the ETag is the name used here, where it is known. */
export class VersionNames {
  readonly #etagOf = new Map<string, string>();

  constructor(attempts: readonly Attempt[]) {
    for (const { nonce, etag } of attempts)
      if (nonce !== undefined && etag !== undefined && !this.#etagOf.has(nonce)) this.#etagOf.set(nonce, etag);
  }

  /** The version that an attempt wrote, would have written, or found. */
  of(a: Attempt): string {
    return a.etag ?? (a.nonce === undefined ? undefined : (this.#etagOf.get(a.nonce) ?? `nonce ${a.nonce}`)) ?? ABSENT;
  }
}

export function splitEpochs(attempts: readonly Attempt[], names: VersionNames): Split {
  const cuts = interventions(attempts, names);
  const inside = attempts.filter((a) => a.outcome !== "nothing" && a.kind !== "overwrite" && a.kind !== "delete");
  if (cuts.length === 0) return { cuts, parts: [inside], straddling: [], unjudged: 0 };
  const parts: Attempt[][] = Array.from({ length: cuts.length + 1 }, () => []);
  let unjudged = 0;
  const straddling: Straddling[] = [];
  for (const attempt of inside) {
    const first = cuts.filter((cut) => endOf(cut) < attempt.sentMs).length;
    const last = cuts.filter((cut) => cut.sentMs <= endOf(attempt)).length;
    if (first >= last) parts[first]?.push(attempt);
    // Nobody knows when it landed: it is a candidate from its own epoch on.
    else if (attempt.outcome === "unknown") for (let i = first; i <= last; i++) parts[i]?.push(attempt);
    else if (attempt.outcome === "applied") straddling.push({ attempt, first, last });
    else unjudged++;
  }
  straddling.sort((a, b) => a.attempt.sentMs - b.attempt.sentMs);
  return { cuts, parts, straddling, unjudged };
}

export function epochsOf({ cuts, parts }: Split, homes: Homes, names: VersionNames): Epoch[] {
  const earlier = new Set<string>();
  return parts.map((part, i): Epoch => {
    const start = i === 0 ? undefined : cuts[i - 1];
    const startVersion = start === undefined ? undefined : versionAfter(start, names);
    const attempts = [...part, ...[...homes].filter(([, home]) => home === i).map(([attempt]) => attempt)];
    const epoch = { start, startVersion, attempts, earlier: new Set(earlier) };
    for (const a of attempts) if (a.outcome === "applied" || a.outcome === "found") earlier.add(names.of(a));
    if (startVersion !== undefined) earlier.add(startVersion);
    return epoch;
  });
}

/** The most likely ones. */
export function guessHomes({ cuts, parts, straddling }: Split, names: VersionNames): Homes {
  const filled = parts.map((part) => [...part]);
  const homes = new Map<Attempt, number>();
  for (const { attempt, first, last } of straddling) {
    const home = homeOf(attempt, range(first, last), filled, cuts, names);
    homes.set(attempt, home);
    filled[home]?.push(attempt);
  }
  return homes;
}

/**
 * The epoch of a write that was under way during an intervention. It goes where the version that it replaced was: to an epoch where no other
 * write replaced that one (an old copy that is put back can be replaced once more), and where its own version was seen, if there is such a one.
 */
function homeOf(
  attempt: Attempt,
  possible: readonly number[],
  parts: readonly (readonly Attempt[])[],
  cuts: readonly Attempt[],
  names: VersionNames,
): number {
  const [own, parent] = [names.of(attempt), parentOf(attempt)];
  const where = (holds: (a: Attempt) => boolean, among: readonly number[]): number[] => among.filter((i) => (parts[i] ?? []).some(holds));
  const begun = possible.filter((i) => (i === 0 ? ABSENT : versionAfter(cuts[i - 1] as Attempt, names)) === parent);
  const certain = where((a) => shownBy(a, names) === parent || (a.outcome === "applied" && names.of(a) === parent), possible);
  const homes = [...new Set([...certain, ...begun])].sort((a, b) => a - b);
  // Nobody saw it: then at least somebody may have written it.
  const candidates = homes.length > 0 ? homes : where((a) => a.outcome === "unknown" && names.of(a) === parent, possible);
  const isShown = (version: string, i: number): boolean => {
    const part = parts[i] ?? [];
    const shown = new Set(part.map((a) => shownBy(a, names)));
    return shown.has(version) || part.some((a) => a.outcome === "unknown" && a.condition === version && shown.has(names.of(a)));
  };
  const isTaken = (i: number): boolean =>
    (parts[i] ?? []).some((a) => isWriteOn(parent, a) && (a.outcome === "applied" || (names.of(a) !== own && isShown(names.of(a), i))));
  const free = candidates.filter((i) => !isTaken(i));
  return free.find((i) => isShown(own, i)) ?? free[0] ?? candidates[0] ?? possible[0] ?? 0;
}

function isWriteOn(parent: string, a: Attempt): boolean {
  return (a.kind === "create" || a.kind === "replace") && parentOf(a) === parent;
}

/** What a write says that it replaces. */
export function parentOf(a: Attempt): string {
  return a.kind === "create" ? ABSENT : (a.condition ?? ABSENT);
}

/** Those that happened: an intervention of unknown fate counts if somebody saw its effect, and is over when that was seen. */
function interventions(attempts: readonly Attempt[], names: VersionNames): Attempt[] {
  const cuts: Attempt[] = [];
  for (const a of attempts) {
    if (a.kind !== "overwrite" && a.kind !== "delete") continue;
    if (a.outcome === "applied") cuts.push(a);
    if (a.outcome !== "unknown") continue;
    const version = versionAfter(a, names);
    const evidence = attempts.filter((b) => endOf(b) > a.sentMs && showsVersion(b, version, names));
    if (evidence.length > 0) cuts.push({ ...a, answeredMs: Math.max(a.sentMs, Math.min(...evidence.map(endOf))) });
  }
  cuts.sort((a, b) => endOf(a) - endOf(b));
  for (const [i, cut] of cuts.entries()) {
    const next = cuts[i + 1];
    if (next !== undefined && next.sentMs <= endOf(cut))
      throw new HistoryFormatError(
        `two ${cut.kind === next.kind ? `${cut.kind}s` : "interventions"} of ${JSON.stringify(cut.key)} from outside were under way at the same time` +
          `${cut.line === undefined ? "" : ` (lines ${cut.line} and ${next.line})`}: no order between them can be told. Do one after the other`,
      );
  }
  return cuts;
}

function showsVersion(a: Attempt, version: string, names: VersionNames): boolean {
  if (version === ABSENT) return a.outcome === "absent" || (a.kind === "create" && a.outcome === "applied");
  return shownBy(a, names) === version;
}

/** The version that an attempt saw: that it found, was told to have, or replaced. */
export function shownBy(a: Attempt, names: VersionNames): string | undefined {
  if (a.outcome === "found") return names.of(a);
  return a.outcome === "not-modified" || (a.kind === "replace" && a.outcome === "applied") ? a.condition : undefined;
}

function versionAfter(cut: Attempt, names: VersionNames): string {
  return cut.kind === "delete" ? ABSENT : names.of(cut);
}

export function endOf(a: Attempt): number {
  return a.answeredMs ?? Infinity;
}

export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
