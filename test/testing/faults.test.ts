import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FakeS3, fakeS3, type FaultProxy, faultProxy, type NetworkFault } from "../../src/testing/index.ts";

/** The same faults, in the server itself and in a proxy before it. */
describe.each(["the embedded server", "the proxy"])("network faults of %s", (where) => {
  let server: FakeS3;
  let proxy: FaultProxy;
  let endpoint: string;
  let faults: { add(fault: NetworkFault): ReturnType<FakeS3["faults"]["add"]> };
  beforeEach(async () => {
    server = await fakeS3();
    proxy = await faultProxy({ target: server.endpoint });
    [endpoint, faults] = where === "the proxy" ? [proxy.endpoint, proxy.faults] : [server.endpoint, server.faults];
  });
  afterEach(async () => {
    await proxy.close();
    await server.close();
  });

  const put = (key: string, body = "x", ms = 5_000): Promise<Response> =>
    fetch(`${endpoint}/test/${key}`, { method: "PUT", body, signal: AbortSignal.timeout(ms) });
  const stored = (key: string): string | undefined => server.bucket().peek(key)?.text;
  const until = async (condition: () => boolean): Promise<void> => {
    const end = performance.now() + 5_000;
    while (!condition()) {
      if (performance.now() > end) throw new Error("it did not come to be within 5 s");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  it("lose-request: reset, not executed; the next one passes", async () => {
    const fault = faults.add({ kind: "lose-request", times: 1 });
    await expect(put("k")).rejects.toThrow(/fetch failed|timeout|terminated|aborted/i);
    expect(stored("k")).toBeUndefined();
    expect(fault.hits).toBe(1);
    expect((await put("k")).status).toBe(200);
  });

  it("lose-reply: reset, executed", async () => {
    faults.add({ kind: "lose-reply", times: 1 });
    await expect(put("k")).rejects.toThrow(/fetch failed|timeout|terminated|aborted/i);
    await until(() => stored("k") === "x");
  });

  it("late: reset at once, executed when it is delivered", async () => {
    const fault = faults.add({ kind: "late", method: "PUT", times: 1 });
    await expect(put("k")).rejects.toThrow(/fetch failed|timeout|terminated|aborted/i);
    await until(() => fault.held === 1);
    expect(stored("k")).toBeUndefined();
    expect(await fault.deliver()).toBe(1);
    expect(stored("k")).toBe("x");
  });

  it("late with a delay: executed after it", async () => {
    faults.add({ kind: "late", delayMs: 50, times: 1 });
    await expect(put("k")).rejects.toThrow(/fetch failed|timeout|terminated|aborted/i);
    await until(() => stored("k") === "x");
  });

  it("duplicate: executed twice", async () => {
    faults.add({ kind: "duplicate", times: 1, answer: "second" });
    expect((await fetch(`${endpoint}/test/k`, { method: "PUT", body: "x", headers: { "if-none-match": "*" } })).status).toBe(412);
    expect(stored("k")).toBe("x");
  });

  it("delay: slow on either side", async () => {
    faults.add({ kind: "delay", delayMs: 60, times: 1 });
    faults.add({ kind: "delay", delayMs: 60, side: "reply", times: 1 });
    const from = performance.now();
    expect((await put("k")).status).toBe(200);
    expect(performance.now() - from).toBeGreaterThanOrEqual(115);
  });

  it("black-hole: never answered, executed or not; the whole way is free again when it is removed", async () => {
    const hole = faults.add({ kind: "black-hole" });
    await expect(put("a", "x", 200)).rejects.toThrow(/fetch failed|timeout|terminated|aborted/i);
    expect(stored("a")).toBeUndefined();
    hole.remove();
    faults.add({ kind: "black-hole", executed: true, times: 1 });
    await expect(put("b", "x", 200)).rejects.toThrow(/fetch failed|timeout|terminated|aborted/i);
    await until(() => stored("b") === "x");
    expect((await put("c")).status).toBe(200);
  });

  it("half-body: the head says more than comes", async () => {
    server.bucket().put("k", "0123456789".repeat(1_000));
    faults.add({ kind: "half-body", method: "GET", times: 1 });
    const answer = await fetch(`${endpoint}/test/k`);
    await expect(answer.text()).rejects.toThrow(/fetch failed|timeout|terminated|aborted/i);
  });

  it.each([409, 429, 500, 503])("status %i with its code, executed or not", async (status) => {
    faults.add({ kind: "status", status, times: 1, retryAfterMs: 2_000 });
    const refused = await put("a");
    expect(refused.status).toBe(status);
    expect(refused.headers.get("retry-after")).toBe("2");
    expect(await refused.text()).toMatch(/<Code>\w+<\/Code>/);
    expect(stored("a")).toBeUndefined();
    faults.add({ kind: "status", status, times: 1, executed: true });
    expect((await put("b")).status).toBe(status);
    expect(stored("b")).toBe("x");
  });

  it("strip-header: the condition does not arrive", async () => {
    server.bucket().put("k", "old");
    faults.add({ kind: "strip-header", header: "if-none-match", times: 1 });
    const headers = { "if-none-match": "*" };
    expect((await fetch(`${endpoint}/test/k`, { method: "PUT", body: "new", headers })).status).toBe(200);
    expect((await fetch(`${endpoint}/test/k`, { method: "PUT", body: "newer", headers })).status).toBe(412);
  });

  it("by method, key, count and chance", async () => {
    faults.add({ kind: "status", status: 503, method: "PUT", key: "only/*", after: 1, times: 1 });
    expect([(await put("only/a")).status, (await put("other")).status, (await put("only/b")).status, (await put("only/c")).status]).toEqual(
      [200, 200, 503, 200],
    );
    const chance = faults.add({ kind: "status", status: 500, probability: 0.5 });
    for (let i = 0; i < 40; i++) await (await put("k")).text();
    expect(chance.hits).toBeGreaterThan(5);
    expect(chance.hits).toBeLessThan(35);
  });

  it("close() ends what hangs at once", async () => {
    faults.add({ kind: "black-hole" });
    const hanging = put("k").catch((e: unknown) => e);
    await until(() => (where === "the proxy" ? proxy : server).requests.total > 0);
    await proxy.close();
    await server.close();
    expect(await hanging).toBeInstanceOf(Error);
  });
});

describe("stores in doubt", () => {
  it("in-doubt: 404 to the right ETag while reads show the object, and a create overwrites", async () => {
    await using server = await fakeS3();
    const { etag } = server.bucket().put("k", "old");
    server.faults.add({ kind: "in-doubt" });
    const at = `${server.endpoint}/test/k`;
    expect((await fetch(at, { method: "PUT", body: "new", headers: { "if-match": etag } })).status).toBe(404);
    expect(await (await fetch(at)).text()).toBe("old");
    expect((await fetch(at, { method: "PUT", body: "new", headers: { "if-none-match": "*" } })).status).toBe(200);
  });

  it("flip-reads: the newest and the one before it in turn, and writes go by the newest", async () => {
    await using server = await fakeS3();
    server.bucket().put("k", "old");
    const { etag } = server.bucket().put("k", "new");
    server.faults.add({ kind: "flip-reads", method: "GET" });
    const at = `${server.endpoint}/test/k`;
    const reads: string[] = [];
    for (let i = 0; i < 4; i++) reads.push(await (await fetch(at)).text());
    expect(reads).toEqual(["new", "old", "new", "old"]);
    expect((await fetch(at, { method: "PUT", body: "newer", headers: { "if-match": etag } })).status).toBe(200);
  });

  it("wrong-date and no-date", async () => {
    await using server = await fakeS3();
    server.faults.add({ kind: "wrong-date", shiftMs: -3_600_000, times: 1 });
    const off = new Date((await fetch(`${server.endpoint}/test/k`)).headers.get("date") ?? "").getTime() - Date.now();
    expect(Math.abs(off + 3_600_000)).toBeLessThan(10_000);
    server.faults.add({ kind: "no-date", times: 1 });
    expect((await fetch(`${server.endpoint}/test/k`)).headers.get("date")).toBeNull();
  });
});

it("the proxy tells of every request that it hands on, and of every answer", async () => {
  await using server = await fakeS3();
  const told: string[] = [];
  await using proxy = await faultProxy({
    target: server.endpoint,
    onForward: ({ method, key, body }) => {
      told.push(`${method} ${key} ${body.toString()}`);
      return (answer) => told.push(`${method} ${key} ${answer?.status}`);
    },
  });
  proxy.faults.add({ kind: "duplicate", method: "PUT", answer: "second" });
  proxy.faults.add({ kind: "lose-request", key: "lost" });
  await fetch(`${proxy.endpoint}/test/a`, { method: "PUT", body: "x" });
  expect(told).toEqual(["PUT a x", "PUT a 200", "PUT a x", "PUT a 200"]);
  await expect(fetch(`${proxy.endpoint}/test/lost`)).rejects.toThrow(/fetch failed/);
  await server.close();
  await expect(fetch(`${proxy.endpoint}/test/b`)).rejects.toThrow(/fetch failed/);
  expect(told.slice(4)).toEqual(["GET b ", "GET b undefined"]);
});

it.each([
  [{ kind: "lose-reply", methd: "PUT" }, 'unknown option "methd": did you mean "method"?'],
  [{ kind: "lose-reply", method: "put" }, 'method: "put" is none of GET'],
  [{ kind: "lose-reply", method: ["PUT", "FETCH"] }, 'method: "FETCH" is none of GET'],
  [{ kind: "lose-reply", key: 5 }, "key: 5 is no text, pattern or function"],
  [{ kind: "lose-reply", when: true }, "when: true is no function"],
  [null, "null is no fault"],
])("a fault that would strike none, or all, is refused: %j", async (fault, said) => {
  await using server = await fakeS3();
  expect(() => server.faults.add(fault as never)).toThrow(said);
});
