import { afterEach, describe, expect, it } from "vitest";
import { type FaultProxy, faultProxy } from "../../src/testing/fault-proxy.ts";
import { actsOf, electionAbove, FAILOVER_BOUND_MS, overlaps, pass, POLL_MS, TTL_MS } from "../support/contenders.ts";
import { hostMs } from "../support/host-clock.ts";
import { sharedMinio } from "../support/servers.ts";
import { RECORD_KEY, type Stage, stage } from "../support/stage.ts";

const proxies: FaultProxy[] = [];
afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.close();
});

/** Nodes that each reach the real server through a fault proxy of their own. */
async function proxied(): Promise<Stage & { behind(node: string): Promise<{ readonly proxy: FaultProxy; readonly url: string }> }> {
  const server = sharedMinio();
  const made = await stage(server);
  return {
    ...made,
    async behind() {
      const proxy = await faultProxy({ target: server.endpoint });
      proxies.push(proxy);
      return { proxy, url: made.bucket.url("app").replace(encodeURIComponent(server.endpoint), encodeURIComponent(proxy.endpoint)) };
    },
  };
}

const record = { method: "PUT", key: new RegExp(`${RECORD_KEY}$`) } as const;

describe("faults on the way to a real MinIO", () => {
  it("the lost reply of an acquisition is found out by its nonce: elected with that very token", async () => {
    const { add, behind } = await proxied();
    const { proxy, url } = await behind("a");
    proxy.faults.add({ kind: "lose-reply", ...record, times: 1 });
    const a = await add("a", { url });
    const first = await electionAbove([a], 0);
    expect(first.token).toBe(1);
    expect(await a.ask("stats")).toMatchObject({ lease: { acquired: 1, resolvedMine: 1, lost: 0 } });
  });

  it("the lost reply of a renewal is no loss, and nobody else is elected", async () => {
    const { add, behind, nodes } = await proxied();
    const { proxy, url } = await behind("a");
    const a = await add("a", { url });
    await electionAbove([a], 0);
    await add("b");
    for (let i = 0; i < 3; i++) {
      const fault = proxy.faults.add({ kind: "lose-reply", ...record, times: 1 });
      await pass(TTL_MS / 2);
      expect(fault.hits).toBe(1);
    }
    expect(await a.ask("stats")).toMatchObject({ lease: { acquired: 1, resolvedMine: 3, lost: 0 } });
    expect(nodes.flatMap((n) => n.events.filter((e) => e.event === "elected"))).toHaveLength(1);
  });

  it("the lost reply of a release: the key is free all the same, and the next leads within a poll", async () => {
    const { add, behind, nodes } = await proxied();
    const { proxy, url } = await behind("a");
    const a = await add("a", { url });
    const first = await electionAbove([a], 0);
    await add("b");
    await pass(2 * POLL_MS);
    proxy.faults.add({ kind: "lose-reply", ...record, times: 1 });
    const stoppedAt = hostMs();
    await a.ask("stop");
    const second = await electionAbove(nodes, first.token);
    expect(second.token).toBe(first.token + 1);
    expect(second.atMs - stoppedAt).toBeLessThan(3 * POLL_MS);
    expect(await a.exit).toMatchObject({ code: 0 });
  });

  it("a renewal that lands after another took over changes nothing", async () => {
    const { add, behind, nodes } = await proxied();
    const { proxy, url } = await behind("a");
    const a = await add("a", { url });
    const first = await electionAbove([a], 0);
    await add("b");
    await pass(POLL_MS);
    // Everything that it writes from now on arrives long after its deadline.
    const late = proxy.faults.add({ kind: "late", ...record, delayMs: 3 * TTL_MS, times: 3 });
    const cut = proxy.faults.add({ kind: "black-hole" });
    const second = await electionAbove(
      nodes.filter((n) => n.node === "b"),
      first.token,
      3 * FAILOVER_BOUND_MS,
    );
    expect(await a.event("demoted")).toMatchObject({ token: first.token, reason: "expired" });
    await pass(3 * TTL_MS);
    cut.remove();
    expect(late.hits).toBeGreaterThan(0);
    expect(await second.node.ask("look")).toMatchObject({ isLeader: true, token: second.token });
    expect(await second.node.ask("stats")).toMatchObject({ lease: { lost: 0, overtakenWhileValid: 0 } });
    expect(overlaps(actsOf(nodes))).toEqual([]);
  });

  it("a black-holed store: belief ends before anybody else leads, and it campaigns again when the store is back", async () => {
    const { add, behind, nodes } = await proxied();
    const { proxy, url } = await behind("a");
    const a = await add("a", { url });
    const first = await electionAbove([a], 0);
    const b = await add("b");
    await pass(2 * POLL_MS);
    const hole = proxy.faults.add({ kind: "black-hole" });
    const second = await electionAbove([b], first.token, 3 * FAILOVER_BOUND_MS);
    const demoted = await a.event("demoted");
    expect(demoted).toMatchObject({ token: first.token, reason: "expired" });
    expect(demoted.atMs).toBeLessThan(second.atMs);
    expect(overlaps(actsOf(nodes))).toEqual([]);
    hole.remove();
    await b.kill();
    const third = await electionAbove([a], second.token, 3 * FAILOVER_BOUND_MS);
    expect(third.token).toBe(second.token + 1);
  });

  it("a hundred renewals cost a hundred PUTs and nothing else", async () => {
    const { add, behind } = await proxied();
    const { proxy, url } = await behind("a");
    const a = await add("a", { url, options: { ttlMs: 1_000, pollMs: 100 } });
    await electionAbove([a], 0);
    const renewals = async (): Promise<number> => ((await a.ask("stats")) as { lease: { renewals: number } }).lease.renewals;
    const before = await renewals();
    proxy.requests.clear();
    for (;;) {
      await pass(50);
      const wire = proxy.requests.list();
      const counted = (await renewals()) - before;
      // One or two may be on their way while we ask: counted on one side and not yet on the other.
      expect(Math.abs(wire.length - counted)).toBeLessThanOrEqual(2);
      expect(wire.filter((r) => r.method !== "PUT" || !r.key.endsWith(RECORD_KEY))).toEqual([]);
      if (counted >= 100) break;
    }
  });
});
