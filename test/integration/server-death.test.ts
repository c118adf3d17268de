import { describe, expect, it } from "vitest";
import { actsOf, electionAbove, FAILOVER_BOUND_MS, overlaps, pass, POLL_MS } from "../support/contenders.ts";
import { startMinio } from "../support/servers.ts";
import { stage } from "../support/stage.ts";

const ROUNDS = 4;
/** Longer than a kill and restart of the server take, so that a leader can live through them. */
const TTL_MS = 6_000;

describe("the server is killed (-9) in the middle of writes, and started again", () => {
  it.each([1, 4] as const)("MinIO on %i drive(s): one leader at most, tokens grow, and a leader is there again", async (drives) => {
    const server = await startMinio({ drives });
    const { nodes, add } = await stage(server);
    // Very frequent renewals would be more likely to be hit; this is as often as the timing relations allow at this ttl.
    for (const name of ["a", "b", "c"]) await add(name, { options: { ttlMs: TTL_MS, pollMs: POLL_MS } });
    let last = await electionAbove(nodes, 0);
    for (let round = 0; round < ROUNDS; round++) {
      // A step-down makes a burst of writes (release, several acquisitions) for the kill to land in.
      const stepDown = last.node.ask("step-down", { options: { cooldownMs: 0 } }).catch((e: unknown) => e);
      await pass(round * 7);
      await server.kill();
      await pass(200);
      await server.restart();
      await stepDown;
      const until = performance.now() + 4 * (FAILOVER_BOUND_MS + TTL_MS);
      for (;;) {
        const looks = (await Promise.all(nodes.map((n) => n.ask("look")))) as { isLeader: boolean; token: number }[];
        const leader = looks.findIndex((l) => l.isLeader);
        const node = nodes[leader];
        if (node !== undefined) {
          last = { node, token: looks[leader]?.token ?? 0, atMs: 0 };
          break;
        }
        expect(performance.now()).toBeLessThan(until);
        await pass(50);
      }
    }
    const tokens = nodes.flatMap((n) => n.events.filter((e) => e.event === "elected")).sort((x, y) => x.atMs - y.atMs);
    expect(tokens.map((e) => Number(e["token"]))).toEqual([...new Set(tokens.map((e) => Number(e["token"])))].sort((x, y) => x - y));
    expect(overlaps(actsOf(nodes))).toEqual([]);
  });
});
