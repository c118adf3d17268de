/** The main path of an election, on a store or in a runtime: win, renew, prove, give back; lose by death and by standing still, take over. */
import { describe, expect, it } from "vitest";
import { actsOf, type ContenderOptions, electionAbove, FAILOVER_BOUND_MS, overlaps, TTL_MS } from "../support/contenders.ts";
import { hostMs } from "../support/host-clock.ts";
import type { S3Server } from "../support/servers.ts";
import { stage } from "../support/stage.ts";

export interface MainPathOptions {
  readonly server: () => S3Server;
  /** What the tried node runs on, and the way that it takes to the store. Default: as the others. */
  readonly tried?: (() => Partial<ContenderOptions>) | undefined;
  /** False for a runtime that doesn't end by itself when its work is done. Default: true. */
  readonly ends?: boolean | undefined;
  /** Longest time without a leader. */
  readonly boundMs?: number | undefined;
}

export function mainPath(name: string, { server, tried = () => ({}), ends = true, boundMs = FAILOVER_BOUND_MS }: MainPathOptions): void {
  describe(`main path: ${name}`, () => {
    it("elects, holds, answers, and gives back when stopped", async () => {
      const { add, record } = await stage(server());
      const node = await add("other", tried());
      expect((await node.event("elected"))["token"]).toBe(1);
      // Its clock is the one by which overlaps are found.
      expect(Math.abs((node.events[0]?.atMs ?? 0) - hostMs())).toBeLessThan(10_000);
      expect(await node.ask("look")).toMatchObject({ isLeader: true, aborted: false, assert: "held", token: 1 });
      await node.event("act");
      // Longer than a ttl: it was renewed.
      await node.event("act", undefined, ({ atMs }) => atMs > (node.events[0]?.atMs ?? Infinity) + 1.5 * TTL_MS);
      await node.ask("verify");
      await node.ask("stop");
      await node.event("stopped");
      if (ends) expect(await node.exit).toMatchObject({ code: 0 });
      else await node.kill();
      expect(await record()).toMatchObject({ state: "released", fencingToken: 1 });
    });

    it("takes over from a node that is killed, and loses to it when killed itself, without overlap", async () => {
      const { add, nodes } = await stage(server());
      const first = await add("first");
      await first.event("elected");
      const other = await add("other", tried());
      const killed = await first.kill();
      const second = await electionAbove([other], 1, 3 * boundMs);
      expect(second.token).toBe(2);
      expect(second.atMs - killed.atMs).toBeLessThan(3 * boundMs);
      const third = await add("third");
      await other.event("act");
      await other.kill();
      expect((await electionAbove([third], 2, 3 * boundMs)).token).toBe(3);
      expect(overlaps(actsOf(nodes))).toEqual([]);
    });

    it("loses while it stands still, knows it when it goes on, and comes back when the other gives way", async () => {
      const { add, nodes } = await stage(server());
      const frozen = await add("frozen", tried());
      await frozen.event("elected");
      const other = await add("other");
      await frozen.event("act");
      frozen.freeze();
      expect((await electionAbove([other], 1, 3 * boundMs)).token).toBe(2);
      await other.event("act");
      frozen.thaw();
      expect(await frozen.event("demoted")).toMatchObject({ token: 1, code: "LEASE_LOST" });
      await other.event("act");
      await other.ask("stop");
      await other.event("stopped");
      expect((await electionAbove([frozen], 2, 3 * boundMs)).token).toBe(3);
      await frozen.event("act");
      expect(overlaps(actsOf(nodes))).toEqual([]);
    });
  });
}
