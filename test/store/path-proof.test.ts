/** Rule W9: a condition that is lost between this process and the store is noticed before the first lease is believed, whoever loses it. */
import { S3Client } from "@aws-sdk/client-s3";
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { s3Store } from "../../src/store/s3.ts";
import type { S3ClientLike } from "../../src/store/s3-options.ts";
import { whenFinished } from "../support/finish.ts";
import { freshBucket, type FreshBucket } from "../support/minio-client.ts";
import { sharedMinio } from "../support/servers.ts";
import { useCredentials } from "./credentials.ts";
import { ETAG, s3Error, scriptedServer, type Seen } from "./scripted-server.ts";

const minio = sharedMinio();
useCredentials(minio);
const credentials = { accessKeyId: minio.accessKeyId, secretAccessKey: minio.secretAccessKey };
const BODY = new TextEncoder().encode("{}");
const pathProof = { code: "STORE_UNSAFE", step: "path-proof" };

interface Handler {
  handle(request: { headers: Record<string, string> }, options?: unknown): Promise<unknown>;
}

/** A client whose transport, behind all middleware, sends requests anew without their conditions: signed without them, so that MinIO takes it. */
function carelessClient(): S3ClientLike {
  const client = new S3Client({ endpoint: minio.endpoint, region: minio.region, forcePathStyle: true, credentials });
  type Args = { request: unknown; kept?: Record<string, string> };
  type Next = (args: Args) => Promise<never>;
  client.middlewareStack.add(
    ((next: Next) => (args: Args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      const kept: Record<string, string> = {};
      for (const name of ["if-match", "if-none-match"]) {
        if (headers[name] !== undefined) kept[name] = headers[name];
        delete headers[name];
      }
      return next({ ...args, kept });
    }) as never,
    { step: "finalizeRequest", priority: "high", name: "hideFromSigner" },
  );
  client.middlewareStack.add(
    ((next: Next) => (args: Args) => {
      // Signed without them; put back for whoever looks. The transport below takes them away again.
      Object.assign((args.request as { headers: Record<string, string> }).headers, args.kept);
      return next(args);
    }) as never,
    { step: "deserialize", priority: "low", name: "showToOthers" },
  );
  const handler = client.config.requestHandler as unknown as Handler;
  const handle = handler.handle.bind(handler);
  handler.handle = (request, options) => {
    delete request.headers["if-match"];
    delete request.headers["if-none-match"];
    return handle(request, options);
  };
  return client;
}

/** An HTTP proxy that takes conditions away. */
async function strippingProxy(target: string): Promise<string> {
  const server = createServer((incoming, outgoing) => {
    const headers = { ...incoming.headers };
    delete headers["if-match"];
    delete headers["if-none-match"];
    const { hostname, port } = new URL(target);
    const forward = httpRequest({ hostname, port, path: incoming.url, method: incoming.method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(forward);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  whenFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function verdictsIn(bucket: FreshBucket): Promise<string[]> {
  return (await bucket.outside.list(bucket.bucket, "p/.s3-consensus/")).filter((key) => key.includes("verdict-"));
}

describe("on a good store", () => {
  it("a client that loses conditions behind all middleware is refused, with no verdict and with a good one", async () => {
    const bucket = await freshBucket(minio);
    const careless = s3Store({ bucket: bucket.bucket, prefix: "p", client: carelessClient() });
    await expect(careless.ensureSafe()).rejects.toMatchObject(pathProof);
    expect(await verdictsIn(bucket)).toEqual([]);

    const good = s3Store(bucket.url("p"));
    await good.ensureSafe();
    const [verdict = ""] = await verdictsIn(bucket);
    expect((await bucket.outside.peek(bucket.bucket, verdict))?.body).toContain('"state":"good"');
    await expect(careless.ensureSafe()).rejects.toMatchObject(pathProof);
    // What the careless write left, if anything, is no verdict: the next process proves the bucket again and is right.
    const next = s3Store({ bucket: bucket.bucket, prefix: "p", endpoint: minio.endpoint });
    await next.ensureSafe();
    expect((await bucket.outside.peek(bucket.bucket, verdict))?.body).toContain('"state":"good"');
  });

  it("a proxy that strips the signed header is told as what the store sees: a wrong signature", async () => {
    const bucket = await freshBucket(minio);
    const store = s3Store({ bucket: bucket.bucket, endpoint: await strippingProxy(minio.endpoint) });
    await expect(store.ensureSafe()).rejects.toMatchObject({
      code: "STORE_ACCESS",
      hint: expect.stringMatching(/proxy changes the request/) as string,
    });
  });
});

describe("at the wire", () => {
  const store404 = (seen: Seen): { status: number; body: string } => ({
    status: seen.method === "GET" ? 404 : 412,
    body: s3Error(seen.method === "GET" ? "NoSuchKey" : "PreconditionFailed"),
  });

  it("the first use sends the verdict's GET and one PUT that must be refused, at the same time, and never again", async () => {
    const server = await scriptedServer(store404);
    const release: (() => void)[] = [];
    server.script = async (seen) => {
      await new Promise<void>((resolve) => release.push(resolve));
      return seen.method === "GET" ? { status: 200, headers: { etag: ETAG }, body: verdictBody(server.endpoint) } : store404(seen);
    };
    const store = s3Store(`s3://jobs?endpoint=${server.endpoint}`);
    const all = Promise.all([store.ensureSafe(), store.ensureSafe(), store.ensureSafe()]);
    await expect.poll(() => server.seen.length).toBe(2);
    expect(server.seen.map((s) => s.method).sort()).toEqual(["GET", "PUT"]);
    for (const go of release.splice(0)) go();
    expect(await all).toMatchObject([{ storeTime: true, skewMs: 1000 }, { storeTime: true }, { storeTime: true }]);
    await store.ensureSafe();
    expect(server.seen).toHaveLength(2);
    const put = server.seen.find((s) => s.method === "PUT");
    expect(put?.headers["if-match"]).toMatch(/^"[0-9a-f]{32}"$/);
    expect(put?.body).toContain('"format":"s3-consensus/path-proof"');
    expect(put?.path.split("?")[0]).toBe(server.seen.find((s) => s.method === "GET")?.path.split("?")[0]);
  });

  it("404 and 412 prove it; 200 does not; the unclear is tried again, then unavailable", async () => {
    const server = await scriptedServer();
    const outcome = async (...puts: readonly number[]): Promise<unknown> => {
      let i = 0;
      server.script = (seen) => {
        if (seen.method === "GET") return { status: 200, headers: { etag: ETAG }, body: verdictBody(server.endpoint) };
        const status = puts[Math.min(i++, puts.length - 1)] ?? 500;
        return { status, headers: status === 200 ? { etag: ETAG } : {}, body: status === 404 ? s3Error("NoSuchKey") : "" };
      };
      return await s3Store({ bucket: "jobs", endpoint: server.endpoint })
        .ensureSafe()
        .then(
          () => "safe",
          (error: { code: string }) => error.code,
        );
    };
    expect(await outcome(412)).toBe("safe");
    expect(await outcome(404)).toBe("safe");
    expect(await outcome(200)).toBe("STORE_UNSAFE");
    expect(await outcome(500, 503, 412)).toBe("safe");
    expect(await outcome(500, 200)).toBe("STORE_UNSAFE");
    expect(await outcome(500)).toBe("STORE_UNAVAILABLE");
    expect(await outcome(403)).toBe("STORE_ACCESS");
    expect(await outcome(501)).toBe("STORE_UNSAFE");
  });

  it("a client that does not run the command's middleware is refused", async () => {
    const client: S3ClientLike = { send: () => Promise.resolve({ ETag: ETAG, $metadata: { httpStatusCode: 200 } }) };
    const store = s3Store({ bucket: "jobs", client });
    expect(await store.create("k", BODY)).toMatchObject({ kind: "denied", error: { step: "condition-not-on-the-wire" } });
  });

  it("a client whose own middleware takes the header away is stopped before the request leaves", async () => {
    const server = await scriptedServer();
    const client = new S3Client({ endpoint: server.endpoint, region: "us-east-1", forcePathStyle: true, credentials });
    client.middlewareStack.add(
      (next) => (args) => {
        delete (args.request as { headers: Record<string, string> }).headers["if-match"];
        return next(args);
      },
      { step: "deserialize", priority: "low", name: "thief" },
    );
    const store = s3Store({ bucket: "jobs", client });
    expect(await store.replace("k", ETAG, BODY)).toMatchObject({ kind: "denied", error: { step: "condition-not-on-the-wire" } });
    expect(server.seen).toEqual([]);
  });

  it("probe=false sends nothing at all, and the store's time is off", async () => {
    const server = await scriptedServer();
    const store = s3Store(`s3://jobs?endpoint=${server.endpoint}&probe=false`);
    expect(await store.ensureSafe()).toMatchObject({ storeTime: false });
    expect(server.seen).toEqual([]);
  });
});

function verdictBody(endpoint: string): string {
  const findings = { storeTime: true, skewMs: 1000, quoting: "quoted", remarks: [] };
  return JSON.stringify({
    format: "s3-consensus/verdict",
    probeVersion: 1,
    state: "good",
    run: "00112233",
    endpoint,
    bucket: "jobs",
    findings,
  });
}
