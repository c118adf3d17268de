import { describe, expect, it } from "vitest";
import { sleep } from "../../src/clock/wait.ts";
import { SimNode, type WakeOrder } from "../../src/testing/sim/sim-node.ts";
import { World } from "../../src/testing/sim/world.ts";

const EXACT = { timerLagMs: 0 };

function one(options = EXACT): { world: World; node: SimNode } {
  const world = new World({ seed: 1 });
  return { world, node: new SimNode(world, "a", options) };
}

describe("SimNode", () => {
  it("fires a timer by its own clock, whose rate may change meanwhile", async () => {
    const { world, node } = one();
    let firedAt = -1;
    node.process.clock.setTimer(1_000, () => (firedAt = world.nowMs));
    await world.runUntil(400);
    const restore = node.pushRate(0.5);
    await world.runUntil(800);
    expect(node.monotonicMs()).toBeCloseTo(600);
    restore();
    await world.runUntil(5_000);
    expect(firedAt).toBeCloseTo(1_200);
    expect(node.monotonicMs()).toBeCloseTo(4_800);
  });

  it("steps the wall clock alone", async () => {
    const { world, node } = one();
    await world.runUntil(100);
    node.stepWall(-60_000);
    expect(node.wallMs()).toBe(world.startWallMs + 100 - 60_000);
    expect(node.monotonicMs()).toBe(100);
  });

  it("stands still while frozen: timers keep their remaining time, the wall clock goes on", async () => {
    const { world, node } = one();
    let firedAt = -1;
    node.process.clock.setTimer(100, () => (firedAt = world.nowMs));
    await world.runUntil(40);
    const thaw = node.freeze();
    await world.runUntil(10_040);
    expect(node.monotonicMs()).toBe(40);
    expect(node.wallMs()).toBe(world.startWallMs + 10_040);
    thaw();
    await world.runUntil(20_000);
    expect(firedAt).toBe(10_100);
  });

  it.each<[WakeOrder, string]>([
    ["timers-first", "timer answer"],
    ["answers-first", "answer timer"],
    ["as-they-came", "answer timer"],
  ])("runs what fell due in a pause afterwards, %s", async (order, wanted) => {
    const { world, node } = one();
    const ran: string[] = [];
    const resume = node.pause(order);
    const process = node.process;
    world.schedule(5, () => node.deliver(process, "answer", () => ran.push("answer")));
    process.clock.setTimer(10, () => ran.push("timer"));
    await world.runUntil(100);
    expect(ran).toEqual([]);
    expect(node.monotonicMs()).toBe(100);
    resume();
    await world.runUntil(100);
    expect(ran.join(" ")).toBe(wanted);
  });

  it("kills the timers and answers of a crashed process, and starts the next one with a fresh clock", async () => {
    const { world, node } = one();
    const before = node.process;
    let late = 0;
    before.clock.setTimer(100, () => late++);
    world.schedule(100, () => node.deliver(before, "answer", () => late++));
    await world.runUntil(50);
    node.crash();
    expect([before.isAlive, before.timers, node.isRunning]).toEqual([false, 0, false]);
    before.clock.setTimer(1, () => late++);
    const next = node.restart();
    expect([next.generation, node.monotonicMs()]).toEqual([2, 0]);
    expect(node.wallMs()).toBe(world.startWallMs + 50);
    expect(Buffer.from(next.random.bytes(8))).not.toEqual(Buffer.from(before.random.bytes(8)));
    await world.runUntil(1_000);
    expect(late).toBe(0);
  });

  it("knows whether the runtime would let the process end", async () => {
    const { world, node } = one();
    expect(node.process.isKeptAlive).toBe(false);
    void sleep(node.process.clock, 50);
    expect(node.process.isKeptAlive).toBe(false);
    void sleep(node.process.clock, 70, { keepAlive: true });
    expect(node.process.isKeptAlive).toBe(true);
    await world.runUntil(100);
    expect([node.process.isKeptAlive, node.process.timers]).toEqual([false, 0]);
  });

  it("ends the run with what a timer's callback throws, as a process would die of it", async () => {
    const { world, node } = one();
    node.process.clock.setTimer(5, () => {
      throw new Error("in a timer");
    });
    await expect(world.runUntil(10)).rejects.toThrow("in a timer");
  });

  it("fires no timer early unless asked to", async () => {
    const world = new World({ seed: 3 });
    const node = new SimNode(world, "a");
    const early = new SimNode(world, "b", { timerEarlyMs: 1, timerLagMs: 0 });
    const off: number[][] = [[], []];
    for (let i = 0; i < 300; i++) {
      node.process.clock.setTimer(100, () => off[0]?.push(world.nowMs - 100));
      early.process.clock.setTimer(100, () => off[1]?.push(world.nowMs - 100));
    }
    await world.runUntil(1_000);
    expect(off[0]).toHaveLength(300);
    expect(Math.min(...(off[0] ?? []))).toBeGreaterThanOrEqual(0);
    expect(Math.min(...(off[1] ?? []))).toBeLessThan(-0.5);
  });
});
