/** The proxy in front of a real MinIO, which checks every signature: what passes untouched, what becomes of each fault, and a server that dies. */
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fakeS3, type FaultProxy, faultProxy, type NetworkFault } from "../../src/testing/index.ts";
import { type FreshBucket, freshBucket, minioClient } from "../support/minio-client.ts";
import { type OwnServer, type S3Server, sharedMinio, startMinio } from "../support/servers.ts";
import { until } from "./raw-http.ts";

function clientOf(endpoint: string, server: S3Server, more: object = {}): S3Client {
  const { region, accessKeyId, secretAccessKey } = server;
  return new S3Client({ endpoint, region, credentials: { accessKeyId, secretAccessKey }, forcePathStyle: true, maxAttempts: 1, ...more });
}

/** What became of a call: a status, or no answer. */
async function outcome(call: Promise<unknown>): Promise<number | "no answer"> {
  try {
    await call;
    return 200;
  } catch (e) {
    const { $metadata } = e as { readonly $metadata?: { readonly httpStatusCode?: number } };
    return $metadata?.httpStatusCode ?? "no answer";
  }
}

describe("in front of MinIO", () => {
  const minio = sharedMinio();
  let bucket: FreshBucket;
  let proxy: FaultProxy;
  let client: S3Client;
  beforeEach(async () => {
    bucket = await freshBucket(minio);
    proxy = await faultProxy({ target: minio.endpoint });
    client = clientOf(proxy.endpoint, minio);
  });
  afterEach(async () => {
    client.destroy();
    await proxy.close();
  });
  const put = (
    Key: string,
    more: Partial<PutObjectCommandInput> = {},
    options: object = {},
  ): Promise<{ readonly ETag?: string | undefined }> =>
    client.send(new PutObjectCommand({ Bucket: bucket.bucket, Key, Body: "x", ...more }), options);
  const stored = async (key: string): Promise<string | undefined> => (await bucket.outside.peek(bucket.bucket, key))?.body;

  it("hands everything on: signatures hold, conditions, lists, odd keys, bodies of megabytes", async () => {
    const Bucket = bucket.bucket;
    for (const Key of ["plain", "a b/ü+%&?=(x)'*", "日本/x"]) {
      const { ETag } = await put(Key, { IfNoneMatch: "*", Metadata: { who: "me" } });
      expect(await outcome(put(Key, { IfNoneMatch: "*" }))).toBe(412);
      expect(await outcome(put(Key, { IfMatch: '"wrong"' }))).toBe(412);
      expect(await outcome(put(Key, { IfMatch: ETag, Body: "new" }))).toBe(200);
      const read = await client.send(new GetObjectCommand({ Bucket, Key }));
      expect(await read.Body?.transformToString()).toBe("new");
      expect(await outcome(client.send(new GetObjectCommand({ Bucket, Key, IfNoneMatch: read.ETag })))).toBe(304);
      expect((await client.send(new HeadObjectCommand({ Bucket, Key }))).ContentLength).toBe(3);
      expect(await stored(Key)).toBe("new");
    }
    const page = await client.send(new ListObjectsV2Command({ Bucket, Prefix: "a b/", MaxKeys: 1 }));
    expect(page.Contents?.map((o) => o.Key)).toEqual(["a b/ü+%&?=(x)'*"]);
    const large = Buffer.alloc(3_000_000, "0123456789");
    await put("large", { Body: large });
    const back = await client.send(new GetObjectCommand({ Bucket, Key: "large" }));
    expect(Buffer.from((await back.Body?.transformToByteArray()) ?? []).equals(large)).toBe(true);
    await client.send(new DeleteObjectCommand({ Bucket, Key: "plain" }));
    expect(await stored("plain")).toBeUndefined();
    const outside = minioClient({ ...minio, endpoint: proxy.endpoint });
    await outside.put(Bucket, "by another client", "y");
    expect(await outside.list(Bucket)).toContain("by another client");
    expect(proxy.requests.count({ method: "PUT", status: 412 })).toBe(6);
    expect(proxy.requests.count({ status: 403 })).toBe(0);
  });

  it("keeps the answers as MinIO gives them", async () => {
    await put("k");
    const path = `${bucket.bucket}/k`;
    const answers = await Promise.all([minio.endpoint, proxy.endpoint].map((endpoint) => fetch(`${endpoint}/${path}`)));
    const [direct, through] = await Promise.all(
      answers.map(async (answer) => {
        const headers = Object.fromEntries(answer.headers);
        for (const name of [
          "date",
          "x-amz-request-id",
          "x-amz-id-2",
          "x-ratelimit-limit",
          "x-ratelimit-remaining",
          "connection",
          "keep-alive",
          "content-length",
        ])
          delete headers[name];
        return {
          status: answer.status,
          words: answer.statusText,
          headers,
          text: (await answer.text()).replace(/<RequestId>.*?<\/RequestId>/, ""),
        };
      }),
    );
    expect(through).toEqual(direct);
    expect(answers[1]?.headers.get("date")).toMatch(/ GMT$/);
  });

  it.each<[NetworkFault, number | "no answer", string | undefined]>([
    [{ kind: "lose-request", times: 1 }, "no answer", undefined],
    [{ kind: "lose-reply", times: 1 }, "no answer", "x"],
    [{ kind: "late", delayMs: 50, times: 1 }, "no answer", "x"],
    [{ kind: "duplicate", times: 1 }, 200, "x"],
    [{ kind: "duplicate", answer: "second", times: 1 }, 412, "x"],
    [{ kind: "delay", delayMs: 50, times: 1 }, 200, "x"],
    [{ kind: "half-body", times: 1 }, "no answer", "x"],
    [{ kind: "status", status: 503, times: 1 }, 503, undefined],
    [{ kind: "status", status: 500, executed: true, times: 1 }, 500, "x"],
    [{ kind: "black-hole", times: 1 }, "no answer", undefined],
    [{ kind: "black-hole", executed: true, times: 1 }, "no answer", "x"],
  ])("%j: the client sees %s, MinIO holds %s", async (fault, seen, held) => {
    const handle = proxy.faults.add({ ...fault, method: "PUT" });
    expect(await outcome(put("k", { IfNoneMatch: "*" }, { abortSignal: AbortSignal.timeout(1_000) }))).toBe(seen);
    expect(handle.hits).toBe(1);
    if (held !== undefined) await until(() => (proxy.requests.all[0]?.executions.length ?? 0) > 0);
    expect(await stored("k")).toBe(held);
    // And the next one passes.
    expect(await outcome(put("next"))).toBe(200);
  });

  it("delivers a write after another has taken its place: MinIO refuses it", async () => {
    const { ETag } = await put("k");
    const late = proxy.faults.add({ kind: "late", method: "PUT", times: 1 });
    expect(await outcome(put("k", { IfMatch: ETag, Body: "late" }))).toBe("no answer");
    expect(await outcome(put("k", { IfMatch: ETag, Body: "other" }))).toBe(200);
    expect(await late.deliver()).toBe(1);
    expect(await stored("k")).toBe("other");
    expect(proxy.requests.all[1]?.executions).toMatchObject([{ status: 412 }]);
  });

  it("fifty racing writers through two proxies, each request 30 ms longer: one winner", async () => {
    const second = await faultProxy({ target: minio.endpoint });
    for (const each of [proxy, second]) each.faults.add({ kind: "delay", delayMs: 30 });
    const other = clientOf(second.endpoint, minio);
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, i) => {
        const command = new PutObjectCommand({ Bucket: bucket.bucket, Key: "race", Body: `w${i}`, IfNoneMatch: "*" });
        return outcome((i % 2 === 0 ? client : other).send(command));
      }),
    );
    expect(all.filter((status) => status === 200)).toHaveLength(1);
    expect(all.filter((status) => status === 412)).toHaveLength(49);
    const waits = [...proxy.requests.all, ...second.requests.all].map((r) => Number((r.executions[0]?.startedNs ?? 0n) - r.atNs) / 1e6);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(29);
    other.destroy();
    await second.close();
  });
});

describe("with a server that fails", () => {
  let minio: OwnServer;
  let proxy: FaultProxy;
  let client: S3Client;
  beforeEach(async () => {
    minio = await startMinio();
    await minioClient(minio).makeBucket("bucket");
    proxy = await faultProxy({ target: minio.endpoint });
    client = clientOf(proxy.endpoint, minio);
  });
  afterEach(async () => {
    client.destroy();
    await proxy.close();
  });
  const put = (Key: string, abortMs = 10_000): Promise<number | "no answer"> =>
    outcome(client.send(new PutObjectCommand({ Bucket: "bucket", Key, Body: "x" }), { abortSignal: AbortSignal.timeout(abortMs) }));

  it("killed: no answer, at once; restarted: every request passes, though old connections are gone", async () => {
    expect(await Promise.all(Array.from({ length: 10 }, (_, i) => put(`a${i}`)))).toEqual(Array.from({ length: 10 }, () => 200));
    await minio.kill();
    expect(await put("k")).toBe("no answer");
    // At once: a client that had given up would have left it "gone".
    expect(proxy.requests.all.at(-1)).toMatchObject({ ending: "reset", status: undefined, executions: [{ status: undefined }] });
    await minio.restart();
    expect(await Promise.all(Array.from({ length: 10 }, (_, i) => put(`b${i}`)))).toEqual(Array.from({ length: 10 }, () => 200));
  });

  it("frozen: requests wait; thawed: they are carried out; and close() waits for none of them", async () => {
    await put("warm");
    minio.freeze();
    expect(await put("given-up", 200)).toBe("no answer");
    minio.thaw();
    await until(() => proxy.requests.list({ key: "given-up" })[0]?.executions[0]?.status === 200);
    minio.freeze();
    // It would wait for longer than this test may take.
    const waiting = put("k", 600_000);
    await until(() => proxy.requests.list({ key: "k" }).length === 1);
    await proxy.close();
    expect(await waiting).toBe("no answer");
    minio.thaw();
  });
});

describe("options", () => {
  it("are checked, and a server that is not there is a broken connection", async () => {
    await expect(faultProxy({ target: "https://127.0.0.1:1" })).rejects.toMatchObject({ code: "CONFIG" });
    await expect(faultProxy({ target: "http://127.0.0.1:1", prot: 0 } as never)).rejects.toThrow(/"port"/);
    const gone = await fakeS3();
    await gone.close();
    const proxy = await faultProxy({ target: gone.endpoint });
    expect(() => proxy.faults.add({ kind: "in-doubt" } as never)).toThrow(/in-doubt/);
    await expect(fetch(`${proxy.endpoint}/test/k`)).rejects.toThrow("fetch failed");
    expect(proxy.url("b", "p")).toBe(`s3://b/p?endpoint=${encodeURIComponent(proxy.endpoint)}&region=us-east-1`);
    await proxy.close();
  });
});
