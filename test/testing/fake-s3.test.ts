import { afterEach, describe, expect, it } from "vitest";
import { s3Store } from "../../src/store/s3.ts";
import type { CarelessMode } from "../../src/testing/index.ts";
import { type FakeS3, fakeS3, type FakeS3Options } from "../../src/testing/index.ts";
import { useCredentials } from "../store/credentials.ts";
import { minioClient } from "../support/minio-client.ts";

const KEYS = { accessKeyId: "minioadmin", secretAccessKey: "minioadmin" };
useCredentials(KEYS);

const servers: FakeS3[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function start(options: FakeS3Options = {}): Promise<FakeS3> {
  const server = await fakeS3(options);
  servers.push(server);
  return server;
}

interface Answer {
  readonly status: number;
  readonly etag: string | null;
  readonly text: string;
  readonly headers: Headers;
}

/** Raw HTTP, so that no client is between the test and the wire. */
async function http(server: FakeS3, method: string, key: string, headers: Record<string, string> = {}, body?: string): Promise<Answer> {
  const answer = await fetch(`${server.endpoint}/test/${key}`, { method, headers, ...(body === undefined ? {} : { body }) });
  return { status: answer.status, etag: answer.headers.get("etag"), text: await answer.text(), headers: answer.headers };
}

describe("fakeS3 answers as AWS does", () => {
  it("PUT If-None-Match: * → 200 on nothing, 412 on an object", async () => {
    const s = await start();
    expect((await http(s, "PUT", "k", { "if-none-match": "*" }, "a")).status).toBe(200);
    const second = await http(s, "PUT", "k", { "if-none-match": "*" }, "b");
    expect(second.status).toBe(412);
    expect(second.text).toContain("<Code>PreconditionFailed</Code>");
    expect(s.bucket().peek("k")?.text).toBe("a");
  });

  it("PUT If-Match → 200 on the right ETag, 412 on another, 404 on nothing", async () => {
    const s = await start();
    const { etag } = await http(s, "PUT", "k", {}, "a");
    expect(etag).toBe('"0cc175b9c0f1b6a831c399e269772661"');
    expect((await http(s, "PUT", "k", { "if-match": '"wrong"' }, "b")).status).toBe(412);
    expect((await http(s, "PUT", "k", { "if-match": etag ?? "" }, "b")).status).toBe(200);
    const missing = await http(s, "PUT", "none", { "if-match": etag ?? "" }, "b");
    expect(missing.status).toBe(404);
    expect(missing.text).toContain("<Code>NoSuchKey</Code>");
  });

  it("GET If-None-Match → 304 without a body on the same ETag, 200 on another; always with a Date", async () => {
    const s = await start();
    const { etag } = await http(s, "PUT", "k", {}, "a");
    const same = await http(s, "GET", "k", { "if-none-match": etag ?? "" });
    expect(same).toMatchObject({ status: 304, text: "" });
    expect(same.headers.get("date")).not.toBeNull();
    const other = await http(s, "GET", "k", { "if-none-match": '"other"' });
    expect(other).toMatchObject({ status: 200, text: "a" });
    expect(other.headers.get("last-modified")).toMatch(/ GMT$/);
    expect((await http(s, "GET", "none")).status).toBe(404);
    expect((await http(s, "HEAD", "k")).headers.get("content-length")).toBe("1");
  });

  it("DELETE If-Match → 412 on another ETag, 204 on the same, 404 on nothing", async () => {
    const s = await start();
    const { etag } = await http(s, "PUT", "k", {}, "a");
    expect((await http(s, "DELETE", "k", { "if-match": '"wrong"' })).status).toBe(412);
    expect((await http(s, "DELETE", "k", { "if-match": etag ?? "" })).status).toBe(204);
    expect((await http(s, "DELETE", "k", { "if-match": etag ?? "" })).status).toBe(404);
    expect((await http(s, "DELETE", "k")).status).toBe(204);
  });

  it.each([0, 1, 2])("fifty racing writers: one winner (round %i)", async () => {
    const s = await start();
    const { etag } = await http(s, "PUT", "k", {}, "start");
    const race = async (headers: Record<string, string>, key: string): Promise<number> => {
      const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => http(s, "PUT", key, headers, `w${i}`)));
      return answers.filter((a) => a.status === 200).length;
    };
    expect(await race({ "if-match": etag ?? "" }, "k")).toBe(1);
    expect(await race({ "if-none-match": "*" }, "fresh")).toBe(1);
  });

  it("works with an independent client, signatures checked: buckets, objects, pages of lists, odd keys", async () => {
    const s = await start({ credentials: KEYS });
    const outside = minioClient({ ...KEYS, endpoint: s.endpoint, region: "us-east-1" });
    await outside.makeBucket("another");
    const keys = ["a b", "a/b/c", "ü+%&?#", "z"].concat(Array.from({ length: 1_203 }, (_, i) => `many/${String(i).padStart(5, "0")}`));
    for (const key of keys) s.bucket("another").put(key, "x");
    await outside.put("another", "put by the client/ü", "hello");
    expect((await outside.peek("another", "put by the client/ü"))?.body).toBe("hello");
    expect(await outside.list("another")).toEqual([...keys, "put by the client/ü"].sort());
    await outside.remove("another", "a b");
    expect(s.bucket("another").peek("a b")).toBeUndefined();
    const wrong = minioClient({ ...KEYS, secretAccessKey: "guess", endpoint: s.endpoint, region: "us-east-1" });
    await expect(wrong.list("another")).rejects.toThrow(/signature/i);
  });

  it("keeps the last versions of an object for roll-backs, and a log of requests", async () => {
    const s = await start();
    for (const body of ["one", "two", "three"]) await http(s, "PUT", "k", {}, body);
    expect(
      s
        .bucket()
        .versions("k")
        .map((v) => v.text),
    ).toEqual(["three", "two", "one"]);
    expect(s.bucket().rollback("k", 2).text).toBe("one");
    expect((await http(s, "GET", "k")).text).toBe("one");
    expect(s.requests.count({ method: "PUT", key: "k", status: 200 })).toBe(3);
    expect(() => s.bucket().rollback("none")).toThrow(/back/);
  });

  it("refuses a body over its limit, and options that make no sense", async () => {
    const s = await start({ maxBodyBytes: 10 });
    expect((await http(s, "PUT", "k", {}, "12345678901")).text).toContain("EntityTooLarge");
    await expect(fakeS3({ port: -1 })).rejects.toThrow(/port/);
    await expect(fakeS3({ careless: ["sloppy" as CarelessMode] })).rejects.toThrow(/careless/);
    expect(() => s.faults.add({ kind: "sloppy" as "deny" })).toThrow(/kind/);
  });
});

describe("the probe refuses each careless mode", () => {
  it.each<[CarelessMode, RegExp]>([
    ["ignore-if-match", /./],
    ["ignore-if-none-match", /./],
    ["check-then-write", /race/],
    ["if-match-creates", /./],
    ["conditions-not-implemented", /./],
  ])("%s", async (mode, step) => {
    const s = await start({ careless: [mode] });
    const error: unknown = await s3Store(s.url())
      .ensureSafe()
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "STORE_UNSAFE", step: expect.stringMatching(step) as string });
    // Nothing that looks like a good verdict stays behind.
    const verdicts = s
      .bucket()
      .keys(".s3-consensus/")
      .map((key) => s.bucket().peek(key)?.text ?? "");
    expect(verdicts.filter((v) => /"state":\s*"good"/.test(v))).toEqual([]);
  });

  it.each<CarelessMode>(["unquoted-only", "missing-is-412", "unconditional-delete", "bare-etags"])("and lives with %s", async (mode) => {
    const s = await start({ careless: [mode] });
    const store = s3Store(s.url());
    expect(await store.ensureSafe()).toMatchObject({ storeTime: true });
    const made = await store.create("k", new TextEncoder().encode("a"));
    if (made.kind !== "applied") throw new Error(made.kind);
    expect(await store.replace("k", made.etag, new TextEncoder().encode("b"))).toMatchObject({ kind: "applied" });
    expect(await store.replace("k", made.etag, new TextEncoder().encode("c"))).toMatchObject({ kind: "refused" });
  });

  it.each<CarelessMode>(["no-date", "last-modified-kept"])("%s: safe, but takeover by the store's time is off", async (mode) => {
    const s = await start({ careless: [mode] });
    expect(await s3Store(s.url()).ensureSafe()).toMatchObject({ storeTime: false });
  });
});
