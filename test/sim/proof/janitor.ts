/** A janitor: deletes, again and again, what nobody has held for an hour (`Locks.prune`), and the members of sessions that are over (`Session.prune`). */
import { sleep } from "../../../src/clock/wait.ts";
import { ConsensusError } from "../../../src/errors.ts";
import { Locks } from "../../../src/locks/locks.ts";
import { Session } from "../../../src/session/session.ts";
import { FaceProgram } from "./resident.ts";

const HOUR_MS = 3_600_000;

export class Janitor extends FaceProgram {
  /** A pass is a request or three for each key and each member of the hour before. */
  get weight(): number {
    return 3;
  }

  protected async live(stop: AbortSignal): Promise<void> {
    const { arena, plan, random, store } = this;
    const locks = new Locks({ store, node: plan.node, ephemeral: true });
    while (!stop.aborted) {
      await sleep(store.clock, (plan.restMs ?? HOUR_MS) * random.between(0.2, 1), { signal: stop, keepAlive: true });
      // In the calm everything that was closed is to open again.
      if (stop.aborted || arena.isCalm) break;
      const olderThanMs = Math.round(HOUR_MS * (random.chance(0.7) ? 1 : random.between(1, 2)));
      await this.#pass("Locks.prune", stop, () => locks.prune({ olderThanMs, signal: stop }));
      await this.#pass("Session.prune", stop, () => Session.prune({ store, olderThanMs, signal: stop }));
    }
    while (!stop.aborted) await sleep(store.clock, HOUR_MS, { signal: stop, keepAlive: true });
  }

  async #pass(what: string, stop: AbortSignal, prune: () => Promise<number>): Promise<void> {
    const { arena } = this;
    arena.alarm();
    try {
      const deleted = await prune();
      arena.coverage.count(`deleted by ${what}`, deleted);
      if (arena.plan.profile.storeTime !== true) arena.fail("P1", `${this.name}: ${what} went on with times that are unfit`);
    } catch (error) {
      if (stop.aborted && error === stop.reason) return;
      if (!ConsensusError.is(error)) arena.fail("I13", `${this.name}: ${what} rejected with ${String(error)}`);
      else arena.coverage.count(`error ${error.code} of ${what}`);
    }
  }
}
