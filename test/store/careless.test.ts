/** The embedded server in each of its careless and quirky ways, and the fault proxy before a real server: believed, or refused at a named step. */
import { describe, expect, it } from "vitest";
import { Manager } from "../../src/election/manager.ts";
import { fullProbe } from "../../src/store/full-probe.ts";
import { s3Store } from "../../src/store/s3.ts";
import { fakeS3, faultProxy, type CarelessMode, type FakeS3 } from "../../src/testing/index.ts";
import { whenFinished } from "../support/finish.ts";
import { freshBucket } from "../support/minio-client.ts";
import { sharedServers } from "../support/servers.ts";
import { useCredentials } from "./credentials.ts";

useCredentials({ accessKeyId: "minioadmin", secretAccessKey: "minioadmin" });
const BODY = new TextEncoder().encode("{}");

async function server(careless: readonly CarelessMode[] = []): Promise<FakeS3> {
  const made = await fakeS3({ careless });
  whenFinished(() => made.close());
  return made;
}
const unsafe = (step: string): object => ({ code: "STORE_UNSAFE", step: expect.stringMatching(`^(?:${step})$`) as string });
const access = (hint: RegExp): object => ({ code: "STORE_ACCESS", hint: expect.stringMatching(hint) as string });

describe("refused", () => {
  it.each<[CarelessMode, object]>([
    ["ignore-if-match", unsafe("path-proof")],
    ["if-match-creates", unsafe("path-proof")],
    ["ignore-if-none-match", unsafe("create-existing")],
    ["check-then-write", unsafe("create-race|replace-race")],
    ["conditions-not-implemented", unsafe("conditional-write-not-supported")],
    ["deny", access(/s3:PutObject|s3:GetObject/)],
    ["deny-list", access(/s3:ListBucket is not allowed without a condition/)],
    ["clock-skew", access(/the clock of this machine/)],
  ])("%s", async (mode, expected) => {
    const s3 = await server([mode]);
    const store = s3Store(s3.url("test", "p"));
    await expect(store.ensureSafe()).rejects.toMatchObject(expected);
    // And again: a bad answer is not kept, but found anew.
    await expect(store.ensureSafe()).rejects.toMatchObject(expected);
    const left = s3.bucket().keys();
    expect(left.filter((key) => !key.includes("/verdict-"))).toEqual([]);
    for (const key of left) expect(s3.bucket().peek(key)?.text).not.toContain('"state":"good"');
  });

  it("for as long as a full probe does not pass, once one that was to be kept has found it unsafe", async () => {
    const s3 = await server();
    s3.faults.add({ kind: "check-then-write" });
    const open = (): ReturnType<typeof s3Store> => s3Store(s3.url("test", "p"));
    await expect(fullProbe(open(), { save: true })).rejects.toMatchObject(unsafe("create-race|replace-race"));
    s3.faults.clear();
    // The quick probe would pass by now, and is not run.
    const next = open();
    const { get = 0, put = 0 } = next.stats();
    await expect(next.ensureSafe()).rejects.toMatchObject({
      ...unsafe("create-race|replace-race"),
      message: expect.stringContaining("found by a full probe") as string,
    });
    expect(next.stats()).toMatchObject({ get: get + 1, put: put + 1 });
    expect(await fullProbe(open(), { save: true })).toMatchObject({ saved: true });
    expect(await open().ensureSafe()).toMatchObject({ storeTime: true });
  });

  it("in-doubt, for ever and for every key: creates overwrite", async () => {
    const s3 = await server(["in-doubt"]);
    await expect(s3Store(s3.url("test", "p")).ensureSafe()).rejects.toMatchObject(unsafe("create-existing"));
  });

  it("in-doubt at the verdict alone, when it would have to be replaced (rule W6): named, with the way out", async () => {
    const s3 = await server();
    await s3Store({ bucket: "test", endpoint: s3.endpoint }).ensureSafe();
    const [key = ""] = s3.bucket().keys();
    s3.faults.add({ kind: "in-doubt", key });
    // As long as it is good, nobody minds.
    expect(await s3Store({ bucket: "test", endpoint: s3.endpoint }).ensureSafe()).toMatchObject({ storeTime: true });
    s3.bucket().put(key, "damaged");
    const store = s3Store({ bucket: "test", endpoint: s3.endpoint });
    await expect(store.ensureSafe()).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringContaining("remove that object") as string,
    });
    s3.bucket().delete(key);
    s3.faults.clear();
    expect(await store.ensureSafe()).toMatchObject({ storeTime: true });
  });

  it("a bucket elsewhere, in both of AWS's words", async () => {
    for (const status of [301, 400] as const) {
      const s3 = await server();
      s3.faults.add({ kind: "wrong-region", region: "eu-west-3", status });
      await expect(s3Store(s3.url()).ensureSafe()).rejects.toMatchObject(access(/eu-west-3/));
    }
  });
});

describe.concurrent("believed, with what there is to say", () => {
  it.each<[CarelessMode, object]>([
    ["ignore-empty-if-match", { storeTime: true, remarks: [] }],
    ["unquoted-only", { storeTime: true, remarks: [expect.stringContaining("without their quotes")] }],
    ["bare-etags", { storeTime: true }],
    ["unconditional-delete", { storeTime: true, remarks: [] }],
    ["missing-is-412", { storeTime: true, remarks: [] }],
    ["race-loser-500", { storeTime: true, remarks: [] }],
    ["no-date", { storeTime: false, remarks: [expect.stringContaining("no Date")] }],
    ["last-modified-kept", { storeTime: false, remarks: [expect.stringMatching(/does not move Last-Modified|apart right after a write/)] }],
  ])("%s", async (mode, expected) => {
    const s3 = await server([mode]);
    for (let process = 0; process < 2; process++) {
      const store = s3Store({ bucket: "test", prefix: "p", endpoint: s3.endpoint });
      expect(await store.ensureSafe()).toMatchObject(expected);
      // And works: create, replace, poll.
      const key = `locks/${process}`;
      const created = await store.create(key, BODY);
      const etag = created.kind === "applied" ? created.etag : created.kind;
      expect(await store.replace(key, etag, new TextEncoder().encode("[]"))).toMatchObject({ kind: "applied" });
      expect(await store.replace(key, etag, BODY)).toMatchObject({ kind: "refused" });
      const read = await store.get(key);
      expect(await store.get(key, { ifNoneMatch: read.kind === "found" ? read.etag : "" })).toMatchObject({ kind: "not-modified" });
    }
  });

  it.each([
    [1_000, true],
    [-1_000, true],
    [10_000, false],
    [-10_000, false],
  ])("a Date that is off by %d ms: store time %s", async (shiftMs, storeTime) => {
    const s3 = await server();
    s3.faults.add({ kind: "wrong-date", shiftMs });
    expect(await s3Store(s3.url()).ensureSafe()).toMatchObject({ storeTime });
  });
});

describe("a store that answers 500 to who loses a race (Ceph)", () => {
  it("one leads at a time, and its losers do not take the answer for a win or a fault", async () => {
    const s3 = await server([]);
    s3.faults.add({ kind: "race-loser-500", gapMs: 20 });
    const managers = Array.from({ length: 6 }, (_, i) => {
      const store = s3Store({ bucket: "test", prefix: "p", endpoint: s3.endpoint });
      return new Manager({ store, name: "e", node: `n${i}`, ttlMs: 10_000, pollMs: 100 });
    });
    const tokens: number[] = [];
    await Promise.all(
      managers.map(async (manager) => {
        const term = await manager.campaign({ waitMs: 30_000 });
        tokens.push(term.fencingToken);
        for (const other of managers) if (other !== manager) expect(other.isLeader()).toBe(false);
        expect(await term.release()).toBe("released");
      }),
    );
    expect(tokens).toEqual([1, 2, 3, 4, 5, 6]);
    // It did happen.
    expect(s3.requests.count({ method: "PUT", status: 500 })).toBeGreaterThan(0);
  });

  it("a PUT alone at its key is applied; of two at a time one is, and the other left nothing", async () => {
    const s3 = await server();
    // Long enough for all four to come within it.
    s3.faults.add({ kind: "race-loser-500", gapMs: 1_000 });
    const store = s3Store({ bucket: "test", prefix: "p", endpoint: s3.endpoint, probe: false });
    const bodies = Array.from({ length: 4 }, (_, i) => new TextEncoder().encode(String(i)));
    const results = await Promise.all(bodies.map((body) => store.create("k", body)));
    expect(results.map((r) => r.kind).sort()).toEqual(["applied", "unknown", "unknown", "unknown"]);
    const read = await store.get("k");
    expect(read.kind === "found" && new TextDecoder().decode(read.body)).toBe(String(results.findIndex((r) => r.kind === "applied")));
  });
});

describe("first use", () => {
  it("costs two requests beside the first read once the verdict stands, and a hundred renewals cost a hundred PUTs", async () => {
    const s3 = await server();
    await s3Store({ bucket: "test", endpoint: s3.endpoint }).ensureSafe();
    const before = s3.requests.total;
    const store = s3Store({ bucket: "test", endpoint: s3.endpoint });
    const [, read] = await Promise.all([store.ensureSafe(), store.get("locks/a")]);
    expect(read).toMatchObject({ kind: "absent" });
    expect(s3.requests.total - before).toBe(3);
    let result = await store.create("locks/a", BODY);
    for (let i = 0; i < 100; i++) {
      await store.prepare();
      if (result.kind === "applied") result = await store.replace("locks/a", result.etag, new TextEncoder().encode(String(i)));
    }
    expect(result).toMatchObject({ kind: "applied" });
    expect(s3.requests.total - before).toBe(104);
  });

  it("outlives a store that is busy, loses requests and replies now and then", async () => {
    const s3 = await server();
    for (const fault of [
      { kind: "status", status: 503, code: "SlowDown" },
      { kind: "status", status: 409, code: "ConditionalRequestConflict", method: "PUT" },
      { kind: "status", status: 500, executed: true },
      { kind: "lose-reply" },
      { kind: "lose-request" },
    ] as const) {
      s3.faults.add({ ...fault, probability: 0.01 });
    }
    const stores = Array.from({ length: 8 }, () => s3Store({ bucket: "test", endpoint: s3.endpoint }));
    const verdicts = await Promise.all(stores.map((store) => store.ensureSafe()));
    expect(verdicts.map((v) => v.storeTime)).toEqual(stores.map(() => true));
  });
});

describe.each(sharedServers())("a proxy before $name", (target) => {
  it("that strips conditions is refused, before the verdict and with a good one", async () => {
    const { bucket, outside } = await freshBucket(target);
    const proxy = await faultProxy({ target: target.endpoint });
    whenFinished(() => proxy.close());
    for (const header of ["if-match", "if-none-match"] as const) {
      const rule = proxy.faults.add({ kind: "strip-header", header });
      // MinIO sees that a signed header is missing; gofakes3 checks no signature and writes.
      const store = s3Store({ bucket, endpoint: proxy.endpoint });
      await expect(store.ensureSafe()).rejects.toMatchObject({ code: target.name === "minio" ? "STORE_ACCESS" : "STORE_UNSAFE" });
      rule.remove();
    }
    const good = s3Store({ bucket, endpoint: proxy.endpoint });
    expect(await good.ensureSafe()).toMatchObject({ storeTime: true });
    proxy.faults.add({ kind: "strip-header", header: "if-match" });
    const late = s3Store({ bucket, endpoint: proxy.endpoint });
    await expect(late.ensureSafe()).rejects.toMatchObject({ code: target.name === "minio" ? "STORE_ACCESS" : "STORE_UNSAFE" });
    expect((await outside.list(bucket)).filter((key) => !key.includes("verdict-"))).toEqual([]);
  });

  it("that swallows everything is unavailable within the time limits", async () => {
    const { bucket } = await freshBucket(target);
    const proxy = await faultProxy({ target: target.endpoint });
    whenFinished(() => proxy.close());
    proxy.faults.add({ kind: "black-hole" });
    const store = s3Store({ bucket, endpoint: proxy.endpoint, requestTimeoutMs: 200 });
    await expect(store.ensureSafe()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });
});
