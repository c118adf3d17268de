/** Each way in which a store can differ from AWS, seen at the wire: what it answers, and what it then holds. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FakeS3, fakeS3, type StoreFault } from "../../src/testing/index.ts";
import { raw, type RawAnswer, until } from "./raw-http.ts";

let s3: FakeS3;
beforeEach(async () => {
  s3 = await fakeS3();
});
afterEach(() => s3.close());

const put = (key: string, body: string, headers: Record<string, string> = {}): Promise<RawAnswer> =>
  raw(s3.endpoint, "PUT", `/test/${key}`, { headers, body });
const get = (key: string, headers: Record<string, string> = {}): Promise<RawAnswer> => raw(s3.endpoint, "GET", `/test/${key}`, { headers });
const remove = (key: string, headers: Record<string, string> = {}): Promise<RawAnswer> =>
  raw(s3.endpoint, "DELETE", `/test/${key}`, { headers });
const stored = (key: string): string | undefined => s3.bucket().peek(key)?.text;
const statuses = async (...answers: readonly Promise<RawAnswer>[]): Promise<number[]> => (await Promise.all(answers)).map((a) => a.status);

describe("conditions", () => {
  it("ignore-if-match, on the methods that it is said for", async () => {
    s3.bucket().put("k", "old");
    const wrong = { "if-match": '"wrong"' };
    s3.faults.add({ kind: "ignore-if-match", method: "PUT" });
    expect((await put("k", "new", wrong)).status).toBe(200);
    expect(stored("k")).toBe("new");
    expect((await put("none", "new", wrong)).status).toBe(200);
    expect((await get("k", wrong)).status).toBe(412);
    expect((await remove("k", wrong)).status).toBe(412);
    s3.faults.add({ kind: "ignore-if-match" });
    expect((await get("k", wrong)).status).toBe(200);
    expect((await remove("k", wrong)).status).toBe(204);
  });

  it("ignore-if-none-match, on the methods that it is said for", async () => {
    const { etag } = s3.bucket().put("k", "old");
    const onPut = s3.faults.add({ kind: "ignore-if-none-match", method: "PUT" });
    expect((await put("k", "new", { "if-none-match": "*" })).status).toBe(200);
    const now = s3.bucket().peek("k")?.etag ?? "";
    expect((await get("k", { "if-none-match": now })).status).toBe(304);
    onPut.remove();
    s3.faults.add({ kind: "ignore-if-none-match", method: "GET" });
    expect((await get("k", { "if-none-match": now })).status).toBe(200);
    expect((await put("k", "newer", { "if-none-match": "*" })).status).toBe(412);
    expect(etag).not.toBe(now);
  });

  it("ignore-empty-if-match; without it an empty ETag fits nothing", async () => {
    s3.bucket().put("k", "old");
    expect((await put("k", "new", { "if-match": "" })).status).toBe(412);
    s3.faults.add({ kind: "ignore-empty-if-match" });
    expect((await put("k", "new", { "if-match": "" })).status).toBe(200);
    expect((await put("k", "newer", { "if-match": '"wrong"' })).status).toBe(412);
  });

  it("if-match-creates and missing-is-412", async () => {
    s3.faults.add({ kind: "missing-is-412", key: "a" });
    s3.faults.add({ kind: "if-match-creates", key: "b" });
    const some = { "if-match": '"some"' };
    expect(await statuses(put("a", "x", some), put("b", "x", some), put("c", "x", some))).toEqual([412, 200, 404]);
    expect(s3.bucket().keys()).toEqual(["b"]);
  });

  it("conditions-not-implemented: 501, and what has no condition goes on", async () => {
    const { etag } = s3.bucket().put("k", "old");
    s3.faults.add({ kind: "conditions-not-implemented" });
    expect(
      await statuses(put("n", "x", { "if-none-match": "*" }), put("k", "x", { "if-match": etag }), remove("k", { "if-match": etag })),
    ).toEqual([501, 501, 501]);
    expect((await put("k", "new")).status).toBe(200);
  });

  it("unquoted-only: quotes are refused in If-Match, and in nothing else", async () => {
    const { etag } = s3.bucket().put("k", "old");
    s3.faults.add({ kind: "unquoted-only" });
    expect((await get("k")).etag).toBe(etag);
    expect((await get("k", { "if-none-match": etag })).status).toBe(304);
    expect((await put("k", "new", { "if-match": etag })).status).toBe(412);
    expect((await put("k", "new", { "if-match": etag.replaceAll('"', "") })).status).toBe(200);
  });

  it("bare-etags: sent without quotes, in answers and in lists", async () => {
    s3.faults.add({ kind: "bare-etags" });
    expect((await put("k", "x")).etag).toBe("9dd4e461268c8034f5c8564e155c67a6");
    expect((await get("k")).etag).toBe("9dd4e461268c8034f5c8564e155c67a6");
    expect((await raw(s3.endpoint, "GET", "/test?list-type=2")).text).toContain("<ETag>9dd4e461268c8034f5c8564e155c67a6</ETag>");
  });

  it("unconditional-delete: If-Match of a DELETE is not looked at", async () => {
    s3.bucket().put("k", "old");
    s3.faults.add({ kind: "unconditional-delete" });
    expect((await remove("k", { "if-match": '"wrong"' })).status).toBe(204);
    expect(stored("k")).toBeUndefined();
    expect((await remove("k", { "if-match": '"wrong"' })).status).toBe(204);
  });

  it("check-then-write: every row right, one at a time; several winners in a race", async () => {
    s3.faults.add({ kind: "check-then-write", gapMs: 20 });
    const { etag } = await put("k", "first", { "if-none-match": "*" });
    expect((await put("k", "second", { "if-none-match": "*" })).status).toBe(412);
    expect((await put("k", "second", { "if-match": '"wrong"' })).status).toBe(412);
    const race = await Promise.all(Array.from({ length: 16 }, (_, i) => put("k", `w${i}`, { "if-match": etag })));
    expect(race.filter((a) => a.status === 200).length).toBeGreaterThan(1);
  });
});

describe("stores in doubt", () => {
  it("in-doubt: 404 to the right ETag, reads show it, a create overwrites; and it heals", async () => {
    const { etag } = s3.bucket().put("k", "old");
    const doubt = s3.faults.add({ kind: "in-doubt", key: "k" });
    expect(await put("k", "new", { "if-match": etag })).toMatchObject({ status: 404, code: "NoSuchKey" });
    expect(await get("k")).toMatchObject({ status: 200, text: "old", etag });
    expect((await get("k", { "if-none-match": etag })).status).toBe(304);
    expect((await raw(s3.endpoint, "GET", "/test?list-type=2")).text).toContain("<Key>k</Key>");
    doubt.remove();
    expect((await put("k", "new", { "if-match": etag })).status).toBe(200);
    s3.faults.add({ kind: "in-doubt", key: "k" });
    expect((await put("k", "created", { "if-none-match": "*" })).status).toBe(200);
    expect(stored("k")).toBe("created");
  });

  it("flip-reads: key by key in turn, HEAD too, and writes go by the newest", async () => {
    for (const key of ["a", "b"]) {
      s3.bucket().put(key, "old");
      s3.bucket().put(key, "new");
    }
    s3.bucket().put("single", "one");
    s3.faults.add({ kind: "flip-reads" });
    const read = async (key: string): Promise<string> => (await get(key)).text;
    expect([await read("a"), await read("b"), await read("a"), await read("b"), await read("a")]).toEqual([
      "new",
      "new",
      "old",
      "old",
      "new",
    ]);
    expect([await read("single"), await read("single")]).toEqual(["one", "one"]);
    const newest = s3.bucket().peek("a")?.etag ?? "";
    const old = s3.bucket().versions("a")[1]?.etag ?? "";
    expect(await statuses(put("a", "x", { "if-match": old }), put("a", "newer", { "if-match": newest }))).toEqual([412, 200]);
  });
});

describe("times", () => {
  const offMs = (answer: RawAnswer): number => Date.parse(answer.headers["date"] ?? "") - Date.now();

  it("wrong-date, at every answer, and the object's own time stays right", async () => {
    s3.faults.add({ kind: "wrong-date", shiftMs: 3_600_000 });
    const made = await put("k", "x");
    expect(Math.abs(offMs(made) - 3_600_000)).toBeLessThan(10_000);
    const read = await get("k");
    expect(Math.abs(offMs(await get("none")) - 3_600_000)).toBeLessThan(10_000);
    expect(Math.abs(offMs(await get("k", { "if-none-match": made.etag })) - 3_600_000)).toBeLessThan(10_000);
    expect(Math.abs(Date.parse(read.headers["last-modified"] ?? "") - Date.now())).toBeLessThan(10_000);
  });

  it("no-date", async () => {
    expect((await get("none")).headers["date"]).toBeDefined();
    s3.faults.add({ kind: "no-date" });
    expect((await get("none")).headers["date"]).toBeUndefined();
    expect((await put("k", "x")).headers["date"]).toBeUndefined();
  });

  it("last-modified-kept and last-modified-from-client", async () => {
    let nowMs = Date.UTC(2026, 0, 1);
    const own = await fakeS3({ clock: { monotonicMs: () => 0, wallMs: () => nowMs, setTimer: () => ({ cancel: () => {} }) } });
    const write = (headers: Record<string, string> = {}): Promise<RawAnswer> => raw(own.endpoint, "PUT", "/test/k", { headers, body: "x" });
    const modified = async (): Promise<string | undefined> => (await raw(own.endpoint, "HEAD", "/test/k")).headers["last-modified"];
    await write();
    expect(await modified()).toBe("Thu, 01 Jan 2026 00:00:00 GMT");
    nowMs += 5_999;
    const kept = own.faults.add({ kind: "last-modified-kept" });
    await write();
    expect(await modified()).toBe("Thu, 01 Jan 2026 00:00:00 GMT");
    kept.remove();
    await write();
    expect(await modified()).toBe("Thu, 01 Jan 2026 00:00:05 GMT");
    own.faults.add({ kind: "last-modified-from-client" });
    await write({ "x-amz-date": "20250203T040506Z" });
    expect(await modified()).toBe("Mon, 03 Feb 2025 04:05:06 GMT");
    await own.close();
  });
});

describe("access", () => {
  it("deny, by method and by the beginning of the key", async () => {
    s3.faults.add({ kind: "deny", method: ["PUT", "DELETE"], key: "locks/*" });
    s3.bucket().put("locks/a", "old");
    expect(await put("locks/a", "new")).toMatchObject({ status: 403, code: "AccessDenied" });
    expect(await remove("locks/a")).toMatchObject({ status: 403 });
    expect(await statuses(get("locks/a"), put("other", "x"))).toEqual([200, 200]);
    expect(stored("locks/a")).toBe("old");
  });

  it("deny-list: no lists, and a missing key reads as 403", async () => {
    s3.bucket().put("k", "x");
    s3.faults.add({ kind: "deny-list" });
    expect(await raw(s3.endpoint, "GET", "/test?list-type=2")).toMatchObject({ status: 403, code: "AccessDenied" });
    expect(await get("none")).toMatchObject({ status: 403, code: "AccessDenied" });
    expect((await raw(s3.endpoint, "HEAD", "/test/none")).status).toBe(403);
    expect(await statuses(get("k"), put("new", "x"))).toEqual([200, 200]);
  });

  it("clock-skew and wrong-region, with the region in the head", async () => {
    const skew = s3.faults.add({ kind: "clock-skew" });
    expect(await put("k", "x")).toMatchObject({ status: 403, code: "RequestTimeTooSkewed" });
    skew.remove();
    const redirect = s3.faults.add({ kind: "wrong-region", region: "eu-west-3" });
    expect(await put("k", "x")).toMatchObject({ status: 301, code: "PermanentRedirect", headers: { "x-amz-bucket-region": "eu-west-3" } });
    redirect.remove();
    s3.faults.add({ kind: "wrong-region", region: "eu-west-3", status: 400 });
    const malformed = await put("k", "x");
    expect(malformed).toMatchObject({ status: 400, code: "AuthorizationHeaderMalformed", headers: { "x-amz-bucket-region": "eu-west-3" } });
    expect(malformed.text).toContain("<Region>eu-west-3</Region>");
    expect(stored("k")).toBeUndefined();
  });
});

describe("rules", () => {
  it("that a server has from the start are not cleared, and may be narrowed", async () => {
    const own = await fakeS3({ careless: ["missing-is-412", { kind: "deny", key: "secret/*" }, { kind: "wrong-date", shiftMs: 1 }] });
    own.faults.clear();
    expect((await raw(own.endpoint, "PUT", "/test/k", { headers: { "if-match": '"x"' } })).status).toBe(412);
    expect((await raw(own.endpoint, "PUT", "/test/secret/k")).status).toBe(403);
    await own.close();
  });

  it.each<[string, StoreFault | object, RegExp]>([
    ["an unknown kind", { kind: "sloppy" }, /kind: "sloppy"/],
    ["a count that is none", { kind: "deny", times: 1.5 }, /times: 1.5/],
    ["a probability beyond 1", { kind: "deny", probability: 2 }, /probability: 2/],
    ["a delay without an end", { kind: "delay", delayMs: Number.NaN }, /delayMs/],
    ["no status", { kind: "status" }, /status/],
    ["no shift", { kind: "wrong-date" }, /shiftMs/],
    ["no region", { kind: "wrong-region" }, /region/],
    ["no header", { kind: "strip-header" }, /header/],
  ])("with %s are refused, with the value", (_, fault, message) => {
    expect(() => s3.faults.add(fault as StoreFault)).toThrow(message);
  });

  it("with a probability strike the same requests for the same seed", async () => {
    const run = async (seed: number): Promise<number[]> => {
      const own = await fakeS3({ seed });
      own.faults.add({ kind: "deny", probability: 0.5 });
      const all: number[] = [];
      for (let i = 0; i < 30; i++) all.push((await raw(own.endpoint, "GET", "/test/k")).status);
      await own.close();
      return all;
    };
    const [a, b, c] = [await run(7), await run(7), await run(8)];
    expect(a).toEqual(b);
    expect(a).not.toEqual(c);
    expect(new Set(a)).toEqual(new Set([403, 404]));
  });

  it("whose own predicate throws are answered 500 with its words, and nothing is written", async () => {
    s3.faults.add({
      kind: "deny",
      when: () => {
        throw new Error("a slip in the test");
      },
    });
    const answer = await put("k", "x");
    expect(answer.status).toBe(500);
    expect(answer.text).toContain("a slip in the test");
    expect(stored("k")).toBeUndefined();
  });
});

describe("the log", () => {
  it("says what came, how often it was carried out, how it ended, and when", async () => {
    const beforeNs = process.hrtime.bigint();
    s3.faults.add({ kind: "lose-reply", key: "lost", times: 1 });
    s3.faults.add({ kind: "duplicate", key: "twice" });
    s3.faults.add({ kind: "black-hole", key: "hole" });
    await expect(put("lost", "x", { "if-none-match": "*" })).rejects.toThrow(/hang up|ECONNRESET/);
    await put("twice", "x", { "if-none-match": "*" });
    await expect(raw(s3.endpoint, "PUT", "/test/hole", { body: "x", timeoutMs: 100 })).rejects.toThrow("given up");
    await until(() => s3.requests.list({ key: "hole" })[0]?.ending === "gone");
    await until(() => s3.requests.list({ key: "twice" })[0]?.executions.length === 2);
    const [lost, twice, hole] = s3.requests.all;
    expect(lost).toMatchObject({
      number: 1,
      method: "PUT",
      operation: "PutObject",
      bucket: "test",
      key: "lost",
      ending: "reset",
      faults: ["lose-reply"],
    });
    expect(lost).toMatchObject({ status: undefined, headers: { "if-none-match": "*" }, bodyBytes: 1, executions: [{ status: 200 }] });
    expect(twice).toMatchObject({ status: 200, ending: "answered", executions: [{ status: 200 }, { status: 412 }] });
    expect(hole).toMatchObject({ status: undefined, ending: "gone", executions: [] });
    for (const entry of [lost, twice, hole]) {
      expect(entry?.atNs).toBeGreaterThan(beforeNs);
      expect(entry?.answeredNs).toBeGreaterThan(entry?.atNs ?? 0n);
    }
    expect(s3.requests.count({ method: "PUT" })).toBe(3);
    expect(s3.requests.count({ status: 200 })).toBe(1);
    expect(s3.requests.count({ key: /^(?:lost|hole)$/ })).toBe(2);
    expect(s3.requests.count({ when: (entry) => entry.executions.length > 1 })).toBe(1);
  });

  it("holds no signature and no secret", async () => {
    await raw(s3.endpoint, "GET", "/test/k", { headers: { authorization: "AWS4-HMAC-SHA256 x", "x-amz-security-token": "secret" } });
    expect(JSON.stringify(s3.requests.all[0]?.headers)).not.toMatch(/secret|HMAC/);
  });

  it("is bounded, and refuses to count what it has dropped", async () => {
    const own = await fakeS3({ logLimit: 20 });
    for (let i = 0; i < 25; i++) await raw(own.endpoint, "GET", `/test/${i}`);
    expect(own.requests.total).toBe(25);
    expect(own.requests.all.length).toBeLessThanOrEqual(20);
    expect(own.requests.all.length + own.requests.dropped).toBe(25);
    expect(() => own.requests.count()).toThrow(/logLimit \(20\)/);
    own.requests.clear();
    await raw(own.endpoint, "GET", "/test/k");
    expect(own.requests.count()).toBe(1);
    await own.close();
  });
});
