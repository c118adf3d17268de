import { describe, expect, it } from "vitest";
import { spawnProgram } from "../support/programs.ts";
import { wallShift, type wallShiftMethod, wallShiftMethod as best } from "../support/wall-clock.ts";

const both: (typeof wallShiftMethod)[] = best === "libfaketime" ? ["libfaketime", "a replaced Date"] : ["a replaced Date"];

describe("programs that tests start", () => {
  it("speak by events, in order, each returned once", async () => {
    const program = spawnProgram("clock-reader");
    await program.event("ready");
    program.send("one");
    program.send("two");
    expect((await program.event("clocks"))["asked"]).toBe("one");
    expect((await program.event("clocks"))["asked"]).toBe("two");
    await expect(program.event("clocks", 50)).rejects.toThrow(`no event "clocks" within 50 ms`);
  });

  it("that end are told apart from slow ones, with what they wrote to standard error", async () => {
    const program = spawnProgram("clock-reader");
    program.send("fail");
    await expect(program.event("never")).rejects.toThrow(/it ended without the event "never"[^]*asked to fail/);
    expect(await program.exit).toMatchObject({ code: 1, signal: null });
  });

  it("can be frozen, thawed and killed", async () => {
    const program = spawnProgram("clock-reader");
    await program.event("ready");
    program.freeze();
    program.send("while frozen");
    await expect(program.event("clocks", 300)).rejects.toThrow("no event");
    program.thaw();
    expect((await program.event("clocks"))["asked"]).toBe("while frozen");
    expect(await program.kill()).toMatchObject({ code: null, signal: "SIGKILL" });
    expect(() => process.kill(program.pid, 0)).toThrow("ESRCH");
  });

  it.each(both)("have a wall clock that steps while they run, and a monotonic one that doesn't (%s)", async (method) => {
    const wall = wallShift(0, method);
    const program = spawnProgram("clock-reader", { wall });
    const look = async (): Promise<{ offMs: number; freshMs: number; monotonicMs: number }> => {
      program.send("look");
      const seen = await program.event("clocks");
      const wallMs = Number(seen["wallMs"]);
      return { offMs: wallMs - Date.now(), freshMs: Number(seen["fresh"]) - wallMs, monotonicMs: Number(seen["monotonicMs"]) };
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
