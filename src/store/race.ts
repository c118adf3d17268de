/** Who won a race of conditional writes. Pure: the probe's judgement, apart from its requests. */
import type { WriteResult } from "./object-store.ts";

/** Whose body stands after the race: the index of a writer, the object from before it, none at all, or one of nobody's in this race. */
export type Standing = number | "before" | "absent" | "foreign";

export type Verdict =
  | { readonly kind: "one-winner"; readonly winner: number }
  | { readonly kind: "unsafe"; readonly why: string }
  /** Nothing is proved either way: run the race again. */
  | { readonly kind: "inconclusive"; readonly why: string };

/** Rounds are judged by what was answered *and* by what stands: a busy or unknown writer may be the winner. */
export function judgeRace(results: readonly WriteResult["kind"][], standing: Standing): Verdict {
  const winners = results.flatMap((kind, i) => (kind === "applied" ? [i] : []));
  const writers = results.length;
  if (winners.length > 1)
    return { kind: "unsafe", why: `${winners.length} of ${writers} writers that had the same condition were told that they had won` };
  const winner = winners[0];
  if (typeof standing !== "number") {
    const why = winner === undefined ? `nobody of ${writers} won` : "the winner's object could not be seen";
    return { kind: "inconclusive", why: `${why} (${standing} stands)` };
  }
  if (winner === standing) return { kind: "one-winner", winner };
  if (winner !== undefined) {
    return {
      kind: "unsafe",
      why: `one of ${writers} writers was told that it had won, and the object of another stands: both were applied`,
    };
  }
  const kind = results[standing];
  // Told 412 and applied all the same: something on the way sends requests twice. Not the store's fault for certain.
  if (kind === "refused")
    return { kind: "inconclusive", why: "a write was refused and stands all the same: something on the way repeats requests" };
  return { kind: "one-winner", winner: standing };
}
