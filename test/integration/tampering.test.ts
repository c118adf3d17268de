import { describe, expect, it } from "vitest";
import { actsOf, electionAbove, FAILOVER_BOUND_MS, overlaps, pass, POLL_MS, TTL_MS } from "../support/contenders.ts";
import { sharedServers } from "../support/servers.ts";
import { RECORD_KEY, stage } from "../support/stage.ts";

describe.concurrent.each(sharedServers())("somebody else changes the record on $name", (server) => {
  it("deleted: the leader loses, and nobody who knows its token leads; an operator's released record with that token mends it", async () => {
    const { nodes, add, bucket } = await stage(server);
    for (const name of ["a", "b"]) await add(name);
    const first = await electionAbove(nodes, 0);
    await pass(2 * POLL_MS);
    const before = await bucket.outside.peek(bucket.bucket, RECORD_KEY);
    await bucket.outside.remove(bucket.bucket, RECORD_KEY);
    expect(await first.node.event("demoted")).toMatchObject({ token: first.token, reason: "deleted" });
    await pass(FAILOVER_BOUND_MS + TTL_MS);
    expect(await bucket.outside.peek(bucket.bucket, RECORD_KEY)).toBeUndefined();
    for (const node of nodes) {
      expect(await node.ask("look")).toMatchObject({ isLeader: false });
      expect(await node.ask("health")).toMatchObject({ ok: false, error: { code: "RECORD", kind: "regressed" } });
    }
    const mended = { ...(JSON.parse(before?.body ?? "") as object), state: "released", nonce: "operator" };
    await bucket.outside.put(bucket.bucket, RECORD_KEY, JSON.stringify(mended));
    const second = await electionAbove(nodes, first.token);
    expect(second.token).toBe(first.token + 1);
    expect(overlaps(actsOf(nodes))).toEqual([]);
  });

  it("replaced by garbage: the leader loses, nobody overwrites it, and everybody says what stands there", async () => {
    const { nodes, add, bucket } = await stage(server);
    for (const name of ["a", "b"]) await add(name);
    const first = await electionAbove(nodes, 0);
    await bucket.outside.put(bucket.bucket, RECORD_KEY, "not a record");
    expect(await first.node.event("demoted")).toMatchObject({ token: first.token, reason: "replaced" });
    await pass(FAILOVER_BOUND_MS);
    expect((await bucket.outside.peek(bucket.bucket, RECORD_KEY))?.body).toBe("not a record");
    for (const node of nodes) expect(await node.ask("health")).toMatchObject({ ok: false, error: { code: "RECORD", kind: "foreign" } });
  });

  it("rolled back to an older copy of the same term: the leader runs into its deadline, then a higher token leads", async () => {
    const { nodes, add, bucket } = await stage(server);
    for (const name of ["a", "b"]) await add(name);
    const first = await electionAbove(nodes, 0);
    await pass(2 * POLL_MS);
    const older = await bucket.outside.peek(bucket.bucket, RECORD_KEY);
    await pass(TTL_MS);
    await bucket.outside.put(bucket.bucket, RECORD_KEY, older?.body ?? "");
    expect(await first.node.event("demoted")).toMatchObject({ token: first.token });
    const second = await electionAbove(nodes, first.token, 4 * FAILOVER_BOUND_MS);
    expect(second.token).toBe(first.token + 1);
    expect(overlaps(actsOf(nodes))).toEqual([]);
  });

  it("rolled back to an older token: nobody who knows the newer one leads", async () => {
    const { nodes, add, bucket } = await stage(server);
    const a = await add("a");
    const first = await electionAbove([a], 0);
    const older = await bucket.outside.peek(bucket.bucket, RECORD_KEY);
    await a.ask("step-down", { options: { cooldownMs: 0 } });
    const second = await electionAbove([a], first.token);
    await add("b");
    await pass(3 * POLL_MS);
    await bucket.outside.put(bucket.bucket, RECORD_KEY, older?.body ?? "");
    await pass(TTL_MS + FAILOVER_BOUND_MS);
    expect((await bucket.outside.peek(bucket.bucket, RECORD_KEY))?.body).toBe(older?.body);
    for (const node of nodes) {
      expect(await node.ask("look")).toMatchObject({ isLeader: false });
      expect(await node.ask("health")).toMatchObject({ ok: false, error: { code: "RECORD", kind: "regressed" } });
    }
    expect(nodes.flatMap((n) => n.events.filter((e) => e.event === "elected")).map((e) => e["token"])).toEqual([first.token, second.token]);
    expect(overlaps(actsOf(nodes))).toEqual([]);
  });
});
