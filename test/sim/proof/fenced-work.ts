/** What is done with a fenced object under a lock: it is opened, read, written, small and large, and cleaned up after. */
import { sleep } from "../../../src/clock/wait.ts";
import { ConsensusError, type Fence } from "../../../src/errors.ts";
import { fencedObject, type FencedObject } from "../../../src/fencing/fenced-object.ts";
import type { KeyedRandom } from "../../../src/testing/sim/keyed-random.ts";
import type { SimProcess } from "../../../src/testing/sim/sim-node.ts";
import type { SimStore } from "../../../src/testing/sim/sim-store.ts";
import type { Arena } from "./arena.ts";
import { titleIn } from "./fenced-books.ts";

export interface FencedWork {
  readonly arena: Arena;
  readonly process: SimProcess;
  readonly store: SimStore;
  readonly random: KeyedRandom;
  readonly ttlMs: number;
  /** What is held; some only keep its token, do not look whether they still hold it, and are told by the object. */
  readonly fence: Fence;
  readonly token: number;
  /** Ends the rests between two writes. */
  readonly until: AbortSignal;
  readonly stop: AbortSignal;
}

/** One more than what stands in the pointer itself. */
const LARGE_BYTES = 64 * 1024 + 1;
const WRITES = 4;
const decoder = new TextDecoder();

/** @throws FencedOutError, and whatever else ends the work. */
export async function fencedWork(key: string, w: FencedWork): Promise<void> {
  const { arena, random, store, fence, stop } = w;
  const object = fencedObject(store, key);
  // Large ones cost their bytes: some worlds have them, and then often.
  const isLarge = arena.plan.seed % 2 === 0;
  if (random.chance(0.5)) await object.open(fence, limitsOf(w));
  for (let n = 0; n < WRITES; n++) {
    const title = `${n} of ${key} by ${w.token}`;
    const body = isLarge && random.chance(0.6) ? `${title}\n`.padEnd(LARGE_BYTES, "-") : title;
    // A get that goes on while a put does.
    const calls = [put(object, { title, body }, w), ...(random.chance(0.4) ? [get(object, key, w)] : [])];
    for (const call of await Promise.allSettled(calls)) if (call.status === "rejected") throw call.reason;
    if (isLarge && random.chance(0.2)) arena.coverage.count("large bodies pruned", await object.prune({ signal: stop }));
    await sleep(store.clock, w.ttlMs * random.magnitude(0.01, 2), { signal: w.until, keepAlive: true });
  }
}

async function put(object: FencedObject, what: { readonly title: string; readonly body: string }, w: FencedWork): Promise<void> {
  const { arena, fence, process } = w;
  try {
    await object.put(what.body, fence, limitsOf(w));
    arena.fenced.resolved(what.title, process);
  } catch (error) {
    if (ConsensusError.is(error) && error.code === "FENCED_OUT") arena.fenced.refused(what.title);
    throw error;
  }
}

function limitsOf({ stop, ttlMs }: FencedWork): { readonly signal: AbortSignal; readonly timeoutMs: number } {
  return { signal: stop, timeoutMs: Math.max(100, 4 * ttlMs) };
}

/** Anybody may read, whoever holds what. */
async function get(object: FencedObject, key: string, { arena, process, stop }: FencedWork): Promise<void> {
  const reading = arena.fenced.reads(key, process);
  try {
    const content = await object.get({ signal: stop });
    const said = content && { title: titleIn(decoder.decode(content.body)), token: content.fence.fencingToken };
    if (process.isAlive) arena.attempt(() => arena.fenced.read(reading, said));
  } catch (error) {
    if (ConsensusError.is(error) && error.code === "RECORD" && error.kind === "damaged" && arena.fenced.mayBeGone(reading)) return;
    throw error;
  }
}
