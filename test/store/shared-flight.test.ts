import { describe, expect, it } from "vitest";
import { SharedFlight } from "../../src/store/shared-flight.ts";

function controlled(): {
  readonly flight: SharedFlight<string>;
  readonly runs: { resolve(v: string): void; reject(e: Error): void; signal: AbortSignal }[];
} {
  const runs: { resolve(v: string): void; reject(e: Error): void; signal: AbortSignal }[] = [];
  const flight = new SharedFlight((signal) => new Promise<string>((resolve, reject) => runs.push({ resolve, reject, signal })));
  return { flight, runs };
}

describe("SharedFlight", () => {
  it("runs once for all, and keeps what is good", async () => {
    const { flight, runs } = controlled();
    const all = [flight.join(undefined), flight.join(undefined)];
    runs[0]?.resolve("good");
    expect(await Promise.all(all)).toEqual(["good", "good"]);
    expect(await flight.join(undefined)).toBe("good");
    expect(runs).toHaveLength(1);
  });

  it("tells a failure to all who wait, and runs again for the next", async () => {
    const { flight, runs } = controlled();
    const all = [flight.join(undefined), flight.join(undefined)];
    runs[0]?.reject(new Error("bad"));
    expect((await Promise.allSettled(all)).map((r) => r.status)).toEqual(["rejected", "rejected"]);
    const next = flight.join(undefined);
    runs[1]?.resolve("good");
    expect(await next).toBe("good");
  });

  it("is given up when the last one has gone, not before", async () => {
    const { flight, runs } = controlled();
    const [a, b] = [new AbortController(), new AbortController()];
    const all = [flight.join(a.signal), flight.join(b.signal)];
    a.abort(new Error("a"));
    await expect(all[0]).rejects.toThrow("a");
    expect(runs[0]?.signal.aborted).toBe(false);
    b.abort(new Error("b"));
    await expect(all[1]).rejects.toThrow("b");
    expect(runs[0]?.signal.aborted).toBe(true);
    // Whoever comes now does not get what was given up.
    const next = flight.join(undefined);
    runs[0]?.reject(new Error("given up"));
    runs[1]?.resolve("good");
    expect(await next).toBe("good");
  });

  it("does not begin for a signal that has aborted", async () => {
    const { flight, runs } = controlled();
    await expect(flight.join(AbortSignal.abort(new Error("no")))).rejects.toThrow("no");
    expect(runs).toHaveLength(0);
  });
});
