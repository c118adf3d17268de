/** The embedded server through the real AWS SDK, signatures checked: what the SDK makes of each row of AWS's table, and its other calls. */
import { Readable } from "node:stream";
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsCommand,
  type ListObjectsV2CommandInput,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeS3, fakeS3 } from "../../src/testing/index.ts";
import { raw } from "./raw-http.ts";

const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };
const Bucket = "test";
let s3: FakeS3;
let client: S3Client;
const newClient = (more: object = {}): S3Client =>
  new S3Client({ endpoint: s3.endpoint, region: "us-east-1", credentials, forcePathStyle: true, maxAttempts: 1, ...more });
beforeAll(async () => {
  s3 = await fakeS3({ credentials });
  client = newClient();
});
beforeEach(() => {
  for (const key of s3.bucket().keys()) s3.bucket().delete(key);
});
afterAll(async () => {
  client.destroy();
  await s3.close();
});

const put = (Key: string, more: Partial<PutObjectCommandInput> = {}): Promise<{ readonly ETag?: string }> =>
  client.send(new PutObjectCommand({ Bucket, Key, Body: "body", ...more })) as Promise<{ readonly ETag?: string }>;
const status = (httpStatusCode: number, name?: string): object => ({
  $metadata: expect.objectContaining({ httpStatusCode }) as object,
  ...(name === undefined ? {} : { name }),
});

describe("AWS's table", () => {
  it("create: 200 on nothing, 412 on an object, 200 again after a delete", async () => {
    expect((await put("k", { IfNoneMatch: "*" })).ETag).toBe('"841a2d689ad86bd1611447453c22c6fc"');
    await expect(put("k", { IfNoneMatch: "*", Body: "other" })).rejects.toMatchObject(status(412, "PreconditionFailed"));
    expect(s3.bucket().peek("k")?.text).toBe("body");
    await client.send(new DeleteObjectCommand({ Bucket, Key: "k" }));
    expect(await put("k", { IfNoneMatch: "*" })).toMatchObject(status(200));
  });

  it("replace: 200 on the right ETag, 412 on another, 404 on nothing and after a delete", async () => {
    const first = await put("k");
    await expect(put("k", { IfMatch: '"0123456789abcdef0123456789abcdef"' })).rejects.toMatchObject(status(412, "PreconditionFailed"));
    expect(await put("k", { IfMatch: first.ETag, Body: "new" })).toMatchObject(status(200));
    await expect(put("none", { IfMatch: first.ETag })).rejects.toMatchObject(status(404, "NoSuchKey"));
    s3.bucket().delete("k");
    await expect(put("k", { IfMatch: first.ETag })).rejects.toMatchObject(status(404, "NoSuchKey"));
    expect(s3.bucket().keys()).toEqual([]);
  });

  it("409 when a delete or another write runs at the same time (a fault, as it is rare)", async () => {
    s3.faults.add({ kind: "status", status: 409, times: 1 });
    await expect(put("k", { IfNoneMatch: "*" })).rejects.toMatchObject(status(409, "ConditionalRequestConflict"));
    expect(s3.bucket().peek("k")).toBeUndefined();
  });

  it("DELETE: 204 on the right ETag, 412 on another, 404 on nothing; without a condition always 204", async () => {
    const { ETag } = await put("k");
    const remove = (IfMatch?: string): Promise<unknown> => client.send(new DeleteObjectCommand({ Bucket, Key: "k", IfMatch }));
    await expect(remove('"wrong"')).rejects.toMatchObject(status(412, "PreconditionFailed"));
    expect(s3.bucket().peek("k")).toBeDefined();
    expect(await remove(ETag)).toMatchObject(status(204));
    await expect(remove(ETag)).rejects.toMatchObject(status(404, "NoSuchKey"));
    expect(await remove()).toMatchObject(status(204));
  });

  it("GET and HEAD: 304 on the same ETag, 200 on another, 404 on nothing, 412 to If-Match of another", async () => {
    const { ETag } = await put("k");
    for (const Command of [GetObjectCommand, HeadObjectCommand] as const) {
      const read = (more: object, Key = "k"): Promise<unknown> => client.send(new Command({ Bucket, Key, ...more }));
      await expect(read({ IfNoneMatch: ETag })).rejects.toMatchObject(status(304));
      expect(await read({ IfNoneMatch: '"other"' })).toMatchObject(status(200));
      expect(await read({ IfNoneMatch: `"other", ${ETag ?? ""}x` })).toMatchObject(status(200));
      await expect(read({ IfMatch: '"other"' })).rejects.toMatchObject(status(412));
      expect(await read({ IfMatch: ETag })).toMatchObject(status(200));
      await expect(read({}, "none")).rejects.toMatchObject(status(404));
    }
  });

  it("every answer has a Date, objects Last-Modified, both to the second; equal bodies have equal ETags", async () => {
    const from = Math.floor(Date.now() / 1_000) * 1_000;
    const [a, b] = [await put("a"), await put("b")];
    expect(a.ETag).toBe(b.ETag);
    const read = await client.send(new GetObjectCommand({ Bucket, Key: "a" }));
    const modified = read.LastModified?.getTime() ?? 0;
    expect(modified % 1_000).toBe(0);
    expect(modified).toBeGreaterThanOrEqual(from);
    expect(modified).toBeLessThanOrEqual(Date.now());
    const listed = await client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 1 }));
    expect(listed.Contents?.map((o) => o.LastModified?.getTime())).toEqual([modified]);
  });

  it.each([0, 1])("fifty racing writers through three clients, one winner, the others 412 (round %i)", async () => {
    const clients = [newClient(), newClient(), newClient()];
    const { ETag } = await put("cas");
    const race = async (Key: string, condition: object): Promise<number[]> => {
      const all = Array.from({ length: 50 }, (_, i) =>
        (clients[i % 3] ?? client).send(new PutObjectCommand({ Bucket, Key, Body: `w${i}`, ...condition })).then(
          () => 200,
          (e: { readonly $metadata: { readonly httpStatusCode: number } }) => e.$metadata.httpStatusCode,
        ),
      );
      return (await Promise.all(all)).sort((a, b) => a - b);
    };
    const oneWinner = [200, ...Array.from({ length: 49 }, () => 412)];
    expect(await race("cas", { IfMatch: ETag })).toEqual(oneWinner);
    expect(await race("fresh", { IfNoneMatch: "*" })).toEqual(oneWinner);
    for (const each of clients) each.destroy();
  });
});

describe("objects", () => {
  it("keep odd keys, bytes, types and metadata", async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    for (const Key of ["a b", "ü/ö?", "x+y=%25&z", "(a)'*!~", "trailing/", "a//b", "日本"]) {
      await put(Key, { Body: bytes, ContentType: "application/json", Metadata: { who: "me" }, CacheControl: "no-store" });
      const read = await client.send(new GetObjectCommand({ Bucket, Key }));
      expect(Buffer.from((await read.Body?.transformToByteArray()) ?? []).equals(bytes)).toBe(true);
      expect(read).toMatchObject({ ContentType: "application/json", Metadata: { who: "me" }, CacheControl: "no-store" });
      expect(read.ContentLength).toBe(256);
      expect(s3.bucket().peek(Key)?.body.equals(bytes)).toBe(true);
    }
  });

  it("are read in parts", async () => {
    await put("k", { Body: "0123456789" });
    const part = async (Range: string): Promise<unknown> => {
      const read = await client.send(new GetObjectCommand({ Bucket, Key: "k", Range }));
      return [read.$metadata.httpStatusCode, read.ContentRange, await read.Body?.transformToString()];
    };
    expect(await part("bytes=2-4")).toEqual([206, "bytes 2-4/10", "234"]);
    expect(await part("bytes=7-")).toEqual([206, "bytes 7-9/10", "789"]);
    expect(await part("bytes=-3")).toEqual([206, "bytes 7-9/10", "789"]);
    expect(await part("bytes=8-99")).toEqual([206, "bytes 8-9/10", "89"]);
    await expect(part("bytes=10-")).rejects.toMatchObject(status(416, "InvalidRange"));
  });

  it("come in pieces with a checksum behind them, as SDKs send streams", async () => {
    await client.send(
      new PutObjectCommand({
        Bucket,
        Key: "k",
        Body: Readable.from([Buffer.alloc(70_000, "a"), Buffer.from("end")]),
        ContentLength: 70_003,
      }),
    );
    expect(s3.requests.all.at(-1)?.headers["x-amz-content-sha256"]).toMatch(/^STREAMING-/);
    const stored = s3.bucket().peek("k");
    expect(stored?.body.length).toBe(70_003);
    expect(stored?.text.endsWith("aaend")).toBe(true);
    const read = await client.send(new GetObjectCommand({ Bucket, Key: "k" }));
    expect(read.ContentEncoding).toBeUndefined();
  });

  it("are deleted many at a time; unknown ones too", async () => {
    await put("a");
    await put("b & <c>");
    const gone = await client.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: "a" }, { Key: "b & <c>" }, { Key: "none" }] } }),
    );
    expect(gone.Deleted?.map((d) => d.Key)).toEqual(["a", "b & <c>", "none"]);
    expect(s3.bucket().keys()).toEqual([]);
    const many = Array.from({ length: 1_001 }, (_, i) => ({ Key: `k${i}` }));
    await expect(client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: many } }))).rejects.toMatchObject(
      status(400, "MalformedXML"),
    );
  });

  it("have keys of at most 1024 bytes", async () => {
    expect(await put("ü".repeat(512))).toMatchObject(status(200));
    await expect(put(`${"ü".repeat(512)}x`)).rejects.toMatchObject(status(400, "KeyTooLongError"));
  });
});

describe("lists", () => {
  const pages = async (more: Partial<ListObjectsV2CommandInput>): Promise<{ readonly keys: string[]; readonly sizes: number[] }> => {
    const keys: string[] = [];
    const sizes: number[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await client.send(new ListObjectsV2Command({ Bucket, ...more, ContinuationToken }));
      const rows = [...(page.Contents ?? []).map((o) => o.Key ?? ""), ...(page.CommonPrefixes ?? []).map((p) => p.Prefix ?? "")];
      expect(page.KeyCount).toBe(rows.length);
      keys.push(...rows);
      sizes.push(rows.length);
      ContinuationToken = page.NextContinuationToken;
      expect(page.IsTruncated).toBe(ContinuationToken !== undefined);
    } while (ContinuationToken !== undefined);
    return { keys, sizes };
  };

  it("come in the order of UTF-8 bytes, in pages, below a prefix, after a key", async () => {
    // By UTF-16 units the last two would stand the other way round.
    const keys = ["A", "a", "a/1", "a/2", "a0", "b", "é", "\u{ff5e}", "\u{1f600}"];
    for (const key of [...keys].reverse()) s3.bucket().put(key, "x");
    expect((await pages({})).keys).toEqual(keys);
    expect(await pages({ MaxKeys: 4 })).toEqual({ keys, sizes: [4, 4, 1] });
    expect(await pages({ MaxKeys: 3 })).toEqual({ keys, sizes: [3, 3, 3] });
    expect((await pages({ Prefix: "a/" })).keys).toEqual(["a/1", "a/2"]);
    expect((await pages({ StartAfter: "a/1", MaxKeys: 2 })).keys).toEqual(keys.slice(3));
    expect(await pages({ MaxKeys: 0 })).toEqual({ keys: [], sizes: [0] });
    expect((await pages({ Prefix: "none" })).keys).toEqual([]);
  });

  it("fold keys at a delimiter, once, over pages too", async () => {
    for (const key of ["a/1", "a/2", "a/3/x", "b", "c/1", "c/2", "d"]) s3.bucket().put(key, "x");
    expect((await pages({ Delimiter: "/" })).keys).toEqual(["b", "d", "a/", "c/"]);
    const small = await pages({ Delimiter: "/", MaxKeys: 1 });
    expect(small).toEqual({ keys: ["a/", "b", "c/", "d"], sizes: [1, 1, 1, 1] });
    expect((await pages({ Delimiter: "/", Prefix: "a/" })).keys).toEqual(["a/1", "a/2", "a/3/"]);
  });

  it("have at most a thousand rows a page, and none is lost or told twice", async () => {
    const keys = Array.from({ length: 2_345 }, (_, i) => `k${String(i).padStart(5, "0")}`);
    for (const key of keys) s3.bucket().put(key, "x");
    expect(await pages({ MaxKeys: 5_000 })).toEqual({ keys, sizes: [1_000, 1_000, 345] });
  });

  it("encode keys when asked to, a space as a plus, as AWS does", async () => {
    s3.bucket().put("a b+c/ü\u0001", "x");
    const page = await client.send(new ListObjectsV2Command({ Bucket, EncodingType: "url" }));
    expect(page).toMatchObject({ EncodingType: "url", Contents: [{ Key: "a+b%2Bc/%C3%BC%01" }] });
  });

  it("of the older form go on after a marker", async () => {
    for (const key of ["a", "b", "c"]) s3.bucket().put(key, "x");
    const first = await client.send(new ListObjectsCommand({ Bucket, MaxKeys: 2 }));
    expect(first).toMatchObject({ IsTruncated: true, NextMarker: "b" });
    const second = await client.send(new ListObjectsCommand({ Bucket, Marker: first.NextMarker }));
    expect(second.Contents?.map((o) => o.Key)).toEqual(["c"]);
  });

  it("refuse a token that they did not give out", async () => {
    await expect(client.send(new ListObjectsV2Command({ Bucket, ContinuationToken: "guess" }))).rejects.toMatchObject(
      status(400, "InvalidArgument"),
    );
  });
});

describe("buckets", () => {
  it("are made, found, listed and removed", async () => {
    await client.send(new CreateBucketCommand({ Bucket: "another" }));
    await expect(client.send(new CreateBucketCommand({ Bucket: "another" }))).rejects.toMatchObject(status(409, "BucketAlreadyOwnedByYou"));
    await expect(client.send(new CreateBucketCommand({ Bucket: "No_Name" }))).rejects.toMatchObject(status(400, "InvalidBucketName"));
    expect(await client.send(new HeadBucketCommand({ Bucket: "another" }))).toMatchObject({ BucketRegion: "us-east-1" });
    expect((await client.send(new ListBucketsCommand({}))).Buckets?.map((b) => b.Name)).toEqual(["another", "test"]);
    expect((await client.send(new GetBucketLocationCommand({ Bucket: "another" }))).LocationConstraint ?? "").toBe("");
    expect((await client.send(new GetBucketVersioningCommand({ Bucket: "another" }))).Status).toBeUndefined();
    s3.bucket("another").put("k", "x");
    await expect(client.send(new DeleteBucketCommand({ Bucket: "another" }))).rejects.toMatchObject(status(409, "BucketNotEmpty"));
    s3.bucket("another").delete("k");
    await client.send(new DeleteBucketCommand({ Bucket: "another" }));
    expect(() => s3.bucket("another")).toThrow(/another/);
  });

  it("that are not there: 404 NoSuchBucket", async () => {
    for (const send of [
      () => client.send(new GetObjectCommand({ Bucket: "none", Key: "k" })),
      () => client.send(new PutObjectCommand({ Bucket: "none", Key: "k", Body: "x" })),
      () => client.send(new ListObjectsV2Command({ Bucket: "none" })),
    ]) {
      await expect(send()).rejects.toMatchObject(status(404, "NoSuchBucket"));
    }
    await expect(client.send(new HeadBucketCommand({ Bucket: "none" }))).rejects.toMatchObject(status(404));
  });

  it("stand in front of the host, too", async () => {
    // Not every resolver knows *.localhost, so the name stands in the header alone.
    const open = await fakeS3();
    await raw(open.endpoint, "PUT", "/k", { headers: { host: `test.localhost:${open.port}` }, body: "x" });
    expect(open.bucket().peek("k")?.text).toBe("x");
    await open.close();
  });
});

describe("what it does not know", () => {
  it("is 501, and never taken for something else", async () => {
    const open = await fakeS3();
    open.bucket().put("k", "old");
    for (const [method, path, headers] of [
      ["PUT", "/test/k", { "x-amz-copy-source": "/test/other" }],
      ["PUT", "/test/k?partNumber=1&uploadId=x", {}],
      ["POST", "/test/k?uploads", {}],
      ["PUT", "/test/k?acl", {}],
      ["PUT", "/test?versioning", {}],
      ["PUT", "/test/k", { "if-none-match": '"etag"' }],
    ] as const) {
      expect(await raw(open.endpoint, method, path, { headers })).toMatchObject({ status: 501, code: "NotImplemented" });
    }
    expect(open.bucket().peek("k")?.text).toBe("old");
    expect(await raw(open.endpoint, "GET", "/test?lifecycle")).toMatchObject({ status: 404, code: "NoSuchLifecycleConfiguration" });
    expect(await raw(open.endpoint, "GET", "/test/%zz")).toMatchObject({ status: 400, code: "InvalidURI" });
    await open.close();
  });
});
