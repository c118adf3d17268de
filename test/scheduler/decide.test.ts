/** What to do about a task, by itself: each policy on made-up situations, and what must be true of any sequence of them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decide, type MissedPolicy, type Plan, type Policy, type Situation } from "../../src/scheduler/decide.ts";
import { carriedOver, type Fate } from "../../src/scheduler/open-runs.ts";
import type { OpenRun, RunEntry, TaskState } from "../../src/scheduler/task-state.ts";
import type { Schedule } from "../../src/scheduler/tick-times.ts";
import { someRecord } from "../lease/records.ts";

const MINUTE = 60_000;
const T0 = 1_000_000 * MINUTE;

/** A tick each minute. */
const everyMinute: Schedule = {
  next: (after) => (Math.floor(after / MINUTE) + 1) * MINUTE,
  previous: (before) => (Math.ceil(before / MINUTE) - 1) * MINUTE,
  describe: () => ({ utc: "", local: "", oddDay: false, mark: undefined }),
  between(after, upTo, limit) {
    const ticks: number[] = [];
    for (let at = this.next(after) ?? Infinity; at <= upTo && ticks.length < limit; at += MINUTE) ticks.push(at);
    return ticks;
  },
};

const definition = { definition: "each minute", revision: 3, schedule: "* * * * *" };
const policy: Policy = { missed: "once", overlap: "skip", parallel: 8, retries: 0, graceMs: MINUTE, graceOfLooks: false };
const state: TaskState = {
  lastTick: T0,
  missedUpTo: 0,
  ...definition,
  looks: [T0],
  paused: false,
  unread: false,
  triggered: 0,
  open: [],
  later: [],
  history: [],
  extra: {},
};

interface Over extends Partial<Omit<Situation, "policy" | "state">> {
  readonly state?: Partial<TaskState> | undefined;
  readonly policy?: Partial<Policy> | undefined;
}

function situation(nowMs: number, over: Over = {}): Situation {
  const wish = { paused: false, notBeforeMs: 0, triggers: 0 };
  const base = {
    standing: "free" as const,
    definition,
    schedule: everyMinute,
    fates: new Map<number, Fate>(),
    knownSinceMs: T0,
    wish,
    nowMs,
  };
  return { ...base, ...over, state: { ...state, ...over.state }, policy: { ...policy, ...over.policy } };
}

function claimed(plan: Plan): Extract<Plan, { kind: "claim" }> {
  if (plan.kind !== "claim") throw new Error(`it is ${JSON.stringify(plan)}`);
  return plan;
}

function run(over: Partial<RunEntry> = {}): RunEntry {
  return { kind: "tick", tick: T0, state: "running", attempt: 1, holder: "n", token: 7, start: T0, ...over };
}

describe("a task", () => {
  it("that was never seen is written down, and runs nothing for the past", () => {
    const plan = decide({ ...situation(T0 + 1), state: undefined });
    expect(plan).toMatchObject({ kind: "mark", state: { lastTick: T0 + 1, triggered: 0 }, notes: [] });
  });

  it("is left to the newer revision, and to who holds it", () => {
    expect(decide(situation(T0 + MINUTE, { state: { revision: 4 } }))).toEqual({ kind: "superseded" });
    expect(decide(situation(T0 + MINUTE, { standing: "held" }))).toEqual({ kind: "elsewhere", nextAt: T0 + 2 * MINUTE });
  });

  it("with another definition has no past: only ticks that this process was there to wait for", () => {
    const over = { state: { definition: "another", lastTick: T0 - 60 * MINUTE }, knownSinceMs: T0 + 30_000 };
    expect(decide(situation(T0 + 40_000, over))).toMatchObject({
      kind: "mark",
      state: { definition: "each minute", lastTick: T0 + 30_000 },
    });
    expect(claimed(decide(situation(T0 + MINUTE, over))).occurrence).toMatchObject({ tick: T0 + MINUTE, missed: 0 });
  });

  it("is not due before its tick, and is at it", () => {
    expect(decide(situation(T0 + MINUTE - 1))).toEqual({ kind: "wait", nextAt: T0 + MINUTE });
    expect(claimed(decide(situation(T0 + MINUTE)))).toMatchObject({
      occurrence: { tick: T0 + MINUTE, missed: 0 },
      state: { lastTick: T0 + MINUTE },
    });
  });

  it("whose clock was set back runs nothing that is not later than the last tick", () => {
    expect(decide(situation(T0 - 10 * MINUTE))).toEqual({ kind: "wait", nextAt: T0 + MINUTE });
  });
});

describe("missed ticks: down for three", () => {
  const at = T0 + 3 * MINUTE + 55_000;
  const over = (missed: MissedPolicy): Over => ({ policy: { missed, graceMs: 30_000 }, state: { looks: [] } });

  it("skip runs none of them, and says that there were three", () => {
    expect(decide(situation(at, over("skip")))).toMatchObject({
      kind: "mark",
      state: { lastTick: T0 + 3 * MINUTE },
      notes: [{ state: "missed", tick: T0 + MINUTE, missed: 3 }],
    });
  });

  it("once runs the newest for all three: `missed` counts it, too", () => {
    expect(claimed(decide(situation(at, over("once"))))).toMatchObject({ occurrence: { tick: T0 + 3 * MINUTE, missed: 3 }, notes: [] });
  });

  it("all, with max 2: the newest two, oldest first, and one is told as missed", () => {
    const all = over({ all: { max: 2, windowMs: 60 * MINUTE } });
    const first = claimed(decide(situation(at, all)));
    expect(first).toMatchObject({
      occurrence: { tick: T0 + 2 * MINUTE, missed: 3 },
      notes: [{ state: "missed", tick: T0 + MINUTE, missed: 1 }],
    });
    const second = claimed(decide(situation(at + 100, { ...all, state: { ...first.state, looks: [at] } })));
    expect(second).toMatchObject({ occurrence: { tick: T0 + 3 * MINUTE, missed: 1 }, notes: [] });
  });

  it("all, of a window: what is older is told as missed", () => {
    const all = over({ all: { max: 100, windowMs: MINUTE } });
    expect(claimed(decide(situation(at, all)))).toMatchObject({
      occurrence: { tick: T0 + 3 * MINUTE },
      notes: [{ state: "missed", missed: 2 }],
    });
  });

  it("one that is on time is run by itself, beside those before it that were missed", () => {
    const soon = T0 + 3 * MINUTE + 100;
    expect(claimed(decide(situation(soon, over("skip"))))).toMatchObject({
      occurrence: { tick: T0 + 3 * MINUTE, missed: 0 },
      notes: [{ state: "missed", tick: T0 + MINUTE, missed: 2 }],
    });
    expect(claimed(decide(situation(soon, over("once")))).occurrence).toMatchObject({ tick: T0 + 3 * MINUTE, missed: 2 });
  });
});

describe("late", () => {
  it("counts from the last look of any node, and where functions look, by the longest gap between looks", () => {
    const at = T0 + MINUTE + 50_000;
    const late = { policy: { graceMs: 30_000 }, state: { looks: [T0] } };
    expect(claimed(decide(situation(at, late))).occurrence.missed).toBe(1);
    expect(claimed(decide(situation(at, { ...late, state: { looks: [at - 10_000] } }))).occurrence.missed).toBe(0);
    const seldom = { policy: { graceMs: 30_000, graceOfLooks: true }, state: { looks: [T0 - 55_000, T0] } };
    expect(claimed(decide(situation(at, seldom))).occurrence.missed).toBe(0);
  });
});

describe("the last run", () => {
  it("of a dead holder is abandoned, and tried again as often as was said", () => {
    const dead = { standing: "dead" as const, state: { run: run() } };
    expect(decide(situation(T0 + 1, dead))).toMatchObject({ kind: "mark", notes: [{ state: "abandoned", attempt: 1, end: T0 + 1 }] });
    const again = claimed(decide(situation(T0 + 1, { ...dead, policy: { retries: 1 } })));
    expect(again).toMatchObject({ occurrence: { tick: T0, attempt: 2 }, notes: [{ state: "abandoned" }] });
    const last = decide(situation(T0 + 1, { ...dead, state: { run: run({ attempt: 2 }) }, policy: { retries: 1 } }));
    expect(last).toMatchObject({ kind: "mark", notes: [{ state: "abandoned", attempt: 2 }] });
  });

  it("that was claimed and never begun is due as it was", () => {
    expect(claimed(decide(situation(T0 + 1, { standing: "unbegun", state: { run: run() } })))).toMatchObject({
      occurrence: { tick: T0, attempt: 1 },
      notes: [],
    });
  });

  it("leaves out what was due beside it (skip), or one of it (queue)", () => {
    const long = { state: { run: run({ state: "succeeded", end: T0 + 150_000 }) } };
    const at = T0 + 151_000;
    expect(decide(situation(at, long))).toEqual({ kind: "wait", nextAt: T0 + 3 * MINUTE });
    expect(claimed(decide(situation(at, { ...long, policy: { overlap: "queue" } }))).occurrence).toMatchObject({ tick: T0 + 2 * MINUTE });
    expect(claimed(decide(situation(T0 + 3 * MINUTE, long))).notes).toMatchObject([{ state: "skipped", tick: T0 + MINUTE, missed: 2 }]);
  });

  it("after thousands of ticks looks at the newest thousand", () => {
    const now = T0 + 3_000 * MINUTE + 1;
    expect(claimed(decide(situation(now, {}))).occurrence).toMatchObject({ tick: T0 + 3_000 * MINUTE, missed: 999 });
  });

  it("counts as one with its attempts: what was due between them was beside it", () => {
    const second = run({ state: "succeeded", attempt: 2, since: T0, start: T0 + 70_000, end: T0 + 90_000 });
    expect(decide(situation(T0 + 95_000, { state: { run: second } }))).toEqual({ kind: "wait", nextAt: T0 + 2 * MINUTE });
  });
});

describe("what operators want", () => {
  it("paused: nothing is claimed, by hand or by retry the one alone", () => {
    const wish = { paused: true, notBeforeMs: 0, triggers: 0 };
    expect(decide(situation(T0 + 5 * MINUTE, { wish }))).toMatchObject({ kind: "mark", state: { paused: true } });
    expect(decide(situation(T0 + 5 * MINUTE, { wish, state: { paused: true } }))).toMatchObject({ kind: "wait" });
    const retry = { kind: "tick", tick: T0, attempt: 2, missed: 0, since: T0, at: T0 } as const;
    expect(decide(situation(T0 + 5 * MINUTE, { wish, state: { paused: true, retry } }))).toMatchObject({ kind: "wait" });
    expect(claimed(decide(situation(T0 + 1, { wish: { ...wish, triggers: 1 } }))).occurrence).toMatchObject({ kind: "trigger", asked: 1 });
  });

  it("several wishes are as many runs, and what is left of them is not forgotten", () => {
    const wish = { paused: false, notBeforeMs: 0, triggers: 3 };
    const first = claimed(decide(situation(T0 + 1, { wish })));
    expect(first).toMatchObject({ occurrence: { kind: "trigger", asked: 1 }, state: { triggered: 1, unread: true, lastTick: T0 } });
    const last = claimed(decide(situation(T0 + 1, { wish, state: { triggered: 2 } })));
    expect(last).toMatchObject({ occurrence: { asked: 3 }, state: { triggered: 3, unread: false } });
  });

  it("one that is asked for by hand counts as none of them", () => {
    const wish = { paused: false, notBeforeMs: 0, triggers: 0, byHand: true };
    const plan = claimed(decide(situation(T0 + 1, { wish })));
    expect(plan).toMatchObject({ occurrence: { kind: "trigger" }, state: { triggered: 0 } });
    expect(plan.occurrence.asked).toBeUndefined();
  });

  it("unpaused: what was due before is left out", () => {
    const wish = { paused: false, notBeforeMs: T0 + 5 * MINUTE + 1, triggers: 0 };
    expect(decide(situation(T0 + 5 * MINUTE + 2, { wish, state: { paused: true } }))).toMatchObject({
      kind: "mark",
      state: { paused: false, lastTick: T0 + 5 * MINUTE + 1 },
    });
  });
});

describe("runs side by side", () => {
  const open = (token: number, place: number, over: Partial<RunEntry> = {}): OpenRun => ({ ...run({ token, ...over }), place });
  const allow = { overlap: "allow", parallel: 2 } as const;

  it("are kept in their place until the record says how they ended, through runs after them in that place", () => {
    const [first, second] = [run({ token: 7, state: "failed", end: T0 + 1_000 }), run({ token: 8, state: "succeeded", end: T0 + 2_000 })];
    const seen = { ...someRecord({ state: "released", endedBy: "self" }), fencingToken: 8 };
    const place = { run: second, before: [{ run: first }] };
    const kept = (over: { readonly open: readonly OpenRun[]; readonly token: number }): number[] =>
      carriedOver(seen, place, over).map((performed) => performed.run.token);
    expect(kept({ open: [open(7, 0), open(8, 0)], token: 8 })).toEqual([8, 7]);
    expect(kept({ open: [open(7, 0)], token: 8 })).toEqual([7]);
    expect(kept({ open: [], token: 8 })).toEqual([]);
  });

  it("take the places that are free, as many as there are", () => {
    const at = T0 + MINUTE;
    const one = { policy: allow, state: { open: [open(7, 0)] }, fates: new Map<number, Fate>([[7, { kind: "running" }]]) };
    expect(claimed(decide(situation(at, one))).places).toEqual([1]);
    const two = { ...one, state: { open: [open(7, 0), open(8, 1)] } };
    expect(decide(situation(at, two))).toEqual({ kind: "elsewhere", nextAt: T0 + 2 * MINUTE });
  });

  it("that have ended go into the history with the next claim, and what follows from them is due in its time", () => {
    const retry = { kind: "tick", tick: T0, attempt: 2, missed: 0, since: T0, at: T0 + 30_000 } as const;
    const failed: Fate = { kind: "ended", as: { run: run({ state: "failed", end: T0 + 1_000 }), retry } };
    const over = { policy: { ...allow, retries: 2 }, state: { open: [open(7, 0)] }, fates: new Map([[7, failed]]) };
    expect(decide(situation(T0 + 10_000, over))).toEqual({ kind: "wait", nextAt: T0 + 30_000 });
    const plan = claimed(decide(situation(T0 + 30_000, over)));
    expect(plan).toMatchObject({
      occurrence: { attempt: 2, tick: T0 },
      places: [0, 1],
      state: { open: [], later: [] },
      notes: [{ state: "failed" }],
    });
  });

  it("that were abandoned are written down at once, and tried again; those that never began are due as they were", () => {
    const fates = new Map<number, Fate>([[7, { kind: "abandoned" }]]);
    const over = { policy: allow, state: { open: [open(7, 0)] }, fates };
    expect(decide(situation(T0 + 1, over))).toMatchObject({ kind: "mark", state: { open: [] }, notes: [{ state: "abandoned" }] });
    expect(claimed(decide(situation(T0 + 1, { ...over, policy: { ...allow, retries: 1 } }))).occurrence).toMatchObject({ attempt: 2 });
    const unbegun = { ...over, fates: new Map<number, Fate>([[7, { kind: "unbegun" }]]) };
    expect(claimed(decide(situation(T0 + 1, unbegun))).occurrence).toMatchObject({ attempt: 1, tick: T0 });
  });
});

describe("whatever happens", () => {
  const anyPolicy = fc.record({
    missed: fc.oneof(
      fc.constantFrom<MissedPolicy>("skip", "once"),
      fc.record({ all: fc.record({ max: fc.integer({ min: 1, max: 5 }), windowMs: fc.integer({ min: MINUTE, max: 30 * MINUTE }) }) }),
    ),
    overlap: fc.constantFrom<Policy["overlap"]>("skip", "queue", "allow"),
    retries: fc.integer({ min: 0, max: 3 }),
    graceMs: fc.integer({ min: 2_000, max: 2 * MINUTE }),
  });
  const anyStep = fc.record({
    passMs: fc.oneof(fc.integer({ min: 0, max: 90_000 }), fc.integer({ min: 0, max: 20 * MINUTE })),
    runsMs: fc.integer({ min: 0, max: 4 * MINUTE }),
    end: fc.constantFrom("succeeded" as const, "failed" as const, "dies" as const),
  });

  it("no attempt of a tick is claimed twice or early, ticks only grow, and each is run, stood for, or named in the notes", () => {
    fc.assert(
      fc.property(anyPolicy, fc.array(anyStep, { minLength: 1, maxLength: 40 }), (given, steps) => {
        const chosen = { ...policy, ...given };
        let now = T0;
        let token = 10;
        let current: TaskState = state;
        let standing: Situation["standing"] = "free";
        let fates = new Map<number, Fate>();
        const attempts = new Set<string>();
        const settled = new Set<number>();
        for (const step of steps) {
          now += step.passMs;
          for (let turn = 0; turn < 50; turn++) {
            const plan = decide(situation(now, { state: current, policy: chosen, standing, fates }));
            if (plan.kind !== "claim" && plan.kind !== "mark") break;
            expect(plan.state.lastTick).toBeGreaterThanOrEqual(current.lastTick);
            for (const note of plan.notes)
              if (note.state === "missed" || note.state === "skipped")
                for (let i = 0; i < (note.missed ?? 0); i++) settled.add(note.tick + i * MINUTE);
            standing = "free";
            current = plan.state;
            if (plan.kind === "mark") continue;
            const { kind, tick, attempt, missed } = plan.occurrence;
            expect(attempts.has(`${tick} ${attempt}`)).toBe(false);
            expect(tick).toBeLessThanOrEqual(now);
            attempts.add(`${tick} ${attempt}`);
            settled.add(tick);
            if (chosen.missed === "once")
              for (let i = 0; i < missed; i++) settled.add(tick - i * MINUTE - (now - tick > chosen.graceMs ? 0 : MINUTE));
            token += 1;
            const entry = run({ kind, tick, attempt, token, start: now });
            const end = now + step.runsMs;
            const done = step.end === "dies" ? entry : { ...entry, state: step.end, end };
            const retry =
              step.end === "failed" && attempt <= chosen.retries
                ? { kind, tick, attempt: attempt + 1, missed, since: now, at: end }
                : undefined;
            if (plan.places === undefined) {
              now = end;
              current = { ...current, run: done, retry };
              standing = step.end === "dies" ? "dead" : "free";
            } else {
              const fate: Fate = step.end === "dies" ? { kind: "abandoned" } : { kind: "ended", as: { run: done, retry } };
              fates = new Map([...fates, [token, fate]]);
              current = { ...current, open: [...current.open, { ...entry, place: plan.places[0] ?? 0 }] };
            }
          }
        }
        expect(current.open.length).toBeLessThanOrEqual(chosen.parallel);
        if (chosen.missed === "once" && chosen.overlap === "allow")
          for (let tick = T0 + MINUTE; tick <= current.lastTick; tick += MINUTE) expect(settled.has(tick), String(tick)).toBe(true);
      }),
      { numRuns: 400, seed: 6 },
    );
  });
});
