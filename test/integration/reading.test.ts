import { describe, expect, it } from "vitest";
import { Manager, s3Store } from "s3-consensus";
import { electionAbove, pass, POLL_MS } from "../support/contenders.ts";
import { credentialsEnv, sharedServers } from "../support/servers.ts";
import { stage } from "../support/stage.ts";

describe.each(sharedServers())("reading on $name", (server) => {
  it("leaves an empty bucket empty: it never writes and never probes", async () => {
    Object.assign(process.env, credentialsEnv(server));
    const { bucket } = await stage(server);
    const manager = new Manager({ store: s3Store(bucket.url("app")), name: "race", pollMs: 100 });
    expect(await manager.leader()).toBeUndefined();
    const stop = new AbortController();
    const seen: unknown[] = [];
    const observing = (async () => {
      for await (const { leader } of manager.observe({ signal: stop.signal })) seen.push(leader?.holder);
    })();
    await pass(500);
    stop.abort(new Error("enough"));
    await expect(observing).rejects.toThrow("enough");
    expect(seen).toEqual([undefined]);
    expect(await bucket.outside.list(bucket.bucket)).toEqual([]);
  });

  it("leaves a bucket with a dead leader as it is, byte for byte, and says that nobody leads once that is certain", async () => {
    Object.assign(process.env, credentialsEnv(server));
    const { bucket, add } = await stage(server);
    const node = await add("a", { options: { ttlMs: 1_000, pollMs: 200 } });
    const { token } = await electionAbove([node], 0);
    await node.kill();
    const content = async (): Promise<unknown[]> =>
      Promise.all((await bucket.outside.list(bucket.bucket)).map(async (key) => [key, await bucket.outside.peek(bucket.bucket, key)]));
    const before = await content();
    const manager = new Manager({ store: s3Store(bucket.url("app")), name: "race", pollMs: 100 });
    expect(await manager.leader()).toMatchObject({ holder: "a", fencingToken: token });
    const news: (string | undefined)[] = [];
    for await (const { leader } of manager.observe()) {
      news.push(leader?.holder);
      if (leader === undefined) break;
    }
    expect(news).toEqual(["a", undefined]);
    await pass(POLL_MS);
    expect(await content()).toEqual(before);
    expect(manager.stats()).toMatchObject({ writesApplied: 0, writesRefused: 0, writesUnknown: 0 });
  });
});
