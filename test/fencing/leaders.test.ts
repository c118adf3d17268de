import { expect, it } from "vitest";
import { sleep } from "../../src/clock/wait.ts";
import { Manager } from "../../src/election/manager.ts";
import { FencedOutError, StoreUnavailableError } from "../../src/errors.ts";
import { fencedObject } from "../../src/fencing/fenced-object.ts";
import { testWorld, type TestNode, type WorldFault } from "../../src/testing/sim/test-world.ts";
import { randomOf } from "../support/random.ts";
import { KEY, NAME, pointerIn } from "./harness.ts";

const SEEDS = 5;
const TTL_MS = 3_000;
const RUN_MS = 60_000;
const STEP_MS = 20;

interface Entry {
  readonly token: number;
  readonly id: string;
}

const kinds: readonly WorldFault["kind"][] = ["lose-reply", "lose-request", "late", "duplicate", "retry", "reset", "error-500", "busy-503"];

/** What happened in all seeds: a run in which nothing was refused has shown nothing. */
const seen = { accepted: 0, refused: 0, unknown: 0, terms: 0 };

/** Opens, reads, and appends again and again. It never asks whether it still leads: the fence alone keeps the list whole (rule H5's gap, held open). */
async function lead(
  node: TestNode,
  fence: { readonly key: string; readonly fencingToken: number },
  random: () => number,
  acknowledged: Entry[],
): Promise<void> {
  const object = fencedObject(node.store, NAME);
  seen.terms++;
  for (let n = 0; ; n++) {
    try {
      await object.open(fence, { timeoutMs: 20_000 });
      const before = await object.get();
      const list = before === undefined ? [] : (JSON.parse(new TextDecoder().decode(before.body)) as Entry[]);
      await sleep(node.clock, random() * (random() < 0.3 ? 2 * TTL_MS : 200), { keepAlive: true });
      const entry: Entry = { token: fence.fencingToken, id: `${node.name}.${fence.fencingToken}.${n}` };
      await object.put(JSON.stringify([...list, entry]), fence, { timeoutMs: 20_000 });
      acknowledged.push(entry);
      seen.accepted++;
    } catch (error) {
      if (error instanceof FencedOutError) {
        seen.refused++;
        return;
      }
      // It may have been applied: the next round reads.
      expect(error).toBeInstanceOf(StoreUnavailableError);
      seen.unknown++;
    }
  }
}

it("leaders that never ask whether they still lead: accepted writes follow the tokens (I3), and no acknowledged one is lost", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = testWorld({ seed });
    const random = randomOf(seed);
    const acknowledged: Entry[] = [];
    const stop = new AbortController();
    const nodes = ["a", "b", "c"].map((name) => world.node(name));
    for (const node of nodes) {
      const manager = new Manager({ store: node.store, name: "report", node: node.name, ttlMs: TTL_MS, pollMs: 500 });
      // Not awaited by the handler: as work that runs on after its term is over.
      const onElected = (term: { readonly key: string; readonly fencingToken: number }): void => {
        const { key, fencingToken } = term;
        void lead(node, { key, fencingToken }, random, acknowledged);
      };
      manager.run({ onElected }, { signal: stop.signal }).catch(() => {});
    }
    let last = { fencingToken: 0, version: 0 };
    for (let t = 0; t < RUN_MS; t += STEP_MS) {
      await world.advance(STEP_MS);
      if (t % 500 === 0 && t < RUN_MS * 0.8) {
        const node = nodes[Math.floor(random() * nodes.length)];
        if (random() < 0.25) node?.pause(random() * 3 * TTL_MS);
        else node?.faults({ kind: kinds[Math.floor(random() * kinds.length)] ?? "late", on: "put", ms: 1 + random() * 8_000 });
      }
      if (world.peek(KEY) === undefined) continue;
      const now = pointerIn(world);
      expect(now.fencingToken).toBeGreaterThanOrEqual(last.fencingToken);
      expect(now.version).toBeGreaterThanOrEqual(last.version);
      last = now;
    }
    stop.abort();
    const list = JSON.parse(
      new TextDecoder().decode((await world.until(fencedObject(world.node("judge").store, NAME).get()))?.body),
    ) as Entry[];
    const tokens = list.map((e) => e.token);
    expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
    const ids = new Set(list.map((e) => e.id));
    expect(ids.size).toBe(list.length);
    expect(acknowledged.filter((e) => !ids.has(e.id))).toEqual([]);
  }
  expect(seen.refused).toBeGreaterThan(SEEDS);
  expect(seen.accepted).toBeGreaterThan(10 * SEEDS);
  expect(seen.terms).toBeGreaterThan(3 * SEEDS);
  expect(seen.unknown).toBeGreaterThan(0);
});
