import fc from "fast-check";
import { expect, it } from "vitest";
import { FencedOutError, StoreUnavailableError } from "../../src/errors.ts";
import { fencedObject } from "../../src/fencing/fenced-object.ts";
import { testWorld, type WorldFault } from "../../src/testing/sim/test-world.ts";
import { by, large, NAME } from "./harness.ts";

/** What one party does. `value` names the body, and is never used twice. */
type Step =
  | { readonly do: "put"; readonly who: number; readonly token: number; readonly isLarge: boolean }
  | { readonly do: "open"; readonly who: number; readonly token: number }
  | { readonly do: "get"; readonly who: number }
  | { readonly do: "prune"; readonly who: number }
  | { readonly do: "fault"; readonly who: number; readonly fault: WorldFault }
  | { readonly do: "restart"; readonly who: number };

const who = fc.nat(2);
const token = fc.integer({ min: 1, max: 5 });
const fault = fc.record<WorldFault>({
  kind: fc.constantFrom(
    "lose-reply",
    "lose-request",
    "reset",
    "late",
    "duplicate",
    "retry",
    "error-500",
    "busy-503",
    "busy-429",
    "conflict-409",
    "stale-read",
  ),
  on: fc.constantFrom("put", "get"),
  times: fc.integer({ min: 1, max: 3 }),
  ms: fc.integer({ min: 1, max: 20_000 }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("put" as const), who, token, isLarge: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("open" as const), who, token }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("get" as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("prune" as const), who }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("fault" as const), who, fault }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const), who }) },
);

const bodyOf = (value: number, isLarge: boolean): Uint8Array => (isLarge ? large(value, 70_000) : Uint8Array.from([value]));

it("one after the other, under faults: every call does what a variable with a bar does, or says that it does not know", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.array(step, { maxLength: 25 }), async (seed, steps) => {
      const world = testWorld({ seed });
      /** What the object may be now: one state, or several after a write whose fate is not known. */
      let possible: { readonly bar: number; readonly value: number }[] = [{ bar: 0, value: 0 }];
      let value = 0;
      for (const s of steps) {
        const node = world.node(`n${s.who}`);
        const object = fencedObject(node.store, NAME);
        if (s.do === "fault") node.faults(s.fault);
        if (s.do === "restart") node.restart();
        if (s.do === "prune") await world.until(object.prune()).catch((e: unknown) => expect(e).toBeInstanceOf(StoreUnavailableError));
        if (s.do === "get") {
          const got = await world.until(object.get()).catch((e: unknown) => e as Error);
          if (got instanceof Error) expect(got).toBeInstanceOf(StoreUnavailableError);
          // A stale read of a process that has not seen the newer version yet is all that a GET may be off by (rule W7).
          else expect(got?.body[0] ?? 0).toBeLessThanOrEqual(value);
        }
        if (s.do !== "put" && s.do !== "open") continue;
        const write = s.do === "put" ? object.put(bodyOf(++value, s.isLarge), by(s.token)) : object.open(by(s.token));
        const error = await world.until(write).then(
          () => undefined,
          (e: unknown) => e,
        );
        const apply = (p: { bar: number; value: number }): typeof p => ({ bar: s.token, value: s.do === "put" ? value : p.value });
        const allowed = possible.filter((p) => p.bar <= s.token);
        if (error === undefined) {
          expect(allowed).not.toEqual([]);
          possible = allowed.map(apply);
        } else if (error instanceof FencedOutError) {
          // A process that knows of a newer token asks no more; the bar may be higher still.
          const theirs = error.theirs.fencingToken;
          expect(theirs).toBeGreaterThan(s.token);
          possible = possible.filter((p) => p.bar >= theirs);
          expect(possible).not.toEqual([]);
        } else {
          expect(error).toBeInstanceOf(StoreUnavailableError);
          possible = [...possible, ...allowed.map(apply)];
        }
      }
      // Whatever was late has landed by now, or never will.
      await world.advance(120_000);
      const end = await world.until(fencedObject(world.node("judge").store, NAME).get());
      expect(possible.map((p) => p.value)).toContain(end?.body[0] ?? 0);
    }),
    { numRuns: 120 },
  );
});

it("at the same time, under faults: accepted writes follow one another by token, and none is lost", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.array(fc.record({ token, isLarge: fc.boolean(), afterMs: fc.integer({ min: 0, max: 200 }) }), { minLength: 2, maxLength: 8 }),
      fc.array(fc.record({ who: fc.nat(7), fault }), { maxLength: 6 }),
      async (seed, writes, faults) => {
        const world = testWorld({ seed });
        for (const f of faults) world.node(`n${f.who}`).faults(f.fault);
        const results = await world.until(
          Promise.allSettled(
            writes.map(async (w, i) => {
              const { store, clock } = world.node(`n${i}`);
              await new Promise<void>((resolve) => void clock.setTimer(w.afterMs, resolve));
              await fencedObject(store, NAME).put(bodyOf(i + 1, w.isLarge), by(w.token));
            }),
          ),
        );
        await world.advance(120_000);
        const end = await world.until(fencedObject(world.node("judge").store, NAME).get());
        const accepted = writes.filter((_, i) => results[i]?.status === "fulfilled");
        for (const r of results)
          if (r.status === "rejected") expect([FencedOutError, StoreUnavailableError]).toContain((r.reason as Error).constructor);
        const highest = Math.max(0, ...accepted.map((w) => w.token));
        expect(end?.fence.fencingToken ?? 0).toBeGreaterThanOrEqual(highest);
        // The body is that of a write of the token at the bar, and a fenced-out write is never the last word.
        const last = end === undefined ? undefined : writes[(end.body[0] ?? 0) - 1];
        expect(last?.token).toBe(end?.fence.fencingToken);
        const fate = end === undefined ? undefined : results[(end.body[0] ?? 0) - 1];
        if (fate?.status === "rejected") expect(fate.reason).toBeInstanceOf(StoreUnavailableError);
      },
    ),
    { numRuns: 120 },
  );
});
