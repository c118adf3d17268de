import { describe, expect, it } from "vitest";
import { Manager, s3Store } from "s3-consensus";
import { type FaultProxy, faultProxy } from "../../src/testing/fault-proxy.ts";
import { actsOf, electionAbove, FAILOVER_BOUND_MS, overlaps, pass, POLL_MS, TTL_MS } from "../support/contenders.ts";
import { whenFinished } from "../support/finish.ts";
import { hostMs } from "../support/host-clock.ts";
import { until } from "../support/lock-party.ts";
import { credentialsEnv, sharedMinio } from "../support/servers.ts";
import { RECORD_KEY, type Stage, stage } from "../support/stage.ts";

/** Nodes that each reach the real server through a fault proxy of their own. */
async function proxied(): Promise<Stage & { behind(node: string): Promise<{ readonly proxy: FaultProxy; readonly url: string }> }> {
  const server = sharedMinio();
  const made = await stage(server);
  return {
    ...made,
    async behind() {
      const proxy = await faultProxy({ target: server.endpoint });
      whenFinished(() => proxy.close());
      return { proxy, url: made.bucket.url("app").replace(encodeURIComponent(server.endpoint), encodeURIComponent(proxy.endpoint)) };
    },
  };
}

const record = { method: "PUT", key: new RegExp(`${RECORD_KEY}$`) } as const;

describe.concurrent("faults on the way to a real MinIO", () => {
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
    const lease = async (): Promise<Record<string, number>> => ((await a.ask("stats")) as { lease: Record<string, number> }).lease;
    for (let lost = 1; lost <= 3; lost++) {
      proxy.faults.add({ kind: "lose-reply", ...record, times: 1 });
      await until(async () => (await lease())["resolvedMine"] === lost, "it has found out");
    }
    expect(await lease()).toMatchObject({ acquired: 1, lost: 0 });
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
    // It was free: nobody waited for a ttl to pass.
    expect(second.atMs - stoppedAt).toBeLessThan(TTL_MS / 2);
    expect(await second.node.ask("stats")).toMatchObject({ lease: { takeoversByObservation: 0, takeoversByStoreTime: 0 } });
    expect(await a.exit).toMatchObject({ code: 0 });
  });

  it("a renewal that lands after another took over changes nothing", async () => {
    const { add, behind, nodes } = await proxied();
    const { proxy, url } = await behind("a");
    const a = await add("a", { url });
    const first = await electionAbove([a], 0);
    await add("b");
    await pass(POLL_MS);
    // What it writes from now on is held back until another leads.
    const late = proxy.faults.add({ kind: "late", ...record, times: 3 });
    const cut = proxy.faults.add({ kind: "black-hole" });
    const second = await electionAbove(
      nodes.filter((n) => n.node === "b"),
      first.token,
      3 * FAILOVER_BOUND_MS,
    );
    expect(await a.event("demoted")).toMatchObject({ token: first.token, reason: "expired" });
    expect(await late.deliver()).toBeGreaterThan(0);
    cut.remove();
    await pass(TTL_MS / 2);
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
    const { behind } = await proxied();
    const { proxy, url } = await behind("a");
    Object.assign(process.env, credentialsEnv(sharedMinio()));
    const store = s3Store(url);
    // Many leases at once. No request is given up while the server stands still for a moment.
    const managers = Array.from({ length: 25 }, (_, i) => new Manager({ store, name: `e${i}`, ttlMs: TTL_MS, requestTimeoutMs: 5_000 }));
    const terms = await Promise.all(managers.map((manager) => manager.campaign()));
    proxy.requests.clear();
    const renewals = (): number => managers.reduce((sum, manager) => sum + (manager.stats()["renewals"] ?? 0), 0);
    await until(() => renewals() >= 100, "they are renewed");
    expect(await Promise.all(terms.map((term) => term.release()))).toEqual(terms.map(() => "released"));
    expect(new Set(proxy.requests.list().map((r) => `${r.method} ${r.status}`))).toEqual(new Set(["PUT 200"]));
    expect(proxy.requests.list()).toHaveLength(renewals() + terms.length);
  });
});
