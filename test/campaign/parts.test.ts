import { describe, expect, it } from "vitest";
import { checkHistory } from "../../src/testing/history/index.ts";
import { fakeS3, faultProxy } from "../../src/testing/index.ts";
import { fencedResource, type FencedResource } from "./fenced-resource.ts";
import { Ledger } from "./ledger.ts";
import { RECORDS, Tap } from "./tap.ts";

const KEY = `${RECORDS}a`;

function record(nonce: string, fencingToken: number): string {
  return JSON.stringify({ format: 1, state: "held", instance: "i", nonce, fencingToken, version: fencingToken });
}

describe("the tap", () => {
  it("makes one attempt of each time that a request reaches the store, as the checker reads them", async () => {
    await using server = await fakeS3({ buckets: ["bucket"] });
    const tap = new Tap();
    await using proxy = await faultProxy({ target: server.endpoint, onForward: tap.for("node-1") });
    const url = `${proxy.endpoint}/bucket/${KEY}`;
    const send = (method: string, headers: Record<string, string>, body?: string): Promise<Response> =>
      fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
    await send("GET", {});
    const created = await send("PUT", { "if-none-match": "*" }, record("n1", 1));
    const etag = created.headers.get("etag") ?? "";
    await send("PUT", { "if-none-match": "*" }, record("n2", 1));
    await send("GET", { "if-none-match": etag });
    proxy.faults.add({ kind: "duplicate", method: "PUT", times: 1 });
    await send("PUT", { "if-match": etag }, record("n3", 2));
    await fetch(`${proxy.endpoint}/bucket/other`, { method: "PUT", body: "not a record" });
    proxy.faults.add({ kind: "lose-request", times: 1 });
    await expect(send("GET", {})).rejects.toThrow(/fetch failed/);
    expect(tap.attempts.map((a) => [a.kind, a.outcome, a.nonce, a.fencingToken, a.client])).toEqual([
      ["read", "absent", undefined, undefined, "node-1"],
      ["create", "applied", "n1", 1, "node-1"],
      ["create", "refused", "n2", 1, "node-1"],
      ["read", "not-modified", undefined, undefined, "node-1"],
      ["replace", "applied", "n3", 2, "node-1"],
      ["replace", "refused", "n3", 2, "node-1"],
    ]);
    expect(checkHistory(tap.attempts).contradictions).toEqual([]);
    expect(tap.copiesOf(KEY).map((copy) => copy.fencingToken)).toEqual([1, 2]);
  });

  it("a write that the server never answered is of unknown fate", async () => {
    const server = await fakeS3({ buckets: ["bucket"] });
    const tap = new Tap();
    await using proxy = await faultProxy({ target: server.endpoint, onForward: tap.for("node-1") });
    server.faults.add({ kind: "black-hole" });
    const answer = fetch(`${proxy.endpoint}/bucket/${KEY}`, { method: "PUT", headers: { "if-none-match": "*" }, body: record("n1", 1) });
    const failed = answer.catch((e: unknown) => e);
    while (tap.underWay(KEY) === 0) await new Promise((resolve) => void setTimeout(resolve, 5));
    expect(tap.attempts).toMatchObject([{ kind: "create", outcome: "unknown", nonce: "n1" }]);
    await server.close();
    expect(await failed).toBeInstanceOf(Error);
    expect(tap.attempts).toMatchObject([{ kind: "create", outcome: "unknown", nonce: "n1", answeredMs: undefined }]);
  });
});

describe("the fenced resource", () => {
  async function write(resource: FencedResource, key: string, token: number, value?: number): Promise<number> {
    const query = `key=${key}&token=${token}&node=n${value === undefined ? "" : `&value=${value}`}`;
    return (await fetch(`${resource.url}/?${query}`, { method: "POST" })).status;
  }

  it("takes what is not older than anything it has taken, for each key by itself", async () => {
    const resource = await fencedResource();
    const answers = [];
    for (const [key, token, value] of [
      ["a", 2],
      ["a", 2],
      ["a", 1, 1],
      ["b", 1],
      ["a", 3],
    ] as const)
      answers.push(await write(resource, key, token, value));
    expect(answers).toEqual([200, 200, 409, 200, 200]);
    expect(resource.refused).toBe(1);
    expect(checkHistory(resource.writes).contradictions).toEqual([]);
    await resource.close();
  });

  it("finds out when two counted on from the same number", async () => {
    const resource = await fencedResource();
    for (const value of [1, 2]) expect(await write(resource, "a", 2, value)).toBe(200);
    expect([resource.increments, resource.lost]).toEqual([2, []]);
    await write(resource, "a", 3, 2);
    expect(resource.lost).toEqual(["a: token 3 wrote 2 over 2"]);
    await resource.close();
  });
});

describe("the ledger", () => {
  const line = (event: string, fields: object, atMs = 0): string => JSON.stringify({ event, at: String(atMs * 1e6), ...fields });

  it("keeps of each belief its first and its last moment", () => {
    const ledger = new Ledger();
    for (const atMs of [10, 20, 35]) ledger.take("node-1", 7, line("belief", { key: KEY, token: 3 }, atMs));
    ledger.take("node-2", 8, line("belief", { key: KEY, token: 4 }, 50));
    expect(ledger.beliefs).toEqual([
      { type: "belief", key: KEY, node: "node-1", fencingToken: 3, fromMs: 10, toMs: 35 },
      { type: "belief", key: KEY, node: "node-2", fencingToken: 4, fromMs: 50, toMs: 50 },
    ]);
  });

  it("a blurred clock makes no belief longer than it was (campaign seed 4711: one that began before its write was sent)", () => {
    const ledger = new Ledger();
    const blurred = (atMs: number): void => ledger.take("node-1", 7, line("belief", { key: KEY, token: 3, blurMs: 10 }, atMs));
    blurred(90);
    blurred(90);
    expect(ledger.beliefs).toEqual([]);
    blurred(140);
    expect(ledger.beliefs).toMatchObject([{ fromMs: 100, toMs: 140 }]);
  });

  it("knows who leads until it says that it is over, or its process ends", () => {
    const ledger = new Ledger();
    ledger.take("node-1", 7, line("elected", { key: KEY, token: 3 }));
    expect(ledger.leaderOf(KEY)?.pid).toBe(7);
    ledger.take("node-1", 7, line("lost", { key: KEY, token: 3, why: "expired" }));
    expect(ledger.leaderOf(KEY)).toBeUndefined();
    ledger.take("node-2", 8, line("elected", { key: KEY, token: 4 }));
    // The news of an older term comes late.
    ledger.take("node-1", 7, line("demoted", { key: KEY, token: 3 }));
    expect(ledger.leaderOf(KEY)?.pid).toBe(8);
    ledger.end("node-2", 8);
    expect(ledger.leaderOf(KEY)).toBeUndefined();
  });

  it("misses the end of a term, unless its process was killed", () => {
    const ledger = new Ledger();
    ledger.take("node-1", 7, line("acquired", { key: KEY, token: 3 }));
    expect(ledger.unpaired(new Set())).toEqual([]);
    ledger.end("node-1", 7);
    expect(ledger.unpaired(new Set([7]))).toEqual([]);
    expect(ledger.unpaired(new Set())).toEqual([`node-1: ${KEY} token 3: acquired 1 times, ended 0 times`]);
    ledger.take("node-1", 7, line("released", { key: KEY, token: 3 }));
    expect(ledger.unpaired(new Set())).toEqual([]);
    ledger.take("node-1", 7, line("lost", { key: KEY, token: 3 }));
    expect(ledger.unpaired(new Set())).toHaveLength(1);
  });
});
