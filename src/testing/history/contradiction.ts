import type { Attempt, HistoryLine } from "./line.ts";

export type ContradictionKind =
  /** Two applied writes replaced the same version: the store's conditions are not atomic, or not there. */
  | "two-writes-on-one-version"
  /** A read gave a version that was known to be replaced before the read was sent. */
  | "stale-read"
  /** A write was refused although the version that it named was there all the time. */
  | "false-refusal"
  /** Something was seen before it was sent, or a write that was answered before another one was sent came after it. */
  | "against-real-time"
  /** A version that no write in the history made. */
  | "phantom-version"
  /** Two different writes under one ETag, or one nonce under two: rule R1 is broken. */
  | "ambiguous-version"
  /** The fencing token fell, jumped, or did not grow at an acquisition (rule R2). */
  | "token-order"
  /** Two nodes believed at the same time. */
  | "beliefs-overlap"
  /** A later belief has a token that is not larger. */
  | "belief-token-order"
  /** A belief in a token that no write in the history acquired. */
  | "belief-without-write"
  /** A fenced resource took an older token after a newer one, or refused the newest. */
  | "fencing";

export interface Contradiction {
  readonly kind: ContradictionKind;
  readonly key: string;
  /** One sentence that names what cannot be. */
  readonly message: string;
  /** The lines that contradict each other, as few as it takes, in the order of the argument. */
  readonly lines: readonly HistoryLine[];
}

/** For people: the sentence, then each line with its place in the file and its times, counted from the first of them. */
export function formatContradiction(c: Contradiction): string {
  const zeroMs = Math.min(...c.lines.map(startOf));
  const rows = c.lines.map((line) => `  ${place(line)}${span(line, zeroMs)}  ${describeLine(line)}`);
  return [`${c.kind} at ${JSON.stringify(c.key)}: ${c.message}`, ...rows].join("\n");
}

export function describeLine(line: HistoryLine): string {
  switch (line.type) {
    case "belief":
      return `${line.node} believed that it holds it, token ${line.fencingToken}`;
    case "fenced":
      return `the resource ${line.accepted ? "accepted" : "refused"} a write of ${line.node} with token ${line.fencingToken}`;
    case "attempt":
      return describeAttempt(line);
  }
}

function describeAttempt(a: Attempt): string {
  const who = a.client === undefined ? "" : `${a.client}: `;
  const status = a.status === undefined ? "" : ` (${a.status})`;
  const what = `${a.kind}${a.condition === undefined ? "" : ` ${a.kind === "read" ? "unless" : "if"} ${short(a.condition)}`}`;
  return `${who}${what} → ${a.outcome}${status}${describeVersion(a)}`;
}

function describeVersion(a: Attempt): string {
  const parts = [
    a.etag === undefined ? undefined : short(a.etag),
    a.nonce === undefined ? undefined : `nonce ${short(a.nonce)}`,
    a.fencingToken === undefined ? undefined : `token ${a.fencingToken}`,
    a.state,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? "" : `: ${parts.join(", ")}`;
}

/** Enough of an ETag or nonce to find it again. */
export function short(id: string): string {
  const bare = id.replaceAll('"', "");
  return bare.length <= 12 ? bare : `${bare.slice(0, 10)}…`;
}

function startOf(line: HistoryLine): number {
  return line.type === "attempt" ? line.sentMs : line.type === "belief" ? line.fromMs : line.atMs;
}

function place(line: HistoryLine): string {
  return line.line === undefined ? "" : `line ${String(line.line).padEnd(6)} `;
}

function span(line: HistoryLine, zeroMs: number): string {
  const at = (ms: number): string => `+${(ms - zeroMs).toFixed(3)}`;
  if (line.type === "fenced") return `${at(line.atMs)} ms`;
  const [from, to] = line.type === "attempt" ? [line.sentMs, line.answeredMs] : [line.fromMs, line.toMs];
  return `${at(from)} to ${to === undefined ? "never" : at(to)} ms`;
}
