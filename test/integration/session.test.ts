import { describe, expect, it } from "vitest";
import { type FaultProxy, faultProxy } from "../../src/testing/fault-proxy.ts";
import { type Contender, contender, pass } from "../support/contenders.ts";
import { whenFinished } from "../support/finish.ts";
import { hostMs } from "../support/host-clock.ts";
import { freshBucket } from "../support/minio-client.ts";
import { sharedMinio } from "../support/servers.ts";

const KEYS = ["a", "b", "c"];
/** Long enough for a session to live through a machine that stands still for three seconds: all of these wait side by side. */
const TTL_MS = 10_000;
/** Longest time that a dead session keeps its locks: W, a poll, and as much again for a slow machine. */
const BOUND_MS = TTL_MS * 1.1 + TTL_MS / 3 + 2_000;

/** How to start nodes on an empty bucket. */
async function stage(): Promise<(node: string) => Promise<Contender>> {
  const server = sharedMinio();
  const bucket = await freshBucket(server);
  // `name` and `pollMs` are an election's: a session has neither.
  const options = { ttlMs: TTL_MS, name: undefined, pollMs: undefined } as object;
  return async (node) => {
    const made = contender({ node, url: bucket.url("app"), server, options, program: "session-holder" });
    await made.event("ready");
    return made;
  };
}

async function lockAll(node: Contender): Promise<number[]> {
  const answers = await Promise.all(KEYS.map((key) => node.ask("acquire", { key })));
  return answers.map((answer) => (answer as { token: number }).token);
}

describe.concurrent("sessions on a real MinIO, between processes", () => {
  it("kill -9 with three locks: another process has them all when its time is over, each with the next token", async () => {
    const start = await stage();
    const [a, b] = [await start("a"), await start("b")];
    expect(await lockAll(a)).toEqual([1, 1, 1]);
    const killedAt = hostMs();
    await a.kill();
    expect(await lockAll(b)).toEqual([2, 2, 2]);
    expect(hostMs() - killedAt).toBeGreaterThan(TTL_MS / 3);
    expect(hostMs() - killedAt).toBeLessThan(3 * BOUND_MS);
  });

  it("a fresh process of the same name inherits nothing of its dead self, and holding costs a renewal a third of the ttl", async () => {
    const start = await stage();
    const old = await start("a");
    await lockAll(old);
    const before = ((await old.ask("look")) as { puts: number }).puts;
    await pass(1.5 * TTL_MS);
    const look = (await old.ask("look")) as { held: string[]; puts: number };
    expect(look.held).toEqual(KEYS);
    // Four or five, and one more for each that a machine that stands still lets time out; each lock by itself would take as many again.
    expect(look.puts - before).toBeGreaterThanOrEqual(2);
    expect(look.puts - before).toBeLessThanOrEqual(9);
    await old.kill();
    const again = await start("a");
    expect(((await again.ask("look")) as { held: string[] }).held).toEqual([]);
    expect(await lockAll(again)).toEqual([2, 2, 2]);
  });

  it("SIGSTOP beyond the ttl: it wakes with everything lost, and touches nothing of the new holder", async () => {
    const start = await stage();
    const [a, b] = [await start("a"), await start("b")];
    await lockAll(a);
    a.freeze();
    expect(await lockAll(b)).toEqual([2, 2, 2]);
    const look = a.ask("look");
    a.thaw();
    expect(await look).toMatchObject({ over: true, held: [] });
    for (const key of KEYS) expect(await a.ask("release", { key })).toBe("not-mine");
    expect(((await b.ask("look")) as { held: string[] }).held).toEqual(KEYS);
    await pass(TTL_MS);
    expect(((await b.ask("look")) as { held: string[] }).held).toEqual(KEYS);
  });

  it("forceRelease from outside: gentle frees that lock alone, `now` ends the whole session", async () => {
    const start = await stage();
    const [a, b] = [await start("a"), await start("b")];
    await lockAll(a);
    expect(await b.ask("force", { key: "a", token: 1 })).toBe("released");
    expect(await a.ask("look")).toMatchObject({ over: false, held: ["b", "c"] });
    expect(await b.ask("force", { key: "b", token: 1, now: true })).toBe("released");
    expect((await a.event("over"))["reason"]).toBe("replaced");
    expect(await a.ask("look")).toMatchObject({ over: true, held: [] });
    expect(await b.ask("acquire", { key: "c" })).toEqual({ token: 2 });
  });

  it("close frees everything by one PUT, at once", async () => {
    const start = await stage();
    const [a, b] = [await start("a"), await start("b")];
    await lockAll(a);
    const before = ((await a.ask("look")) as { puts: number }).puts;
    await a.ask("close");
    expect(((await a.ask("look")) as { puts: number }).puts - before).toBeLessThanOrEqual(2);
    const closedAt = hostMs();
    expect(await lockAll(b)).toEqual([2, 2, 2]);
    // Nobody waited for its time to pass.
    expect(hostMs() - closedAt).toBeLessThan(TTL_MS);
  });
});

describe.concurrent("a session behind a fault proxy", () => {
  const lockOf = (key: string): { readonly method: "PUT"; readonly key: RegExp } => ({ method: "PUT", key: new RegExp(`/locks/${key}$`) });
  const member = { method: "PUT", key: /\/members\// } as const;

  it("lost during an acquire whose write lands after all: nothing is believed, and another has the lock with the next token", async () => {
    const { start, proxy } = await behindProxy();
    const [a, b] = [await start("a", true), await start("b", false)];
    // The lock's write reaches the store, its answer never comes; meanwhile the session can't be renewed.
    proxy.faults.add({ kind: "lose-reply", ...lockOf("a"), times: Infinity });
    proxy.faults.add({ kind: "lose-request", ...member, times: Infinity });
    await expect(a.ask("acquire", { key: "a" })).rejects.toMatchObject({ answer: { code: "LEASE_LOST" } });
    expect(await a.ask("look")).toMatchObject({ over: true, held: [] });
    expect(await b.ask("acquire", { key: "a" })).toEqual({ token: 2 });
  });

  it("an acquire that was given up, and had been applied, does not stay closed while its session lives", async () => {
    const { start, proxy } = await behindProxy();
    const [a, b] = [await start("a", true), await start("b", false)];
    const fault = proxy.faults.add({ kind: "lose-reply", ...lockOf("a"), times: Infinity });
    await expect(a.ask("acquire", { key: "a", waitMs: 0 })).rejects.toThrow();
    fault.remove();
    expect(await b.ask("acquire", { key: "a" })).toEqual({ token: 2 });
    expect(await a.ask("look")).toMatchObject({ over: false, held: [] });
  });
});

/** Nodes of which some reach the server through a fault proxy. */
async function behindProxy(): Promise<{ start(node: string, proxied: boolean): Promise<Contender>; readonly proxy: FaultProxy }> {
  const server = sharedMinio();
  const bucket = await freshBucket(server);
  const proxy = await faultProxy({ target: server.endpoint });
  whenFinished(() => proxy.close());
  const options = { ttlMs: TTL_MS, name: undefined, pollMs: undefined } as object;
  return {
    proxy,
    async start(node, proxied) {
      const direct = bucket.url("app");
      const url = proxied ? direct.replace(encodeURIComponent(server.endpoint), encodeURIComponent(proxy.endpoint)) : direct;
      const made = contender({ node, url, server, options, program: "session-holder" });
      await made.event("ready");
      return made;
    },
  };
}
