/**
 * What is true of locks and sessions, judged by the records in the store: who may end or take what (rules S3 to S9, C6, O2), what operators asked
 * for, and which hand-offs are on offer.
 */
import type { KeyedRandom } from "../../../src/testing/sim/keyed-random.ts";
import type { Arena } from "./arena.ts";
import { lifetimeLeftMs, type KeyHistory, type WriteEntry } from "./ledger.ts";
import { memberKeyOf, viewOf, type RecordView } from "./record-view.ts";
import { describe, type TrackedTerm } from "./terms.ts";

/** A text that `handOff` gave, on its way to whoever resumes it. */
export interface HandOff {
  readonly key: string;
  readonly text: string;
  readonly token: number;
  won: number;
}

/** Rates of clocks within their bound: what a viewer waits for, in true time, at least. */
const SHORTEST = 0.9;
const GRACE_MS = 5;

export class LockBooks {
  readonly #arena: Arena;
  readonly #offers: { readonly offer: HandOff; left: number }[] = [];
  /** Tenancies that an operator asked to free, and those that were to be cut off at once: `key/token`. */
  readonly #forced = new Set<string>();
  readonly #cut = new Set<string>();
  /** What may be resumed at once, however long it is to stay closed for others. */
  readonly #handedOff = new Set<string>();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  offer(handOff: Omit<HandOff, "won">, resumers: number): void {
    this.#handedOff.add(idOf(this.#arena.lockKey(handOff.key), handOff.token));
    this.#offers.push({ offer: { ...handOff, won: 0 }, left: resumers });
  }

  /** One that a caller of these keys may resume; each is taken as often as it was made for. */
  take(keys: readonly string[], random: KeyedRandom): HandOff | undefined {
    const open = this.#offers.filter(({ offer }) => keys.includes(offer.key));
    if (open.length === 0) return undefined;
    const taken = random.pick(open);
    if (--taken.left === 0) this.#offers.splice(this.#offers.indexOf(taken), 1);
    return taken.offer;
  }

  /** An operator is about to free this token. */
  forces(key: string, token: number, now: boolean): void {
    this.#forced.add(idOf(key, token));
    if (!now) return;
    this.#cut.add(idOf(key, token));
    // Whichever version the operator will see, its session is ended with all that it holds (rule S15).
    const { s3 } = this.#arena;
    for (const version of [s3.peek(key), ...s3.versions(key)]) {
      const view = viewOf(version?.body);
      const member = memberKeyOf(view);
      if (member !== undefined && view?.fencingToken === token) this.#cut.add(idOf(member, view.session?.token ?? 0));
    }
  }

  isCut({ key, token, base }: TrackedTerm): boolean {
    return this.#cut.has(idOf(key, token)) || this.#cut.has(idOf(base.key, base.token));
  }

  /** Whether what a holder lost was really ended, or taken, by somebody else. */
  isTaken({ key, token, base }: TrackedTerm): boolean {
    const { ledger } = this.#arena;
    const own = ledger.history(key);
    const isEnded = (history: KeyHistory, t: number): boolean => history.highestToken > t || history.ends.get(t)?.endedBy === "other";
    return own.tampered || isEnded(own, token) || isEnded(ledger.history(base.key), base.token);
  }

  /** "not-mine" after a release is true: somebody else ended it, or the session ran out while it closed with this lock. */
  checkNotMine(tracked: TrackedTerm): void {
    const { base, key, process } = tracked;
    if (this.isTaken(tracked)) return;
    const membership = base.key === key ? undefined : this.#arena.ledger.believed(process, base.key, base.token);
    const parted = process.node.clocksPartedAtMs;
    const hasParted = parted !== undefined && process.node.monotonicMs() - parted < tracked.ttlMs;
    if (membership !== undefined && (hasParted || lifetimeLeftMs(membership) <= 1)) return;
    this.#arena.fail("I6", `${describe(tracked)}: "not-mine" after release(), but nobody else touched it`);
  }

  /** "released" is true of the store; and a minimum hold that was not over stands in the record (rule C6). */
  checkReleased(tracked: TrackedTerm, closedForMs: number): void {
    const { ledger } = this.#arena;
    const own = ledger.history(tracked.key).ends.get(tracked.token);
    const end = own ?? ledger.history(tracked.base.key).ends.get(tracked.base.token);
    if (end === undefined) this.#arena.fail("I6", `${describe(tracked)}: "released", but the store says nothing of it`);
    if (closedForMs <= GRACE_MS) return;
    this.#arena.coverage.saw("minimum hold after the release");
    if ((own?.holdForMs ?? 0) < closedForMs - GRACE_MS)
      this.#arena.fail(
        "C6",
        `${describe(tracked)}: released ${Math.round(closedForMs)} ms before its minimum hold was over, and open at once`,
      );
  }

  /** S3: a lock's acquisition goes out only under a session that is held at that moment. S9: nothing renews it. */
  sent({ kind, record, process, key }: WriteEntry): void {
    const member = memberKeyOf(record);
    if (member === undefined) return;
    if (kind !== "acquire") return this.#arena.fail("S9", `${key}: a record that names a session was written again by who holds it`);
    const membership = this.#arena.ledger.newest(process, member, record.session?.token ?? 0);
    // What was sent while the wall clock was set wrong may seem older than the write before it (seed 215).
    const parted = process.node.clocksPartedAtMs;
    if (membership !== undefined && parted !== undefined && process.node.monotonicMs() - parted < 2 * membership.record.ttlMs) return;
    if (membership === undefined || lifetimeLeftMs(membership) < -1)
      this.#arena.fail("S3", `${key}: an acquisition was sent under a session that is over`);
  }

  applied(key: string, before: KeyHistory, record: RecordView, write: WriteEntry | undefined): void {
    const was = before.current;
    this.#noteSession(was, record);
    if (was === undefined || before.tampered) return;
    const same = was.fencingToken === record.fencingToken;
    if (record.fencingToken < was.fencingToken)
      return this.#arena.fail("S6", `${key}: token ${was.fencingToken} was followed by ${record.fencingToken}`);
    if (same && was.state === "released" && record.state === "held")
      return this.#arena.fail("S6", `${key}: token ${record.fencingToken} had ended, and came back`);
    if (same && was.instance !== record.instance)
      return this.#arena.fail("S6", `${key}: a write for token ${record.fencingToken} by another lease object than its own`);
    if (same && record.state === "released" && record.endedBy === "other" && was.state === "held") this.#endedByOther(key, was);
    if (same && record.flag?.kind === "revoke" && was.flag === undefined && !key.includes("members/") && write !== undefined)
      this.#checkForced(key, record);
    if (!same) this.#taken(key, before, was, record);
  }

  #noteSession(was: RecordView | undefined, record: RecordView): void {
    const { coverage, ledger } = this.#arena;
    const member = memberKeyOf(record);
    if (member !== undefined && ledger.history(member).ends.has(record.session?.token ?? 0))
      coverage.saw("lock write landed after its session ended");
    if (was?.session === undefined || record.state !== "released" || record.endedBy === "other") return;
    if (ledger.writeOf(was.nonce)?.acknowledged === false) coverage.saw("late lock write of a session cleaned up");
  }

  /** Nobody ends what its holder may believe in: not a dead holder's lock, not a dead session, unless an operator asked for just that. */
  #endedByOther(key: string, was: RecordView): void {
    const { coverage, ledger, plan } = this.#arena;
    const isMember = key.includes("members/");
    if (isMember) coverage.saw("session ended by another");
    const member = memberKeyOf(was);
    const session = member === undefined ? undefined : ledger.history(member);
    if (session?.current?.state === "held" && session.current.fencingToken === was.session?.token)
      this.#arena.fail("S15", `${key}: freed by another while the session that it names is alive in the store`);
    const id = idOf(key, was.fencingToken);
    if (was.session !== undefined || !plan.boundedClocks || this.#cut.has(id)) return;
    const owner = ledger.history(key).acquisitions.get(was.fencingToken)?.process;
    const write = owner?.isAlive === true ? ledger.believed(owner, key, was.fencingToken) : undefined;
    // Written for a session, it has no time of its own; who rewrote it with one (rule S16) believed no more (seed 92).
    if (owner === undefined || write === undefined || write.record.session !== undefined || lifetimeLeftMs(write) <= 1) return;
    const what = `${owner.node.name}${owner.generation} was ended ${Math.round(lifetimeLeftMs(write))} ms before its time`;
    if (isMember) this.#arena.fail("I7", `${key}: the session of ${what}`);
    else if (!this.#forced.has(id)) this.#arena.fail("O2", `${key}: token ${was.fencingToken} of ${what}, and no operator asked for it`);
  }

  /** O2: everything that an operator does goes by the token that the operator saw. */
  #checkForced(key: string, { fencingToken }: RecordView): void {
    if (!this.#forced.has(idOf(key, fencingToken)))
      this.#arena.fail("O2", `${key}: token ${fencingToken} was asked to end, and no operator asked for it`);
  }

  #taken(key: string, before: KeyHistory, was: RecordView, record: RecordView): void {
    const { coverage, ledger, plan, world } = this.#arena;
    let closedMs = was.state === "released" ? (was.holdForMs ?? 0) : 0;
    let sinceMs = before.sinceMs;
    const member = memberKeyOf(was);
    // Its own acquisition, of which it never heard, may be taken again while that session lives.
    if (member !== undefined && was.instance !== record.instance) {
      const session = ledger.history(member);
      const end = session.ends.get(was.session?.token ?? 0);
      if (session.current?.state === "held" && end === undefined)
        return this.#arena.fail("S7", `${key}: taken while the session that it names is alive in the store`);
      coverage.saw("lock taken from an ended session");
      sinceMs = session.sinceMs;
      if (end?.endedBy === "other") closedMs = was.lockDelayMs ?? 0;
    } else if (was.state === "held" || was.endedBy === "other") closedMs = Math.max(closedMs, was.lockDelayMs ?? 0);
    if (!plan.boundedClocks || this.#handedOff.has(idOf(key, was.fencingToken))) return;
    // Of a holder that lives I7 tells. Where it died at once, its key is free when it could not have believed any more by the slowest clock (C2, C3).
    // What it had acquired without hearing of it, it may have taken again before it died.
    const isGone = before.acquisitions.get(was.fencingToken)?.process?.isAlive === false && was.instance !== record.instance;
    if (was.state === "held" && was.session === undefined && isGone) {
      const leastMs = (was.ttlMs - was.marginMs) / SHORTEST - GRACE_MS;
      if (world.nowMs - before.sinceMs < leastMs)
        return this.#arena.fail(
          "C2",
          `${key}: taken ${Math.round(world.nowMs - before.sinceMs)} ms after its last write, which is good for ${Math.round(leastMs)} ms`,
        );
    }
    if (closedMs === 0) return;
    if (closedMs === was.lockDelayMs) coverage.saw("lock delay waited for");
    // A dead holder's delay begins when its time is over.
    const aliveMs = was.state === "held" && member === undefined ? was.ttlMs - was.marginMs : 0;
    if (world.nowMs - sinceMs < aliveMs + closedMs * SHORTEST - GRACE_MS)
      this.#arena.fail(
        "C6",
        `${key}: taken ${Math.round(world.nowMs - sinceMs - aliveMs)} ms after it was to stay closed for ${closedMs} ms`,
      );
  }
}

function idOf(key: string, token: number): string {
  return `${key}/${token}`;
}
