import { describe, expect, it } from "vitest";
import { fleetDays } from "../scheduler/fleet-days.ts";

describe("ten days of a job each minute, on five nodes that misbehave", () => {
  it.each([61, 611])(
    "each tick is claimed once, none is early, none is lost: seed %i",
    async (seed) => {
      await expect(fleetDays(10, seed)).resolves.toBeUndefined();
    },
    1_200_000,
  );
});
