/** Rows of "When things go wrong" in docs/locks.md that a real server, or the way to it, can be made to show. */
import { beforeAll, describe, expect, it } from "vitest";
import type { LeaseLostError } from "../../src/errors.ts";
import type { ConsensusEvent } from "../../src/lease/wiring.ts";
import { Locks } from "../../src/locks/locks.ts";
import { minimalPolicy } from "../../src/store/s3-advice.ts";
import type { NetworkFault } from "../../src/testing/s3-server/faults.ts";
import { hostMs } from "../support/host-clock.ts";
import { lockKey, type LockParty, type LockStage, lockStage, until } from "../support/lock-party.ts";
import { restrictedCredentials } from "../support/minio-client.ts";
import { spawnProgram } from "../support/programs.ts";
import { credentialsEnv } from "../support/servers.ts";
import { wallShift } from "../support/wall-clock.ts";

/** Long enough for a holder to live through a machine that stands still for three seconds: all of these wait side by side. */
const TTL_MS = 10_000;
/** How long a holder believes. */
const LIFE_MS = 9_000;
const RENEW_MS = 3_333;
/** How a lease ends that could not be renewed; `frozen` where the machine stood still over its deadline. */
const RAN_OUT = expect.stringMatching(/^(expired|frozen)$/) as string;

let stage: LockStage;
let keys = 0;

beforeAll(async () => {
  stage = await lockStage();
});

interface Side extends LockParty {
  readonly locks: Locks;
  readonly events: ConsensusEvent[];
  readonly k: string;
}

/** A caller with a way to the store of its own, which is proven safe, so that what follows is on the wire alone. */
async function side(party: Promise<LockParty> = stage.party()): Promise<Side> {
  const from = await party;
  await from.store.ensureSafe();
  const events: ConsensusEvent[] = [];
  const locks = new Locks({ store: from.store, node: "a", onEvent: (e) => events.push(e), defaults: { ttlMs: TTL_MS } });
  return { ...from, locks, events, k: `k${++keys}` };
}

const of = (k: string): { readonly key: string } => ({ key: lockKey(k) });
const settled = async (call: Promise<unknown>): Promise<unknown> => await call.catch((e: unknown) => e);

/** Holds a lock while the fault lasts: it hears of it, and loses the lock at its deadline, not before. */
async function heldThrough(s: Side, fault: NetworkFault): Promise<{ readonly loss: LeaseLostError; readonly codes: ReadonlySet<string> }> {
  const lock = await s.locks.acquire(s.k);
  await until(() => lock.remainingMs < LIFE_MS - 100, "it is held for a moment");
  s.proxy.faults.add(fault);
  const { remainingMs } = lock;
  const startMs = hostMs();
  await until(() => !lock.isHeld(), "it is lost");
  expect(hostMs() - startMs).toBeGreaterThan(remainingMs - 50);
  expect(hostMs() - startMs).toBeLessThan(remainingMs + LIFE_MS);
  await until(() => s.events.some(({ type }) => type === "lost"), "it is told");
  const codes = new Set(s.events.flatMap((e) => (e.type === "renewal-failed" ? [e.error.code] : [])));
  s.sent();
  expect([await lock.release(), s.sent()]).toEqual(["not-mine", []]);
  return { loss: lock.signal.reason as LeaseLostError, codes };
}

/** `acquire` waits on, says in the end why it could not, and leaves nothing behind. */
async function waitedInVain(s: Side): Promise<Error> {
  const startMs = hostMs();
  const error = (await settled(s.locks.acquire(`${s.k}-other`, { waitMs: 2_000 }))) as Error;
  expect(hostMs() - startMs).toBeGreaterThan(1_900);
  expect(hostMs() - startMs).toBeLessThan(20_000);
  expect(error).toMatchObject({ code: "STORE_UNAVAILABLE" });
  return error;
}

describe.concurrent("the store can't be reached", () => {
  it.each(["lose-request", "black-hole"] as const)("%s: waits on and says so; what is held is lost at its deadline", async (kind) => {
    const s = await side();
    const { loss, codes } = await heldThrough(s, { kind });
    expect([loss.reason, [...codes]]).toEqual([RAN_OUT, ["STORE_UNAVAILABLE"]]);
    await waitedInVain(s);
  });
});

describe.concurrent("the store throttles", () => {
  it("503 SlowDown: as if it could not be reached, and the requests stay few", async () => {
    const s = await side();
    const { loss } = await heldThrough(s, { kind: "status", status: 503, retryAfterMs: 1_000 });
    expect(loss).toMatchObject({ reason: RAN_OUT, message: expect.stringContaining("SlowDown") as string });
    s.sent();
    const startMs = hostMs();
    expect((await waitedInVain(s)).message).toContain("SlowDown");
    // The waits between its looks double, from 200 ms on, and a read is tried three times.
    const looks = 2 + Math.log2(1 + (hostMs() - startMs) / 200);
    expect(s.sent().length).toBeLessThanOrEqual(3 * looks);
  });
});

describe.concurrent("the store is slow", () => {
  it("within the time limit of a request: nothing but time is lost", async () => {
    const s = await side();
    s.proxy.faults.add({ kind: "delay", delayMs: 300 });
    const lock = await s.locks.acquire(s.k);
    await until(() => (s.locks.stats()["renewals"] ?? 0) >= 2, "it is renewed");
    expect([await lock.release(), s.locks.stats()["lost"]]).toEqual(["released", 0]);
    expect(s.events.map(({ type }) => type).filter((type) => type !== "renewal-failed")).toEqual(["acquired", "released"]);
  });

  it("beyond it: as if it could not be reached", async () => {
    const s = await side();
    const { loss, codes } = await heldThrough(s, { kind: "delay", delayMs: 6_000, side: "reply" });
    expect([loss.reason, [...codes]]).toEqual([RAN_OUT, ["STORE_UNAVAILABLE"]]);
    await waitedInVain(s);
  });
});

describe.concurrent("the outage ends before the deadline", () => {
  it("nothing: the next attempt renews it", async () => {
    const s = await side();
    const lock = await s.locks.acquire(s.k);
    const fault = s.proxy.faults.add({ kind: "lose-request" });
    await until(() => s.events.some(({ type }) => type === "renewal-failed"), "a renewal failed");
    fault.remove();
    await until(() => lock.remainingMs > LIFE_MS - RENEW_MS, "it is renewed");
    await until(() => lock.heldForMs > TTL_MS, "it is held beyond its ttl");
    expect(await lock.release()).toBe("released");
  });
});

describe.concurrent("access is denied", () => {
  it("to a user who may only read: said at once, with the right that is missing; looking works", async () => {
    const writer = await side();
    await writer.locks.acquire(writer.k);
    const policy = JSON.parse(minimalPolicy(stage.bucket.bucket, "app/")) as { Statement: { Action: string | readonly string[] }[] };
    for (const statement of policy.Statement) if (Array.isArray(statement.Action)) statement.Action = ["s3:GetObject"];
    const reader = await stage.party(await restrictedCredentials(stage.server, policy));
    const s = { locks: new Locks({ store: reader.store, node: "b", defaults: { ttlMs: TTL_MS } }), k: writer.k };
    const startMs = hostMs();
    const error = await settled(s.locks.acquire(`${s.k}-other`));
    expect(error).toMatchObject({ code: "STORE_ACCESS", hint: expect.stringContaining("allow s3:PutObject") as string });
    expect(hostMs() - startMs).toBeLessThan(TTL_MS);
    expect(await s.locks.inspect(s.k)).toMatchObject({ holder: "a", fencingToken: 1 });
    expect(await stage.bucket.outside.peek(stage.bucket.bucket, lockKey(`${s.k}-other`))).toBeUndefined();
  });

  it("while it is held: it goes on trying, and has it renewed when the right is back", async () => {
    const s = await side();
    const lock = await s.locks.acquire(s.k);
    const fault = s.proxy.faults.add({ kind: "status", status: 403, code: "AccessDenied" });
    await until(() => s.events.some((e) => e.type === "renewal-failed" && e.error.code === "STORE_ACCESS"), "it is told");
    fault.remove();
    await until(() => lock.heldForMs > TTL_MS, "it is held beyond its ttl");
    expect(await lock.release()).toBe("released");
  });

  it("and stays so: lost at its deadline", async () => {
    const { loss, codes } = await heldThrough(await side(), { kind: "status", status: 403, code: "AccessDenied" });
    expect([loss.reason, [...codes]]).toEqual([RAN_OUT, ["STORE_ACCESS"]]);
  });
});

describe.concurrent("the bucket is gone", () => {
  it("said at once, with what to do; what is held is lost at its deadline", async () => {
    const own = await lockStage(stage.server);
    const s = await side(own.party());
    const lock = await s.locks.acquire(s.k);
    const { bucket, outside } = own.bucket;
    await outside.raw.removeObjects(bucket, await outside.list(bucket));
    await outside.raw.removeBucket(bucket);
    const { remainingMs } = lock;
    const startMs = hostMs();
    const error = await settled(s.locks.acquire("other"));
    expect(error).toMatchObject({ code: "STORE_ACCESS", hint: expect.stringContaining(`create the bucket "${bucket}"`) as string });
    expect(hostMs() - startMs).toBeLessThan(TTL_MS);
    await until(() => !lock.isHeld(), "it is lost");
    expect(hostMs() - startMs).toBeGreaterThan(remainingMs - 50);
    expect(lock.signal.reason).toMatchObject({ code: "LEASE_LOST", reason: RAN_OUT });
    expect(await lock.release()).toBe("not-mine");
    await outside.makeBucket(bucket);
  });
});

describe.concurrent("credentials expire while a lock is held", () => {
  it("and come back before the deadline: nothing", async () => {
    const s = await side();
    const lock = await s.locks.acquire(s.k);
    const fault = s.proxy.faults.add({ kind: "status", status: 400, code: "ExpiredToken", message: "The provided token has expired." });
    await until(() => s.events.some(({ type }) => type === "renewal-failed"), "it is told");
    fault.remove();
    await until(() => lock.heldForMs > TTL_MS, "it is held beyond its ttl");
    expect(await lock.release()).toBe("released");
  });

  it("and stay so: lost at its deadline; acquire says at once what is the matter", async () => {
    const s = await side();
    const { loss } = await heldThrough(s, { kind: "status", status: 400, code: "ExpiredToken" });
    expect(loss).toMatchObject({ reason: RAN_OUT, message: expect.stringContaining("ExpiredToken") as string });
    const error = await settled(s.locks.acquire(`${s.k}-other`));
    expect(error).toMatchObject({ code: "STORE_ACCESS", hint: expect.stringContaining("the session token has expired") as string });
  });
});

describe.concurrent("the record is damaged, foreign, of a newer version", () => {
  it.each([
    ["damaged", (body: string) => body.slice(0, 40)],
    ["foreign", () => "hello"],
    ["newer", (body: string) => JSON.stringify({ ...(JSON.parse(body) as object), format: 99 })],
  ] as const)("%s: named, never overwritten; a holder loses it", async (kind, change) => {
    const s = await side();
    const lock = await s.locks.acquire(s.k);
    const { bucket, outside } = stage.bucket;
    const bad = change((await outside.peek(bucket, lockKey(s.k)))?.body ?? "");
    await outside.put(bucket, lockKey(s.k), bad);
    await until(() => !lock.isHeld(), "it is lost");
    expect(lock.signal.reason).toMatchObject({ code: "LEASE_LOST", reason: "replaced" });
    expect(await lock.release()).toBe("not-mine");
    expect(await settled(s.locks.acquire(s.k))).toMatchObject({ code: "RECORD", kind, key: expect.stringContaining(s.k) as string });
    expect(await settled(s.locks.inspect(s.k))).toMatchObject({ code: "RECORD", kind });
    expect((await outside.peek(bucket, lockKey(s.k)))?.body).toBe(bad);
  });
});

describe.concurrent("two programs use one key with different ttl", () => {
  it("each record is judged by the ttl in it", async () => {
    const s = await side();
    const b = new Locks({ store: (await side()).store, node: "b", defaults: { ttlMs: 60_000 } });
    const first = await s.locks.acquire(s.k);
    s.proxy.faults.add({ kind: "lose-request", ...of(s.k) });
    // Its own ttl would have it wait for a minute.
    const second = await b.acquire(s.k, { waitMs: 50_000 });
    expect([first.isHeld(), second.fencingToken]).toEqual([false, 2]);
    s.proxy.faults.clear();
    // And a short one takes nothing from a long one.
    expect(await settled(s.locks.acquire(s.k, { waitMs: 1.2 * TTL_MS }))).toMatchObject({ code: "LOCK_HELD" });
    expect(await second.release()).toBe("released");
  });
});

describe.concurrent("the wall clock jumps or stands still", () => {
  it("forward beyond the ttl: lost at the first look after it; back, or standing: nothing, for two clocks decide", async () => {
    const wall = wallShift();
    const env = { ...credentialsEnv(stage.server), STORE: stage.bucket.url("app"), NODE: "a", OPTIONS: JSON.stringify({ ttlMs: TTL_MS }) };
    const a = spawnProgram("locker", { env, wall });
    await a.event("ready");
    const k = `k${++keys}`;
    expect(await a.ask("acquire", { key: k })).toBe(1);
    // Standing: each step takes it back to where it was.
    for (let stoodMs = 0, startMs = hostMs(); stoodMs < 1.2 * TTL_MS; stoodMs = hostMs() - startMs) {
      wall.set(-stoodMs);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(await a.ask("look")).toEqual({ held: true, aborted: false });
    wall.set(-3_600_000);
    await new Promise((resolve) => setTimeout(resolve, TTL_MS));
    expect(await a.ask("look")).toEqual({ held: true, aborted: false });
    wall.set(0);
    expect(await a.ask("look")).toEqual({ held: false, aborted: true });
    expect(await a.ask("release")).toBe("not-mine");
  });
});
