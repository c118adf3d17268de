/**
 * What each call costs, counted at the wire before a real MinIO: the requests that the guides name, with the server's answers, and no others.
 * Each party has a client and a proxy of its own, as a process of its own would.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { fencedObject } from "../../src/fencing/fenced-object.ts";
import { Manager } from "../../src/election/manager.ts";
import type { Lock } from "../../src/locks/api.ts";
import { Locks } from "../../src/locks/locks.ts";
import { Scheduler } from "../../src/scheduler/scheduler.ts";
import { Session } from "../../src/session/session.ts";
import { type LockParty, type LockStage, lockStage, until } from "../support/lock-party.ts";

const TTL_MS = 30_000;

let stage: LockStage;
let a: LockParty;
let b: LockParty;
let names = 0;

beforeAll(async () => {
  stage = await lockStage();
  [a, b] = [await stage.party(), await stage.party()];
  for (const { store } of [a, b]) await store.ensureSafe();
});

const fresh = (what: string): string => `${what}-${++names}`;

function locksOf(party: LockParty): Locks {
  return new Locks({ store: party.store, defaults: { ttlMs: TTL_MS, waitMs: 0 } });
}

/** What the party sends in a call. */
async function sentIn(party: LockParty, call: () => Promise<unknown>): Promise<readonly string[]> {
  party.sent();
  await call();
  return party.sent().map((line) => line.replace(/ .* /, " "));
}

describe("a lock", () => {
  it("the first use of a store in a process: GET, PUT, PUT, and beside them the verdict's GET and one PUT that is refused", async () => {
    const before = a.proxy.requests.total;
    await new Locks({ store: a.another() }).withLock(fresh("k"), () => undefined);
    const all = a.proxy.requests.list().filter((r) => r.number > before);
    const verdict = /\.s3-consensus\//;
    expect(all.filter((r) => !verdict.test(r.key)).map((r) => `${r.method} ${r.status}`)).toEqual(["GET 404", "PUT 200", "PUT 200"]);
    expect(
      all
        .filter((r) => verdict.test(r.key))
        .map((r) => `${r.method} ${r.status}`)
        .sort(),
    ).toEqual(["GET 200", "PUT 412"]);
  });

  it("a cycle: GET, PUT, PUT the first time on a key; two PUTs on a known one", async () => {
    const k = fresh("k");
    const locks = locksOf(a);
    expect(await sentIn(a, () => locks.withLock(k, () => undefined))).toEqual(["GET 404", "PUT 200", "PUT 200"]);
    for (let i = 0; i < 5; i++) expect(await sentIn(a, () => locks.withLock(k, () => undefined))).toEqual(["PUT 200", "PUT 200"]);
  });

  it("a try on a key that another holds: one GET; on one that this process holds: none", async () => {
    const k = fresh("k");
    await using lock = await locksOf(a).acquire(k);
    expect(await sentIn(b, () => locksOf(b).tryAcquire(k))).toEqual(["GET 200"]);
    expect(await sentIn(b, () => locksOf(b).tryWithLock(k, () => undefined))).toEqual(["GET 304"]);
    expect(await sentIn(a, () => locksOf(a).tryAcquire(k))).toEqual([]);
    expect(await sentIn(a, () => lock.renew())).toEqual(["PUT 200"]);
    expect(await sentIn(a, () => lock.verify())).toEqual(["GET 200"]);
    expect(await sentIn(b, () => locksOf(b).inspect(k))).toEqual(["GET 200"]);
  });

  it("handed off and resumed: one PUT each; for the one who is too late a PUT and a look", async () => {
    const k = fresh("k");
    const lock = await locksOf(a).acquire(k);
    let text = "";
    expect(await sentIn(a, async () => (text = await lock.handOff()))).toEqual(["PUT 200"]);
    const resumed: Lock[] = [];
    expect(await sentIn(b, async () => resumed.push(await locksOf(b).resume(text)))).toEqual(["PUT 200"]);
    expect(
      await sentIn(a, () =>
        locksOf(a)
          .resume(text)
          .catch(() => undefined),
      ),
    ).toEqual(["PUT 412", "GET 200"]);
    await resumed[0]?.release();
  });

  it("in a function: as any other, with nothing renewed", async () => {
    const k = fresh("k");
    const shot = locksOf(a).oneShot({ remainingMs: 60_000 });
    expect(await sentIn(a, () => shot.tryWithLock(k, () => undefined))).toEqual(["GET 404", "PUT 200", "PUT 200"]);
    await using lock = await locksOf(b).acquire(k);
    expect(await sentIn(a, () => shot.tryWithLock(k, () => undefined))).toEqual(["PUT 412", "GET 200"]);
    expect(await sentIn(a, () => shot.tryWithLock(k, () => undefined))).toEqual(["GET 304"]);
    expect(lock.isHeld()).toBe(true);
  });

  it("renewed by one PUT every third of its ttl, and by nothing else", async () => {
    const k = fresh("k");
    const locks = locksOf(a);
    const lock = await locks.acquire(k, { ttlMs: 20_000 });
    a.sent();
    await until(() => (locks.stats()["renewals"] ?? 0) >= 2, "it is renewed twice");
    expect(lock.heldForMs).toBeGreaterThan((2 * 20_000) / 3);
    expect(a.sent()).toEqual([`PUT ${k} 200`, `PUT ${k} 200`]);
    await lock.release();
  });
});

describe("an election", () => {
  it("a free lease is won by GET and PUT, by one PUT when it is known; renewed by one PUT, given back by one", async () => {
    const manager = new Manager({ store: a.store, name: fresh("e"), ttlMs: TTL_MS, cooldownMs: 0 });
    expect(await sentIn(a, () => manager.campaign())).toEqual(["GET 404", "PUT 200"]);
    expect(await sentIn(a, () => until(() => (manager.stats()["renewals"] ?? 0) >= 1, "it is renewed"))).toEqual(["PUT 200"]);
    expect(await sentIn(a, async () => await manager.current?.release())).toEqual(["PUT 200"]);
    expect(await sentIn(a, () => manager.campaign())).toEqual(["PUT 200"]);
    expect(await manager.current?.release()).toBe("released");
  });

  it("an idle follower sends one GET a poll, answered without a body while nothing changes", async () => {
    const name = fresh("e");
    const leader = await new Manager({ store: a.store, name, ttlMs: 60_000 }).campaign();
    const stop = new AbortController();
    const follower = new Manager({ store: b.store, name, pollMs: 300 });
    b.sent();
    const run = follower.run({ onElected: () => undefined }, { signal: stop.signal });
    await until(() => b.proxy.requests.list({ key: new RegExp(`/${name}$`) }).length >= 6, "it polls");
    stop.abort();
    await run;
    // The last one was given up.
    const sent = b
      .sent()
      .map((line) => line.replace(/ .* /, " "))
      .filter((line) => line !== "GET 0");
    expect([sent[0], new Set(sent.slice(1))]).toEqual(["GET 200", new Set(["GET 304"])]);
    expect(await sentIn(b, () => follower.leader())).toHaveLength(1);
    await leader.release();
  });
});

describe("a session", () => {
  it("is opened by one PUT and closed by one, whatever it holds; a lock's cycle costs what it costs by itself", async () => {
    let session!: Session;
    expect(await sentIn(a, async () => (session = await Session.open({ store: a.store, ttlMs: TTL_MS })))).toEqual(["PUT 200"]);
    const [k, other] = [fresh("k"), fresh("k")];
    expect(await sentIn(a, () => session.locks().withLock(k, () => undefined))).toEqual(["GET 404", "PUT 200", "PUT 200"]);
    expect(await sentIn(a, () => session.locks().withLock(k, () => undefined))).toEqual(["PUT 200", "PUT 200"]);
    const lock = await session.locks().acquire(k);
    await session.locks().acquire(other);
    expect(await sentIn(a, () => lock.verify())).toEqual(["GET 200", "GET 200"]);
    expect(await sentIn(b, () => locksOf(b).tryAcquire(k))).toEqual(["GET 200", "GET 200"]);
    expect(await sentIn(a, () => session.close())).toEqual(["PUT 200"]);
    // Whoever wants them next looks at the member once for both.
    expect(await sentIn(b, () => locksOf(b).tryAcquire(k))).toEqual(["GET 304", "GET 200", "PUT 200"]);
    expect(await sentIn(b, () => locksOf(b).tryAcquire(other))).toEqual(["GET 200", "PUT 200"]);
  });
});

describe("a fenced object", () => {
  it("a put is one PUT where its pointer is known, and a GET more where it is not", async () => {
    const lease = await locksOf(a).acquire(fresh("k"));
    const name = fresh("report");
    const object = fencedObject(a.store, name);
    const pointers = async (party: LockParty, call: () => Promise<unknown>): Promise<readonly string[]> => {
      const before = party.proxy.requests.total;
      await call();
      const all = party.proxy.requests.list({ key: /^app\/fenced/ });
      return all.filter((r) => r.number > before).map((r) => `${r.method} ${r.status}`);
    };
    expect(await pointers(a, () => object.put("one", lease))).toEqual(["GET 404", "PUT 200"]);
    expect(await pointers(a, () => object.put("two", lease))).toEqual(["PUT 200"]);
    expect(await pointers(b, () => fencedObject(b.store, name).get())).toEqual(["GET 200"]);
    await lease.release();
  });
});

describe("a scheduler", () => {
  interface Runner {
    readonly runs: number;
    stop(): Promise<void>;
  }

  function runner(party: LockParty, name: string): Runner {
    let runs = 0;
    const task = { name, every: "1s", run: () => void runs++ };
    const running = new Scheduler({ store: party.store, tasks: [task], spreadMs: 0 }).start();
    return {
      get runs() {
        return runs;
      },
      stop: () => running.stop(),
    };
  }

  it("a tick costs its winner two PUTs, and a GET first where another had the last one; a loser one GET", async () => {
    const name = fresh("t");
    const first = runner(a, name);
    await until(() => first.runs === 2, "it runs");
    a.sent();
    await until(() => first.runs === 5, "it runs");
    // The last one may be on its way.
    const alone = a.sent().filter((line) => !line.endsWith(" 0"));
    expect([new Set(alone), Math.abs(alone.length - 6) <= 1]).toEqual([new Set([`PUT ${name} 200`]), true]);
    b.sent();
    const second = runner(b, name);
    const startRuns = first.runs;
    await until(() => first.runs + second.runs >= startRuns + 5, "both run");
    const ofBoth = [...a.sent(), ...b.sent()];
    const ticks = first.runs + second.runs - startRuns;
    expect(Math.abs(ofBoth.filter((line) => line === `PUT ${name} 200`).length - 2 * ticks)).toBeLessThanOrEqual(2);
    // Where both claim at once, one is refused and looks.
    expect(ofBoth.filter((line) => line.startsWith("GET")).length).toBeLessThanOrEqual(2 * ticks + 2);
    await first.stop();
    const [runsBefore] = [second.runs];
    await until(() => second.runs > runsBefore, "the other has it");
    b.sent();
    const from = second.runs;
    await until(() => second.runs >= from + 2, "it runs");
    expect(new Set(b.sent().filter((line) => !line.endsWith(" 0")))).toEqual(new Set([`PUT ${name} 200`]));
    await second.stop();
  });
});
