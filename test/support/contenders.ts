/** Election nodes in processes of their own, and what to ask of a group of them. */
import type { ManagerOptions } from "s3-consensus";
import { type Program, type ProgramOptions, spawnProgram } from "./programs.ts";
import { credentialsEnv, type S3Server } from "./servers.ts";

export interface Contender extends Program {
  readonly node: string;
  /** Sends a command and waits for its answer. Rejects with what the program answered in error. */
  ask(command: string, more?: object, timeoutMs?: number): Promise<unknown>;
}

export interface ContenderOptions extends ProgramOptions {
  readonly node: string;
  readonly url: string;
  readonly server: S3Server;
  readonly options?: Partial<ManagerOptions<never>> | undefined;
  readonly program?: string | undefined;
}

/**
 * Every time in a test follows from these two. The ttl is long enough for a leader to live through a machine that stands still for three seconds
 * just before a renewal, and short enough to wait for a death: those tests wait side by side.
 */
export const TTL_MS = 10_000;
export const POLL_MS = 500;
/** Longest time without a leader after a kill -9: the record's ttl, the drift margin, one poll, and a second for everything else. */
export const FAILOVER_BOUND_MS: number = TTL_MS * 1.1 + POLL_MS + 1_000;

export function contender(o: ContenderOptions): Contender {
  const options = { name: "race", ttlMs: TTL_MS, pollMs: POLL_MS, ...o.options, node: o.node };
  const env = { ...credentialsEnv(o.server), STORE: o.url, OPTIONS: JSON.stringify(options), ...o.env };
  const program = spawnProgram(o.program ?? "contender", { ...o, env });
  let commands = 0;
  const ask = async (command: string, more: object = {}, timeoutMs = 60_000): Promise<unknown> => {
    const id = ++commands;
    program.send(JSON.stringify({ id, do: command, ...more }));
    const answer = await program.event("answer", timeoutMs, (e) => e["id"] === id);
    if (answer["error"] !== undefined) throw Object.assign(new Error("the program answered in error"), { answer: answer["error"] });
    return answer["value"];
  };
  return Object.assign(Object.create(program) as Program, { node: o.node, ask });
}

export interface Act {
  readonly node: string;
  readonly token: number;
  readonly atMs: number;
}

/** Everything that leaders did, in true order: all processes of a machine share one monotonic clock. */
export function actsOf(nodes: readonly Contender[]): Act[] {
  const acts = nodes.flatMap((n) =>
    n.events.filter((e) => e.event === "act").map((e) => ({ node: n.node, token: Number(e["token"]), atMs: e.atMs })),
  );
  return acts.sort((a, b) => a.atMs - b.atMs);
}

/** The acts by which an older leader did something after a newer one had begun to. There must be none. */
export function overlaps(acts: readonly Act[]): Act[] {
  let highest = 0;
  return acts.filter((act) => {
    if (act.token < highest) return true;
    highest = act.token;
    return false;
  });
}

export interface Election {
  readonly node: Contender;
  readonly token: number;
  readonly atMs: number;
}

/** The first election among the nodes with a token above `above`; waits for it. */
export async function electionAbove(nodes: readonly Contender[], above: number, timeoutMs = 60_000): Promise<Election> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    const elections = nodes.flatMap((node) =>
      node.events.filter((e) => e.event === "elected").map((e) => ({ node, token: Number(e["token"]), atMs: e.atMs })),
    );
    const next = elections.filter((e) => e.token > above).sort((x, y) => x.token - y.token)[0];
    if (next !== undefined) return next;
    if (performance.now() > until)
      throw new Error(
        `nobody was elected with a token above ${above} within ${timeoutMs} ms\n${nodes.map((n) => n.transcript()).join("\n")}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Real time passes. */
export function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
