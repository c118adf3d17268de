import { describe, expect, it } from "vitest";
import { contender } from "../support/contenders.ts";
import { freshBucket } from "../support/minio-client.ts";
import { sharedMinio } from "../support/servers.ts";
import { faultProxy } from "../../src/testing/fault-proxy.ts";

const PROCESSES = 5;
const CONTENDERS = 10;
const ROUNDS = 200;

interface Round {
  readonly won: readonly { readonly token: number; readonly holder: string }[];
  readonly refusals: readonly { readonly code?: string }[];
}

describe("fifty contenders in five processes start together on a real MinIO", () => {
  it.each([0, 30])(
    `${ROUNDS} rounds with %i ms added to each request: one winner each, tokens 1, 2, 3… without gap or repeat`,
    async (delayMs) => {
      const server = sharedMinio();
      const bucket = await freshBucket(server);
      await using proxy = await faultProxy({ target: server.endpoint });
      if (delayMs > 0) proxy.faults.add({ kind: "delay", delayMs });
      const url = bucket.url("app").replace(encodeURIComponent(server.endpoint), encodeURIComponent(proxy.endpoint));
      const racers = Array.from({ length: PROCESSES }, (_, i) =>
        contender({
          node: `p${i}`,
          server,
          url,
          program: "racer",
          env: { CONTENDERS: String(CONTENDERS) },
          // No poll and no death within a round: whoever is elected was elected by the race alone.
          options: { ttlMs: 60_000, pollMs: 20_000 },
        }),
      );
      await Promise.all(racers.map((r) => r.event("ready")));
      for (let round = 1; round <= ROUNDS; round++) {
        const results = (await Promise.all(racers.map((r) => r.ask("round")))) as Round[];
        expect(results.flatMap((r) => r.won).map((w) => w.token)).toEqual([round]);
        const refusals = results.flatMap((r) => r.refusals.map((e) => e.code));
        expect(refusals).toHaveLength(PROCESSES * CONTENDERS - 1);
        expect(new Set(refusals)).toEqual(new Set(["LOCK_HELD"]));
        const outcomes = (await Promise.all(racers.map((r) => r.ask("release")))) as string[][];
        expect(outcomes.flat()).toEqual(["released"]);
      }
    },
    240_000,
  );
});
