/** What users pass to a scheduler: every fault at once, each with the option, its value and what would be right. */
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { schedulerConfig, type SchedulerOptions, type Task } from "../../src/scheduler/options.ts";
import { Scheduler } from "../../src/scheduler/scheduler.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";

const { store } = testWorld({ seed: 1 }).node("a");
const run = (): void => {};
const task = { name: "job", every: "1h", run };

function faultsOf(options: unknown): readonly string[] {
  try {
    schedulerConfig({ store, ...(options as SchedulerOptions<readonly Task[]>) });
  } catch (e) {
    if (e instanceof ConfigError) return e.faults;
    throw e;
  }
  return [];
}

describe("one wrong option", () => {
  it.each<[object, RegExp]>([
    [{}, /tasks is missing: expected a list of 1 to 10000 tasks/],
    [{ tasks: [] }, /tasks is an array of 0: expected a list of 1 to 10000 tasks/],
    [{ tasks: [task], gate: {} }, /gate is .*: expected a Manager/],
    [{ tasks: [task], drainMs: -1 }, /drainMs is -1/],
    [{ tasks: [task], ttlMs: 5 }, /ttlMs is 5/],
    [{ tasks: [task], ttlMs: 10_000, marginMs: 9_000 }, /marginMs 9000/],
    [{ tasks: [task], requestTimeoutMs: 29_000 }, /requestTimeoutMs 29000/],
    [{ tasks: [task], concurrency: 0 }, /concurrency is 0: expected/],
    [{ tasks: [task], concurrency: 1.5 }, /concurrency is 1.5/],
    [{ tasks: [task], spreadMs: 60_001 }, /spreadMs is 60001/],
    [{ tasks: [task], maxClockOffsetMs: 10 }, /maxClockOffsetMs is 10/],
    [{ tasks: [task], prefix: "/x" }, /prefix is "\/x"/],
    [{ tasks: [task], cron: "* * * * *" }, /unknown option "cron"/],
  ])("%j", (options, said) => {
    expect(faultsOf(options)).toEqual([expect.stringMatching(said)]);
  });
});

describe("one wrong option of a task", () => {
  it.each<[object, RegExp]>([
    [{ name: "" }, /name is "": expected not empty/],
    [{ name: "a\u0000" }, /name is .*control characters/],
    [{ run: 7 }, /run is 7: expected a function/],
    [{ timeoutMs: 0 }, /timeoutMs is 0/],
    [{ timeoutMs: 8 * 86_400_000 }, /timeoutMs is 691200000/],
    [{ missed: "always" }, /missed is "always": expected "skip", "once" or/],
    [{ missed: { all: { max: 0, windowMs: 120_000 } } }, /missed is .*max is 0/],
    [{ missed: { all: { max: 3 } } }, /missed is .*windowMs is missing/],
    [{ missed: { all: { max: 3, windowMs: 1_000 } } }, /windowMs 1000 is below graceMs 60000/],
    [{ missed: "skip", graceMs: 1_000 }, /graceMs 1000 with missed "skip" would lose ticks/],
    [{ overlap: "never" }, /overlap is "never": expected/],
    [{ overlap: "allow", parallel: 33 }, /parallel is 33: expected .*1 to 32/],
    [{ parallel: 3 }, /parallel is 3: expected nothing beside overlap "skip"/],
    [{ overlap: "queue", parallel: 3 }, /parallel is 3: expected nothing beside overlap "queue"/],
    [{ retries: -1 }, /retries is -1/],
    [{ retryDelayMs: 600_001 }, /retryDelayMs is 600001/],
    [{ revision: 0.5 }, /revision is 0.5/],
    [{ every: "1h", cron: "0 3 * * *" }, /cron is .* and every is .*: expected one of them/],
    [{ evry: "1h" }, /unknown option "evry".*every/],
  ])("%j", (options, said) => {
    expect(faultsOf({ tasks: [{ ...task, ...options }] })).toEqual([expect.stringMatching(said)]);
  });
});

describe("a name", () => {
  it("that makes too long a key is refused", () => {
    const [fault, ...more] = faultsOf({ tasks: [{ ...task, name: "x".repeat(2_000) }] });
    expect(more).toEqual([]);
    expect(fault).toMatch(/gives a key of 2020 bytes .*S3 takes at most 1024/);
  });
});

describe("everything that is wrong", () => {
  it("is said at once, each with its task", () => {
    const world = testWorld({ seed: 1 });
    const tasks = [
      { ...task, retries: -1, timeoutMs: 0 },
      { ...task, name: "b", every: "soon", graceMs: 500, missed: "skip" },
      { ...task, name: "d", every: "now", retries: 1.5 },
      { ...task, name: "c" },
      { ...task, name: "c" },
    ] as readonly Task[];
    try {
      expect(new Scheduler({ store: world.node("a").store, tasks, marginMs: 29_000, spreadMs: -1 })).toBeUndefined();
    } catch (e) {
      expect(e).toMatchObject({ code: "CONFIG" });
      expect((e as ConfigError).faults).toEqual(
        [
          /^spreadMs is -1/,
          /^marginMs 29000/,
          /^tasks\[0\] \("job"\): timeoutMs is 0/,
          /^tasks\[0\] \("job"\): retries is -1/,
          /^tasks\[1\] \("b"\): every is "soon"/,
          /^tasks\[1\] \("b"\): graceMs 500/,
          /^tasks\[2\] \("d"\): retries is 1.5/,
          /^tasks\[2\] \("d"\): every is "now"/,
          /^tasks\[4\]: name is "c": expected a name that no other task has/,
        ].map((said) => expect.stringMatching(said) as string),
      );
    }
  });

  it("undefined is the default", () => {
    const unset = {
      timeoutMs: undefined,
      missed: undefined,
      overlap: undefined,
      parallel: undefined,
      retries: undefined,
      graceMs: undefined,
    };
    expect(faultsOf({ tasks: [{ ...task, ...unset }], gate: undefined, ttlMs: undefined, concurrency: undefined })).toEqual([]);
  });

  it("an invocation that can't say how much time it has is refused, instead of never being given a run", async () => {
    const scheduler = new Scheduler({ store: testWorld({ seed: 1 }).node("a").store, tasks: [task] });
    await expect(scheduler.runDue({ during: { remainingMs: Number.NaN } })).rejects.toMatchObject({ code: "CONFIG" });
  });
});
