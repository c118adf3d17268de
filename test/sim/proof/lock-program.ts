/** Programs over `Locks`, and over a `Session` with its locks and perhaps an election. */
import { link, sleep } from "../../../src/clock/wait.ts";
import { ConsensusError } from "../../../src/errors.ts";
import { Locks } from "../../../src/locks/locks.ts";
import { Session } from "../../../src/session/session.ts";
import { Caller, type CallerEnv } from "./caller.ts";
import type { FacePlan } from "./plan.ts";
import { FaceProgram, isLock } from "./resident.ts";
import { work } from "./work.ts";

/** A caller asks for one key at a time, and who looks for a place for several. */
function keysAtOnce({ callers, actions }: FacePlan): number {
  return callers * (actions.includes("slot") || actions.includes("permit") ? 2 : 1);
}

/** Several callers share one `Locks`. */
export class LockProgram extends FaceProgram {
  get weight(): number {
    return keysAtOnce(this.plan);
  }

  protected async live(stop: AbortSignal): Promise<void> {
    const { node, ttlMs, autoRenew, takeover, drainMs, ephemeral } = this.plan;
    const locks = new Locks({
      store: this.store,
      node,
      drainMs,
      ephemeral,
      defaults: { ttlMs, autoRenew, takeover },
      onEvent: (event) => this.book.heard(event),
    });
    const env: CallerEnv = { arena: this.arena, program: this, store: this.store, plan: this.plan, locks, plain: locks, over: () => false };
    await Promise.all(Array.from({ length: this.plan.callers }, (_, i) => new Caller(env, i).run(stop)));
    this.arena.countLocks(locks.stats());
  }
}

/** One session after another: each lives until it is lost, or for a while, and is closed with whatever is under way. */
export class SessionProgram extends FaceProgram {
  get weight(): number {
    return keysAtOnce(this.plan) + 2;
  }

  protected async live(stop: AbortSignal): Promise<void> {
    const { arena, plan, random, store } = this;
    const { node, ttlMs, marginMs, requestTimeoutMs, drainMs } = plan;
    // One that could not be closed, because its work went on, holds what it holds.
    const others = new Set(arena.terms.heldBy(this.process).map((t) => t.base.key));
    let session: Session;
    try {
      const onEvent: CallerEnv["onEvent"] = (event) => this.book.heard(event);
      session = await Session.open({ store, node, ttlMs, marginMs, requestTimeoutMs, drainMs, onEvent, signal: stop });
    } catch (error) {
      if (!(stop.aborted && error === stop.reason)) this.#expect(error, "Session.open");
      return await this.#rest(stop);
    }
    arena.coverage.count("sessions opened");
    const over = (): boolean => session.signal.aborted;
    const env: CallerEnv = { arena, program: this, store, plan, locks: session.locks(), plain: undefined, over };
    const done = [
      ...Array.from({ length: plan.callers }, (_, i) => new Caller(env, i).run(stop)),
      plan.election === undefined ? Promise.resolve() : this.#lead(session, plan.election, stop),
    ];
    const lifeMs = random.chance(0.3) || plan.restMs !== undefined ? ttlMs * random.magnitude(0.5, 30) : Infinity;
    await this.#lifetime(session, stop, lifeMs);
    if (ConsensusError.is(session.signal.reason) && session.signal.reason.code === "LEASE_LOST") arena.coverage.count("sessions lost");
    const held = arena.terms.heldBy(this.process).filter((t) => t.base.key.includes("members/") && !others.has(t.base.key));
    if (held.length > 1) arena.coverage.count("sessions closed with locks held");
    arena.noteStop(this.process, isLock);
    try {
      await session.close();
      for (const t of held) if (t.term.remainingMs > 0) arena.fail("I5", `${this.name}: ${t.key} is still held after close()`);
    } catch (error) {
      this.#expect(error, "Session.close");
    }
    await Promise.all(done);
    arena.countLocks(session.locks().stats());
    await this.#rest(stop);
  }

  async #rest(stop: AbortSignal): Promise<void> {
    const { restMs } = this.plan;
    if (restMs === undefined || this.arena.isCalm) return;
    const over = new AbortController();
    const undo = [link(stop, over), this.arena.onAlarm(this.process, () => this.arena.isCalm && over.abort())];
    await sleep(this.store.clock, restMs * this.random.between(0.05, 1), { signal: over.signal, keepAlive: true });
    for (const u of undo) u();
  }

  /** Until the session is over, or its time is; in the calm it lives on. */
  async #lifetime(session: Session, stop: AbortSignal, lifeMs: number): Promise<void> {
    const { clock } = this.store;
    const ends = clock.monotonicMs() + lifeMs;
    const either = new AbortController();
    const onEnd = (): void => either.abort();
    session.signal.addEventListener("abort", onEnd, { once: true });
    stop.addEventListener("abort", onEnd, { once: true });
    while (!session.signal.aborted && !stop.aborted && (this.arena.isCalm || clock.monotonicMs() < ends)) {
      const leftMs = this.arena.isCalm ? Infinity : ends - clock.monotonicMs();
      await sleep(clock, Math.min(leftMs, 10 * this.plan.ttlMs), { signal: either.signal, keepAlive: true });
    }
    stop.removeEventListener("abort", onEnd);
    session.signal.removeEventListener("abort", onEnd);
  }

  /** An election over the session: it ends with it, and never before. */
  async #lead(session: Session, name: string, stop: AbortSignal): Promise<void> {
    const { arena, process, plan, random } = this;
    const manager = session.manager({ name });
    const key = arena.objectKey(name);
    try {
      await manager.run(
        {
          onElected: async (term) => {
            const tracked = arena.terms.track(term, process, plan.ttlMs, key);
            tracked.isWorking = true;
            arena.coverage.count("elected over a session");
            await work(arena, tracked, { clock: this.store.clock, random, ttlMs: plan.ttlMs, leftMs: () => Infinity });
            tracked.isWorking = false;
          },
        },
        { signal: stop },
      );
    } catch (error) {
      if (stop.aborted && error === stop.reason) return;
      this.#expect(error, "Manager.run of a session");
    }
  }

  #expect(error: unknown, where: string): void {
    const { arena } = this;
    if (!ConsensusError.is(error)) arena.fail("I13", `${this.name}: ${where} rejected with ${String(error)}`);
    else if (error.code === "WORK_NOT_STOPPED") this.leftovers++;
    else arena.coverage.count(`error ${error.code} of ${where}`);
  }
}
