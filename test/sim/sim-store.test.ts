import { describe, expect, it } from "vitest";
import type { ObjectStore, WriteResult } from "../../src/store/object-store.ts";
import { StoreUnsafeError } from "../../src/errors.ts";
import { runProbe } from "../../src/store/probe.ts";
import { testWorld, type TestWorld, type TestWorldOptions } from "../../src/testing/sim/test-world.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (body: Uint8Array | undefined): string | undefined => (body === undefined ? undefined : new TextDecoder().decode(body));

function start(options: TestWorldOptions = {}): { world: TestWorld; store: ObjectStore } {
  const world = testWorld({ seed: 5, ...options });
  return { world, store: world.node("a").store };
}

function etagOf(result: WriteResult): string {
  if (result.kind !== "applied") throw new Error(`not applied but ${result.kind}`);
  return result.etag;
}

describe("the simulated store", () => {
  it("answers every row of AWS's table of conditional requests", async () => {
    const { world, store } = start();
    const created = await world.until(store.create("k", bytes("1")));
    expect(created).toMatchObject({ kind: "applied", etag: expect.stringMatching(/^"[0-9a-f]{32}"$/) });
    expect(await world.until(store.create("k", bytes("2")))).toMatchObject({ kind: "refused", status: 412 });
    expect(await world.until(store.replace("k", '"other"', bytes("2")))).toMatchObject({ kind: "refused", status: 412 });
    const replaced = await world.until(store.replace("k", etagOf(created), bytes("2")));
    expect(text(world.peek("k"))).toBe("2");
    expect(await world.until(store.replace("gone", etagOf(replaced), bytes("2")))).toMatchObject({ kind: "refused", status: 404 });
    expect(await world.until(store.get("gone"))).toMatchObject({ kind: "absent" });
    expect(await world.until(store.get("k", { ifNoneMatch: etagOf(replaced) }))).toMatchObject({ kind: "not-modified" });
    expect(await world.until(store.get("k", { ifNoneMatch: etagOf(created) }))).toMatchObject({ kind: "found", etag: etagOf(replaced) });
    expect(await world.until(store.get("k", { maxBytes: 0 }))).toMatchObject({ kind: "too-large", size: 1 });
    expect(await world.until(store.remove("k"))).toBe("removed");
    expect(await world.until(store.create("k", bytes("3")))).toMatchObject({ kind: "applied" });
  });

  it("gives equal bodies equal ETags, as MD5 does", async () => {
    const { world, store } = start();
    const first = await world.until(store.create("k", bytes("same")));
    const second = await world.until(store.replace("k", etagOf(first), bytes("same")));
    expect(etagOf(second)).toBe(etagOf(first));
  });

  it("cuts Date and Last-Modified to the second", async () => {
    const { world, store } = start({ profile: { skewMs: 0 } });
    await world.advance(1_700);
    await world.until(store.create("k", bytes("1")));
    await world.advance(2_000);
    const start2026 = Date.UTC(2026, 0, 1);
    expect(await world.until(store.get("k"))).toMatchObject({ lastModifiedMs: start2026 + 1_000, dateMs: start2026 + 3_000 });
  });

  it("lists in pages, by prefix", async () => {
    const { world, store } = start();
    for (const key of ["b/1", "b/2", "b/3", "c/1"]) await world.until(store.create(key, bytes(key)));
    const first = await world.until(store.list("b/", { limit: 2 }));
    expect(first).toMatchObject({ kind: "page", entries: [{ key: "b/1", size: 3 }, { key: "b/2" }], next: "b/2" });
    expect(await world.until(store.list("b/", { limit: 2, after: "b/2" }))).toMatchObject({ entries: [{ key: "b/3" }], next: undefined });
  });

  it("lets exactly one of fifty racing writers win, again and again", async () => {
    const world = testWorld({ seed: 9 });
    const stores = Array.from({ length: 50 }, (_, i) => world.node(`n${i}`).store);
    let etag: string | undefined;
    for (let round = 0; round < 20; round++) {
      const race = stores.map((s, i) => {
        const body = bytes(`${round} ${i}`);
        return etag === undefined ? s.create("k", body) : s.replace("k", etag, body);
      });
      const won = (await world.until(Promise.all(race))).filter((r) => r.kind === "applied");
      expect(won).toHaveLength(1);
      etag = won[0]?.etag;
    }
  });

  it("proves itself once, and a store that ignores conditions is refused", async () => {
    const { world, store } = start({ profile: { skewMs: 250, storeTime: false } });
    expect(await world.until(store.ensureSafe())).toEqual({ storeTime: false, skewMs: 250, remarks: [] });
    expect(store.stats()).toEqual({ put: 1 });
    await world.until(store.ensureSafe());
    expect(store.stats()).toEqual({ put: 1 });
    const bad = start({ profile: { conditions: "ignored" } });
    await expect(bad.world.until(bad.store.ensureSafe())).rejects.toThrow(StoreUnsafeError);
  });

  it.each([
    ["missing keys answered 412", { missingOnReplace: 412 }, async (s: ObjectStore) => s.replace("k", '"x"', bytes("1")), { status: 412 }],
    ["no dates", { dates: false }, async (s: ObjectStore) => s.get("k"), { dateMs: undefined }],
    [
      "unquoted ETags",
      { quotedEtags: false },
      async (s: ObjectStore) => s.create("k", bytes("1")),
      { etag: expect.stringMatching(/^[0-9a-f]{32}$/) },
    ],
  ] as const)("can be a relative of AWS: %s", async (_name, profile, call, wanted) => {
    const { world, store } = start({ profile });
    expect(await world.until<object>(call(store))).toMatchObject(wanted);
  });

  it.each(["", "*", '"*"'])("refuses %j as an ETag before it is sent (rule W8)", async (etag) => {
    const { store } = start();
    await expect(store.replace("k", etag, bytes("1"))).rejects.toMatchObject({ code: "CONFIG" });
    expect(store.stats()).toEqual({});
  });
});

describe("the simulated network", () => {
  it.each([
    ["lose-request", "unknown", undefined],
    ["lose-reply", "unknown", "1"],
    ["late", "unknown", undefined],
    ["busy-429", "busy", undefined],
    ["conflict-409", "busy", undefined],
    ["slow-reply", "applied", "1"],
    ["slow-request", "applied", "1"],
    ["duplicate", "applied", "1"],
    ["retry", "refused", "1"],
  ] as const)("%s: the client hears %s, and the store has %s", async (kind, heard, stored) => {
    const { world, store } = start();
    world.node("a").faults({ kind, on: "put", ms: kind === "late" ? 20_000 : 100 });
    const write = await world.until(store.create("k", bytes("1"), { timeoutMs: 2_000 }));
    expect(write.kind).toBe(heard);
    expect(text(world.peek("k"))).toBe(stored);
    expect(world.nowMs).toBeLessThan(2_100);
    await world.advance(30_000);
    expect(text(world.peek("k"))).toBe(heard === "busy" || kind === "lose-request" ? undefined : "1");
  });

  it.each(["reset", "error-500", "busy-503"] as const)("%s leaves open whether the write was applied, and both happen", async (kind) => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const { world, store } = start({ seed });
      world.node("a").faults({ kind });
      const write = await world.until(store.create("k", bytes("1")));
      if (write.kind === "busy") expect(write.certain).toBe(false);
      else expect(write.kind).toBe("unknown");
      seen.add(world.peek("k") === undefined ? "not applied" : "applied");
    }
    expect(seen).toEqual(new Set(["applied", "not applied"]));
  });

  it("shows older versions in stale reads", async () => {
    const { world, store } = start();
    const first = await world.until(store.create("k", bytes("1")));
    await world.until(store.replace("k", etagOf(first), bytes("2")));
    world.node("a").faults({ kind: "stale-read", on: "get" });
    expect(await world.until(store.get("k"))).toMatchObject({ kind: "found", etag: etagOf(first) });
    expect(await world.until(store.get("k"))).toMatchObject({ kind: "found", body: bytes("2") });
  });

  it("strikes as often as it was told, on the node and the class that it was told, and can be taken back", async () => {
    const { world, store } = start();
    const other = world.node("b").store;
    const undo = world.node("a").faults({ kind: "lose-reply", on: "get", times: Number.POSITIVE_INFINITY });
    expect((await world.until(store.create("k", bytes("1")))).kind).toBe("applied");
    expect((await world.until(store.get("k"))).kind).toBe("unavailable");
    expect((await world.until(store.get("k"))).kind).toBe("unavailable");
    expect((await world.until(other.get("k"))).kind).toBe("found");
    undo();
    expect((await world.until(store.get("k"))).kind).toBe("found");
  });

  it("obeys the time limit on the node's own clock", async () => {
    const { world, store } = start();
    world.node("a").faults({ kind: "lose-reply" });
    world.node("a").setClockRate(0.5);
    const write = await world.until(store.create("k", bytes("1"), { timeoutMs: 1_000 }));
    expect(write.kind).toBe("unknown");
    expect(world.nowMs).toBeGreaterThanOrEqual(2_000);
    expect(world.nowMs).toBeLessThan(2_050);
  });

  it("gives up at once when the signal aborts, leaves nothing behind, and the request lands all the same", async () => {
    const { world, store } = start();
    const node = world.node("a");
    const controller = new AbortController();
    const write = store.create("k", bytes("1"), { signal: controller.signal });
    controller.abort();
    expect((await world.until(write)).kind).toBe("unknown");
    expect([world.nowMs, node.timers, node.inFlight]).toEqual([0, 0, 0]);
    await world.advance(1_000);
    expect(text(world.peek("k"))).toBe("1");
    expect((await world.until(store.get("k", { signal: controller.signal }))).kind).toBe("unavailable");
    expect(store.stats()).toMatchObject({ put: 1 });
    expect(store.stats()["get"]).toBeUndefined();
  });

  it("gives up the proof of a store when its signal aborts, and tries again when asked again", async () => {
    const { world, store } = start();
    const aborted = store.ensureSafe({ signal: AbortSignal.abort(new Error("mine")) });
    await expect(aborted).rejects.toThrow("mine");
    const late = new AbortController();
    const begun = store.ensureSafe({ signal: late.signal });
    late.abort(new Error("mine too"));
    await expect(world.until(begun)).rejects.toThrow("mine too");
    await expect(world.until(store.ensureSafe())).resolves.toMatchObject({ storeTime: true });
  });

  it("spares the proof of the store, so that a rule strikes the program's own first request", async () => {
    const { world, store } = start();
    world.node("a").faults({ kind: "lose-reply", on: "put" });
    await world.until(store.ensureSafe());
    expect((await world.until(store.create("k", bytes("1")))).kind).toBe("unknown");
  });

  it("is told apart by the package's own probe: a store that keeps its conditions, and one that ignores them", async () => {
    const good = start();
    const place = { endpoint: "sim", bucket: "b", prefix: "" };
    await expect(good.world.until(runProbe(good.store, { place }))).resolves.toBeDefined();
    const bad = start({ profile: { conditions: "ignored" } });
    await expect(bad.world.until(runProbe(bad.store, { place }))).rejects.toThrow(StoreUnsafeError);
  });
});

describe("testWorld", () => {
  it("answers nothing to a crashed process, whose last write still lands; the next one sees it", async () => {
    const { world, store } = start();
    const node = world.node("a");
    let answered = false;
    void store.create("k", bytes("1")).then(() => (answered = true));
    await world.advance(1);
    node.crash();
    await world.advance(10_000);
    expect(answered).toBe(false);
    expect(text(world.peek("k"))).toBe("1");
    node.restart();
    expect(node.store).not.toBe(store);
    expect(await world.until(node.store.get("k"))).toMatchObject({ kind: "found" });
  });

  it("holds the answers of a paused and of a frozen process back", async () => {
    for (const how of ["pause", "freeze"] as const) {
      const { world, store } = start();
      const node = world.node("a");
      const read = store.get("k", { timeoutMs: 60_000 });
      node[how](10_000);
      const result = await world.until(read);
      expect(result.kind).toBe("absent");
      expect(world.nowMs).toBe(10_000);
      expect(node.clock.monotonicMs()).toBe(how === "pause" ? 10_000 : 0);
    }
  });

  it("repeats a seed, and says when a promise is not settled in time", async () => {
    const run = async (seed: number): Promise<string> => {
      const { world, store } = start({ seed });
      for (let i = 0; i < 20; i++) await world.until(store.get(`k${i}`));
      return world.hash;
    };
    expect(await run(1)).toBe(await run(1));
    expect(await run(1)).not.toBe(await run(2));
    const { world } = start();
    await expect(world.until(new Promise(() => {}), 500)).rejects.toThrow("not settled within 500 ms");
  });

  it("lets an operator change objects behind everybody's back, and look at them", async () => {
    const { world, store } = start();
    world.overwrite("k", bytes("op"));
    expect(world.keys()).toEqual(["k"]);
    expect(await world.until(store.get("k"))).toMatchObject({ kind: "found", body: bytes("op") });
    world.overwrite("k", undefined);
    expect(await world.until(store.get("k"))).toMatchObject({ kind: "absent" });
  });

  it("writes a trace that people can read", async () => {
    const lines: string[] = [];
    const { world, store } = start({ trace: (line) => lines.push(line) });
    await world.until(store.create("some/key", bytes("1")));
    expect(lines.map((line) => line.trim().replace(/ +/g, " ").split(" ").slice(1, 3).join(" "))).toEqual([
      "a send",
      "s3 stored",
      "a arrive",
      "a answer",
    ]);
    expect(lines[0]).toContain("create some/key");
  });
});
