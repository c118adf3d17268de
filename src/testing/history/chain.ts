import type { Contradiction } from "./contradiction.ts";
import { ABSENT, endOf, type Epoch, parentOf, shownBy, type VersionNames } from "./epochs.ts";
import type { Attempt } from "./line.ts";

/** A write that made a version out of another. */
interface Step {
  readonly version: string;
  readonly parent: string;
  readonly attempt: Attempt;
  /** For a write of unknown fate: the line that shows that it was carried out. */
  readonly shownBy: Attempt | undefined;
}

/** The versions of one object in the order in which each replaced the one before. `steps[i]` made `versions[i]`; the first has none, or what began the epoch. */
export interface Chain {
  /** Whether the first version is certain to have been the first in this epoch. */
  readonly fromTheStart: boolean;
  readonly versions: readonly string[];
  readonly steps: readonly (Attempt | undefined)[];
  /** For each write of unknown fate among the steps, the line that shows that it was carried out. */
  readonly witnesses: ReadonlyMap<Attempt, Attempt>;
}

/** The lines, with what shows that the writes of unknown fate among them were carried out. */
export function withWitnesses(chain: Chain, lines: readonly Attempt[]): Attempt[] {
  const all = lines.flatMap((line) => {
    const witness = chain.witnesses.get(line);
    return witness === undefined ? [line] : [line, witness];
  });
  return [...new Set(all)];
}

export interface Chained {
  readonly chains: readonly Chain[];
  readonly contradictions: readonly Contradiction[];
}

/**
 * Puts the writes in the only order that they can have had: each names the version that it replaced, and no version is made twice (rule R1),
 * so they form a chain. In a history that is not `complete` there may be several pieces, whose order to one another is not known.
 */
export function chainWrites(key: string, epoch: Epoch, names: VersionNames, complete: boolean): Chained {
  const seen = observations(epoch.attempts, names);
  const { steps, contradictions } = takeSteps(key, epoch, names, seen);
  const children = new Map<string, Step>();
  for (const step of steps) {
    const sibling = children.get(step.parent);
    if (sibling === undefined) children.set(step.parent, step);
    else contradictions.push(twoWrites(key, sibling, step));
  }
  if (contradictions.length > 0) return { chains: [], contradictions };
  const made = new Set(steps.map((step) => step.version));
  const roots = [...seen.keys()].filter((version) => !made.has(version) && version !== ABSENT);
  const start = epoch.start === undefined ? beginning(epoch.attempts, children, roots) : epoch.startVersion;
  const others = complete ? [] : roots.filter((root) => root !== start);
  const chains = [
    follow(start ?? ABSENT, children, epoch.start, start !== undefined && complete),
    ...others.map((root) => follow(root, children, undefined, false)),
  ];
  const placed = new Set(chains.flatMap((chain) => chain.versions));
  if (complete)
    for (const version of roots) if (!placed.has(version)) contradictions.push(phantom(key, version, seen.get(version) as Attempt, epoch));
  const lost = steps.filter((step) => !placed.has(step.version) && (!complete || contradictions.length === 0));
  if (lost.length > 0) contradictions.push(...circle(key, lost));
  return { chains, contradictions };
}

/** The first line that shows that a version existed, for each version that one shows. */
function observations(attempts: readonly Attempt[], names: VersionNames): Map<string, Attempt> {
  const seen = new Map<string, Attempt>();
  for (const a of attempts) {
    const version = shownBy(a, names);
    if (version === undefined) continue;
    const before = seen.get(version);
    if (before === undefined || endOf(a) < endOf(before)) seen.set(version, a);
  }
  return seen;
}

function takeSteps(
  key: string,
  epoch: Epoch,
  names: VersionNames,
  seen: Map<string, Attempt>,
): { readonly steps: Step[]; readonly contradictions: Contradiction[] } {
  const steps = new Map<string, Step>();
  const contradictions: Contradiction[] = [];
  const writes = epoch.attempts.filter((a) => a.kind === "create" || a.kind === "replace");
  for (const attempt of writes.filter((a) => a.outcome === "applied")) {
    const step = { version: names.of(attempt), parent: parentOf(attempt), attempt, shownBy: undefined };
    const twin = steps.get(step.version);
    if (twin === undefined) steps.set(step.version, step);
    else contradictions.push(twin.parent === step.parent ? twoWrites(key, twin, step) : sameName(key, twin.attempt, attempt));
  }
  for (const step of unknownSteps(epoch, writes, names, seen, steps)) steps.set(step.version, step);
  return { steps: [...steps.values()], contradictions };
}

/**
 * A write of unknown fate was carried out if somebody saw its version, or replaced it, and nothing certain made that one. Resends are one write:
 * it landed at some time after the first of them was sent.
 */
function unknownSteps(
  epoch: Epoch,
  writes: readonly Attempt[],
  names: VersionNames,
  seen: Map<string, Attempt>,
  certain: ReadonlyMap<string, Step>,
): Step[] {
  const candidates = new Map<string, Attempt>();
  for (const a of writes.filter((write) => write.outcome === "unknown")) {
    const known = candidates.get(names.of(a));
    if (known === undefined || a.sentMs < known.sentMs) candidates.set(names.of(a), a);
  }
  // Of the lines that show a version, one that names its nonce tells by itself that it is the one of this write.
  const named = new Map<string, Attempt>();
  for (const a of epoch.attempts) if (a.outcome === "found" && a.nonce !== undefined && !named.has(names.of(a))) named.set(names.of(a), a);
  const steps: Step[] = [];
  // The loop sees what it adds: what a write replaced has been there too.
  for (const [version, witness] of seen) {
    const attempt = candidates.get(version);
    if (attempt === undefined || certain.has(version) || version === epoch.startVersion) continue;
    const step = { version, parent: parentOf(attempt), attempt, shownBy: named.get(version) ?? witness };
    steps.push(step);
    if (!seen.has(step.parent)) seen.set(step.parent, attempt);
  }
  return steps;
}

/** `undefined`: nothing shows what was there at first. */
function beginning(attempts: readonly Attempt[], children: ReadonlyMap<string, Step>, roots: readonly string[]): string | undefined {
  return children.has(ABSENT) || attempts.some((a) => a.outcome === "absent") ? ABSENT : roots[0];
}

function follow(start: string, children: ReadonlyMap<string, Step>, by: Attempt | undefined, fromTheStart: boolean): Chain {
  const versions = [start];
  const steps: (Attempt | undefined)[] = [by];
  const witnesses = new Map<Attempt, Attempt>();
  const passed = new Set(versions);
  for (let step = children.get(start); step !== undefined && !passed.has(step.version); step = children.get(step.version)) {
    passed.add(step.version);
    versions.push(step.version);
    steps.push(step.attempt);
    if (step.shownBy !== undefined) witnesses.set(step.attempt, step.shownBy);
  }
  return { versions, steps, witnesses, fromTheStart };
}

function twoWrites(key: string, a: Step, b: Step): Contradiction {
  const [first, second] = a.attempt.sentMs <= b.attempt.sentMs ? [a, b] : [b, a];
  const what = first.parent === ABSENT ? "both created the object" : "both replaced the same version";
  return {
    kind: "two-writes-on-one-version",
    key,
    message: `these two writes ${what}: the store's conditions are not atomic, or did not reach it`,
    lines: [first, second].flatMap((step) => (step.shownBy === undefined ? [step.attempt] : [step.attempt, step.shownBy])),
  };
}

function sameName(key: string, a: Attempt, b: Attempt): Contradiction {
  return { kind: "ambiguous-version", key, message: "two different writes made a version of the same ETag (rule R1)", lines: [a, b] };
}

function phantom(key: string, version: string, shownBy: Attempt, epoch: Epoch): Contradiction {
  if (epoch.start !== undefined && epoch.earlier.has(version))
    return shownBy.kind === "read"
      ? {
          kind: "stale-read",
          key,
          message: "the version that was read had been overwritten from outside before",
          lines: [epoch.start, shownBy],
        }
      : {
          kind: "two-writes-on-one-version",
          key,
          message: "the version that was replaced had been overwritten from outside before",
          lines: [epoch.start, shownBy],
        };
  return { kind: "phantom-version", key, message: "no write in this history made that version", lines: [shownBy] };
}

/** What hangs on no root: each has a maker, so they replace one another in a circle. */
function circle(key: string, lost: readonly Step[]): Contradiction[] {
  const makers = new Map(lost.map((step) => [step.version, step]));
  const passed = new Map<string, number>();
  const path: Step[] = [];
  for (let step = lost[0]; step !== undefined; step = makers.get(step.parent)) {
    const from = passed.get(step.version);
    if (from !== undefined) {
      const lines = path.slice(from).map((s) => s.attempt);
      return [{ kind: "ambiguous-version", key, message: "these writes replace each other's versions in a circle", lines }];
    }
    passed.set(step.version, path.length);
    path.push(step);
  }
  return [];
}
