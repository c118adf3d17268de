/**
 * Every term that was handed to a user, with what the user was told of it, and the promises about it: I1 (one at a time), I4 and H3 (it ends
 * once, by a timer, in time), I5 (who is told what, in which order).
 *
 * Belief is read from `remainingMs`, which only looks: asking `isHeld()` after each event would end terms that the code had not noticed yet
 * and so hide a missing timer. What `isHeld()` says is judged when the user's program asks it.
 */
import type { Lease } from "../../../src/lease/held.ts";
import type { SimProcess } from "../../../src/testing/sim/sim-node.ts";
import type { World } from "../../../src/testing/sim/world.ts";
import type { Coverage } from "./coverage.ts";
import { Violation } from "./violation.ts";

/** How much running time a process may take to notice that a deadline passed: the lag of its timers (at most twelve means) and a little. */
const NOTICE_MS = 25;

/** A tenancy, by the key of its record and its fencing token. */
export interface Tenancy {
  readonly key: string;
  readonly token: number;
}

export interface TrackedTerm {
  readonly term: Lease;
  /** The key of its record. */
  readonly key: string;
  readonly token: number;
  /** The tenancy whose renewals it rests on: its own, or that of the session that it is held through. */
  readonly base: Tenancy;
  readonly process: SimProcess;
  readonly ttlMs: number;
  aborted: boolean;
  reason: unknown;
  /** A look by the user's program said "not held". */
  seenEnded: boolean;
  demoted: boolean;
  /** What onEvent said of its end. */
  endEvents: number;
  /** The process's monotonic clock when the deadline was first seen past while it ran. */
  pastSinceMs: number | undefined;
  pausedPast: boolean;
  /** Its deadline was seen past, with clocks that keep together: nothing brings it back. */
  isPast: boolean;
  /** The user's onElected has not settled. */
  isWorking: boolean;
}

export interface TermRules {
  /** Whether I1 is promised for a key. */
  readonly isExclusive: (key: string) => boolean;
  /** An operator cut it off without waiting: two may believe until its holder hears of it (rule O2). */
  readonly isCut: (term: TrackedTerm) => boolean;
  readonly baseOf: (key: string, token: number) => Tenancy;
  /** Hears of each look of a user that was told "held". */
  readonly onHeld: (term: TrackedTerm) => void;
  /** Hears of each term when it was handed out. */
  readonly onTerm: (term: TrackedTerm) => void;
  /** Hears of each term whose signal is aborted. */
  readonly onLoss: (term: TrackedTerm) => void;
}

export class Terms {
  readonly #world: World;
  readonly #coverage: Coverage;
  readonly #rules: TermRules;
  /** Terms that may still be believed in, by key. */
  readonly #live = new Map<string, Set<TrackedTerm>>();
  readonly #all = new WeakMap<Lease, TrackedTerm>();
  /** The newest term of each process and key. */
  readonly #newest = new WeakMap<SimProcess, Map<string, TrackedTerm>>();

  constructor(world: World, coverage: Coverage, rules: TermRules) {
    this.#world = world;
    this.#coverage = coverage;
    this.#rules = rules;
    world.addCheck(() => this.#check());
  }

  isExclusive(key: string): boolean {
    return this.#rules.isExclusive(key);
  }

  /** @param key of its record, where the term's own key is a name */
  track(term: Lease, process: SimProcess, ttlMs: number, key: string = term.key): TrackedTerm {
    const known = this.#all.get(term);
    if (known !== undefined) return known;
    const { fencingToken: token } = term;
    const tracked: TrackedTerm = {
      term,
      key,
      token,
      base: this.#rules.baseOf(key, token),
      process,
      ttlMs,
      aborted: false,
      reason: undefined,
      seenEnded: false,
      demoted: false,
      endEvents: 0,
      pastSinceMs: undefined,
      pausedPast: false,
      isPast: false,
      isWorking: false,
    };
    const onAbort = (): void => {
      tracked.aborted = true;
      tracked.reason = term.signal.reason;
      this.#world.log("term-ended", process.node.name, token, () => (tracked.reason as Error).message);
      this.#rules.onLoss(tracked);
    };
    // One of several locks may be over before the last of them was acquired.
    if (term.signal.aborted) onAbort();
    else term.signal.addEventListener("abort", onAbort, { once: true });
    this.#all.set(term, tracked);
    let live = this.#live.get(key);
    if (live === undefined) this.#live.set(key, (live = new Set()));
    live.add(tracked);
    this.#coverage.count("terms");
    this.#noteToken(tracked);
    this.#rules.onTerm(tracked);
    this.#world.log("term", process.node.name, token, () => key);
    return tracked;
  }

  /** H10: whatever operators and backups do, no process leads with a token that is not above all that it led with before. */
  #noteToken(tracked: TrackedTerm): void {
    const { process, key, token } = tracked;
    const newest = this.#newest.get(process) ?? new Map<string, TrackedTerm>();
    this.#newest.set(process, newest);
    const before = newest.get(key)?.token ?? 0;
    // One of several locks may be lost or cut off, and taken anew, before the last of them was acquired and all of them are handed out.
    if (token <= before && (tracked.term.remainingMs === 0 || this.#rules.isCut(tracked))) return;
    if (token <= before) {
      this.#world.fail(
        new Violation("I2", `${process.node.name}${process.generation} leads ${key} with token ${token} after ${before} (rule H10)`),
      );
    }
    newest.set(key, tracked);
  }

  /** A look of the user's program, as it would make before a protected action. */
  look(tracked: TrackedTerm): boolean {
    const held = tracked.term.isHeld();
    if (held && tracked.seenEnded) throw new Violation("I4", `${describe(tracked)}: isHeld() says yes after it had said no`);
    if (!held) tracked.seenEnded = true;
    if (!held && !tracked.aborted) throw new Violation("I5", `${describe(tracked)}: isHeld() says no, but the signal has not been aborted`);
    if (held) this.#rules.onHeld(tracked);
    if (held && this.isExclusive(tracked.key) && !this.#rules.isCut(tracked)) {
      for (const other of this.#live.get(tracked.key) ?? []) {
        if (other !== tracked && other.process.isAlive && other.term.remainingMs > 0 && !this.#rules.isCut(other))
          throw overlap(tracked, other);
      }
    }
    return held;
  }

  /** The believers in a key at this instant. */
  believers(key: string): TrackedTerm[] {
    return [...(this.#live.get(key) ?? [])].filter((t) => t.process.isAlive && t.term.remainingMs > 0);
  }

  /** How many of these keys somebody believes in at this instant. */
  believersIn(isOne: (key: string) => boolean): number {
    return [...this.#live.keys()].filter((key) => isOne(key) && this.believers(key).length > 0).length;
  }

  /** What a process believes to hold at this instant. */
  heldBy(process: SimProcess): TrackedTerm[] {
    return [...this.#live.values()].flatMap((live) => [...live].filter((t) => t.process === process && t.term.remainingMs > 0));
  }

  /** Whatever of a process rests on one tenancy, and has not ended for certain: believed in, or worked under. */
  restingOn(process: SimProcess, base: Tenancy): TrackedTerm[] {
    const rests = (t: TrackedTerm): boolean => t.process === process && t.base.key === base.key && t.base.token === base.token;
    return [...this.#live.values()].flatMap((live) => [...live].filter((t) => rests(t)));
  }

  /** The newest term of a process with this token. */
  find(process: SimProcess, key: string, token: number): TrackedTerm | undefined {
    const newest = this.#newest.get(process)?.get(key);
    return newest?.token === token ? newest : undefined;
  }

  #check(): void {
    for (const [key, live] of this.#live) {
      let first: TrackedTerm | undefined;
      for (const tracked of live) {
        if (!tracked.process.isAlive) {
          live.delete(tracked);
          continue;
        }
        const believes = tracked.term.remainingMs > 0;
        if (!believes) this.#pastDeadline(tracked, live);
        else if (tracked.isPast)
          throw new Violation("I4", `${describe(tracked)}: its deadline was past, and now it is ahead again (rule H3)`);
        else if (this.#rules.isCut(tracked)) continue;
        else if (first === undefined) first = tracked;
        else if (this.isExclusive(key)) throw overlap(first, tracked);
      }
    }
  }

  /** H3: a timer ends it, so a process that runs notices at once, whatever its requests do. */
  #pastDeadline(tracked: TrackedTerm, live: Set<TrackedTerm>): void {
    if (tracked.aborted) {
      if (!tracked.isWorking) live.delete(tracked);
      return;
    }
    const { node } = tracked.process;
    // Where the wall clock alone passed the deadline, nothing but a look can tell: the timer is the monotonic clock's.
    const parted = node.clocksPartedAtMs;
    const together = parted === undefined || node.monotonicMs() - parted >= tracked.ttlMs;
    if (together) tracked.isPast = true;
    if (!node.isRunning) {
      if (!tracked.pausedPast) this.#coverage.saw("deadline while paused");
      tracked.pausedPast = true;
      tracked.pastSinceMs = undefined;
      return;
    }
    if (!together) return;
    tracked.pastSinceMs ??= node.monotonicMs();
    if (node.monotonicMs() - tracked.pastSinceMs > NOTICE_MS) {
      throw new Violation(
        "I5",
        `${describe(tracked)}: its deadline passed ${NOTICE_MS} ms ago and its signal has not been aborted (rule H3)`,
      );
    }
  }
}

function overlap(a: TrackedTerm, b: TrackedTerm): Violation {
  return new Violation("I1", `two believe at the same time: ${describe(a)} and ${describe(b)}`);
}

export function describe(t: TrackedTerm): string {
  return `${t.process.node.name}${t.process.generation} in ${t.key} with token ${t.token}`;
}
