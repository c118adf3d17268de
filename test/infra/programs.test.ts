import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { hostMs } from "../support/host-clock.ts";
import { spawnProgram } from "../support/programs.ts";
import { wallShift, type wallShiftMethod, wallShiftMethod as best } from "../support/wall-clock.ts";

const both: (typeof wallShiftMethod)[] = best === "libfaketime" ? ["libfaketime", "a replaced Date"] : ["a replaced Date"];

describe("programs that tests start", () => {
  it("speak by events, in order, each returned once", async () => {
    const program = spawnProgram("clock-reader");
    await program.event("ready");
    await program.ask("say", { event: "tick", data: { n: 1 } });
    await program.ask("say", { event: "tick", data: { n: 2 } });
    expect((await program.event("tick"))["n"]).toBe(1);
    expect((await program.event("tick"))["n"]).toBe(2);
    await expect(program.event("tick", 50)).rejects.toThrow(`no event "tick" within 50 ms`);
    const [first, second] = program.events.filter(({ event }) => event === "tick");
    expect(second?.atMs).toBeGreaterThan(first?.atMs ?? Infinity);
    expect(Math.abs(hostMs() - (second?.atMs ?? 0))).toBeLessThan(15_000);
  });

  it("answer with what was asked, or with their error", async () => {
    const program = spawnProgram("clock-reader");
    expect(await program.ask("clocks")).toMatchObject({ monotonicMs: expect.any(Number) as number });
    await expect(program.ask("nonsense")).rejects.toThrow("unknown command");
  });

  it("that end are told apart from slow ones, with what they wrote to standard error", async () => {
    const program = spawnProgram("clock-reader");
    void program.ask("crash").catch(() => undefined);
    await expect(program.event("never")).rejects.toThrow(/it ended without the event "never"[^]*asked to fail/);
    expect(await program.exit).toMatchObject({ code: 1, signal: null });
  });

  it("can be frozen, thawed and killed", async () => {
    const program = spawnProgram("clock-reader");
    await program.event("ready");
    program.freeze();
    await expect(program.ask("clocks", {}, 300)).rejects.toThrow("no event");
    program.thaw();
    await program.ask("clocks");
    expect(await program.kill()).toMatchObject({ code: null, signal: "SIGKILL" });
    expect(() => process.kill(program.pid, 0)).toThrow("ESRCH");
  });

  it.each(both)("have a wall clock that steps while they run, and a monotonic one that doesn't (%s)", async (method) => {
    const wall = wallShift(0, method);
    const program = spawnProgram("clock-reader", { wall });
    const look = async (): Promise<{ offMs: number; freshMs: number; monotonicMs: number }> => {
      const seen = (await program.ask("clocks")) as { wallMs: number; fresh: number; monotonicMs: number };
      return { offMs: seen.wallMs - Date.now(), freshMs: seen.fresh - seen.wallMs, monotonicMs: seen.monotonicMs };
    };
    expect(Math.abs((await look()).offMs)).toBeLessThan(5000);
    const before = await look();
    wall.set(600_000);
    const ahead = await look();
    expect(Math.abs(ahead.offMs - 600_000)).toBeLessThan(5000);
    expect(ahead.freshMs).toBeLessThan(5000);
    wall.set(-600_000);
    const behind = await look();
    expect(Math.abs(behind.offMs + 600_000)).toBeLessThan(5000);
    expect(behind.monotonicMs - before.monotonicMs).toBeGreaterThanOrEqual(0);
    expect(behind.monotonicMs - before.monotonicMs).toBeLessThan(15_000);
  });
});

describe("no orphan is left behind", () => {
  it("when a process that started servers is killed with SIGKILL", async () => {
    const program = spawnProgram("clock-reader");
    const { pid, folder } = (await program.ask("adopt")) as { pid: number; folder: string };
    expect(isAlive(pid)).toBe(true);
    expect(existsSync(folder)).toBe(true);
    await program.kill();
    await expect.poll(() => isAlive(pid), { timeout: 15_000 }).toBe(false);
    await expect.poll(() => existsSync(folder), { timeout: 15_000 }).toBe(false);
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
