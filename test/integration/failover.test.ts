import { describe, expect, it } from "vitest";
import { actsOf, FAILOVER_BOUND_MS, electionAbove, overlaps, pass, POLL_MS, TTL_MS } from "../support/contenders.ts";
import { hostMs } from "../support/host-clock.ts";
import { sharedMinio } from "../support/servers.ts";
import { stage } from "../support/stage.ts";
import { wallShift, wallShiftMethod } from "../support/wall-clock.ts";

describe.concurrent("failover on a real MinIO, between processes", () => {
  it("kill -9: another leads within the bound, with the next token, and never two at once", async () => {
    const { nodes, add } = await stage(sharedMinio());
    for (const name of ["a", "b", "c"]) await add(name);
    const first = await electionAbove(nodes, 0);
    await pass(TTL_MS / 2);
    const killedAt = hostMs();
    await first.node.kill();
    const rest = nodes.filter((n) => n !== first.node);
    const second = await electionAbove(rest, first.token);
    expect(second.token).toBe(first.token + 1);
    expect(second.atMs - killedAt).toBeLessThan(3 * FAILOVER_BOUND_MS);
    // Nobody may take it before the dead one's belief would have been over: it renewed less than a third of the ttl before.
    expect(second.atMs - killedAt).toBeGreaterThan(TTL_MS / 3);
    expect(overlaps(actsOf(nodes))).toEqual([]);
  });

  it("SIGTERM: the key is freed, and another leads within a poll", async () => {
    const { nodes, add, record } = await stage(sharedMinio());
    for (const name of ["a", "b"]) await add(name);
    const first = await electionAbove(nodes, 0);
    await pass(POLL_MS * 2);
    const stoppedAt = hostMs();
    first.node.signal("SIGTERM");
    const second = await electionAbove(nodes, first.token);
    expect(second.token).toBe(first.token + 1);
    // It was free: nobody waited for a ttl to pass.
    expect(second.atMs - stoppedAt).toBeLessThan(TTL_MS / 2);
    expect(await second.node.ask("stats")).toMatchObject({ lease: { takeoversByObservation: 0, takeoversByStoreTime: 0 } });
    expect(await first.node.exit).toMatchObject({ code: 0, signal: null });
    expect((await first.node.event("demoted"))["reason"]).toBe("stopped");
    expect(await record()).toMatchObject({ state: "held", fencingToken: second.token, holder: second.node.node });
    expect(overlaps(actsOf(nodes))).toEqual([]);
  });

  it("kill -9, and a ttl later three fresh processes: the first gets it at its first request, by the store's own time", async () => {
    const { add } = await stage(sharedMinio());
    const old = await add("old");
    const first = await electionAbove([old], 0);
    await old.kill();
    // The exact bound of the store's time: what the dead one could believe, its slow clock, a second of cut stamps, a second of skew.
    const ageMs = (TTL_MS - 1_000) / 0.9 + 2_000;
    await pass(ageMs + 1_500);
    const startedAt = hostMs();
    const fresh = await add("fresh-1");
    const second = await electionAbove([fresh], first.token);
    expect(second.token).toBe(first.token + 1);
    // Watching would take longer.
    expect(second.atMs - startedAt).toBeLessThan(TTL_MS);
    for (const name of ["fresh-2", "fresh-3"]) await add(name);
    const stats = (await fresh.ask("stats")) as { lease: Record<string, number> };
    expect(stats.lease).toMatchObject({ acquired: 1, takeoversByStoreTime: 1, takeoversByObservation: 0 });
  });

  it("SIGSTOP for longer than the ttl: the stopped one knows at its first look, and never acts again under its old token", async () => {
    const { nodes, add } = await stage(sharedMinio());
    for (const name of ["a", "b"]) await add(name);
    const first = await electionAbove(nodes, 0);
    await pass(POLL_MS * 2);
    const frozenAt = hostMs();
    first.node.freeze();
    const other = nodes.filter((n) => n !== first.node);
    const second = await electionAbove(other, first.token);
    await pass(TTL_MS / 2);
    const look = first.node.ask("look");
    first.node.thaw();
    const thawedAt = hostMs();
    expect(await look).toMatchObject({ isLeader: false, aborted: true, assert: { code: "LEASE_LOST" }, remainingMs: 0 });
    expect(await first.node.event("demoted")).toMatchObject({ token: first.token, reason: "frozen" });
    await pass(TTL_MS / 2);
    expect(second.token).toBe(first.token + 1);
    const late = first.node.events.filter((e) => e.event === "act" && e["token"] === first.token && e.atMs > frozenAt + 100);
    expect(late.filter((e) => e.atMs > thawedAt)).toEqual([]);
    expect(overlaps(actsOf(nodes))).toEqual([]);
    expect(await second.node.ask("look")).toMatchObject({ isLeader: true, token: second.token });
  });

  it(`wall clock 10 minutes ahead: one clean loss and a new election with a higher token; 10 minutes back: nothing (${wallShiftMethod})`, async () => {
    const { nodes, add } = await stage(sharedMinio());
    const wall = wallShift();
    const a = await add("a", { wall });
    const first = await electionAbove([a], 0);
    await add("b");
    await pass(POLL_MS * 2);
    wall.set(600_000);
    expect(await a.ask("look")).toMatchObject({ isLeader: false, aborted: true });
    expect(await a.event("demoted")).toMatchObject({ token: first.token, reason: "frozen" });
    const second = await electionAbove(nodes, first.token);
    expect(second.token).toBe(first.token + 1);
    await pass(TTL_MS / 2);
    wall.set(0);
    await pass(TTL_MS);
    const elections = nodes.flatMap((n) => n.events.filter((e) => e.event === "elected"));
    expect(elections.map((e) => e["token"])).toEqual([first.token, second.token]);
    expect(nodes.flatMap((n) => n.events.filter((e) => e.event === "demoted"))).toHaveLength(1);
    expect(overlaps(actsOf(nodes))).toEqual([]);
  });
});
