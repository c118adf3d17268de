/** The definition of linearizability, tried out: is there any order of the attempts that respects real time and that one register could answer? */
import type { Attempt } from "../../src/testing/history/index.ts";

export function bruteForce(attempts: readonly Attempt[]): boolean {
  const relevant = attempts.filter((a) => a.outcome !== "nothing");
  return [undefined, ...initialStates(relevant)].some((initial) => search(relevant, new Set(relevant.keys()), initial, new Set()));
}

/** As the checker takes it: an object is absent at the start if anything says so, else it may be any version that nobody made. */
function initialStates(attempts: readonly Attempt[]): string[] {
  if (attempts.some((a) => a.outcome === "absent" || (a.kind === "create" && a.outcome === "applied"))) return [];
  const made = new Set(attempts.filter((a) => a.outcome === "applied" || a.outcome === "unknown").map((a) => a.etag));
  const named = attempts.flatMap((a) => (a.outcome === "found" ? [a.etag] : a.outcome === "refused" ? [] : [a.condition]));
  return ["something else", ...named.filter((etag): etag is string => etag !== undefined && !made.has(etag))];
}

function search(all: readonly Attempt[], left: ReadonlySet<number>, state: string | undefined, dead: Set<string>): boolean {
  const open = [...left].filter((i) => all[i]?.outcome !== "unknown");
  if (open.length === 0) return true;
  const memo = `${[...left].join(",")}|${state}`;
  if (dead.has(memo)) return false;
  // Next can be only what was sent before everything that is left had its answer.
  const firstAnswerMs = Math.min(...open.map((i) => all[i]?.answeredMs ?? Infinity));
  for (const i of left) {
    const a = all[i] as Attempt;
    if (a.sentMs > firstAnswerMs) continue;
    const next = step(a, state);
    if (next === "impossible") continue;
    const rest = new Set(left);
    rest.delete(i);
    if (search(all, rest, next.state, dead)) return true;
  }
  dead.add(memo);
  return false;
}

function step(a: Attempt, state: string | undefined): { readonly state: string | undefined } | "impossible" {
  const named = a.kind === "create" ? undefined : a.condition;
  switch (a.outcome) {
    case "applied":
    case "unknown":
      return state === named ? { state: a.etag } : "impossible";
    case "refused":
      return state === named ? "impossible" : { state };
    case "found":
      return state === a.etag ? { state } : "impossible";
    case "not-modified":
      return state === a.condition ? { state } : "impossible";
    case "absent":
      return state === undefined ? { state } : "impossible";
    case "nothing":
      return { state };
  }
}
