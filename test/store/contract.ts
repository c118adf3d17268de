/** What every `ObjectStore` answers, whichever it is. One suite, run over all of them. */
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import type { ObjectStore, ReadResult, WriteResult } from "../../src/store/object-store.ts";
import { runProbe } from "../../src/store/probe.ts";

export interface ContractOptions {
  /** Statuses that the server gives to a replace of a missing key. AWS: 404; gofakes3 and others: 412. */
  readonly missingKey?: readonly (404 | 412)[] | undefined;
  /** How far Date and Last-Modified may lie apart right after a write, in milliseconds. */
  readonly timesWithinMs?: number | undefined;
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (body: Uint8Array): string => new TextDecoder().decode(body);

let counter = 0;
const fresh = (name: string): string => `contract/${name}-${process.pid}-${counter++}`;

export function applied(result: WriteResult): Extract<WriteResult, { kind: "applied" }> {
  expect(result).toMatchObject({ kind: "applied" });
  return result as Extract<WriteResult, { kind: "applied" }>;
}

export function found(result: ReadResult): Extract<ReadResult, { kind: "found" }> {
  expect(result).toMatchObject({ kind: "found" });
  return result as Extract<ReadResult, { kind: "found" }>;
}

export function storeContract(name: string, makeStore: () => ObjectStore, options: ContractOptions = {}): void {
  const { missingKey = [404], timesWithinMs = 2_000 } = options;

  describe(`store contract: ${name}`, () => {
    it("says absent of a key that was never written", async () => {
      expect(await makeStore().get(fresh("absent"))).toMatchObject({ kind: "absent", dateMs: expect.any(Number) as number });
    });

    it("creates once, reads it back with ETag and both times, and refuses to create it again", async () => {
      const store = makeStore();
      const key = fresh("create");
      const { etag } = applied(await store.create(key, bytes("one")));
      const read = found(await store.get(key));
      expect(text(read.body)).toBe("one");
      expect(read.etag).toBe(etag);
      expect(Math.abs((read.dateMs ?? 0) - (read.lastModifiedMs ?? 0))).toBeLessThanOrEqual(timesWithinMs);
      expect(await store.create(key, bytes("two"))).toMatchObject({ kind: "refused", status: 412 });
      expect(text(found(await store.get(key)).body)).toBe("one");
    });

    it("replaces by the right ETag only", async () => {
      const store = makeStore();
      const key = fresh("replace");
      const first = applied(await store.create(key, bytes("one"))).etag;
      const second = applied(await store.replace(key, first, bytes("two"))).etag;
      expect(second).not.toBe(first);
      expect(await store.replace(key, first, bytes("three"))).toMatchObject({ kind: "refused", status: 412 });
      expect(text(found(await store.get(key)).body)).toBe("two");
    });

    it("refuses to replace what is not there", async () => {
      const result = await makeStore().replace(fresh("missing"), '"0123456789abcdef0123456789abcdef"', bytes("x"));
      expect(result.kind).toBe("refused");
      expect(missingKey).toContain((result as { status: number }).status);
    });

    it("answers not-modified to the present ETag, and only to that", async () => {
      const store = makeStore();
      const key = fresh("304");
      const first = applied(await store.create(key, bytes("one"))).etag;
      expect(await store.get(key, { ifNoneMatch: first })).toMatchObject({ kind: "not-modified" });
      applied(await store.replace(key, first, bytes("two")));
      expect(text(found(await store.get(key, { ifNoneMatch: first })).body)).toBe("two");
    });

    it("does not read what is larger than allowed", async () => {
      const store = makeStore();
      const key = fresh("large");
      applied(await store.create(key, new Uint8Array(5_000)));
      expect(await store.get(key, { maxBytes: 4_999 })).toMatchObject({ kind: "too-large", size: 5_000 });
      expect(found(await store.get(key, { maxBytes: 5_000 })).body.byteLength).toBe(5_000);
    });

    it("keeps an empty body and every byte", async () => {
      const store = makeStore();
      const all = Uint8Array.from({ length: 256 }, (_, i) => i);
      const [empty, full] = [fresh("empty"), fresh("bytes")];
      applied(await store.create(empty, new Uint8Array()));
      applied(await store.create(full, all));
      expect(found(await store.get(empty)).body.byteLength).toBe(0);
      expect(Array.from(found(await store.get(full)).body)).toEqual(Array.from(all));
    });

    it("takes keys of every kind of letter", async () => {
      const store = makeStore();
      for (const part of ["sp ace", "plus+and&=%25", "ünïcode-漢字-🔒", "semi;colon:at@"]) {
        const key = `${fresh("key")}/${part}`;
        applied(await store.create(key, bytes(part)));
        expect(text(found(await store.get(key)).body)).toBe(part);
      }
    });

    it("lists below a prefix, in pages, relative to the store", async () => {
      const store = makeStore();
      const folder = `${fresh("list")}/`;
      for (const name of ["c", "a", "b"]) applied(await store.create(folder + name, bytes(name)));
      const first = await store.list(folder, { limit: 2 });
      expect(first).toMatchObject({ kind: "page", entries: [{ key: `${folder}a`, size: 1 }, { key: `${folder}b` }], next: `${folder}b` });
      const second = await store.list(folder, { limit: 2, after: `${folder}b` });
      expect(second).toMatchObject({ kind: "page", entries: [{ key: `${folder}c` }], next: undefined });
      expect(await store.list(`${folder}none`)).toMatchObject({ kind: "page", entries: [] });
    });

    it("removes, and removing what is not there is no fault", async () => {
      const store = makeStore();
      const key = fresh("remove");
      applied(await store.create(key, bytes("x")));
      expect(await store.remove(key)).toBe("removed");
      expect(await store.get(key)).toMatchObject({ kind: "absent" });
      expect(await store.remove(key)).toBe("removed");
    });

    it("lets one of sixteen writers win, in creates and in replaces", async () => {
      const store = makeStore();
      for (let round = 0; round < 5; round++) {
        const key = fresh("race");
        const creates = await Promise.all(Array.from({ length: 16 }, (_, i) => store.create(key, bytes(`c${i}`))));
        expect(creates.filter((r) => r.kind === "applied")).toHaveLength(1);
        const { etag } = found(await store.get(key));
        const replaces = await Promise.all(Array.from({ length: 16 }, (_, i) => store.replace(key, etag, bytes(`r${i}`))));
        expect(replaces.filter((r) => r.kind === "applied")).toHaveLength(1);
      }
    });

    it("calls an aborted request what it is: a read unavailable, a write unknown", async () => {
      const store = makeStore();
      const signal = AbortSignal.abort(new Error("enough"));
      expect(await store.get(fresh("abort"), { signal })).toMatchObject({ kind: "unavailable" });
      expect(await store.create(fresh("abort"), bytes("x"), { signal })).toMatchObject({ kind: "unknown" });
    });

    it("refuses what no store could carry out: empty and too long keys, control characters, empty and star ETags (rule W8)", async () => {
      const store = makeStore();
      for (const key of ["", "x".repeat(1025), "new\nline", "\u0000"]) await expect(store.get(key)).rejects.toThrow(ConfigError);
      for (const etag of ["", '""', "*", '"*"', "W/", 'W/""', " "])
        await expect(store.replace("k", etag, bytes("x"))).rejects.toThrow(ConfigError);
    });

    it("is proved safe, and passes every step of the probe", async () => {
      const store = makeStore();
      const verdict = await store.ensureSafe();
      expect(verdict.remarks.filter((r) => r.includes("unsafe"))).toEqual([]);
      const findings = await runProbe(store, { place: { endpoint: "contract", bucket: name, prefix: "" } });
      expect(findings).toMatchObject({ quoting: "quoted", storeTime: true });
    });

    it("counts its requests", async () => {
      const store = makeStore();
      const key = fresh("stats");
      const before = store.stats();
      const { etag } = applied(await store.create(key, bytes("x")));
      await store.get(key, { ifNoneMatch: etag });
      await store.create(key, bytes("y"));
      await store.list(key);
      await store.remove(key);
      const delta = Object.fromEntries(Object.entries(store.stats()).map(([n, v]) => [n, v - (before[n] ?? 0)]));
      expect(delta).toMatchObject({ put: 2, get: 1, getNotModified: 1, applied: 1, refused: 1, list: 1, delete: 1 });
    });
  });
}
