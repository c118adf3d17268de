/** A DELETE that names its version, and requests that are too late to be sent, at the wire through the real SDK. */
import { describe, expect, it } from "vitest";
import { addMs, readClocks } from "../../src/clock/deadline.ts";
import { s3Store } from "../../src/store/s3.ts";
import type { S3Store } from "../../src/store/s3-store.ts";
import { memoryStore } from "../../src/store/memory-store.ts";
import { fakeS3, type FakeS3 } from "../../src/testing/index.ts";
import { whenFinished } from "../support/finish.ts";
import { useCredentials } from "./credentials.ts";

const CREDENTIALS = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" };
useCredentials(CREDENTIALS);
const BODY = new TextEncoder().encode('{"a":1}');

async function served(careless: readonly "unconditional-delete"[] = []): Promise<{ readonly server: FakeS3; readonly store: S3Store }> {
  const server = await fakeS3({ credentials: CREDENTIALS, careless });
  whenFinished(() => server.close());
  return { server, store: s3Store(server.url("test", "app")) as S3Store };
}

async function put(store: Pick<S3Store, "create">, key: string): Promise<string> {
  const written = await store.create(key, BODY);
  if (written.kind !== "applied") throw new Error(written.kind);
  return written.etag;
}

describe("a DELETE that names its version", () => {
  it("removes that version, spares another, and says where there is none", async () => {
    for (const { store } of [await served(), { store: memoryStore() }]) {
      const etag = await put(store, "k");
      expect(await store.remove("k", { ifMatch: '"0123456789abcdef0123456789abcdef"' })).toBe("refused");
      expect(await store.get("k")).toMatchObject({ kind: "found", etag });
      expect(await store.remove("k", { ifMatch: etag })).toBe("removed");
      expect(await store.get("k")).toMatchObject({ kind: "absent" });
      expect(await store.remove("k", { ifMatch: etag })).toBe("refused");
      await expect(store.remove("k", { ifMatch: '"*"' })).rejects.toThrow("expected one that the store gave");
    }
  });

  it("has its condition on the wire, also where the store takes no notice of it", async () => {
    const { server, store } = await served(["unconditional-delete"]);
    await put(store, "k");
    expect(await store.remove("k", { ifMatch: '"0123456789abcdef0123456789abcdef"' })).toBe("removed");
    const headers = { "if-match": '"0123456789abcdef0123456789abcdef"' };
    expect(server.requests.all.at(-1)).toMatchObject({ method: "DELETE", headers });
    expect(server.bucket().keys()).toEqual([]);
  });

  it("is one attempt, whatever comes of it; one of any version is tried again", async () => {
    const { server, store } = await served();
    const etag = await put(store, "k");
    const deletes = (): number => server.requests.all.filter(({ method }) => method === "DELETE").length;
    const fault = server.faults.add({ kind: "status", status: 500, method: "DELETE" });
    expect(await store.remove("k", { ifMatch: etag })).toMatchObject({ kind: "unavailable" });
    expect(deletes()).toBe(1);
    await store.remove("k");
    expect(deletes()).toBe(4);
    fault.remove();
  });
});

describe("a request that was to be sent earlier", () => {
  it("is not sent: it never reaches the store, and is known not to have", async () => {
    const { server, store } = await served();
    const etag = await put(store, "k");
    const before = server.requests.all.length;
    for (const late of [
      { monotonicMs: readClocks(store.clock).monotonicMs - 1, wallMs: Infinity },
      { monotonicMs: Infinity, wallMs: readClocks(store.clock).wallMs - 1 },
    ]) {
      expect(await store.create("other", BODY, { sendBy: late })).toMatchObject({ kind: "busy", certain: true });
      expect(await store.replace("k", etag, BODY, { sendBy: late })).toMatchObject({ kind: "busy", certain: true });
      const removal = await store.remove("k", { ifMatch: etag, sendBy: late });
      expect(removal).toMatchObject({ kind: "unavailable" });
      expect((removal as { error: Error }).error.message).toContain("was to be sent earlier");
    }
    expect(server.requests.all.length).toBe(before);
    expect(await store.remove("k", { ifMatch: etag, sendBy: addMs(readClocks(store.clock), 30_000) })).toBe("removed");
  });

  it("nor by a store in memory", async () => {
    const store = memoryStore();
    const etag = await put(store, "k");
    const late = addMs(readClocks(store.clock), -1);
    expect(await store.replace("k", etag, BODY, { sendBy: late })).toMatchObject({ kind: "unknown" });
    expect(await store.remove("k", { ifMatch: etag, sendBy: late })).toMatchObject({ kind: "unavailable" });
    expect(await store.get("k")).toMatchObject({ kind: "found", etag });
  });
});
