/** Signatures: the examples that AWS publishes, which no code of ours has made, and what a wrong one is answered. */
import { HeadObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { Client } from "minio";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/clock/system.ts";
import { type FakeS3, fakeS3, type FakeS3Options } from "../../src/testing/index.ts";
import { raw, type RawAnswer } from "./raw-http.ts";

const servers: FakeS3[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});
async function start(options: FakeS3Options): Promise<FakeS3> {
  const server = await fakeS3(options);
  servers.push(server);
  return server;
}

describe("the examples in AWS's documentation", () => {
  const credentials = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
  const clock = { ...systemClock, wallMs: () => Date.UTC(2013, 4, 24) };
  const server = (): Promise<FakeS3> => start({ credentials, clock, buckets: ["examplebucket"] });
  const authorization = (signedHeaders: string, signature: string): string =>
    `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/20130524/us-east-1/s3/aws4_request,SignedHeaders=${signedHeaders},Signature=${signature}`;
  const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const host = "examplebucket.s3.amazonaws.com";

  it.each<[string, string, string, string, Record<string, string>]>([
    [
      "GET",
      "/test.txt",
      "host;range;x-amz-content-sha256;x-amz-date",
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
      { range: "bytes=0-9" },
    ],
    ["GET", "/?lifecycle", "host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", {}],
    [
      "GET",
      "/?max-keys=2&prefix=J",
      "host;x-amz-content-sha256;x-amz-date",
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
      {},
    ],
  ])("%s %s", async (method, path, names, signature, more) => {
    const s3 = await server();
    const headers = { host, "x-amz-date": "20130524T000000Z", "x-amz-content-sha256": empty, ...more };
    const send = (sig: string): Promise<RawAnswer> =>
      raw(s3.endpoint, method, path, { headers: { ...headers, authorization: authorization(names, sig) } });
    // The bucket in the host is not one of ours, so what comes after the signature may be any answer but 403.
    expect((await send(signature)).status).not.toBe(403);
    expect(await send(signature.replace(/^./, (c) => (c === "0" ? "1" : "0")))).toMatchObject({
      status: 403,
      code: "SignatureDoesNotMatch",
    });
  });

  it("a signed URL, for a day", async () => {
    const query =
      "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z" +
      "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let nowMs = Date.UTC(2013, 4, 24, 23, 59);
    const s3 = await start({ credentials, clock: { ...systemClock, wallMs: () => nowMs } });
    const send = (path: string): Promise<RawAnswer> => raw(s3.endpoint, "GET", `${path}?${query}`, { headers: { host } });
    expect((await send("/test.txt")).code).toBe("NoSuchBucket");
    expect((await send("/other.txt")).code).toBe("SignatureDoesNotMatch");
    nowMs += 120_000;
    expect(await send("/test.txt")).toMatchObject({ status: 403, code: "AccessDenied" });
  });

  it("a stream whose chunks are signed, each chained to the one before", async () => {
    const s3 = await server();
    const chunk = (size: number, signature: string): Buffer =>
      Buffer.concat([Buffer.from(`${size.toString(16)};chunk-signature=${signature}\r\n`), Buffer.alloc(size, "a"), Buffer.from("\r\n")]);
    const chunks = [
      chunk(65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
      chunk(1_024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
      chunk(0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ];
    const send = (body: Buffer): Promise<RawAnswer> =>
      raw(s3.endpoint, "PUT", "/examplebucket/chunkObject.txt", {
        headers: {
          host: "s3.amazonaws.com",
          "x-amz-date": "20130524T000000Z",
          "x-amz-storage-class": "REDUCED_REDUNDANCY",
          "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
          "content-encoding": "aws-chunked",
          "x-amz-decoded-content-length": "66560",
          "content-length": "66824",
          authorization: authorization(
            "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
            "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
          ),
        },
        body,
      });
    const whole = Buffer.concat(chunks);
    expect(whole.length).toBe(66_824);
    const altered = Buffer.from(whole);
    altered[65_700] = "b".charCodeAt(0);
    expect(await send(altered)).toMatchObject({ status: 403, code: "SignatureDoesNotMatch" });
    expect(s3.bucket().peek("chunkObject.txt")).toBeUndefined();
    expect((await send(whole)).status).toBe(200);
    expect(s3.bucket().peek("chunkObject.txt")?.body.equals(Buffer.alloc(66_560, "a"))).toBe(true);
  });
});

describe("through real clients", () => {
  const credentials = { accessKeyId: "ak", secretAccessKey: "sk" };
  const rejection = async (s3: FakeS3, more: object): Promise<unknown> => {
    const client = new S3Client({ endpoint: s3.endpoint, region: "us-east-1", credentials, forcePathStyle: true, maxAttempts: 1, ...more });
    try {
      return await client.send(new PutObjectCommand({ Bucket: "test", Key: "k", Body: "x" })).then(
        () => "served",
        (e: { readonly name: string; readonly $metadata: { readonly httpStatusCode: number } }) => [e.$metadata.httpStatusCode, e.name],
      );
    } finally {
      client.destroy();
    }
  };

  it("are served, or told what is wrong; nothing is written", async () => {
    const s3 = await start({ credentials });
    expect(await rejection(s3, { credentials: { ...credentials, secretAccessKey: "guess" } })).toEqual([403, "SignatureDoesNotMatch"]);
    expect(await rejection(s3, { credentials: { ...credentials, accessKeyId: "other" } })).toEqual([403, "InvalidAccessKeyId"]);
    expect(await rejection(s3, { systemClockOffset: -16 * 60_000 })).toEqual([403, "RequestTimeTooSkewed"]);
    expect(await rejection(s3, { systemClockOffset: 16 * 60_000 })).toEqual([403, "RequestTimeTooSkewed"]);
    expect(await rejection(s3, { region: "eu-west-1" })).toEqual([400, "AuthorizationHeaderMalformed"]);
    expect(s3.bucket().keys()).toEqual([]);
    expect(await rejection(s3, { systemClockOffset: -14 * 60_000 })).toBe("served");
    expect(await rejection(s3, {})).toBe("served");
  });

  it("hear of the right region in the head, for requests without a body in the answer", async () => {
    const s3 = await start({ credentials, region: "eu-west-1" });
    const client = new S3Client({ endpoint: s3.endpoint, region: "us-east-1", credentials, forcePathStyle: true, maxAttempts: 1 });
    await expect(client.send(new HeadObjectCommand({ Bucket: "test", Key: "k" }))).rejects.toMatchObject({
      $response: { headers: { "x-amz-bucket-region": "eu-west-1" } },
    });
    client.destroy();
  });

  it("are not asked for a signature where none is wanted", async () => {
    const s3 = await start({});
    expect(await rejection(s3, { systemClockOffset: 3_600_000 })).toBe("served");
    expect((await raw(s3.endpoint, "PUT", "/test/k", { body: "unsigned" })).status).toBe(200);
    const strict = await start({ credentials });
    expect(await raw(strict.endpoint, "PUT", "/test/k", { body: "unsigned" })).toMatchObject({ status: 403, code: "AccessDenied" });
    expect(await raw(strict.endpoint, "PUT", "/test/k", { headers: { authorization: "AWS ak:sig" } })).toMatchObject({ status: 403 });
  });

  it("the minio client, by headers and by signed URLs", async () => {
    const s3 = await start({ credentials });
    const client = new Client({ endPoint: "127.0.0.1", port: s3.port, useSSL: false, accessKey: "ak", secretKey: "sk", pathStyle: true });
    expect(await client.bucketExists("test")).toBe(true);
    await client.makeBucket("more");
    await client.putObject("more", "dir/a b(ü)'*.txt", "hello");
    expect((await client.statObject("more", "dir/a b(ü)'*.txt")).size).toBe(5);
    const url = new URL(await client.presignedGetObject("more", "dir/a b(ü)'*.txt", 60));
    expect(await raw(s3.endpoint, "GET", url.pathname + url.search, { headers: { host: url.host } })).toMatchObject({
      status: 200,
      text: "hello",
    });
    await client.removeObjects("more", ["dir/a b(ü)'*.txt"]);
    expect(s3.bucket("more").keys()).toEqual([]);
  });

  it("a body that is not what its sums say", async () => {
    const s3 = await start({});
    const sum = (name: string, value: string): Promise<RawAnswer> =>
      raw(s3.endpoint, "PUT", "/test/k", { headers: { [name]: value }, body: "123456789" });
    expect(await sum("x-amz-content-sha256", "0".repeat(64))).toMatchObject({ status: 400, code: "XAmzContentSHA256Mismatch" });
    expect(await sum("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")).toMatchObject({ status: 400, code: "BadDigest" });
    expect(await sum("x-amz-checksum-crc32", "AAAAAA==")).toMatchObject({ status: 400, code: "BadDigest" });
    expect(await sum("x-amz-checksum-sha256", "AAAA")).toMatchObject({ status: 400, code: "BadDigest" });
    expect(await sum("x-amz-decoded-content-length", "7")).toMatchObject({ status: 400, code: "IncompleteBody" });
    expect(await sum("content-encoding", "aws-chunked")).toMatchObject({ status: 400, code: "IncompleteBody" });
    expect(s3.bucket().peek("k")).toBeUndefined();
    // The check value that stands in every table of CRCs: cbf43926.
    expect((await sum("x-amz-checksum-crc32", "y/Q5Jg==")).status).toBe(200);
  });
});
