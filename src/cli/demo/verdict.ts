/** What was seen, and whether it is what was promised. Pure: every rule of the verdict can be shown a history that breaks it. */
import type { Requests } from "./messages.ts";
import type { Bounds } from "./options.ts";
import { type Words, WORDS } from "./words.ts";

/** One process's belief that it leads. Times are nanoseconds on the one clock of the machine. */
export interface Belief {
  readonly node: string;
  readonly token: number;
  /** Before the write that won was sent: the belief began no earlier. */
  readonly fromNs: bigint;
  /** When its work was told to begin. */
  readonly electedNs: bigint;
  /** The belief was over by then at the latest; `undefined`: it was never seen to end. */
  readonly untilNs: bigint | undefined;
  readonly end: "killed" | "stopped" | "lost" | undefined;
}

/** The demo's two cuts: who was hit, and when. */
export interface Cut {
  readonly node: string;
  readonly atNs: bigint;
}

export interface Exit {
  readonly node: string;
  readonly code: number | null;
  readonly signal: string | null;
}

export interface History {
  readonly beliefs: readonly Belief[];
  readonly kill: Cut;
  readonly stop: Cut;
  readonly exits: readonly Exit[];
  readonly requests: Readonly<Record<string, Requests>>;
}

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly text: string;
}

/** Every promise of the demo, in the order in which a reader asks. */
export function verdict(history: History, bounds: Bounds, words: Words = WORDS.election): readonly Check[] {
  return [
    tenancies(history),
    tokens(history),
    overlap(history, words),
    succession(
      "failover",
      history,
      history.kill,
      bounds.failoverMs,
      `after kill -9; bound ${seconds(bounds.failoverMs)} = ${bounds.failoverText}`,
    ),
    succession(
      "hand-over",
      history,
      history.stop,
      bounds.handOverMs,
      `after SIGTERM; bound ${seconds(bounds.handOverMs)} = ${bounds.handOverText}`,
    ),
    endings(history),
  ];
}

/** Three leaders, each another process: the killed one, the stopped one, the third. */
function tenancies({ beliefs, kill, stop }: History): Check {
  const [first, second, third, ...more] = beliefs.map((b) => b.node);
  const distinct = new Set(beliefs.map((b) => b.node)).size === 3;
  const ok = first === kill.node && second === stop.node && third !== undefined && distinct && more.length === 0;
  const text = ok
    ? "3, each by another process"
    : `expected 3, of ${kill.node} (killed), ${stop.node} (stopped) and the third; seen: ${beliefs.map((b) => b.node).join(", ") || "none"}`;
  return { name: "tenancies", ok, text };
}

function tokens({ beliefs }: History): Check {
  const all = beliefs.map((b) => b.token);
  const ok = all.length > 0 && all.every((token, i) => i === 0 || token === (all[i - 1] ?? 0) + 1);
  return {
    name: "tokens",
    ok,
    text: `${all.join(", ") || "none"}${ok ? ": each one higher than the one before" : ": expected each one higher than the one before"}`,
  };
}

/** The time during which two processes believed that they lead, with every belief taken at its longest. */
export function overlapNs(beliefs: readonly Belief[]): bigint {
  let sum = 0n;
  for (const [i, a] of beliefs.entries()) {
    for (const b of beliefs.slice(i + 1)) {
      const from = a.fromNs > b.fromNs ? a.fromNs : b.fromNs;
      const until = least(a.untilNs, b.untilNs);
      // Two beliefs without an end overlap by more than any number.
      if (until === undefined) return 1n << 62n;
      if (until > from) sum += until - from;
    }
  }
  return sum;
}

function overlap({ beliefs }: History, words: Words): Check {
  const endless = beliefs.filter((b) => b.untilNs === undefined);
  const ns = overlapNs(beliefs);
  const name = "overlap";
  if (endless.length > 0) return { name, ok: false, text: `the belief of ${endless.map((b) => b.node).join(", ")} was never seen to end` };
  if (ns > 0n) return { name, ok: false, text: `${(Number(ns) / 1e6).toFixed(3)} ms ${words.twoLeaders}` };
  return { name, ok: true, text: `0: ${words.noOverlap}` };
}

/** The time from a cut to the next leader's election. */
function succession(name: string, { beliefs }: History, cut: Cut, boundMs: number, against: string): Check {
  const at = beliefs.findIndex((b) => b.node === cut.node);
  const next = at < 0 ? undefined : beliefs[at + 1];
  if (next === undefined) return { name, ok: false, text: `nobody followed ${cut.node}, ${against}` };
  const ms = Number(next.electedNs - cut.atNs) / 1e6;
  return { name, ok: ms >= 0 && ms <= boundMs, text: `${seconds(ms)} ${against}` };
}

/** Nobody lost leadership unasked, and who was asked to stop did so in good order. */
function endings({ beliefs, kill, exits }: History): Check {
  const wrong = [
    ...beliefs
      .filter((b) => b.end !== (b.node === kill.node ? "killed" : "stopped"))
      .map((b) => `${b.node} (token ${b.token}) ended as ${b.end ?? "unknown"}`),
    ...exits.filter((e) => e.node !== kill.node && e.code !== 0).map((e) => `${e.node} exited with ${e.code ?? e.signal}`),
    ...exits
      .filter((e) => e.node === kill.node && e.signal !== "SIGKILL")
      .map((e) => `${e.node} was to be killed and exited with ${e.code ?? e.signal}`),
  ];
  if (exits.length < 3) wrong.push(`${3 - exits.length} of 3 processes were not seen to end`);
  const ok = wrong.length === 0;
  return { name: "endings", ok, text: ok ? "one killed, two stopped: work ended, key freed, exit 0" : wrong.join("; ") };
}

function least(a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a < b ? a : b;
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
