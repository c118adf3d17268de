import { describe, expect, it } from "vitest";
import type { DrainKind } from "../../src/testing/sim/drain.ts";
import { EventHeap } from "../../src/testing/sim/event-heap.ts";
import { KeyedRandom } from "../../src/testing/sim/keyed-random.ts";
import { Network } from "../../src/testing/sim/network.ts";
import { SimNode } from "../../src/testing/sim/sim-node.ts";
import { SimS3 } from "../../src/testing/sim/sim-s3.ts";
import { SimStore } from "../../src/testing/sim/sim-store.ts";
import { World } from "../../src/testing/sim/world.ts";
import { toyLease, type ToyLease } from "./toy-lease.ts";

interface ToyRun {
  readonly hash: string;
  readonly events: number;
  readonly overlaps: number;
  readonly acquisitions: number;
}

async function toyRun(seed: number, drain: DrainKind, careless = false): Promise<ToyRun> {
  const world = new World({ seed, drain });
  const network = new Network(world);
  const s3 = new SimS3(world);
  const leases: ToyLease[] = [];
  for (const name of ["a", "b", "c"]) {
    const node = new SimNode(world, name);
    leases.push(toyLease(new SimStore(node.process, { s3, network }), "toy", careless));
    const random = new KeyedRandom(seed, "plan", name);
    for (let at = 0; at < 600_000; at += 20_000) {
      const from = at + random.between(0, 10_000);
      const to = from + random.between(1_000, 9_000);
      network.addWindow({ kind: random.pick(["slow-reply", "late"]), node: name, from, to, x: 9_000 });
      network.addWindow({ kind: "lose-request", node: name, from: to, to: to + 5_000, x: 0.9 });
    }
  }
  let overlaps = 0;
  world.addCheck(() => {
    if (leases.filter((lease) => lease.isHeld()).length > 1) overlaps++;
  });
  await world.runUntil(600_000);
  return { hash: world.hash, events: world.events, overlaps, acquisitions: leases.reduce((n, l) => n + l.acquisitions, 0) };
}

describe("EventHeap", () => {
  it("gives events in the order of time, then of scheduling, and forgets cancelled ones", () => {
    const heap = new EventHeap();
    const random = new KeyedRandom(1, "heap");
    const wanted: { atMs: number; sequence: number }[] = [];
    for (let sequence = 0; sequence < 5_000; sequence++) {
      const event = { atMs: random.below(500), sequence, run: () => {}, cancelled: false };
      heap.push(event);
      if (random.chance(0.3)) event.cancelled = true;
      else wanted.push(event);
    }
    wanted.sort((a, b) => a.atMs - b.atMs || a.sequence - b.sequence);
    const got = [];
    for (let event = heap.pop(); event !== undefined; event = heap.pop()) got.push(event);
    expect(got).toEqual(wanted);
  });
});

describe("World", () => {
  it("repeats a seed event for event, and tells seeds apart", async () => {
    const [first, again, other] = [await toyRun(1, "fast"), await toyRun(1, "fast"), await toyRun(2, "fast")];
    expect(first.events).toBeGreaterThan(2_000);
    expect(again).toEqual(first);
    expect(other.hash).not.toBe(first.hash);
  });

  it("gives the same history whichever way promises are drained", async () => {
    for (const seed of [3, 4, 5]) expect(await toyRun(seed, "portable")).toEqual(await toyRun(seed, "fast"));
  });

  it("shows two holders of a lease that counts from the reply, and none of one that counts from the send", async () => {
    let careful = 0;
    let careless = 0;
    let acquisitions = 0;
    for (let seed = 10; seed < 20; seed++) {
      const good = await toyRun(seed, "fast");
      careful += good.overlaps;
      acquisitions += good.acquisitions;
      careless += (await toyRun(seed, "fast", true)).overlaps;
    }
    expect(acquisitions).toBeGreaterThan(50);
    expect(careful).toBe(0);
    expect(careless).toBeGreaterThan(0);
  });

  it("ends a run with the error of a check, of an event or of fail()", async () => {
    const checked = new World({ seed: 1 });
    checked.addCheck(() => {
      if (checked.nowMs >= 5) throw new Error("check");
    });
    checked.schedule(5, () => {});
    await expect(checked.runUntil(10)).rejects.toThrow("check");

    const thrown = new World({ seed: 1, drain: "fast" });
    thrown.schedule(5, () => {
      throw new Error("event");
    });
    await expect(thrown.runUntil(10)).rejects.toThrow("event");

    const failed = new World({ seed: 1, drain: "fast" });
    failed.schedule(5, () => void Promise.resolve().then(() => failed.fail(new Error("told"))));
    await expect(failed.runUntil(10)).rejects.toThrow("told");
  });

  it("stops the clock where it was told to, or where it was asked to", async () => {
    const world = new World({ seed: 1 });
    let ran = 0;
    for (const at of [1, 2, 3, 20]) world.schedule(at, () => ran++);
    await world.runUntil(10);
    expect([world.nowMs, ran]).toEqual([10, 3]);
    await world.runUntil(100, () => ran === 4);
    expect([world.nowMs, ran]).toEqual([20, 4]);
  });

  it("refuses a seed that is no whole number, and a second run at the same time", async () => {
    expect(() => new World({ seed: 0.5 })).toThrow(TypeError);
    const world = new World({ seed: 1 });
    const first = world.runUntil(10);
    await expect(world.runUntil(10)).rejects.toThrow("running already");
    await first;
  });
});
