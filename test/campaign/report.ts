/** The figures of a campaign, as text for people and as JSON. */
import { availableParallelism } from "node:os";
import { formatContradiction } from "../../src/testing/history/index.ts";
import type { Arena } from "./arena.ts";
import type { Campaign } from "./campaign.ts";
import { type Failover, type Field, PATIENCE } from "./field.ts";
import type { ControlResult } from "./controls.ts";
import type { Judgement } from "./judge.ts";

export interface Report {
  readonly seed: number;
  readonly minutes: number;
  /** What it ran on. */
  readonly store: string;
  readonly date: string;
  readonly machine: string;
  readonly ok: boolean;
  /** Why it is not. */
  readonly problems: readonly string[];
  /** The same, for each thing that had to be shown. */
  readonly checks: readonly CampaignCheck[];
  readonly faults: Readonly<Record<string, number>>;
  readonly leftOut: Readonly<Record<string, string>>;
  readonly phases: readonly string[];
  readonly acquisitions: number;
  readonly takeovers: number;
  readonly endsOfTerms: Readonly<Record<string, number>>;
  readonly beliefSeconds: number;
  readonly overlaps: number;
  readonly attempts: number;
  readonly appliedWrites: number;
  readonly unjudgedAttempts: number;
  readonly fencedWrites: number;
  readonly rejectedStaleWrites: number;
  /** What the fenced resource was counted up to. */
  readonly increments: number;
  readonly failover: Readonly<Record<string, FailoverFigures>>;
  readonly requestsPerHolderHour: number;
  readonly holderHours: number;
  readonly leakedHandles: number;
  /** How often the machine itself stood still for more than a second: failovers in such a time are not measured. */
  readonly stalls: number;
  readonly borne: number;
  readonly controls: readonly ControlResult[];
}

export interface CampaignCheck {
  readonly name: string;
  readonly problems: readonly string[];
}

export interface FailoverFigures {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** The largest share of its bound that any took. */
  readonly worstShareOfBound: number;
}

export interface ReportInput {
  readonly seed: number;
  readonly minutes: number;
  readonly store: string;
  readonly campaign: Campaign;
  readonly judgement: Judgement;
  readonly controls: readonly ControlResult[];
  /** By whoever started it: then nothing is asked of it that only its end would show. */
  readonly endedEarly?: boolean | undefined;
}

export function makeReport({ seed, minutes, store, campaign, judgement, controls, endedEarly = false }: ReportInput): Report {
  const { field } = campaign;
  const { arena } = field;
  const { counts } = judgement.verdict;
  const { beliefs } = arena.ledger;
  const checks = endedEarly ? checksSoFar(campaign, judgement) : checksOf(field, judgement, controls);
  const problems = checks.flatMap((check) => check.problems);
  return {
    seed,
    minutes,
    store,
    date: new Date().toISOString(),
    machine: `${availableParallelism()} cores, Node ${process.version}`,
    ok: problems.length === 0,
    problems,
    checks,
    faults: sorted(field.counts),
    leftOut: sorted(field.leftOut),
    phases: campaign.phases,
    acquisitions: arena.ledger.elections.length,
    takeovers: takeovers(arena),
    endsOfTerms: sorted(arena.ledger.ends),
    beliefSeconds: Math.round(beliefs.reduce((sum, belief) => sum + belief.toMs - belief.fromMs, 0) / 1000),
    overlaps: judgement.contradictions.filter((c) => c.kind === "beliefs-overlap").length,
    attempts: counts.attempts,
    appliedWrites: counts.appliedWrites,
    unjudgedAttempts: counts.unjudged,
    fencedWrites: counts.fencedWrites,
    rejectedStaleWrites: arena.resource.refused,
    increments: arena.resource.increments,
    failover: failoverFigures(field.failovers),
    requestsPerHolderHour: Math.round(arena.requests / Math.max(arena.holderHours, 1e-9)),
    holderHours: Number(arena.holderHours.toFixed(3)),
    leakedHandles: arena.leaks.length,
    stalls: field.watch.stalls.length,
    borne: judgement.borne.length,
    controls,
  };
}

function checksSoFar({ field, phases }: Campaign, judgement: Judgement): CampaignCheck[] {
  return [
    {
      name: "it ran to its end",
      problems: [`ended early, after ${phases.length} phases: this is not the whole of it, and the negative controls did not run`],
    },
    noContradiction(judgement),
    leaderInTime(field),
  ];
}

function noContradiction({ contradictions }: Judgement): CampaignCheck {
  return {
    name: "the history has no contradiction",
    problems: [
      ...contradictions.slice(0, 5).map(formatContradiction),
      ...(contradictions.length > 5 ? [`and ${contradictions.length - 5} more contradictions: see history.jsonl`] : []),
    ],
  };
}

function leaderInTime(field: Field): CampaignCheck {
  return { name: "a leader came, each time and in time", problems: field.violations };
}

/** What a campaign has to show, each with what speaks against it. */
function checksOf(field: Field, judgement: Judgement, controls: readonly ControlResult[]): CampaignCheck[] {
  const { arena } = field;
  return [
    noContradiction(judgement),
    leaderInTime(field),
    {
      name: "no run ended by itself",
      problems: arena.ledger.failures.map((failure) => `a run ended although nothing was wrong for good: ${failure}`),
    },
    {
      name: "each beginning of a term had one end",
      problems: arena.ledger
        .unpaired(arena.killed)
        .slice(0, 5)
        .map((pair) => `not one end for one beginning: ${pair}`),
    },
    { name: "nothing leaked", problems: arena.leaks.map((leak) => `leaked: ${leak}`) },
    {
      name: "stale writes were refused",
      problems:
        arena.resource.refused === 0
          ? ["WORTHLESS: no stale write ever reached the fenced resource, so this campaign says nothing about fencing. Run it longer"]
          : [],
    },
    {
      name: "nothing that was counted under a lock or as leader was lost",
      problems:
        arena.resource.increments === 0
          ? ["WORTHLESS: nothing was counted"]
          : arena.resource.lost.slice(0, 5).map((lost) => `lost update: ${lost}`),
    },
    ...controls.map((control) => ({
      name: `negative control: ${control.name}`,
      problems: control.red ? [] : [`WORTHLESS: the negative control "${control.name}" stayed green: ${control.seen}`],
    })),
  ];
}

/** Elections in which another node came after the one before. */
function takeovers(arena: Arena): number {
  const last = new Map<string, string>();
  let count = 0;
  for (const { key, node } of arena.ledger.elections) {
    if (last.has(key) && last.get(key) !== node) count++;
    last.set(key, node);
  }
  return count;
}

function failoverFigures(failovers: readonly Failover[]): Record<string, FailoverFigures> {
  const byCause = groupByCause(failovers);
  return Object.fromEntries(
    [...byCause].map(([cause, list]) => {
      const times = list.map((failover) => failover.ms).sort((a, b) => a - b);
      const at = (share: number): number => Math.round(times[Math.min(times.length - 1, Math.ceil(share * times.length) - 1)] ?? 0);
      const worst = Math.max(...list.map((failover) => failover.ms / failover.boundMs));
      return [cause, { count: times.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1), worstShareOfBound: Number(worst.toFixed(2)) }];
    }),
  );
}

function groupByCause(failovers: readonly Failover[]): Map<string, Failover[]> {
  const groups = new Map<string, Failover[]>();
  for (const failover of failovers) groups.set(failover.cause, [...(groups.get(failover.cause) ?? []), failover]);
  return groups;
}

function sorted<T>(map: ReadonlyMap<string, T>): Record<string, T> {
  return Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function reportText(r: Report): string {
  const failover = Object.entries(r.failover).map(
    ([cause, f]) =>
      `  after ${cause}: ${f.count} times, p50 ${f.p50Ms} ms, p99 ${f.p99Ms} ms, max ${f.maxMs} ms, at most ${f.worstShareOfBound} of the bound (${PATIENCE} is refused)`,
  );
  return [
    `campaign seed ${r.seed}, ${r.minutes} min, ${r.store}, ${r.machine}, ${r.date}`,
    `${r.acquisitions} acquisitions, ${r.takeovers} takeovers, ${r.beliefSeconds} s of belief, ${r.overlaps} overlaps`,
    `history: ${r.attempts} requests at the store, ${r.appliedWrites} writes in their chains, ${r.unjudgedAttempts} not judged${r.borne > 0 ? `, ${r.borne} known faults of the server borne (W6, W7)` : ""}`,
    `fenced resource: ${r.fencedWrites} requests, ${r.rejectedStaleWrites} stale writes refused, ${r.increments} increments`,
    `failover (bound: ttl + drift margin + poll + 1 s):`,
    ...(failover.length > 0 ? failover : ["  none measured"]),
    `${r.requestsPerHolderHour} requests per holder-hour over ${r.holderHours} holder-hours (three elections and two locks each, short ttls); ${r.leakedHandles} leaked handles`,
    ...(r.stalls > 0 ? [`the machine itself stood still ${r.stalls} times for more than a second`] : []),
    `terms ended: ${counts(r.endsOfTerms)}`,
    `faults: ${counts(r.faults)}`,
    ...r.phases.map((phase) => `  ${phase}`),
    ...Object.entries(r.leftOut).map(([name, why]) => `left out: ${name} (${why})`),
    ...r.controls.map((control) => `negative control, ${control.name}: ${control.red ? "red, as it must be" : "GREEN"} (${control.seen})`),
    ...(r.ok ? ["OK: nothing that must not be"] : ["NOT OK:", ...r.problems.map((problem) => `- ${problem}`)]),
  ].join("\n");
}

function counts(record: Readonly<Record<string, number>>): string {
  return Object.entries(record)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}
