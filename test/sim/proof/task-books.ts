/**
 * Tasks as they were really claimed and run (I11): each attempt of a tick begins once, after its claim was applied, never before its time, with a
 * higher token than all before; and what the record says of runs that are over is true, and stays so.
 */
import type { TaskRun } from "../../../src/scheduler/options.ts";
import type { SimProcess } from "../../../src/testing/sim/sim-node.ts";
import type { Arena } from "./arena.ts";
import type { RecordView } from "./record-view.ts";
import { checkPolicies } from "./task-policy.ts";

/** A run as the record's payload has it; only what the checks need. */
export interface Entry {
  readonly kind: string;
  readonly tick: number;
  readonly state: string;
  readonly attempt: number;
  readonly token: number;
  readonly start: number;
  readonly end?: number;
  /** When its first attempt began. */
  readonly since?: number;
  readonly missed?: number;
}

export interface Payload {
  readonly lastTick: number;
  readonly run?: Entry;
  readonly history: readonly Entry[];
  readonly paused?: boolean;
  readonly missedUpTo?: number;
}

/** What a function came to, as it knows itself. */
interface Begun {
  readonly process: SimProcess;
  readonly token: number;
  outcome: "running" | "returned" | "threw";
}

/** Ticks may be claimed so early by the store's time: stamps are cut to the second. */
const EARLY_MS = 1_000;

export class TaskBooks {
  readonly #arena: Arena;
  /** Attempts that began, by key, tick and attempt. */
  readonly #begun = new Map<string, Begun>();
  /** By a tick or by hand, by key and token. */
  readonly #kinds = new Map<string, string>();
  readonly #newest = new Map<string, number>();
  readonly #lastTick = new Map<string, number>();
  /** What the record said of each entry that was over. */
  readonly #said = new Map<string, string>();
  readonly #claims = new Map<string, number>();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** Claims of a task that were applied so far. */
  claims(key: string): number {
    return this.#claims.get(key) ?? 0;
  }

  /** A task's function begins. @returns what to tell of its end. */
  begins(key: string, run: TaskRun, process: SimProcess): Begun {
    const { scheduledAt, attempt, fencingToken: token } = run;
    const what = `${key}, tick ${scheduledAt.toISOString()}, attempt ${attempt}, token ${token}`;
    const kind = this.#kinds.get(`${key}/${token}`) ?? "tick";
    const id = attemptOf(key, { kind, tick: scheduledAt.getTime(), attempt, token });
    const begun: Begun = { process, token, outcome: "running" };
    const before = this.#begun.get(id);
    if (before !== undefined) this.#arena.fail("I11", `${what}: ran before, with token ${before.token}`);
    this.#begun.set(id, begun);
    if (this.#arena.ledger.history(key).acquisitions.get(token)?.process !== process)
      this.#arena.fail("I11", `${what}: it runs, and was not claimed by this process`);
    const newest = this.#newest.get(key) ?? 0;
    if (token <= newest && this.#arena.plan.boundedClocks) this.#arena.fail("I11", `${what}: it began after a run with token ${newest}`);
    this.#newest.set(key, Math.max(newest, token));
    if (run.catchUp !== false) this.#arena.coverage.saw("missed run caught up with");
    return begun;
  }

  /** A write of a task's record, at the moment that it is applied. */
  applied(key: string, was: RecordView | undefined, record: RecordView, by: string | undefined): void {
    const now = (record as { readonly payload?: Payload }).payload;
    if (now === undefined) return;
    const before = (was as { readonly payload?: Payload } | undefined)?.payload;
    const lastTick = this.#lastTick.get(key) ?? 0;
    if (now.lastTick < lastTick) this.#arena.fail("I11", `${key}: its last tick went back by ${lastTick - now.lastTick} ms`);
    this.#lastTick.set(key, Math.max(lastTick, now.lastTick));
    const claimed = now.run !== undefined && record.state === "held" && was?.fencingToken !== record.fencingToken;
    if (claimed) this.#claimed(key, now, before, by);
    checkPolicies(this.#arena, { key, before, now, claimed });
    const over = now.run?.end === undefined ? now.history : [...now.history, now.run];
    for (const entry of over) this.#checkSaid(key, entry);
  }

  #claimed(key: string, now: Payload, before: Payload | undefined, by: string | undefined): void {
    const { run } = now;
    if (run === undefined) return;
    const { coverage, plan, world } = this.#arena;
    this.#claims.set(key, this.claims(key) + 1);
    this.#kinds.set(`${key}/${run.token}`, run.kind);
    const { skewMs = 0, offsetMs = 0 } = plan.profile;
    const storeMs = world.startWallMs + world.nowMs + offsetMs + skewMs;
    // One that had been claimed before, and not begun, was claimed early by whoever was the first.
    const isFirst = before?.run?.tick !== run.tick;
    if (run.kind === "tick" && isFirst && !this.mayBeFast(by) && run.tick > storeMs + EARLY_MS)
      this.#arena.fail(
        "I11",
        `${key}: tick ${new Date(run.tick).toISOString()} was claimed ${Math.round(run.tick - storeMs)} ms before its time`,
      );
    if (this.#begun.has(attemptOf(key, run)))
      this.#arena.fail(
        "I11",
        `${key}: tick ${new Date(run.tick).toISOString()}, attempt ${run.attempt} was claimed again after it had begun`,
      );
    if (run.attempt > 1 && now.history.some((e) => e.tick === run.tick && e.state === "abandoned"))
      coverage.saw("run abandoned and tried again");
    if (before?.run !== undefined && before.run.end === undefined && before.run.attempt === run.attempt && before.run.tick === run.tick)
      coverage.count("claims that had not begun, claimed again");
  }

  /** Between two answers of the store its time is known by the machine's own clock, which is taken to be right to a ten-thousandth. */
  mayBeFast(node: string | undefined): boolean {
    const { plan } = this.#arena;
    const isFast = (plan.nodes.find((n) => n.name === node)?.rate ?? 1) > 1;
    return isFast || plan.windows.some((w) => w.kind === "clock-rate" && w.node === node && w.x > 1);
  }

  /** An entry of the history is true when it is written, and does not change afterwards. */
  #checkSaid(key: string, entry: Entry): void {
    const id = `${key}/${entry.token}/${entry.tick}/${entry.attempt}/${entry.state === "missed" || entry.state === "skipped" ? entry.state : "run"}`;
    const said = `${entry.state} ${entry.end}`;
    const known = this.#said.get(id);
    if (known !== undefined) {
      if (known !== said) this.#arena.fail("I11", `${id}: the history said "${known}", and now says "${said}"`);
      return;
    }
    this.#said.set(id, said);
    this.#arena.coverage.count(`history ${entry.state}`);
    const begun = this.#begun.get(attemptOf(key, entry));
    const lie = (why: string): void => this.#arena.fail("I11", `${id}: the history says "${entry.state}", but ${why}`);
    if (entry.state === "succeeded" && begun?.outcome !== "returned") lie(`its function is ${begun?.outcome ?? "not begun"}`);
    if (entry.state === "failed" && begun?.outcome !== "threw") lie(`its function is ${begun?.outcome ?? "not begun"}`);
    if ((entry.state === "missed" || entry.state === "skipped") && this.#begun.has(attemptOf(key, { ...entry, attempt: 1 }))) lie("it ran");
  }
}

/** One attempt of a tick. Runs by hand are told apart by their tokens: several may be for one instant. */
function attemptOf(key: string, { kind, tick, attempt, token }: Pick<Entry, "kind" | "tick" | "attempt" | "token">): string {
  return kind === "tick" ? `${key}/${tick}/${attempt}` : `${key}/by hand/${token}`;
}
