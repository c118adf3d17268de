import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { describe, expect, it } from "vitest";
import { FencedOutError } from "../../src/errors.ts";
import { fencedObject, type FencedObject } from "../../src/fencing/fenced-object.ts";
import { s3Store } from "../../src/store/s3.ts";
import { type FaultProxy, faultProxy } from "../../src/testing/fault-proxy.ts";
import { contender, TTL_MS } from "../support/contenders.ts";
import { type FreshBucket, freshBucket } from "../support/minio-client.ts";
import { type S3Server, sharedMinio } from "../support/servers.ts";

const KEY = "app/fenced/report";
const by = (fencingToken: number): { key: string; fencingToken: number } => ({ key: "locks/report", fencingToken });
const large = (byte: number): Uint8Array => new Uint8Array(300_000).fill(byte);

function clientOf(server: S3Server, endpoint = server.endpoint): S3Client {
  const { accessKeyId, secretAccessKey, region } = server;
  return new S3Client({ endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey }, maxAttempts: 1 });
}

interface Party {
  readonly proxy: FaultProxy;
  readonly object: FencedObject;
  /** What went over the wire since this was asked for last, below `app/fenced`. */
  sent(): string[];
}

async function party(server: S3Server, { bucket }: FreshBucket): Promise<Party & AsyncDisposable> {
  const proxy = await faultProxy({ target: server.endpoint });
  const client = clientOf(server, proxy.endpoint);
  const object = fencedObject(s3Store({ bucket, prefix: "app", client }), "report");
  let told = 0;
  return {
    proxy,
    object,
    sent: () => {
      const all = proxy.requests.list({ key: /^app\/fenced/ });
      return all.slice(told, (told = all.length)).map((r) => `${r.method}${r.key.startsWith("app/fenced-bodies/") ? "+" : ""} ${r.status}`);
    },
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      await proxy.close();
    },
  };
}

describe("why the token has to be in the bytes", () => {
  it("in metadata it fences nothing: after an open with an equal body the ETag is the old one, and the old holder's CAS goes through", async () => {
    const server = sharedMinio();
    const { bucket, outside } = await freshBucket(server);
    const client = clientOf(server);
    const put = async (token: number, Body: string, condition: object): Promise<string> => {
      const Metadata = { "fencing-token": String(token) };
      const { ETag } = await client.send(new PutObjectCommand({ Bucket: bucket, Key: "report", Body, Metadata, ...condition }));
      return ETag ?? "";
    };
    const seenByOld = await put(1, "same", { IfNoneMatch: "*" });
    const opened = await put(2, "same", { IfMatch: seenByOld });
    expect(opened).toBe(seenByOld);
    await expect(put(1, "old holder's", { IfMatch: seenByOld })).resolves.toMatch(/"/);
    expect((await outside.peek(bucket, "report"))?.body).toBe("old holder's");
    client.destroy();
  });

  it("a fenced object's open changes the bytes and so the ETag, and the old holder's put is refused", async () => {
    const server = sharedMinio();
    const bucket = await freshBucket(server);
    await using old = await party(server, bucket);
    await using next = await party(server, bucket);
    await old.object.put("same", by(1));
    const before = await bucket.outside.peek(bucket.bucket, KEY);
    await next.object.open(by(2));
    const after = await bucket.outside.peek(bucket.bucket, KEY);
    expect(after?.etag).not.toBe(before?.etag);
    const inline = (body: string | undefined): unknown => (JSON.parse(body ?? "null") as { inline?: unknown }).inline;
    expect(inline(after?.body)).toBe(inline(before?.body));
    old.sent();
    await expect(old.object.put("old holder's", by(1))).rejects.toMatchObject({ code: "FENCED_OUT", mine: by(1), theirs: by(2) });
    expect(old.sent()).toEqual(["PUT 412", "GET 200"]);
    expect(await bucket.outside.peek(bucket.bucket, KEY)).toEqual(after);
  });
});

describe("requests at the wire", () => {
  it("as many as docs/fencing.md says", async () => {
    const server = sharedMinio();
    await using a = await party(server, await freshBucket(server));
    await a.object.put("one", by(1));
    expect(a.sent()).toEqual(["GET 404", "PUT 200"]);
    await a.object.put("two", by(1));
    expect(a.sent()).toEqual(["PUT 200"]);
    await a.object.get();
    expect(a.sent()).toEqual(["GET 200"]);
    await a.object.open(by(2));
    expect(a.sent()).toEqual(["GET 200", "PUT 200"]);
    await a.object.open(by(2));
    expect(a.sent()).toEqual(["GET 200"]);
    for (const byte of [1, 2]) await a.object.put(large(byte), by(2));
    expect(a.sent()).toEqual(["PUT+ 200", "PUT 200", "PUT+ 200", "PUT 200"]);
    await a.object.put(large(3), by(2));
    expect(a.sent()).toEqual(["PUT+ 200", "PUT 200", "DELETE+ 204"]);
    expect((await a.object.get())?.body).toEqual(large(3));
    expect(a.sent()).toEqual(["GET 200", "GET+ 200"]);
  });
});

describe("faults on the way to a real MinIO", () => {
  it("lost replies, small and large: applied once, found out by nonce and by name", async () => {
    const server = sharedMinio();
    await using a = await party(server, await freshBucket(server));
    await a.object.put("one", by(1));
    a.sent();
    a.proxy.faults.add({ kind: "lose-reply", method: "PUT", key: KEY, times: 1 });
    await a.object.put("two", by(1));
    expect(a.sent()).toEqual(["PUT undefined", "PUT 412", "GET 200"]);
    a.proxy.faults.add({ kind: "lose-reply", method: "PUT", key: "app/fenced-bodies/*", times: 1 });
    await a.object.put(large(1), by(1));
    expect(a.sent()).toEqual(["PUT+ undefined", "PUT+ 412", "GET+ 200", "PUT 200"]);
    expect((await a.object.get())?.body).toEqual(large(1));
  });

  it("a put that the network holds back until the next holder has opened is refused when it arrives", async () => {
    const server = sharedMinio();
    const bucket = await freshBucket(server);
    await using old = await party(server, bucket);
    await using next = await party(server, bucket);
    await old.object.put("before", by(1));
    const held = old.proxy.faults.add({ kind: "delay", method: "PUT", key: KEY, times: 1 });
    const late = old.object.put("late", by(1)).then(
      () => "accepted",
      (error: unknown) => error,
    );
    await expect.poll(() => held.hits, { timeout: 10_000 }).toBe(1);
    await next.object.open(by(2));
    await held.deliver();
    expect(await late).toBeInstanceOf(FencedOutError);
    expect(new TextDecoder().decode((await next.object.get())?.body)).toBe("before");
  });

  it("a writer that dies between its two writes leaves a body that nobody names, and prune takes it away under the next token", async () => {
    const server = sharedMinio();
    const bucket = await freshBucket(server);
    await using a = await party(server, bucket);
    await using b = await party(server, bucket);
    await a.object.put(large(1), by(1));
    a.proxy.faults.add({ kind: "lose-request", method: "PUT", key: KEY });
    await expect(a.object.put(large(2), by(1), { timeoutMs: 1_000 })).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    const bodies = (): Promise<string[]> => bucket.outside.list(bucket.bucket, "app/fenced-bodies/");
    expect(await bodies()).toHaveLength(2);
    await b.object.open(by(2));
    expect(await b.object.prune()).toBe(1);
    expect(await bodies()).toHaveLength(1);
    expect((await b.object.get())?.body).toEqual(large(1));
  });
});

describe("sixteen writers at once on a real MinIO", () => {
  it("of as many tokens, small and large: the highest has the last word", async () => {
    const server = sharedMinio();
    const bucket = await freshBucket(server);
    const clients = Array.from({ length: 16 }, () => clientOf(server));
    const objects = clients.map((client) => fencedObject(s3Store({ bucket: bucket.bucket, prefix: "app", client }), "report"));
    for (let round = 0; round < 3; round++) {
      const token = (i: number): number => round * 16 + i + 1;
      const results = await Promise.allSettled(objects.map((o, i) => o.put(i % 2 === 0 ? `by ${i}` : large(i), by(token(i)))));
      for (const r of results) if (r.status === "rejected") expect(r.reason).toBeInstanceOf(FencedOutError);
      expect(results[15]?.status).toBe("fulfilled");
      expect(await objects[0]?.get()).toEqual({ body: large(15), fence: by(token(15)) });
    }
    for (const client of clients) client.destroy();
  });
});

describe("a holder that is stopped past its ttl", () => {
  it("wakes, writes and is refused, with and without asking whether it holds; what the new holder wrote stands", async () => {
    const server = sharedMinio();
    const bucket = await freshBucket(server);
    const env = { OBJECT: "report" };
    const [a, b] = ["a", "b"].map((node) => contender({ node, server, url: bucket.url("app"), program: "fenced-holder", env }));
    if (a === undefined || b === undefined) throw new Error("two programs");
    await Promise.all([a.event("ready"), b.event("ready")]);
    expect(await a.ask("campaign")).toEqual({ token: 1 });
    await a.ask("open");
    await a.ask("put", { body: "a 1" });
    a.freeze();
    // By watching alone, so that its ttl has passed.
    expect(await b.ask("campaign", {}, TTL_MS * 10)).toEqual({ token: 2 });
    await b.ask("open");
    await b.ask("put", { body: "b 1" });
    const written = await bucket.outside.peek(bucket.bucket, KEY);
    a.thaw();
    const answer = (code: string): object => expect.objectContaining({ answer: expect.objectContaining({ code }) as unknown }) as object;
    await expect(a.ask("put-unchecked", { body: "a 2" })).rejects.toEqual(answer("FENCED_OUT"));
    await expect(a.ask("put", { body: "a 3" })).rejects.toEqual(answer("LEASE_LOST"));
    await expect(a.ask("open")).rejects.toEqual(answer("LEASE_LOST"));
    expect(await a.ask("release")).toBe("not-mine");
    expect(await bucket.outside.peek(bucket.bucket, KEY)).toEqual(written);
    await b.ask("put", { body: "b 2" });
    expect(await b.ask("release")).toBe("released");
  });
});
