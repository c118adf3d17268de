/** What a program does while it holds something: it looks, and writes to a resource that judges by fencing tokens. */
import type { Clock } from "../../../src/clock/clock.ts";
import { sleep } from "../../../src/clock/wait.ts";
import type { KeyedRandom } from "../../../src/testing/sim/keyed-random.ts";
import type { Arena } from "./arena.ts";
import type { TrackedTerm } from "./terms.ts";

export interface WorkLimits {
  readonly clock: Clock;
  readonly random: KeyedRandom;
  readonly ttlMs: number;
  readonly stop?: AbortSignal | undefined;
  /** How much longer, in milliseconds, as things are now. */
  readonly leftMs: () => number;
  /** Whether nothing else would keep the process alive. */
  readonly keepAlive?: boolean | undefined;
}

/** Works until what is held ends, or for so long; then takes a moment to stop. */
export async function work(arena: Arena, tracked: TrackedTerm, o: WorkLimits): Promise<void> {
  const { clock, random, ttlMs, stop, keepAlive } = o;
  const { signal } = tracked.term;
  const isOver = (): boolean => tracked.aborted || stop?.aborted === true || o.leftMs() <= 0;
  while (!isOver()) {
    await sleep(clock, Math.min(o.leftMs(), ttlMs * random.between(0.1, 1)), { signal, keepAlive });
    if (isOver()) break;
    if (arena.attempt(() => arena.terms.look(tracked)) === true) arena.resource.write(tracked, ttlMs, random);
  }
  await sleep(clock, ttlMs * random.magnitude(0.001, 0.2), { keepAlive: true });
}
