/** What every `ObjectStore` answers, whichever it is. One suite, run over all of them, here and in the wide tier. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import type { ObjectStore, ReadResult, WriteResult } from "../../src/store/object-store.ts";
import { runProbe } from "../../src/store/probe.ts";
import { faultProxy, type FaultProxy } from "../../src/testing/fault-proxy.ts";

/** Where a store of S3's kind is, and how to reach its bucket on another way, or another bucket on the same. */
export interface Reachable {
  readonly endpoint: string;
  /** A new client each time. */
  open(way?: { readonly endpoint?: string; readonly bucket?: string; readonly secret?: string }): ObjectStore;
}

export interface ContractOptions {
  /** Statuses that the server gives to a replace of a missing key. AWS: 404; gofakes3 and others: 412. */
  readonly missingKey?: readonly (404 | 412)[] | undefined;
  /** How far Date and Last-Modified may lie apart right after a write, in milliseconds. */
  readonly timesWithinMs?: number | undefined;
  /** How the losers of a race may end. Default: refused, all of them. */
  readonly losers?: readonly WriteResult["kind"][] | undefined;
  /** Several clients of one store, or several ways to it: the races run through all of them. Default: `makeStore` alone. */
  readonly doors?: (() => readonly ObjectStore[]) | undefined;
  /** With it, every class of trouble is tried, through a proxy before the store. */
  readonly behind?: (() => Reachable) | undefined;
  /** False for a server that takes any signature. Default: true. */
  readonly checksSignatures?: boolean | undefined;
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
  const { missingKey = [404], timesWithinMs = 2_000, losers = ["refused"], behind } = options;
  const doors = options.doors ?? ((): readonly ObjectStore[] => [makeStore()]);

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

    it("lets one of sixteen writers win, in creates and in replaces, whichever door they come through", async () => {
      const ways = doors();
      for (const way of ways) await way.ensureSafe();
      const store = makeStore();
      const race = async (write: (way: ObjectStore, body: Uint8Array) => Promise<WriteResult>): Promise<void> => {
        const results = await Promise.all(
          Array.from({ length: 16 }, (_, i) => write(ways[i % ways.length] ?? store, bytes(`${Math.random()} ${i}`))),
        );
        expect(results.filter((r) => r.kind === "applied")).toHaveLength(1);
        expect([...losers, "applied"]).toEqual(expect.arrayContaining(results.map((r) => r.kind)));
      };
      for (let round = 0; round < 10; round++) {
        const key = fresh("race");
        await race((way, body) => way.create(key, body));
        const { etag } = found(await store.get(key));
        await race((way, body) => way.replace(key, etag, body));
      }
    });

    it("shows a write at once to whoever reads through another door", async () => {
      const ways = doors();
      for (const way of ways) await way.ensureSafe();
      const key = fresh("doors");
      let { etag } = applied(await makeStore().create(key, bytes("0")));
      for (let n = 1; n <= 20; n++) {
        const writer = ways[n % ways.length] ?? makeStore();
        const reader = ways[(n + 1) % ways.length] ?? makeStore();
        const before = etag;
        etag = applied(await writer.replace(key, before, bytes(`${n}`))).etag;
        expect(text(found(await reader.get(key, { ifNoneMatch: before })).body)).toBe(`${n}`);
        expect(await reader.replace(key, before, bytes("late"))).toMatchObject({ kind: "refused", status: 412 });
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
      expect(findings).toMatchObject({ storeTime: true });
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

    if (behind !== undefined) troubleContract(behind, options);
  });
}

/** Every class of trouble, and what was written all the same. */
function troubleContract(behind: () => Reachable, options: ContractOptions): void {
  describe("in trouble", () => {
    let proxy: FaultProxy;
    let store: ObjectStore;
    beforeAll(async () => {
      proxy = await faultProxy({ target: behind().endpoint });
      store = behind().open({ endpoint: proxy.endpoint });
      await store.ensureSafe();
    });
    afterAll(() => proxy.close());

    /** One write that meets this fault. */
    async function struck(fault: Parameters<FaultProxy["faults"]["add"]>[0], write: () => Promise<WriteResult>): Promise<WriteResult> {
      const rule = proxy.faults.add({ ...fault, method: "PUT" });
      const result = await write();
      rule.remove();
      expect(rule.hits).toBe(1);
      return result;
    }

    it.each([
      ["that never arrived", { kind: "lose-request" }, "unknown", false],
      ["whose reply was lost", { kind: "lose-reply" }, "unknown", true],
      ["answered 500 though it was carried out", { kind: "status", status: 500, executed: true }, "unknown", true],
      ["answered 502 by a proxy", { kind: "status", status: 502 }, "unknown", false],
      ["told to slow down", { kind: "status", status: 503, code: "SlowDown" }, "busy", false],
      ["answered 429 though it was carried out", { kind: "status", status: 429, code: "Whatever", executed: true }, "busy", true],
      ["met by a conflict", { kind: "status", status: 409, code: "ConditionalRequestConflict" }, "busy", false],
      ["denied", { kind: "status", status: 403, code: "AccessDenied" }, "denied", false],
      ["not implemented", { kind: "status", status: 501, code: "NotImplemented" }, "denied", false],
    ] as const)("a write %s: %j is %s; stands: %s", async (_, fault, kind, stands) => {
      const key = fresh("trouble");
      const [one, two] = [bytes("one"), bytes("two")];
      expect(await struck(fault, () => store.create(key, one))).toMatchObject({ kind });
      const seen = await store.get(key);
      expect(seen.kind === "found" ? text(seen.body) : seen.kind).toBe(stands ? "one" : "absent");
      // Its owner sends the same again, and learns by the body whose it is (rule W3).
      expect(await store.create(key, one)).toMatchObject({ kind: stands ? "refused" : "applied" });
      const { etag } = found(await store.get(key));
      expect(await struck(fault, () => store.replace(key, etag, two))).toMatchObject({ kind });
      expect(await store.replace(key, etag, two)).toMatchObject({ kind: stands ? "refused" : "applied" });
      expect(text(found(await store.get(key)).body)).toBe("two");
    });

    it("a write that is not answered in time is unknown, and a read unavailable", async () => {
      const key = fresh("late");
      const rule = proxy.faults.add({ kind: "black-hole", key: /late/, executed: true });
      expect(await store.create(key, bytes("x"), { timeoutMs: 500 })).toMatchObject({ kind: "unknown" });
      expect(await store.get(key, { timeoutMs: 300 })).toMatchObject({ kind: "unavailable" });
      rule.remove();
      expect(text(found(await store.get(key)).body)).toBe("x");
    });

    it("half a body is no body: read again, and unavailable where it does not get better", async () => {
      const key = fresh("half");
      applied(await store.create(key, bytes("a whole body")));
      const once = proxy.faults.add({ kind: "half-body", method: "GET", times: 1 });
      expect(text(found(await store.get(key)).body)).toBe("a whole body");
      expect(once.hits).toBe(1);
      const always = proxy.faults.add({ kind: "half-body", method: "GET" });
      expect(await store.get(key)).toMatchObject({ kind: "unavailable" });
      always.remove();
    });

    it("where nobody listens, a read is unavailable and a write certainly not applied", async () => {
      const gone = await faultProxy({ target: behind().endpoint });
      await gone.close();
      const nowhere = behind().open({ endpoint: gone.endpoint });
      expect(await nowhere.get(fresh("nobody"))).toMatchObject({ kind: "unavailable" });
      expect(await nowhere.create(fresh("nobody"), bytes("x"))).toMatchObject({ kind: "busy", certain: true });
    });

    it("a bucket that is not there is an access error, never an absent object", async () => {
      const nowhere = behind().open({ bucket: "s3-consensus-no-such-bucket" });
      const denied = { kind: "denied", error: { code: "STORE_ACCESS" } };
      expect(await nowhere.get(fresh("bucket"))).toMatchObject(denied);
      expect(await nowhere.create(fresh("bucket"), bytes("x"))).toMatchObject(denied);
      expect(await nowhere.replace(fresh("bucket"), '"0123456789abcdef0123456789abcdef"', bytes("x"))).toMatchObject(denied);
    });

    it("a wrong secret is an access error that says what to look at, unless the server takes any signature", async () => {
      const stranger = behind().open({ secret: "wrong" });
      const denied = { kind: "denied", error: { code: "STORE_ACCESS", hint: expect.any(String) as string } };
      const takesAny = options.checksSignatures === false;
      expect(await stranger.get(fresh("secret"))).toMatchObject(takesAny ? { kind: "absent" } : denied);
      expect(await stranger.create(fresh("secret"), bytes("x"))).toMatchObject(takesAny ? { kind: "applied" } : denied);
    });

    it.each([
      ["if-match", "path-proof"],
      ["if-none-match", "create-existing"],
    ])("a proxy that takes %s away is found out: by the signature where that is checked, else at step %s", async (header, step) => {
      await using careless = await faultProxy({ target: behind().endpoint });
      careless.faults.add({ kind: "strip-header", header });
      const found = options.checksSignatures === false ? { code: "STORE_UNSAFE", step } : { code: "STORE_ACCESS" };
      await expect(behind().open({ endpoint: careless.endpoint }).ensureSafe()).rejects.toMatchObject(found);
    });
  });
}
