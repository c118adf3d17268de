import { describe, expect, it } from "vitest";
import type { HolderInfo } from "../../src/errors.ts";
import type { Locks } from "../../src/locks/locks.ts";
import { encodeRecord } from "../../src/record/codec.ts";
import { Session } from "../../src/session/session.ts";
import type { TestWorld } from "../../src/testing/sim/test-world.ts";
import { bench, delta, errorOf, held, keyOf, recordIn, requestsOf, when } from "./harness.ts";

async function listed(locks: Pick<Locks, "list">, prefix?: string): Promise<HolderInfo[]> {
  const found: HolderInfo[] = [];
  for await (const holder of locks.list({ prefix })) found.push(holder);
  return found;
}

/** As many locks as it says, all held by others. */
function fill(world: TestWorld, count: number): void {
  const like = recordIn(world, "like");
  for (let i = 0; i < count; i++) {
    const key = keyOf(`n${String(i).padStart(5, "0")}`);
    world.overwrite(key, encodeRecord(key, { ...like, nonce: `n${i}`, holderNonce: `n${i}`, holder: `node-${i}` }));
  }
}

describe("list", () => {
  it("of ten thousand locks: ten pages and a GET each, then the pages and what has changed, sixteen at a time", async () => {
    const b = bench();
    await held(b.world, b.locks.acquire("like", { ttlMs: 3_600_000 }));
    fill(b.world, 9_999);
    const c = b.other("b");
    let most = 0;
    let found: HolderInfo[] | undefined;
    void listed(c.locks).then((all) => (found = all));
    await when(b.world, () => ((most = Math.max(most, c.node.inFlight)), found !== undefined));
    expect(most).toBe(16);
    expect(found?.map(({ holder }) => holder)).toEqual(["a", ...Array.from({ length: 9_999 }, (_, i) => `node-${i}`)]);
    expect(c.node.store.stats()).toMatchObject({ list: 10, get: 10_000 });
    expect(c.node.store.stats()["put"]).toBeUndefined();
    expect(await requestsOf(c, () => listed(c.locks))).toEqual({ list: 10 });
    for (const i of [3, 5_000, 9_998]) {
      const key = keyOf(`n${String(i).padStart(5, "0")}`);
      b.world.overwrite(key, encodeRecord(key, { ...recordIn(b.world, "like"), nonce: `again-${i}`, state: "released" }));
    }
    let left: HolderInfo[] = [];
    expect(await requestsOf(c, async () => void (left = await listed(c.locks)))).toEqual({ list: 10, get: 3 });
    expect(left).toHaveLength(9_997);
  });

  it("does not push out what this process knows of its own locks", async () => {
    const b = bench();
    await b.world.until(b.locks.withLock("like", () => {}));
    fill(b.world, 12_000);
    await b.world.until(listed(b.locks));
    expect(await requestsOf(b, () => b.locks.withLock("like", () => {}))).toEqual({ put: 2 });
  });

  it("tells of each object that is no record, and hides none of the others behind it", async () => {
    const b = bench();
    for (const name of ["a", "b", "c"]) await held(b.world, b.locks.acquire(name));
    const c = b.other("b");
    b.world.overwrite(keyOf("a1"), new TextEncoder().encode("not ours"));
    b.world.overwrite(keyOf("b1"), new TextEncoder().encode('{"format":1,"state"'));
    b.world.overwrite(keyOf("b2"), new Uint8Array(70_000));
    expect((await b.world.until(listed(c.locks))).map(({ key }) => key)).toEqual(["a", "b", "c"]);
    const told = c.events.flatMap((e) => (e.type === "unreadable" ? [`${e.error.kind} ${e.error.key}`] : []));
    expect(told.sort()).toEqual([`damaged ${keyOf("b1")}`, `foreign ${keyOf("a1")}`, `foreign ${keyOf("b2")}`]);
    const warned: string[] = [];
    const logger = { debug() {}, info() {}, error() {}, warn: (about: object) => void warned.push(JSON.stringify(about)) };
    await b.world.until(listed(b.other("d", { logger }).locks));
    expect(warned.sort()).toEqual(told.map((text) => JSON.stringify({ key: text.split(" ")[1], kind: text.split(" ")[0] })).sort());
    expect(await errorOf(b.world, c.locks.inspect("b1"))).toMatchObject({ code: "RECORD", kind: "damaged" });
  });

  it("looks at a session once for all its locks, and shows them with their time", async () => {
    const b = bench();
    const session = await b.world.until(Session.open({ store: b.node.store, node: "s" }));
    for (let i = 0; i < 40; i++) await held(b.world, session.locks().acquire(`n${i}`));
    const c = b.other("b");
    const before = c.node.store.stats();
    const found = await b.world.until(listed(c.locks));
    expect(found.map(({ holder, freeInMs }) => [holder, (freeInMs ?? 0) > 0])).toEqual(Array.from({ length: 40 }, () => ["s", true]));
    expect(delta(c.node.store.stats(), before)).toEqual({ list: 1, get: 41 });
    await b.world.until(session.close());
    await b.world.advance(2_000);
    expect(await b.world.until(listed(c.locks))).toEqual([]);
  });

  it("ends with the reason of its signal, and leaves nothing behind", async () => {
    const b = bench();
    await held(b.world, b.locks.acquire("like", { autoRenew: false }));
    fill(b.world, 100);
    const c = b.other("b");
    const stop = new AbortController();
    const wanted = (async () => {
      for await (const { key } of c.locks.list({ signal: stop.signal })) if (key === "n00020") stop.abort(new Error("enough"));
    })();
    expect((await errorOf(b.world, wanted)).message).toBe("enough");
    expect(c.node.inFlight).toBe(0);
  });
});
