/** What faults.test.ts leaves open: who waits and who is reset, what is held back, in which order rules are asked, limits, and a clean end. */
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FakeS3, fakeS3, type FaultProxy, faultProxy, type NetworkFault } from "../../src/testing/index.ts";
import { spawnProgram } from "../support/programs.ts";
import { raw, type RawAnswer, until } from "./raw-http.ts";

const BROKEN = /hang up|ECONNRESET|aborted|Parse Error/;

describe.each(["the embedded server", "the proxy"])("%s", (where) => {
  let server: FakeS3;
  let proxy: FaultProxy;
  let front: Pick<FaultProxy, "endpoint" | "requests" | "resetConnections" | "close">;
  let faults: { add(fault: NetworkFault): ReturnType<FakeS3["faults"]["add"]>; clear(): void };
  beforeEach(async () => {
    server = await fakeS3();
    proxy = await faultProxy({ target: server.endpoint });
    [front, faults] = where === "the proxy" ? [proxy, proxy.faults] : [server, server.faults];
  });
  afterEach(async () => {
    await proxy.close();
    await server.close();
  });
  const put = (key: string, timeoutMs?: number, body = "x"): Promise<RawAnswer> =>
    raw(front.endpoint, "PUT", `/test/${key}`, { body, timeoutMs });
  const stored = (key: string): string | undefined => server.bucket().peek(key)?.text;
  const executions = (key: string): number => server.requests.count({ key, when: (entry) => entry.executions.length > 0 });

  it("hang: the client waits instead of being reset", async () => {
    faults.add({ kind: "lose-request", key: "request", hang: true });
    faults.add({ kind: "lose-reply", key: "reply", hang: true });
    const late = faults.add({ kind: "late", key: "late", hang: true });
    await Promise.all(["request", "reply", "late"].map((key) => expect(put(key, 150)).rejects.toThrow("given up")));
    expect(["request", "reply", "late"].map(stored)).toEqual([undefined, "x", undefined]);
    // The client has gone; the request still lands.
    expect(await late.deliver()).toBe(1);
    expect(stored("late")).toBe("x");
  });

  it("a delay without a length holds requests, or answers, until they are delivered", async () => {
    const before = faults.add({ kind: "delay", key: "a" });
    const after = faults.add({ kind: "delay", key: "b", side: "reply" });
    const answers = [put("a"), put("b")];
    await until(() => before.held === 1 && after.held === 1);
    expect([stored("a"), stored("b")]).toEqual([undefined, "x"]);
    expect(await before.deliver()).toBe(1);
    expect(await after.deliver()).toBe(1);
    expect((await Promise.all(answers)).map((a) => a.status)).toEqual([200, 200]);
    expect([before.held, after.held, await before.deliver()]).toEqual([0, 0, 0]);
  });

  it("a request that its client has given up is carried out all the same when it gets there", async () => {
    faults.add({ kind: "delay", delayMs: 200, times: 1 });
    await expect(put("k", 50)).rejects.toThrow("given up");
    expect(stored("k")).toBeUndefined();
    await until(() => stored("k") === "x");
  });

  it("held back, overtaken, and delivered: a late write whose condition no longer holds is refused", async () => {
    const { etag } = server.bucket().put("k", "old");
    const late = faults.add({ kind: "late", times: 1 });
    const replace = (body: string): Promise<RawAnswer> => raw(front.endpoint, "PUT", "/test/k", { body, headers: { "if-match": etag } });
    await expect(replace("first")).rejects.toThrow(BROKEN);
    expect((await replace("second")).status).toBe(200);
    await until(() => late.held === 1);
    await late.deliver();
    expect(stored("k")).toBe("second");
    expect(front.requests.list({ key: "k" })[0]?.executions).toMatchObject([{ status: 412 }]);
  });

  it("a black hole that opens swallows the answers that are under way; when it closes, new requests pass", async () => {
    const slow = faults.add({ kind: "delay", side: "reply", times: 1 });
    const underway = put("a", 600);
    await until(() => slow.held === 1);
    const hole = faults.add({ kind: "black-hole" });
    await slow.deliver();
    await expect(underway).rejects.toThrow("given up");
    expect(stored("a")).toBe("x");
    hole.remove();
    expect((await put("b")).status).toBe(200);
    expect(hole.hits).toBe(0);
  });

  it("duplicate: the first answer by default, the second by option, in that order at the store", async () => {
    const create = (key: string): Promise<RawAnswer> =>
      raw(front.endpoint, "PUT", `/test/${key}`, { body: "x", headers: { "if-none-match": "*" } });
    faults.add({ kind: "duplicate", key: "first", delayMs: 20 });
    faults.add({ kind: "duplicate", key: "second", delayMs: 20, answer: "second" });
    expect((await create("first")).status).toBe(200);
    expect((await create("second")).status).toBe(412);
    await until(() => executions("first") + executions("second") >= (where === "the proxy" ? 4 : 2));
    for (const key of ["first", "second"]) {
      await until(() => front.requests.list({ key })[0]?.executions.length === 2);
      expect(front.requests.list({ key })[0]?.executions.map((e) => e.status)).toEqual([200, 412]);
    }
  });

  it("half-body: of an answer without a body, half the head; executed", async () => {
    faults.add({ kind: "half-body", times: 2 });
    await expect(put("k")).rejects.toThrow(BROKEN);
    await until(() => stored("k") === "x");
    server.bucket().put("big", "0123456789".repeat(10_000));
    const received = await new Promise<number>((resolve) => {
      const { hostname, port } = new URL(front.endpoint);
      request({ hostname, port, path: "/test/big", agent: false }, (incoming) => {
        let bytes = 0;
        incoming.on("data", (chunk: Buffer) => (bytes += chunk.length));
        incoming.on("error", () => resolve(bytes));
        incoming.on("end", () => resolve(-1));
      }).end();
    });
    expect(received).toBe(50_000);
    expect(front.requests.all.map((entry) => entry.ending)).toEqual(["cut", "cut"]);
  });

  it("rules are asked in their order; delays add up, and of the kinds that end a request the first is taken, the others not counted", async () => {
    const slow = faults.add({ kind: "delay", delayMs: 30 });
    const slower = faults.add({ kind: "delay", delayMs: 50 });
    const first = faults.add({ kind: "status", status: 503, times: 1 });
    const second = faults.add({ kind: "status", status: 500, times: 1 });
    const from = performance.now();
    expect((await put("k")).status).toBe(503);
    expect(performance.now() - from).toBeGreaterThanOrEqual(75);
    expect([slow.hits, slower.hits, first.hits, second.hits]).toEqual([1, 1, 1, 0]);
    expect((await put("k")).status).toBe(500);
    expect((await put("k")).status).toBe(200);
    faults.clear();
    expect((await put("k")).status).toBe(200);
    expect(slow.hits).toBe(3);
    expect(front.requests.all.map((entry) => entry.faults)).toEqual([
      ["delay", "delay", "status"],
      ["delay", "delay", "status"],
      ["delay", "delay"],
      [],
    ]);
  });

  it.each([
    [400, "InvalidRequest"],
    [403, "AccessDenied"],
    [409, "ConditionalRequestConflict"],
    [429, "TooManyRequests"],
    [500, "InternalError"],
    [501, "NotImplemented"],
    [503, "SlowDown"],
    [418, "InjectedFault"],
  ])("status %i has the code %s, or another by option", async (status, code) => {
    faults.add({ kind: "status", status, times: 1 });
    expect(await put("k")).toMatchObject({ status, code });
    faults.add({ kind: "status", status, code: "Custom", message: "in <these> words", headers: { "x-more": "1" }, times: 1 });
    const answer = await put("k");
    expect(answer).toMatchObject({ status, code: "Custom", headers: { "x-more": "1" } });
    expect(answer.text).toContain("in &#60;these&#62; words");
    expect(stored("k")).toBeUndefined();
  });

  it("one connection carries answers with and without a body, one after the other", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { hostname, port } = new URL(front.endpoint);
    const { etag } = server.bucket().put("k", "body");
    const send = (method: string, headers: Record<string, string> = {}): Promise<[number, string, boolean]> =>
      new Promise((resolve, reject) => {
        const outgoing = request({ hostname, port, method, path: "/test/k", headers, agent }, (incoming) => {
          let text = "";
          incoming.on("data", (chunk: Buffer) => (text += chunk.toString()));
          incoming.on("end", () => resolve([incoming.statusCode ?? 0, text, outgoing.reusedSocket]));
        });
        outgoing.on("error", reject);
        outgoing.end();
      });
    expect(await send("GET")).toEqual([200, "body", false]);
    expect(await send("HEAD")).toEqual([200, "", true]);
    expect(await send("GET", { "if-none-match": etag })).toEqual([304, "", true]);
    expect(await send("HEAD", { "if-match": '"other"' })).toEqual([412, "", true]);
    expect(await send("DELETE")).toEqual([204, "", true]);
    expect((await send("GET"))[0]).toBe(404);
    expect(await send("HEAD")).toEqual([404, "", true]);
    agent.destroy();
  });

  it("resetConnections breaks what is open, and nothing else", async () => {
    faults.add({ kind: "black-hole", key: "hole" });
    const hanging = put("hole");
    hanging.catch(() => undefined);
    await until(() => front.requests.total === 1);
    front.resetConnections();
    await expect(hanging).rejects.toThrow(BROKEN);
    expect((await put("k")).status).toBe(200);
  });

  it("close() ends what hangs, carries out nothing that is held back, and may be called again", async () => {
    const held = faults.add({ kind: "late", key: "held" });
    faults.add({ kind: "late", key: "slow", delayMs: 300 });
    faults.add({ kind: "delay", key: "delayed" });
    faults.add({ kind: "black-hole", key: "hole" });
    const broken = ["held", "slow", "delayed", "hole"].map((key) => expect(put(key)).rejects.toThrow(BROKEN));
    await until(() => front.requests.total === 4 && held.held === 1);
    await Promise.all([front.close(), front.close()]);
    await Promise.all(broken);
    expect(await held.deliver()).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 350));
    expect(server.bucket().keys()).toEqual([]);
    await expect(put("k")).rejects.toThrow(/ECONNREFUSED/);
  });

  it("a client that goes away in the middle of its body leaves nothing behind", async () => {
    const { hostname, port } = new URL(front.endpoint);
    const socket = connect(Number(port), hostname);
    socket.write("PUT /test/k HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345");
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.destroy();
    expect((await put("other")).status).toBe(200);
    expect(stored("k")).toBeUndefined();
    expect(front.requests.total).toBe(1);
  });
});

describe("limits", () => {
  it("a body is too large by its length, or when it has become so", async () => {
    const server = await fakeS3({ maxBodyBytes: 1_000 });
    expect((await raw(server.endpoint, "PUT", "/test/k", { body: "x".repeat(1_000) })).status).toBe(200);
    expect(await raw(server.endpoint, "PUT", "/test/k", { body: "x".repeat(1_001) })).toMatchObject({
      status: 400,
      code: "EntityTooLarge",
    });
    const chunked = { "transfer-encoding": "chunked" };
    expect(await raw(server.endpoint, "PUT", "/test/k", { headers: chunked, body: "x".repeat(900) })).toMatchObject({ status: 200 });
    const large = await raw(server.endpoint, "PUT", "/test/k", { headers: chunked, body: "y".repeat(1_100) });
    expect(large).toMatchObject({ status: 400, code: "EntityTooLarge" });
    expect(server.bucket().peek("k")?.body.length).toBe(900);
    expect((await raw(server.endpoint, "GET", "/test/k")).status).toBe(200);
    await server.close();
  });

  it("connections beyond the limit are dropped, and served again when others have gone", async () => {
    const server = await fakeS3({ maxConnections: 3 });
    const hole = server.faults.add({ kind: "black-hole", key: "hole" });
    const hanging = [1, 2, 3].map(() => raw(server.endpoint, "GET", "/test/hole").catch((e: unknown) => e));
    await until(() => hole.hits === 3);
    await expect(raw(server.endpoint, "GET", "/test/k")).rejects.toThrow(BROKEN);
    server.resetConnections();
    await Promise.all(hanging);
    await expect
      .poll(
        () =>
          raw(server.endpoint, "GET", "/test/k").then(
            (a) => a.status,
            () => 0,
          ),
        { timeout: 5_000 },
      )
      .toBe(404);
    await server.close();
  });

  it("a port that is taken is named", async () => {
    const server = await fakeS3();
    await expect(fakeS3({ port: server.port })).rejects.toMatchObject({
      code: "CONFIG",
      message: expect.stringContaining(String(server.port)) as string,
    });
    await server.close();
  });

  it("listens on 127.0.0.1, or where it is told; its URL is the one that s3Store takes", async () => {
    const [server, named] = [await fakeS3(), await fakeS3({ host: "localhost", buckets: ["first", "second"], region: "eu-west-1" })];
    expect(server.endpoint).toBe(`http://127.0.0.1:${server.port}`);
    expect(server.url("test", "p/q")).toBe(`s3://test/p/q?endpoint=${encodeURIComponent(server.endpoint)}&region=us-east-1`);
    expect(named.url()).toBe(`s3://first?endpoint=${encodeURIComponent(`http://localhost:${named.port}`)}&region=eu-west-1`);
    await Promise.all([server.close(), named.close()]);
  });
});

it("a process that closes its servers ends by itself, whatever hung in them", async () => {
  const program = spawnProgram("close-servers");
  await program.event("closed");
  expect(await program.exit).toMatchObject({ code: 0 });
});
