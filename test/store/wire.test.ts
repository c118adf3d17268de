/** What leaves this machine, byte for byte, and what happens to a request that is given up. */
import { S3Client } from "@aws-sdk/client-s3";
import { describe, expect, it } from "vitest";
import type { Clock, TimerHandle } from "../../src/clock/clock.ts";
import { systemClock } from "../../src/clock/system.ts";
import { s3Store } from "../../src/store/s3.ts";
import type { S3ClientLike } from "../../src/store/s3-options.ts";
import { useCredentials } from "./credentials.ts";
import { ETAG, s3Error, scriptedServer, type Seen } from "./scripted-server.ts";

useCredentials({ accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" });
const BODY = new TextEncoder().encode('{"a":1}');
const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" };

const clientOf = (endpoint: string, more: object = {}): S3ClientLike =>
  new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials, ...more });

/** Both kinds of client: ours, and a user's with all defaults (three attempts, checksums, its own pool). */
const CLIENTS: readonly [string, (endpoint: string) => { endpoint?: string; client?: S3ClientLike }][] = [
  ["own client", (endpoint) => ({ endpoint })],
  ["user's client", (endpoint) => ({ client: clientOf(endpoint) })],
];

describe.each(CLIENTS)("%s", (name, options) => {
  it("sends a conditional PUT in one piece, with its length and exactly its condition", async () => {
    const server = await scriptedServer();
    const store = s3Store({ bucket: "jobs", prefix: "prod", ...options(server.endpoint) });
    await store.create("locks/a", BODY);
    await store.replace("locks/a", ETAG, BODY);
    await store.get("locks/a", { ifNoneMatch: ETAG });
    const [create, replace, get] = server.seen as [Seen, Seen, Seen];
    expect(create).toMatchObject({ method: "PUT", body: '{"a":1}' });
    expect(create.path.split("?")[0]).toBe("/jobs/prod/locks/a");
    expect(create.headers).toMatchObject({ "if-none-match": "*", "content-length": "7" });
    expect(create.headers).not.toHaveProperty("if-match");
    expect(replace.headers).toMatchObject({ "if-match": ETAG, "content-length": "7" });
    expect(replace.headers).not.toHaveProperty("if-none-match");
    expect(get.headers).toMatchObject({ "if-none-match": ETAG });
    for (const seen of server.seen) {
      expect(seen.headers).not.toHaveProperty("expect");
      expect(seen.headers).not.toHaveProperty("transfer-encoding");
      expect(seen.headers.authorization).toMatch(/^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\//);
    }
    if (name === "own client") expect(Object.keys(create.headers).filter((h) => h.startsWith("x-amz-checksum"))).toEqual([]);
  });

  it("sends a write once, whatever is lost or refused (rule W2)", async () => {
    const server = await scriptedServer(() => "reset");
    const store = s3Store({ bucket: "jobs", ...options(server.endpoint) });
    for (const script of ["reset", "half", { status: 500 }, { status: 503, body: s3Error("SlowDown") }, { status: 412 }] as const) {
      server.script = () => script;
      const before = server.seen.length;
      await store.replace("k", ETAG, BODY);
      expect(server.seen.length - before, JSON.stringify(script)).toBe(1);
    }
  });

  it("calls a write whose reply is lost unknown, although the server has applied it", async () => {
    let applied = 0;
    const server = await scriptedServer((seen) => {
      if (seen.method === "PUT") applied++;
      return "reset";
    });
    const store = s3Store({ bucket: "jobs", ...options(server.endpoint) });
    expect(await store.create("k", BODY)).toMatchObject({ kind: "unknown" });
    expect(applied).toBe(1);
  });

  it("ends a request at its time limit, and its connection with it", async () => {
    const server = await scriptedServer(() => "hang");
    const store = s3Store({ bucket: "jobs", requestTimeoutMs: 300, ...options(server.endpoint) });
    const within = (text: string): object => ({ message: expect.stringContaining(`no answer within ${text}`) as string });
    expect(await store.create("k", BODY)).toMatchObject({ kind: "unknown", error: within("300 ms") });
    expect(await store.get("k")).toMatchObject({ kind: "unavailable", error: within("300 ms") });
    expect(await store.create("k", BODY, { timeoutMs: 100.5 })).toMatchObject({ kind: "unknown", error: within("101 ms") });
    await expect.poll(() => server.seen.map((s) => s.aborted)).toEqual([true, true, true]);
  });

  it("ends a read whose body stops coming", async () => {
    const server = await scriptedServer(() => "stall");
    const store = s3Store({ bucket: "jobs", requestTimeoutMs: 300, ...options(server.endpoint) });
    expect(await store.get("k")).toMatchObject({ kind: "unavailable" });
    await expect.poll(() => server.seen.map((s) => s.aborted)).toEqual([true]);
  });

  it("obeys the caller's signal", async () => {
    const server = await scriptedServer(() => "hang");
    const store = s3Store({ bucket: "jobs", ...options(server.endpoint) });
    const controller = new AbortController();
    const pending = Promise.all([store.create("k", BODY, controller), store.get("k", controller), store.remove("k", controller)]);
    await expect.poll(() => server.seen.length).toBe(3);
    controller.abort(new Error("enough"));
    expect(await pending).toMatchObject([{ kind: "unknown" }, { kind: "unavailable" }, { kind: "unavailable" }]);
    await expect.poll(() => server.seen.every((s) => s.aborted)).toBe(true);
  });

  it("does not transfer an object that is too large", async () => {
    const huge = new Uint8Array(64 * 1024 * 1024);
    const server = await scriptedServer(() => ({
      status: 200,
      headers: { etag: ETAG, "content-length": String(huge.length) },
      body: huge,
    }));
    const store = s3Store({ bucket: "jobs", ...options(server.endpoint) });
    expect(await store.get("k", { maxBytes: 4096 })).toMatchObject({ kind: "too-large", etag: ETAG, size: huge.length });
    await expect.poll(() => server.seen[0]?.aborted).toBe(true);
    expect(server.bytesWritten()).toBeLessThan(huge.length / 2);
  });

  it("stops reading an object without a length at the limit", async () => {
    const server = await scriptedServer(() => ({
      status: 200,
      headers: { etag: ETAG, "transfer-encoding": "chunked" },
      body: "x".repeat(10_000),
    }));
    const store = s3Store({ bucket: "jobs", ...options(server.endpoint) });
    expect(await store.get("k", { maxBytes: 4096 })).toMatchObject({ kind: "too-large", size: undefined });
  });

  it("sends ETags without quotes where it was told so", async () => {
    const server = await scriptedServer();
    const store = s3Store({ bucket: "jobs", etagQuoting: "unquoted", ...options(server.endpoint) });
    await store.replace("k", ETAG, BODY);
    expect(server.seen[0]?.headers["if-match"]).toBe(ETAG.replaceAll('"', ""));
  });

  it("sends requester-pays and the expected owner with every request", async () => {
    const server = await scriptedServer();
    const more = { requesterPays: true, expectedBucketOwner: "123456789012" };
    const store = s3Store({ bucket: "jobs", ...more, ...options(server.endpoint) });
    await store.create("k", BODY);
    await store.get("k");
    await store.list("");
    await store.remove("k");
    for (const seen of server.seen) {
      expect(seen.headers).toMatchObject({ "x-amz-request-payer": "requester", "x-amz-expected-bucket-owner": "123456789012" });
    }
    expect(server.seen).toHaveLength(4);
  });
});

it("never lets a small body wait for a 100-continue, whatever a user's client is told", async () => {
  const server = await scriptedServer();
  const store = s3Store({ bucket: "jobs", client: clientOf(server.endpoint, { expectContinueHeader: true }) });
  expect(await store.create("k", BODY)).toMatchObject({ kind: "applied" });
  expect(server.seen[0]?.headers).not.toHaveProperty("expect");
});

describe("addressing", () => {
  it("signs for us-east-1 at a custom endpoint, or for the region that was named", async () => {
    const server = await scriptedServer();
    await s3Store(`s3://jobs?endpoint=${server.endpoint}`).get("k");
    await s3Store(`s3://jobs?endpoint=${server.endpoint}&region=eu-west-3`).get("k");
    expect(server.seen.map((s) => /Credential=[^/]+\/\d+\/([^/]+)\//.exec(s.headers.authorization ?? "")?.[1])).toEqual([
      "us-east-1",
      "eu-west-3",
    ]);
  });

  it("puts the bucket into the host name where path style is off", async () => {
    const message = async (parameters: string): Promise<string> => {
      const result = await s3Store(`s3://jobs?endpoint=http://no-such-host.invalid${parameters}`).create("k", BODY);
      return result.kind === "busy" ? result.error.message : result.kind;
    };
    expect(await message("&pathStyle=false")).toMatch(/(?:ENOTFOUND|EAI_AGAIN) jobs\.no-such-host\.invalid/);
    expect(await message("")).toMatch(/(?:ENOTFOUND|EAI_AGAIN) no-such-host\.invalid/);
  });

  it("takes the endpoint from AWS_ENDPOINT_URL_S3", async () => {
    const server = await scriptedServer();
    process.env["AWS_ENDPOINT_URL_S3"] = server.endpoint;
    try {
      await s3Store({ bucket: "jobs" }).get("k");
    } finally {
      delete process.env["AWS_ENDPOINT_URL_S3"];
    }
    expect(server.seen[0]?.path).toMatch(/^\/jobs\/k/);
  });
});

describe("time", () => {
  it("limits requests by the store's clock", async () => {
    const server = await scriptedServer(() => "hang");
    const timers: { readonly delayMs: number; readonly fn: () => void }[] = [];
    const clock: Clock = {
      ...systemClock,
      setTimer(delayMs, fn): TimerHandle {
        timers.push({ delayMs, fn });
        return { cancel: () => {} };
      },
    };
    const store = s3Store({ bucket: "jobs", endpoint: server.endpoint, clock });
    const pending = store.create("k", BODY, { timeoutMs: 4_321 });
    await expect.poll(() => server.seen.length).toBe(1);
    expect(timers.map((t) => t.delayMs)).toContain(4_321);
    for (const timer of timers) timer.fn();
    expect(await pending).toMatchObject({ kind: "unknown" });
  });

  it("resolves slow credentials in prepare, and limits them when they never come", async () => {
    const server = await scriptedServer();
    const log: string[] = [];
    const slow = async (): Promise<typeof credentials> => {
      log.push("asked");
      await new Promise((resolve) => setTimeout(resolve, 400));
      log.push("given");
      return credentials;
    };
    const store = s3Store({ bucket: "jobs", client: clientOf(server.endpoint, { credentials: slow }), requestTimeoutMs: 20_000 });
    await store.prepare();
    log.push("prepared");
    expect(await store.create("k", BODY)).toMatchObject({ kind: "applied" });
    expect(log).toEqual(["asked", "given", "prepared"]);

    const never = s3Store({
      bucket: "jobs",
      client: clientOf(server.endpoint, { credentials: () => new Promise(() => {}) }),
      requestTimeoutMs: 200,
    });
    await never.prepare();
    expect(await never.create("k", BODY)).toMatchObject({ kind: "unknown" });
    expect(server.seen).toHaveLength(1);
  });

  it("prepare never rejects", async () => {
    const failing = (): Promise<never> => Promise.reject(new Error("no metadata service"));
    await expect(
      s3Store({ bucket: "jobs", client: clientOf("http://127.0.0.1:1", { credentials: failing }) }).prepare(),
    ).resolves.toBeUndefined();
  });
});

describe("sockets", () => {
  /** The machine's clocks, moved by hand. */
  function movedClock(): Clock & { monotonicBy: number; wallBy: number } {
    const clock = {
      monotonicBy: 0,
      wallBy: 0,
      monotonicMs: () => systemClock.monotonicMs() + clock.monotonicBy,
      wallMs: () => systemClock.wallMs() + clock.wallBy,
      setTimer: systemClock.setTimer,
    };
    return clock;
  }

  it("keeps a connection between requests, and drops it after 4 s of rest or a jump of the wall clock", async () => {
    const server = await scriptedServer();
    const clock = movedClock();
    const store = s3Store({ bucket: "jobs", endpoint: server.endpoint, clock });
    await store.get("k");
    await store.get("k");
    expect(server.connections).toBe(1);
    clock.monotonicBy += 3_000;
    clock.wallBy += 3_000;
    await store.get("k");
    expect(server.connections).toBe(1);
    clock.monotonicBy += 4_500;
    clock.wallBy += 4_500;
    await store.get("k");
    expect(server.connections).toBe(2);
    // A suspended machine: the monotonic clock stood still.
    clock.wallBy += 6_000;
    await store.prepare();
    await store.get("k");
    expect(server.connections).toBe(3);
  });

  it("survives a connection that the server closed while it rested", async () => {
    const server = await scriptedServer();
    const clock = movedClock();
    const store = s3Store({ bucket: "jobs", endpoint: server.endpoint, clock });
    await store.get("k");
    server.script = (seen) => (seen.connection === 1 ? "reset" : { status: 200, headers: { etag: ETAG } });
    clock.monotonicBy += 5_000;
    clock.wallBy += 5_000;
    expect(await store.create("k", BODY)).toMatchObject({ kind: "applied" });
  });
});

describe("one URL is one store", () => {
  it("by its normalised spelling, in this process", () => {
    const a = s3Store("s3://jobs/prod?endpoint=http://127.0.0.1:9000&region=us-east-1");
    expect(s3Store("s3://jobs/prod/?region=us-east-1&endpoint=http%3A%2F%2F127.0.0.1%3A9000&pathStyle=true")).toBe(a);
    expect(a.url).toBe("s3://jobs/prod?endpoint=http://127.0.0.1:9000");
    expect(s3Store("s3://jobs/other?endpoint=http://127.0.0.1:9000")).not.toBe(a);
    expect(s3Store({ bucket: "jobs", prefix: "prod", endpoint: "http://127.0.0.1:9000" })).not.toBe(a);
  });
});
