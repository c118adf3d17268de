/** The store as a whole, on real servers. */
import { describe, expect, it } from "vitest";
import type { Clock } from "../../src/clock/clock.ts";
import { systemClock } from "../../src/clock/system.ts";
import { fullProbe } from "../../src/store/full-probe.ts";
import { memoryStore } from "../../src/store/memory-store.ts";
import { s3Store } from "../../src/store/s3.ts";
import { fakeS3 } from "../../src/testing/index.ts";
import { freshBucket } from "../support/minio-client.ts";
import { sharedMinio, sharedServers } from "../support/servers.ts";
import { useCredentials } from "./credentials.ts";

useCredentials(sharedMinio());

const boundClock: Clock = {
  monotonicMs: () => systemClock.monotonicMs(),
  wallMs: () => systemClock.wallMs(),
  setTimer: (...args) => systemClock.setTimer(...args),
};

describe.each(sharedServers())("$name", (server) => {
  it("thirty stores that start together probe once, and leave one object", async () => {
    const { bucket, outside } = await freshBucket(server);
    const stores = Array.from({ length: 30 }, () => s3Store({ bucket, prefix: "p", endpoint: server.endpoint }));
    const verdicts = await Promise.all(stores.map((store) => store.ensureSafe()));
    expect(new Set(verdicts.map((v) => v.storeTime))).toEqual(new Set([true]));
    const keys = await outside.list(bucket, "p/");
    expect(keys).toHaveLength(1);
    expect(JSON.parse((await outside.peek(bucket, keys[0] ?? ""))?.body ?? "")).toMatchObject({
      state: "good",
      bucket,
      endpoint: server.endpoint,
    });
    // The prober alone races; everybody else writes the proof and at most tries to claim.
    const writers = stores.filter((store) => (store.stats()["put"] ?? 0) > 10);
    expect(writers).toHaveLength(1);
  });

  it("the next process pays two requests, whatever its prefix's spelling", async () => {
    const { bucket, url } = await freshBucket(server);
    await s3Store({ bucket, prefix: "p", endpoint: server.endpoint }).ensureSafe();
    const next = s3Store(url("/p/"));
    await next.ensureSafe();
    expect(next.stats()).toMatchObject({ get: 1, put: 1, refused: 1, list: 0, delete: 0 });
  });

  it("passes the full probe, which can renew the verdict", async () => {
    const { bucket, outside } = await freshBucket(server);
    const store = s3Store({ bucket, endpoint: server.endpoint });
    expect(await fullProbe(store)).toMatchObject({ quoting: "quoted", storeTime: true, saved: false });
    expect(await outside.list(bucket)).toEqual([]);
    expect(await fullProbe(store, { save: true })).toMatchObject({ saved: true });
    expect(await fullProbe(store, { save: true })).toMatchObject({ saved: true });
    expect(await outside.list(bucket)).toHaveLength(1);
    const next = s3Store({ bucket, endpoint: server.endpoint });
    await next.ensureSafe();
    expect(next.stats()).toMatchObject({ get: 1, put: 1 });
  });
});

describe("a wall clock that is set while the process lives on (campaign seed 1: it ended a run)", () => {
  it("costs an attempt: the SDK signs the next by the store's time. Only what goes on is an error of access", async () => {
    await using server = await fakeS3({ buckets: ["test"] });
    let passedMs = 0;
    const clock: Clock = { ...boundClock, monotonicMs: () => systemClock.monotonicMs() + passedMs };
    const store = s3Store({ bucket: "test", endpoint: server.endpoint, clock });
    const body = new TextEncoder().encode("x");
    const made = await store.create("k", body);
    if (made.kind !== "applied") throw new Error(made.kind);
    const skew = server.faults.add({ kind: "clock-skew" });
    expect(await store.replace("k", made.etag, body)).toMatchObject({ kind: "busy", certain: true });
    expect(await store.get("k")).toMatchObject({ kind: "unavailable" });
    passedMs += 4_000;
    expect(await store.get("k")).toMatchObject({ kind: "unavailable" });
    passedMs += 1_500;
    expect(await store.get("k")).toMatchObject({ kind: "denied", error: { code: "STORE_ACCESS" } });
    expect(await store.replace("k", made.etag, body)).toMatchObject({ kind: "denied", error: { code: "STORE_ACCESS" } });
    skew.remove();
    expect(await store.get("k")).toMatchObject({ kind: "found" });
    server.faults.add({ kind: "clock-skew", times: 1 });
    expect(await store.replace("k", made.etag, body)).toMatchObject({ kind: "busy", certain: true });
    expect(await store.replace("k", made.etag, body)).toMatchObject({ kind: "applied" });
  });
});

describe("knownVerdict", () => {
  it("is what another process left, by one GET for the life of the store object; never a probe, never a write", async () => {
    await using server = await fakeS3({ buckets: ["test"] });
    const reader = s3Store({ bucket: "test", prefix: "p", endpoint: server.endpoint });
    expect(await reader.knownVerdict?.()).toBeUndefined();
    expect(reader.stats()).toMatchObject({ get: 1, put: 0 });
    const writer = s3Store({ bucket: "test", prefix: "p", endpoint: server.endpoint });
    await writer.ensureSafe();
    const before = writer.stats();
    expect(await writer.knownVerdict?.()).toMatchObject({ storeTime: true, skewMs: 1_000 });
    expect(writer.stats()).toEqual(before);
    // Nothing was found a moment ago: it is not asked for again so soon.
    expect(await reader.knownVerdict?.()).toBeUndefined();
    expect(reader.stats()).toMatchObject({ get: 1 });
    const next = s3Store({ bucket: "test", prefix: "p", endpoint: server.endpoint });
    for (let i = 0; i < 3; i++) expect(await next.knownVerdict?.()).toMatchObject({ storeTime: true, skewMs: 1_000 });
    expect(next.stats()).toMatchObject({ get: 1, put: 0, list: 0 });
    // It proves nothing for a write: the path of this process is still to be tried (rule W9).
    await next.ensureSafe();
    expect(next.stats()).toMatchObject({ get: 2, put: 1, refused: 1 });
    await expect(next.knownVerdict?.({ signal: AbortSignal.abort("no") })).rejects.toBe("no");
    const unprobed = s3Store({ bucket: "test", prefix: "p", endpoint: server.endpoint, probe: false });
    expect(await unprobed.knownVerdict?.()).toBeUndefined();
    expect(unprobed.stats()).toMatchObject({ get: 0 });
  });

  it("an outage is no verdict, and no error either", async () => {
    await using server = await fakeS3({ buckets: ["test"] });
    server.faults.add({ kind: "status", status: 503 });
    expect(await s3Store({ bucket: "test", endpoint: server.endpoint }).knownVerdict?.()).toBeUndefined();
  });
});

describe("ensureSafe", () => {
  it("ends for a caller that gives up, and goes on for the others", async () => {
    const { bucket } = await freshBucket(sharedMinio());
    const store = s3Store({ bucket, endpoint: sharedMinio().endpoint });
    const controller = new AbortController();
    const impatient = store.ensureSafe({ signal: controller.signal });
    const patient = store.ensureSafe();
    controller.abort(new Error("enough"));
    await expect(impatient).rejects.toThrow("enough");
    expect(await patient).toMatchObject({ storeTime: true });
    expect(await store.ensureSafe({ signal: new AbortController().signal })).toMatchObject({ storeTime: true });
  });

  it("a bad result is not kept", async () => {
    const { bucket, outside } = await freshBucket(sharedMinio());
    const later = `${bucket}-later`;
    const store = s3Store({ bucket: later, endpoint: sharedMinio().endpoint });
    await expect(store.ensureSafe()).rejects.toMatchObject({ code: "STORE_ACCESS" });
    await outside.makeBucket(later);
    expect(await store.ensureSafe()).toMatchObject({ storeTime: true });
  });
});

describe("memoryStore", () => {
  const body = (text: string): Uint8Array => new TextEncoder().encode(text);

  it("gives equal bodies equal ETags, as AWS does, and other bodies others", async () => {
    const store = memoryStore();
    const etags = await Promise.all(["a", "b", "c"].map(async (key) => await store.create(key, body(key === "c" ? "y" : "x"))));
    const [a, b, c] = etags.map((r) => (r.kind === "applied" ? r.etag : r.kind));
    expect(a).toBe(b);
    expect(a).not.toBe(c);
    expect(a).toMatch(/^"[0-9a-f]{32}"$/);
  });

  it("keeps its own copy of a body", async () => {
    const store = memoryStore();
    const bytes = body("x");
    const pending = store.create("k", bytes);
    bytes[0] = 0;
    await pending;
    const read = await store.get("k");
    if (read.kind === "found") read.body[0] = 1;
    expect(read).toMatchObject({ kind: "found" });
    expect(await store.get("k")).toMatchObject({ body: body("x") });
  });

  it("is safe without a request, and passes the full probe", async () => {
    const store = memoryStore({ url: "memory://mine" });
    expect(await store.ensureSafe()).toEqual({ storeTime: true, skewMs: 0, remarks: [] });
    expect(store.stats()).toMatchObject({ get: 0, put: 0 });
    expect(store.url).toBe("memory://mine");
    expect(await fullProbe(store)).toMatchObject({ storeTime: true });
  });

  it("lists in the order of UTF-8, not of UTF-16", async () => {
    const store = memoryStore();
    for (const key of ["\u{1F512}", "\uFB01", "a"]) await store.create(key, body(key));
    expect(await store.list("")).toMatchObject({ entries: [{ key: "a" }, { key: "\uFB01" }, { key: "\u{1F512}" }] });
  });

  it("refuses wrong options", () => {
    expect(() => memoryStore({ clock: 5, url: "" } as never)).toThrow(/2 faults/);
  });
});
