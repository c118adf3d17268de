/** What the demo's keys mean. Pure. */
import type { Key } from "../../frame/keys.ts";

/** So many processes have a digit of their own. */
export const MAX_NODES = 9;

export type Action =
  /** kill -9, whichever is selected. */
  | { readonly kind: "kill"; readonly number: number }
  /** Of the one that is selected. */
  | { readonly kind: "pause" | "continue" | "stop" | "connection" }
  | { readonly kind: "select"; readonly by: 1 | -1 }
  | { readonly kind: "add" | "quit" };

const ACTIONS: Readonly<Record<string, Action>> = {
  p: { kind: "pause" },
  c: { kind: "continue" },
  s: { kind: "stop" },
  d: { kind: "connection" },
  n: { kind: "add" },
  q: { kind: "quit" },
  up: { kind: "select", by: -1 },
  k: { kind: "select", by: -1 },
  down: { kind: "select", by: 1 },
  j: { kind: "select", by: 1 },
  tab: { kind: "select", by: 1 },
};

export function actionOf(key: Key): Action | undefined {
  if (/^[1-9]$/.test(key)) return { kind: "kill", number: Number(key) };
  return ACTIONS[key.toLowerCase()];
}
