import { describe, expect, it } from "vitest";
import { FULL_PROBE, runProbe, type ProbePlan } from "../../src/store/probe.ts";
import { judgeRace } from "../../src/store/race.ts";
import { judgeTimes, type TimeSample } from "../../src/store/store-times.ts";
import type { Findings } from "../../src/store/verdict.ts";
import { OddStore, type Vices } from "./odd-store.ts";
import { VirtualClock } from "./virtual-clock.ts";

const place = { endpoint: "odd", bucket: "store", prefix: "" };

async function probed(store: OddStore, plan?: ProbePlan): Promise<Findings> {
  return await (store.clock as VirtualClock).run(runProbe(store.port(), { place, plan }));
}

describe("a store that keeps conditions", () => {
  it("passes every step, and nothing is left behind", async () => {
    const store = new OddStore();
    expect(await probed(store)).toEqual({ storeTime: true, skewMs: 1000, quoting: "quoted", remarks: [] });
    expect(store.litter()).toEqual([]);
  });

  it("passes the full probe: 20 and 20 races of 16", async () => {
    const store = new OddStore();
    await probed(store, FULL_PROBE);
    expect(store.log.filter((line) => line.startsWith("PUT")).length).toBeGreaterThanOrEqual(40 * 16);
    expect(store.litter()).toEqual([]);
  });

  it.each<[string, Vices, object]>([
    [
      "takes only unquoted ETags",
      { unquotedOnly: true },
      { quoting: "unquoted", remarks: [expect.stringContaining("without their quotes")] },
    ],
    ["sends no Date", { noDate: true }, { storeTime: false }],
    ["keeps Last-Modified at an overwrite", { keepsLastModified: true }, { storeTime: false }],
    ["has its Date 5 s ahead", { dateOffMs: 5_000 }, { storeTime: false }],
    ["has its Date 5 s behind", { dateOffMs: -5_000 }, { storeTime: false }],
    ["has its Date 1 s behind", { dateOffMs: -1_000 }, { storeTime: true }],
    ["never answers 304", { neverNotModified: true }, { remarks: [expect.stringContaining("never answers 304")] }],
    ["takes one write a second for each key", { oneWriteASecond: true }, { storeTime: true }],
    ["loses every third reply", { losesReplies: 3 }, { storeTime: true }],
    ["is busy every fourth time", { busyEvery: 4 }, { storeTime: true }],
    ["loses replies and is busy", { losesReplies: 4, busyEvery: 3 }, { storeTime: true }],
  ])("and %s is safe", async (_, vices, expected) => {
    for (let i = 0; i < 5; i++) {
      const store = new OddStore(vices);
      expect(await probed(store)).toMatchObject(expected);
      expect(store.litter()).toEqual([]);
    }
  });
});

describe("a store that drops conditions", () => {
  it.each<[string, Vices, string | RegExp]>([
    ["ignores If-None-Match", { ignoresIfNoneMatch: true }, "create-existing"],
    ["ignores If-Match", { ignoresIfMatch: true }, "replace-stale"],
    ["creates a missing key on If-Match", { createsMissing: true }, "replace-missing"],
    ["looks first and writes later", { checkThenWrite: true }, /^(create|replace)-race$/],
    ["answers 304 to everything", { staleNotModified: true }, "stale-304"],
    ["writes what it refuses", { writesWhatItRefuses: true }, "refused-but-written"],
    ["can't create", { refusesCreate: true }, "create"],
  ])("%s: refused at the step", async (_, vices, step) => {
    const store = new OddStore(vices);
    await expect(probed(store)).rejects.toMatchObject({ code: "STORE_UNSAFE", step: expect.stringMatching(step) as string });
    expect(store.litter()).toEqual([]);
  });

  it("names the store, the step and the way out", async () => {
    await expect(probed(new OddStore({ ignoresIfMatch: true }))).rejects.toThrow(
      /odd:\/\/store is not safe to lead or lock on: a replace with an old ETag was applied.*docs\/stores\.md/,
    );
  });
});

describe("without a verdict", () => {
  it.each<[string, Vices, string]>([
    ["down", { down: true }, "STORE_UNAVAILABLE"],
    ["busy all the time", { busyEvery: 1 }, "STORE_UNAVAILABLE"],
    ["no right to write", { noWrite: true }, "STORE_ACCESS"],
    ["missing keys read as 403", { missingIs403: true }, "STORE_ACCESS"],
  ])("%s is not called unsafe", async (_, vices, code) => {
    await expect(probed(new OddStore(vices))).rejects.toMatchObject({ code });
  });

  it("ends at once when it is aborted, with the signal's reason, and cleans up", async () => {
    const store = new OddStore();
    const clock = store.clock as VirtualClock;
    const controller = new AbortController();
    clock.setTimer(200, () => controller.abort(new Error("enough")));
    await expect(clock.run(runProbe(store.port(), { place, signal: controller.signal }))).rejects.toThrow("enough");
    expect(store.litter()).toEqual([]);
  });
});

describe("without the right to delete", () => {
  it("uses the same keys again and again, and says what it could not repeat", async () => {
    const store = new OddStore({ noDelete: true });
    expect((await probed(store)).remarks).toEqual([]);
    const keys = store.litter();
    expect(keys).toHaveLength(3);
    for (let i = 0; i < 3; i++) expect((await probed(store)).remarks).toEqual([expect.stringContaining("s3:DeleteObject") as string]);
    expect(store.litter()).toEqual(keys);
  });

  it("still sees an unsafe store, the second time too", async () => {
    for (const vices of [{ ignoresIfNoneMatch: true }, { ignoresIfMatch: true }, { checkThenWrite: true }] satisfies Vices[]) {
      const store = new OddStore({ noDelete: true });
      await probed(store);
      store.vices = { noDelete: true, ...vices };
      await expect(probed(store), JSON.stringify(vices)).rejects.toMatchObject({ code: "STORE_UNSAFE" });
    }
  });
});

describe("judgeRace", () => {
  it.each<[Parameters<typeof judgeRace>[0], Parameters<typeof judgeRace>[1], string]>([
    [["applied", "refused", "refused"], 0, "one-winner"],
    [["applied", "applied", "refused"], 0, "unsafe"],
    [["applied", "refused"], 1, "unsafe"],
    [["applied", "unknown"], 1, "unsafe"],
    [["applied", "unknown"], 0, "one-winner"],
    [["unknown", "refused"], 0, "one-winner"],
    [["busy", "refused"], 0, "one-winner"],
    [["unknown", "unknown"], 1, "one-winner"],
    [["refused", "refused"], 1, "inconclusive"],
    [["refused", "refused"], "before", "inconclusive"],
    [["busy", "busy"], "absent", "inconclusive"],
    [["unknown", "refused"], "foreign", "inconclusive"],
    [["applied", "refused"], "foreign", "inconclusive"],
    [["applied", "refused"], "before", "inconclusive"],
  ])("%j with %s standing: %s", (results, standing, kind) => {
    expect(judgeRace(results, standing).kind).toBe(kind);
  });
});

describe("judgeTimes (rule T4)", () => {
  const at = (dateMs: number | undefined, lastModifiedMs: number | undefined, elapsedMs = 20): TimeSample => ({
    dateMs,
    lastModifiedMs,
    elapsedMs,
  });
  it.each<[string, [TimeSample, TimeSample], boolean]>([
    ["equal", [at(1000, 1000), at(3000, 3000)], true],
    ["Date a second behind (versitygw)", [at(1000, 2000), at(3000, 4000)], true],
    ["2 s apart: 1 s of the cut and 1 s of skew", [at(3000, 1000), at(5000, 3000)], true],
    ["3 s apart", [at(4000, 1000), at(6000, 3000)], false],
    ["3 s behind", [at(1000, 4000), at(3000, 6000)], false],
    ["3 s apart after a write that took 2 s", [at(4000, 1000, 2000), at(6000, 3000, 2000)], true],
    ["Last-Modified stands still", [at(1000, 1000), at(3000, 1000)], false],
    ["Last-Modified goes back", [at(2000, 2000), at(1000, 1000)], false],
    ["no Date", [at(undefined, 1000), at(3000, 3000)], false],
    ["no Last-Modified", [at(1000, 1000), at(3000, undefined)], false],
  ])("%s", (_, samples, storeTime) => {
    const judged = judgeTimes(samples);
    expect(judged.storeTime).toBe(storeTime);
    expect(judged.remarks).toHaveLength(storeTime ? 0 : 1);
  });
});
