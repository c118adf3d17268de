/** What a user writes, block by block: each exported function is one. They are compiled against the types of the built package, as a user's compiler sees them. */
import { S3Client } from "@aws-sdk/client-s3";
import {
  fencedObject,
  type Invocation,
  type Json,
  Locks,
  type Lease,
  Manager,
  Scheduler,
  Session,
  type Store,
  s3Store,
} from "s3-consensus";
import { memoryStore } from "s3-consensus/memory";
import { shutdownSignal } from "s3-consensus/node";
import { fakeS3, testWorld } from "s3-consensus/testing";

declare const store: Store;
declare const lock: Lease;
declare const signal: AbortSignal;
declare function billUntil(signal: AbortSignal, fencingToken: number): Promise<void>;
declare function report(lease: Lease): Promise<void>;
declare function hourly(lease: Lease): Promise<string>;
declare function daily(day: Date, signal: AbortSignal, fencingToken: number): Promise<void>;
declare const pg: { query(text: string, values: readonly unknown[]): Promise<{ rowCount: number }> };

export function aStore(): readonly Store[] {
  const fromUrl = s3Store("s3://jobs/prod?endpoint=http://127.0.0.1:9000&region=us-east-1");
  const own = s3Store({ bucket: "jobs", prefix: "prod", client: new S3Client({}) });
  const { PREFIX: prefix } = process.env;
  // Every option that may be left out may also be undefined.
  const perhaps = s3Store({ bucket: "jobs", prefix, client: undefined, endpoint: undefined });
  return [fromUrl, own, perhaps, memoryStore()];
}

export async function election(): Promise<void> {
  type Meta = { readonly url: string };
  const parseMetadata = (value: unknown): Meta => {
    if (typeof value !== "object" || value === null || !("url" in value) || typeof value.url !== "string") throw new Error("no url");
    return { url: value.url };
  };
  const manager = new Manager({ store, name: "billing", ttlMs: 15_000, metadata: { url: "http://10.0.0.7" }, parseMetadata });
  await manager.run(
    {
      onElected: async (term) => {
        await billUntil(term.signal, term.fencingToken);
      },
      onDemoted: ({ reason }) => {
        console.log("no longer leader:", reason.message);
      },
      onLeaderChange: ({ leader }) => {
        const url: string | undefined = leader?.metadata?.url;
        console.log("leader is", url);
      },
    },
    { signal: shutdownSignal(), onDone: "keep" },
  );
}

export async function electionOutsideTheCallback(): Promise<void> {
  const manager = new Manager({ store: "s3://jobs/prod", name: "batch" });
  {
    await using term = await manager.campaign({ signal, waitMs: 60_000 });
    await report(term);
  }
  const running = manager.start({ onElected: () => undefined });
  const token: number | undefined = manager.current?.fencingToken;
  const leads: boolean = manager.isLeader();
  const polled: string | undefined = manager.lastLeader?.holder;
  const asked: Date | undefined = (await manager.leader({ signal }))?.renewedAt;
  await manager.stepDown({ cooldownMs: 30_000, to: "b" });
  for await (const { leader } of manager.observe({ signal })) console.log(leader?.holder, token, leads, polled, asked);
  await running.stop();
  await running.done;
}

export async function locks(): Promise<void> {
  const all = new Locks({ store, defaults: { ttlMs: 30_000 } });
  await all.withLock("invoice-42", { waitMs: 5_000 }, async (held) => {
    await billUntil(held.signal, held.fencingToken);
  });
  const result = await all.tryWithLock("hourly", hourly);
  const text: string = result.ran ? result.value : `${result.held.holders[0].holder}, ${result.held.retryAfterMs} ms`;
  await using deploy = await all.acquire("deploy", { waitMs: 60_000, metadata: { pipeline: 871 } });
  await using maybe = await all.tryAcquire("deploy");
  console.log(text, deploy.key, maybe?.fencingToken, deploy.remainingMs, deploy.heldForMs, deploy.isHeld());
  deploy.assertHeld();
  await deploy.verify({ signal });
  await deploy.renew();
  const outcome: "released" | "already-released" | "not-mine" | "unknown" = await deploy.release();
  console.log(outcome);
}

export async function everyOptionOfALock(): Promise<void> {
  const all = new Locks({ store, node: "worker-7", logger: console, onEvent: ({ type }) => console.log(type), drainMs: 20_000 });
  await all.acquire("k", {
    waitMs: 0,
    signal,
    metadata: ["any", { json: null }],
    maxHoldMs: 60_000,
    minHoldMs: 1_000,
    lockDelayMs: 5_000,
    askHolder: true,
    onAsked: () => console.log("somebody waits"),
    ttlMs: 30_000,
    autoRenew: true,
    takeover: "auto",
    keepAlive: false,
  });
  await all.withLock("k", undefined, () => 1);
  const sum: number = await all.withLocks(["from", "to"], { waitMs: 1_000 }, ([from, to]) => from.fencingToken + to.fencingToken);
  console.log(sum);
}

export async function lookingAtLocks(): Promise<void> {
  const all = new Locks({ store });
  const seen = await all.inspect("k");
  const metadata: Json | undefined = seen?.metadata;
  for await (const { key, holder, freeInMs } of all.list({ prefix: "invoice-", signal })) console.log(key, holder, freeInMs, metadata);
  const pruned: number = await all.prune({ olderThanMs: 86_400_000, prefix: "invoice-" });
  if (seen !== undefined) await all.forceRelease("k", { token: seen.fencingToken, now: true });
  await using place = await all.slot("worker-id", { slots: 64, ttlMs: 15_000, waitMs: 0 });
  const gpu = all.semaphore("gpu", { permits: 4 });
  await using permit = await gpu.acquire({ waitMs: 60_000 });
  await using other = await gpu.tryAcquire();
  const acquired: number | undefined = all.stats()["acquired"];
  console.log(pruned, place.index, permit.index, other?.index, acquired);
}

interface Context {
  readonly functionName: string;
  getRemainingTimeInMillis(): number;
}

const shared = new Locks({ store: "s3://jobs/prod" });
export const handler = (_event: unknown, context: Context) => shared.oneShot(context).tryWithLock("hourly", hourly);
export const inAWorker = (remainingMs: number) => shared.oneShot({ remainingMs });

export async function betweenSteps(): Promise<string> {
  const held = await shared.acquire("deploy", { ttlMs: 600_000 });
  const text = await held.handOff();
  await using resumed = await shared.resume(text, { signal });
  return resumed.key;
}

export async function fencing(): Promise<number> {
  const latest = fencedObject(store, "reports/latest.json");
  await latest.put("{}", lock);
  await latest.open({ key: lock.key, fencingToken: lock.fencingToken });
  const got = await latest.get();
  console.log(got === undefined ? "nothing yet" : new TextDecoder().decode(got.body), got?.fence?.fencingToken);
  const statement = "update acc set v = $1, fence = $2 where id = $3 and fence <= $2";
  return (await pg.query(statement, [7, lock.fencingToken, "a"])).rowCount;
}

export async function schedules(): Promise<void> {
  const scheduler = new Scheduler({
    store,
    tasks: [
      {
        name: "report",
        cron: "0 3 * * *",
        timeZone: "Europe/Berlin",
        timeoutMs: 600_000,
        missed: "once",
        overlap: "skip",
        retries: 2,
        run: async ({ scheduledAt, signal: stop, fencingToken, attempt, catchUp }) => {
          if (catchUp !== false && attempt === 1) console.log(`${catchUp.missed} days late`);
          await daily(scheduledAt, stop, fencingToken);
        },
      },
    ],
  });
  await scheduler.run({ signal });
  await using running = scheduler.start();
  const { ran, failed, elsewhere, nextAt } = await scheduler.runDue({ during: { remainingMs: 60_000 } });
  console.log(ran.length, failed[0]?.error, elsewhere, nextAt?.getTime(), (await scheduler.history("report"))[0]?.state, running.done);
  await scheduler.trigger("report");
  await scheduler.pause("report");
  await scheduler.unpause("report");
  await scheduler.cancel("report");
  console.log(await scheduler.preview("report", 3), scheduler.health().ok, scheduler.stats());
}

export function scheduleOfFunctions(manager: Manager): (event: unknown, context: Context) => Promise<{ readonly elsewhere: number }> {
  const scheduler = new Scheduler({ store, gate: manager, tasks: [{ name: "tick", cron: "@daily", run: () => undefined }] });
  return (_event, context) => scheduler.runDue({ during: context });
}

export async function sessions(): Promise<void> {
  await using session = await Session.open({ store, node: "worker-7", ttlMs: 15_000 });
  const shards = session.locks();
  const chief = session.manager({ name: "x" });
  await using shard = await shards.acquire("shard-1", { waitMs: 1_000, maxHoldMs: 60_000 });
  await shards.withLock("shard-2", { metadata: { n: 2 } }, async (held) => await report(held));
  await using term = await chief.campaign();
  session.signal.addEventListener("abort", () => console.log(session.signal.reason.code, shard.signal.reason.reason));
  await using running = session.scheduler({ tasks: [{ name: "hourly", cron: "@hourly", run: report }] }).start();
  console.log(session.health().ok, term.name, session.node, running.done);
  await session.close();
}

export async function inVirtualTime(billing: (store: Store) => Promise<void>): Promise<void> {
  const world = testWorld({ seed: 7 });
  const a = world.node("a");
  a.faults({ kind: "lose-reply", on: "put", times: 1 });
  const done = billing(a.store);
  a.freeze(1_000);
  await world.advance(5_000);
  await done;
  a.crash();
  const server = await fakeS3({ buckets: ["jobs"] });
  await server.close();
}

export const invocations: readonly Invocation[] = [{ remainingMs: 1 }, { getRemainingTimeInMillis: () => 1 }];
