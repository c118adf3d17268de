/** A caller of locks: it takes, waits, gives up, hands off, forces, as the plan allows, and what the package answers is checked on the spot. */
import { readClocks } from "../../../src/clock/deadline.ts";
import { link, sleep } from "../../../src/clock/wait.ts";
import { ConsensusError, LockHeldError, NotHeldError, ReentrantLockError } from "../../../src/errors.ts";
import type { Held } from "../../../src/lease/held.ts";
import type { ConsensusEvent } from "../../../src/lease/wiring.ts";
import type { HoldOptions, LockApi, Semaphore } from "../../../src/locks/api.ts";
import type { Locks } from "../../../src/locks/locks.ts";
import { KeyedRandom } from "../../../src/testing/sim/keyed-random.ts";
import type { SimStore } from "../../../src/testing/sim/sim-store.ts";
import type { Arena } from "./arena.ts";
import { fencedWork } from "./fenced-work.ts";
import type { FacePlan, LockAction } from "./plan.ts";
import type { FaceProgram } from "./resident.ts";
import { describe, type TrackedTerm } from "./terms.ts";
import { work } from "./work.ts";

export interface CallerEnv {
  readonly arena: Arena;
  readonly program: FaceProgram;
  readonly store: SimStore;
  readonly plan: FacePlan;
  readonly locks: Omit<LockApi, "prune">;
  /** Where the locks are a session's there are none for one invocation. */
  readonly plain: Locks | undefined;
  /** What it all stands on is over. */
  readonly over: () => boolean;
  readonly onEvent?: (event: ConsensusEvent) => void;
}

/** In the calm after the faults nobody cuts off, gives up or hands off. */
const CALM_ACTIONS: readonly LockAction[] = ["with", "acquire", "try", "with", "acquire"];
const SLOTS = 2;
const PERMITS = 3;

export class Caller {
  readonly #env: CallerEnv;
  readonly #random: KeyedRandom;
  readonly #index: number;
  #turn = 0;
  #semaphore: Semaphore | undefined;

  constructor(env: CallerEnv, index: number) {
    const { arena, plan, program } = env;
    this.#env = env;
    this.#index = index;
    this.#random = new KeyedRandom(arena.world.seed, "caller", plan.kind, plan.node, program.process.generation, index);
  }

  async run(stop: AbortSignal): Promise<void> {
    const { arena, plan, program, over } = this.#env;
    while (!stop.aborted && !over() && program.process.isAlive) {
      const action = this.#random.pick(arena.isCalm ? CALM_ACTIONS : plan.actions);
      const key = arena.isCalm ? (plan.keys[(this.#index + this.#turn++) % plan.keys.length] ?? "") : this.#random.pick(plan.keys);
      arena.coverage.count(`lock action ${action}`);
      try {
        if (this.#random.chance(0.3)) await this.#resume(stop);
        await this.#act(action, key, stop);
      } catch (error) {
        this.#expectKnown(error, action, stop);
      }
      if (stop.aborted || over()) break;
      await this.#rest(stop);
    }
  }

  /** Where calls are rare, some of them come just when somebody deletes what is old. */
  async #rest(stop: AbortSignal): Promise<void> {
    const { arena, plan, program, store } = this.#env;
    const { clock } = store;
    const isBusy = plan.restMs === undefined || plan.kind === "session";
    if (isBusy || arena.isCalm) {
      const ms = plan.ttlMs * (isBusy ? this.#random.between(0.05, 0.5) : this.#random.between(2, 10));
      return void (await sleep(clock, ms, { signal: stop, keepAlive: true }));
    }
    const over = new AbortController();
    const undo = [link(stop, over), arena.onAlarm(program.process, () => (arena.isCalm || this.#random.chance(0.3)) && over.abort())];
    await sleep(clock, plan.restMs * this.#random.between(0.05, 1), { signal: over.signal, keepAlive: true });
    for (const u of undo) u();
  }

  #act(action: LockAction, key: string, stop: AbortSignal): Promise<void> {
    switch (action) {
      case "with":
      case "reenter":
        return this.#with(key, stop, action === "reenter");
      case "acquire":
      case "ask":
      case "renew-and-release":
        return this.#acquire(key, stop, action);
      case "try":
        return this.#try(key, stop);
      case "abandon":
        return this.#abandon(key, stop);
      case "hand-off":
        return this.#handOff(key, stop);
      case "force":
        return this.#force(key, stop);
      case "several":
        return this.#several(stop);
      case "slot":
        return this.#slot(stop);
      case "permit":
        return this.#permit(stop);
      case "one-shot":
        return this.#oneShot(key, stop);
      case "fenced":
        return this.#fenced(key, stop);
    }
  }

  async #with(key: string, stop: AbortSignal, reenters: boolean): Promise<void> {
    const { arena, locks, plan } = this.#env;
    const planned = new Error("work throws, as planned");
    let tracked: TrackedTerm | undefined;
    const queued = this.#isBusyHere(key);
    try {
      await locks.withLock(key, { ...this.#hold(), waitMs: this.#waitMs(), signal: stop }, async (lock) => {
        if (queued) arena.coverage.saw("queued behind a caller of the same process");
        const mine = (tracked = this.#track(key, lock));
        await this.#under(mine, async () => {
          if (reenters) await this.#reenter(key, mine, stop);
          await this.#work(mine, stop);
          if (arena.isOpen("handler-throws", plan.node)) throw planned;
          const hang = arena.isOpen("handler-hangs", plan.node);
          if (hang !== undefined) await arena.hang(this.#env.program, hang.to - arena.world.nowMs);
        });
      });
    } catch (error) {
      if (error !== planned) throw error;
    }
    if (tracked !== undefined && tracked.term.remainingMs > 0) arena.fail("I5", `${describe(tracked)}: still held after withLock`);
  }

  /** The same key inside its own `withLock` would wait for itself. Once that lock is lost, the call waits like any other. */
  async #reenter(key: string, inside: TrackedTerm, stop: AbortSignal): Promise<void> {
    const { arena, locks } = this.#env;
    const held = inside.term.isHeld();
    try {
      const lock = await locks.tryAcquire(key, { signal: stop });
      if (held) arena.fail("I13", `${this.#who}: a call inside of its own withLock of "${key}" was not refused`);
      if (lock !== undefined) await this.#giveBack(this.#track(key, lock), lock, 0);
    } catch (error) {
      if (error instanceof ReentrantLockError) arena.coverage.saw("reentrant call refused");
      else this.#expectKnown(error, "reenter", stop);
    }
  }

  async #acquire(key: string, stop: AbortSignal, action: LockAction): Promise<void> {
    const { arena, locks } = this.#env;
    let asked = false;
    const onAsked = (): void => void (asked = true);
    const askHolder = action === "ask";
    const lock = await locks.acquire(key, { ...this.#hold(), waitMs: this.#waitMs(), signal: stop, askHolder, onAsked });
    const tracked = this.#track(key, lock);
    await this.#work(tracked, stop, () => asked);
    if (asked && lock.isHeld()) arena.coverage.saw("asked holder obeyed");
    if (action === "renew-and-release") {
      lock.renew().catch((error: unknown) => this.#expectKnown(error, "renew", stop));
      if (this.#random.chance(0.5))
        await sleep(this.#env.store.clock, arena.plan.latency.meanMs * this.#random.unit(), { keepAlive: true });
    }
    await this.#giveBack(tracked, lock);
  }

  async #try(key: string, stop: AbortSignal): Promise<void> {
    const { arena, locks } = this.#env;
    if (this.#random.chance(0.5)) {
      const ran = await locks.tryWithLock(key, { ...this.#hold(), signal: stop }, async (lock) => {
        const tracked = this.#track(key, lock);
        await this.#under(tracked, () => this.#work(tracked, stop));
      });
      if (!ran.ran) this.#checkRefusal(key, ran.held);
      return;
    }
    const lock = await locks.tryAcquire(key, { ...this.#hold(), signal: stop });
    if (lock === undefined) {
      arena.coverage.count("tries refused");
      return;
    }
    const tracked = this.#track(key, lock);
    await this.#work(tracked, stop);
    await this.#giveBack(tracked, lock);
  }

  /** Waits, and is told to give up, at any moment: in the queue, between two looks, in the middle of an acquisition. */
  async #abandon(key: string, stop: AbortSignal): Promise<void> {
    const { arena, locks, plan, store } = this.#env;
    const enough = new Error("waited long enough");
    const impatience = new AbortController();
    const unlink = link(stop, impatience);
    const timer = new AbortController();
    const patienceMs = plan.ttlMs * this.#random.magnitude(0.001, 2);
    void sleep(store.clock, patienceMs, { signal: timer.signal }).then((full) => full && impatience.abort(enough));
    try {
      const lock = await locks.acquire(key, { ...this.#hold(), signal: impatience.signal, askHolder: this.#random.chance(0.3) });
      const tracked = this.#track(key, lock);
      await this.#work(tracked, stop);
      await this.#giveBack(tracked, lock);
    } catch (error) {
      if (error !== enough) throw error;
      arena.coverage.saw("waiter gave up");
    } finally {
      timer.abort();
      unlink();
    }
  }

  async #handOff(key: string, stop: AbortSignal): Promise<void> {
    const { arena, locks } = this.#env;
    const lock = await locks.acquire(key, { ...this.#hold(), waitMs: this.#waitMs(), signal: stop });
    const tracked = this.#track(key, lock);
    await this.#work(tracked, stop);
    let text: string | undefined;
    try {
      text = await lock.handOff();
    } finally {
      if (lock.isHeld() || tracked.term.remainingMs > 0) arena.fail("O4", `${describe(tracked)}: still held after handOff()`);
    }
    arena.locks.offer({ key, text, token: tracked.token }, this.#random.chance(0.5) ? 2 : 1);
  }

  /** Goes on from what another handed off, sometimes with a rival. */
  async #resume(stop: AbortSignal): Promise<void> {
    const { arena, locks, plan } = this.#env;
    const offer = arena.locks.take(plan.keys, this.#random);
    if (offer === undefined) return;
    try {
      const lock = await locks.resume(offer.text, { signal: stop });
      if (++offer.won > 1) arena.fail("O4", `${this.#who}: the hand-off of "${offer.key}", token ${offer.token}, was resumed twice`);
      arena.coverage.saw("lock handed off and resumed");
      const tracked = this.#track(offer.key, lock);
      await this.#work(tracked, stop);
      await this.#giveBack(tracked, lock, 0);
    } catch (error) {
      if (error instanceof NotHeldError && offer.won === 1) arena.coverage.saw("of two that resume one was refused");
      throw error;
    }
  }

  /** An operator frees what stands there, by its token or by one that is out of date. */
  async #force(key: string, stop: AbortSignal): Promise<void> {
    const { arena, locks, plan, store } = this.#env;
    const objectKey = arena.lockKey(key);
    const standing = arena.tokenAt(objectKey);
    if (standing === undefined) return;
    const token = Math.max(1, standing - (this.#random.chance(0.25) ? 1 : 0));
    const now = this.#random.chance(0.4);
    arena.locks.forces(objectKey, token, now);
    const enough = new Error("forced long enough");
    const patience = new AbortController();
    const unlink = link(stop, patience);
    const timer = new AbortController();
    void sleep(store.clock, 6 * plan.ttlMs, { signal: timer.signal }).then((full) => full && patience.abort(enough));
    try {
      const outcome = await locks.forceRelease(key, { token, now, signal: patience.signal });
      arena.coverage.count(`forceRelease${now ? " now" : ""}: ${outcome}`);
      if (outcome === "released") arena.coverage.saw(now ? "released by force, at once" : "released by force, gently");
    } catch (error) {
      if (error !== enough) throw error;
    } finally {
      timer.abort();
      unlink();
    }
  }

  async #several(stop: AbortSignal): Promise<void> {
    const { locks, plan } = this.#env;
    await locks.withLocks(plan.keys, { ...this.#hold(), waitMs: this.#waitMs(), signal: stop }, async (held) => {
      const tracked = held.map((lock) => this.#track(lock.key, lock));
      for (const t of tracked) t.isWorking = true;
      const [first] = tracked;
      if (first !== undefined) await this.#work(first, stop);
      for (const t of tracked) t.isWorking = false;
    });
  }

  async #slot(stop: AbortSignal): Promise<void> {
    const { arena, locks } = this.#env;
    const slot = await locks.slot("s", { ...this.#hold(), slots: SLOTS, waitMs: this.#waitMs(), signal: stop });
    if (slot.index < 0 || slot.index >= SLOTS) arena.fail("M", `${this.#who}: got place ${slot.index} of ${SLOTS}`);
    const tracked = this.#track(slot.key, slot);
    await this.#work(tracked, stop);
    await this.#giveBack(tracked, slot);
  }

  /** One of three permits: had by as many at once as there are, tried for or waited for, and never by one more. */
  async #permit(stop: AbortSignal): Promise<void> {
    const { arena, locks } = this.#env;
    this.#semaphore ??= locks.semaphore("p", { permits: PERMITS });
    const options = { ...this.#hold(), signal: stop };
    const permit = this.#random.chance(0.3)
      ? await this.#semaphore.tryAcquire(options)
      : await this.#semaphore.acquire({ ...options, waitMs: this.#waitMs() });
    if (permit === undefined) return arena.coverage.count("permits refused");
    if (permit.index < 0 || permit.index >= PERMITS) arena.fail("M", `${this.#who}: got permit ${permit.index} of ${PERMITS}`);
    const tracked = this.#track(permit.key, permit);
    if (arena.terms.believersIn((key) => /p%23\d+$/.test(key)) === PERMITS) arena.coverage.saw("all permits held at once");
    await this.#work(tracked, stop);
    await this.#giveBack(tracked, permit);
  }

  /** As a function does: nothing is renewed, and the signal aborts before the time that is left is over. */
  async #oneShot(key: string, stop: AbortSignal): Promise<void> {
    const { arena, plain, plan, store } = this.#env;
    const { clock } = store;
    if (plain === undefined || arena.plan.profile.storeTime !== true) return;
    const remainingMs = Math.round(plan.ttlMs * this.#random.between(0.5, 2)) + 500;
    const since = readClocks(clock);
    try {
      await this.#within(plain, key, remainingMs, stop);
    } catch (error) {
      // A process that was stopped meanwhile is told that nothing is left (seed 920717).
      const passedMs = Math.max(clock.monotonicMs() - since.monotonicMs, clock.wallMs() - since.wallMs);
      if (!ConsensusError.is(error) || error.code !== "CONFIG" || passedMs < remainingMs - 500) throw error;
    }
  }

  async #within(plain: Locks, key: string, remainingMs: number, stop: AbortSignal): Promise<void> {
    const { arena } = this.#env;
    await plain.oneShot({ remainingMs }).withLock(key, { signal: stop }, async (lock) => {
      const tracked = this.#track(key, lock, Math.max(5_000, remainingMs / 0.9 + 1_001));
      await this.#under(tracked, () => this.#work(tracked, stop));
      arena.coverage.count("one-shot locks");
    });
  }

  /** A new holder raises the bar, reads, and writes; some do not look whether they still hold it, and are told by the object. */
  async #fenced(key: string, stop: AbortSignal): Promise<void> {
    const { arena, locks, plan, program, store } = this.#env;
    const lock = await locks.acquire(key, { ...this.#hold(), waitMs: this.#waitMs(), signal: stop });
    const tracked = this.#track(key, lock);
    const isCareless = this.#random.chance(0.5);
    try {
      await fencedWork(key, {
        arena,
        store,
        stop,
        process: program.process,
        random: this.#random,
        ttlMs: plan.ttlMs,
        fence: isCareless ? { key: lock.key, fencingToken: lock.fencingToken } : lock,
        token: tracked.token,
        until: isCareless ? stop : lock.signal,
      });
    } finally {
      await this.#giveBack(tracked, lock);
    }
  }

  /** Nothing may be given back until `what` has settled (rule H7). */
  async #under(tracked: TrackedTerm, what: () => Promise<void>): Promise<void> {
    tracked.isWorking = true;
    try {
      await what();
    } finally {
      tracked.isWorking = false;
    }
  }

  async #work(tracked: TrackedTerm, stop: AbortSignal, enough: () => boolean = () => false): Promise<void> {
    const { arena, plan, store } = this.#env;
    const { clock } = store;
    const until = clock.monotonicMs() + plan.ttlMs * (arena.isCalm ? this.#random.magnitude(0.01, 0.5) : this.#random.magnitude(0.01, 4));
    const leftMs = (): number => (enough() ? 0 : until - clock.monotonicMs());
    await work(arena, tracked, { clock, random: this.#random, ttlMs: plan.ttlMs, stop, leftMs, keepAlive: true });
  }

  async #giveBack(tracked: TrackedTerm, held: Held, minHoldMs: number = this.#minHoldMs ?? 0): Promise<void> {
    const { arena, program } = this.#env;
    const believed = held.isHeld();
    const closedForMs = minHoldMs - held.heldForMs;
    const renewing = arena.ledger.openWrites(program.process).some((w) => w.key === tracked.key && w.kind === "renew");
    if (believed && renewing) arena.coverage.saw("renewal under way at release");
    const outcome = await held.release();
    arena.coverage.count(`lock release: ${outcome}`);
    if (held.isHeld()) arena.fail("I5", `${describe(tracked)}: still held after release()`);
    if (believed && outcome === "not-mine") {
      arena.locks.checkNotMine(tracked);
      arena.coverage.saw("release raced loss");
    }
    if (believed && outcome === "released") arena.locks.checkReleased(tracked, closedForMs);
    if (this.#random.chance(0.1)) {
      const again = await held.release();
      if (again !== "already-released" && again !== "not-mine")
        arena.fail("I5", `${describe(tracked)}: a second release() was answered "${again}"`);
    }
  }

  #track(key: string, lock: Held, ttlMs: number = this.#env.plan.ttlMs): TrackedTerm {
    const { arena, program } = this.#env;
    return arena.terms.track(lock, program.process, ttlMs, arena.lockKey(key));
  }

  /** Whether another caller of this face has the lock: then the store is not asked. */
  #isBusyHere(key: string): boolean {
    const { arena, plan, program } = this.#env;
    const objectKey = arena.lockKey(key);
    return arena.terms.heldBy(program.process).some((t) => t.key === objectKey && (t.base.key !== t.key) === (plan.kind === "session"));
  }

  #hold(): HoldOptions {
    const { arena, plan } = this.#env;
    const { lockDelayMs } = plan;
    const minHoldMs = this.#minHoldMs;
    const maxHoldMs = this.#random.chance(0.3) && !arena.isCalm ? plan.maxHoldMs : undefined;
    return { minHoldMs, lockDelayMs, maxHoldMs };
  }

  /** A hold of hours would go on in the calm. */
  get #minHoldMs(): number | undefined {
    const { arena, plan } = this.#env;
    return arena.isCalm && plan.restMs !== undefined ? undefined : plan.minHoldMs;
  }

  #waitMs(): number {
    const { arena, plan } = this.#env;
    if (arena.isOpen("impatient", plan.node)) return plan.ttlMs * this.#random.magnitude(0.01, 1);
    return plan.ttlMs * (arena.isCalm ? 4 : this.#random.magnitude(0.05, 4));
  }

  /** Whoever is refused is told of a holder that there is, or was. */
  #checkRefusal(key: string, error: LockHeldError): void {
    const { arena } = this.#env;
    arena.coverage.count("refusals");
    const [holder] = error.holders;
    if (holder !== undefined && !arena.ledger.history(arena.lockKey(holder.key)).acquisitions.has(holder.fencingToken))
      arena.fail("I6", `${this.#who}: refused ${key} for token ${holder.fencingToken} of ${holder.key}, which nobody acquired`);
  }

  #expectKnown(error: unknown, where: string, stop: AbortSignal): void {
    const { arena, over, program } = this.#env;
    if (stop.aborted && error === stop.reason) return;
    if (error instanceof LockHeldError) return this.#checkRefusal("", error);
    if (!ConsensusError.is(error) || UNEXPECTED.has(error.code) || (error.code === "RECORD" && error.kind !== "regressed"))
      return arena.fail(
        "I13",
        `${this.#who}: ${where} rejected with ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    if (error.code === "WORK_NOT_STOPPED") program.leftovers++;
    if (over() && error.code === "LEASE_LOST") arena.coverage.saw("session lost during a call");
    arena.coverage.count(`lock error ${error.code} in ${where}`);
  }

  get #who(): string {
    return `${this.#env.program.name}, caller ${this.#index}`;
  }
}

/** Nothing that these programs do deserves them. */
const UNEXPECTED: ReadonlySet<string> = new Set(["CONFIG", "REENTRANT"]);
