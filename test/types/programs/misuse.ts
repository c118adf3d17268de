/**
 * What the types refuse. Below each `@ts-expect-error` stands a mistake, and behind the colon a part of what the compiler says of it: the test compares
 * it, so that nothing is refused for another reason than the one meant.
 */
import {
  fencedObject,
  type Invocation,
  type Lock,
  Locks,
  Manager,
  Scheduler,
  type Session,
  s3Store,
  type Store,
  type Term,
} from "s3-consensus";

declare const store: Store;
declare const locks: Locks;
declare const session: Session;
declare const lock: Lock;
declare const term: Term;
declare const context: Invocation;
const work = (): number => 1;

export function aTryDoesNotWait(): unknown {
  return [
    // @ts-expect-error: 'waitMs' does not exist
    locks.tryAcquire("k", { waitMs: 1_000 }),
    // @ts-expect-error: 'waitMs' does not exist
    locks.tryWithLock("k", { waitMs: 1_000 }, work),
    // @ts-expect-error: 'waitMs' does not exist
    locks.semaphore("k", { permits: 4 }).tryAcquire({ waitMs: 1_000 }),
    // @ts-expect-error: 'waitMs' does not exist
    session.locks().tryAcquire("k", { waitMs: 1_000 }),
  ];
}

export function aSessionHasTheOnlyHeartbeat(): unknown {
  const mine = session.locks();
  return [
    // @ts-expect-error: 'ttlMs' does not exist
    mine.acquire("k", { ttlMs: 30_000 }),
    // @ts-expect-error: 'autoRenew' does not exist
    mine.withLock("k", { autoRenew: false }, work),
    // @ts-expect-error: 'takeover' does not exist
    mine.tryAcquire("k", { takeover: "observe" }),
    // @ts-expect-error: 'keepAlive' does not exist
    mine.acquire("k", { keepAlive: false }),
    // @ts-expect-error: 'ttlMs' does not exist
    mine.slot("k", { slots: 4, ttlMs: 30_000 }),
    // @ts-expect-error: 'ttlMs' does not exist
    session.manager({ name: "x", ttlMs: 30_000 }),
    // @ts-expect-error: 'takeover' does not exist
    session.manager({ name: "x", takeover: "observe" }),
    // @ts-expect-error: 'store' does not exist
    session.manager({ name: "x", store }),
  ];
}

export function anInvocationHasItsOwnTime(): unknown {
  const once = locks.oneShot(context);
  return [
    // @ts-expect-error: 'maxHoldMs' does not exist
    once.acquire("k", { maxHoldMs: 1_000 }),
    // @ts-expect-error: 'ttlMs' does not exist
    once.acquire("k", { ttlMs: 30_000 }),
    // @ts-expect-error: 'autoRenew' does not exist
    once.withLock("k", { autoRenew: true }, work),
    // @ts-expect-error: Argument of type 'number' is not assignable to parameter of type 'Invocation'
    locks.oneShot(30_000),
    // @ts-expect-error: is not assignable to parameter of type 'Invocation'
    locks.oneShot({}),
  ];
}

export function aFenceIsAKeyAndItsToken(): unknown {
  const report = fencedObject(store, "report");
  return [
    // @ts-expect-error: Argument of type 'number' is not assignable to parameter of type 'Fence'
    report.put("{}", 7),
    // @ts-expect-error: Property 'key' is missing
    report.put("{}", { fencingToken: lock.fencingToken }),
    // @ts-expect-error: Argument of type 'number' is not assignable to parameter of type 'Fence'
    report.open(lock.fencingToken),
    // @ts-expect-error: 'rows' does not exist in type 'Uint8Array
    report.put({ rows: 3 }, lock),
  ];
}

export function tasksHaveNames(): unknown {
  const run = (): void => undefined;
  const scheduler = new Scheduler({ store, tasks: [{ name: "report", cron: "@daily", run }] });
  return [
    // @ts-expect-error: Argument of type '"reprot"' is not assignable
    scheduler.history("reprot"),
    // @ts-expect-error: Argument of type '"reprot"' is not assignable
    scheduler.trigger("reprot"),
    // @ts-expect-error: Argument of type '"reprot"' is not assignable
    scheduler.preview("reprot", 3),
    // @ts-expect-error: Argument of type '"reprot"' is not assignable
    [scheduler.pause("reprot")],
    // @ts-expect-error: Argument of type '"reprot"' is not assignable
    [scheduler.unpause("reprot")],
    // @ts-expect-error: Argument of type '"reprot"' is not assignable
    [scheduler.cancel("reprot")],
    // @ts-expect-error: Type 'number' is not assignable to type 'Invocation
    scheduler.runDue({ during: 30_000 }),
    // @ts-expect-error: is not assignable to type 'Manager
    new Scheduler({ store, gate: true, tasks: [{ name: "a", cron: "@daily", run }] }),
    // @ts-expect-error: Property 'run' is missing
    new Scheduler({ store, tasks: [{ name: "a", cron: "@daily" }] }),
    // @ts-expect-error: is not assignable to type 'Task
    new Scheduler({ store, tasks: [{ name: "a", run }] }),
    // @ts-expect-error: Type '"always"' is not assignable
    new Scheduler({ store, tasks: [{ name: "a", cron: "@daily", missed: "always", run }] }),
    // @ts-expect-error: Type '"parallel"' is not assignable
    new Scheduler({ store, tasks: [{ name: "a", cron: "@daily", overlap: "parallel", run }] }),
    // @ts-expect-error: Type 'string' is not assignable to type 'number'
    new Scheduler({ store, tasks: [{ name: "a", cron: "@daily", timeoutMs: "10m", run }] }),
  ];
}

export async function whatIsPerhapsNotThere(): Promise<unknown> {
  const maybe = await locks.tryAcquire("k");
  const attempt = await locks.tryWithLock("k", work);
  const seen = await locks.inspect("k");
  const manager = new Manager({ store, name: "x" });
  return [
    // @ts-expect-error: 'maybe' is possibly 'undefined'
    await maybe.release(),
    // @ts-expect-error: Property 'value' does not exist
    attempt.value,
    // @ts-expect-error: 'seen' is possibly 'undefined'
    seen.holder,
    // @ts-expect-error: 'manager.current' is possibly 'undefined'
    manager.current.fencingToken,
    // @ts-expect-error: 'manager.lastLeader' is possibly 'undefined'
    manager.lastLeader.holder,
    // @ts-expect-error: Object is possibly 'undefined'
    locks.stats()["acquired"].toFixed(),
    // @ts-expect-error: Object is possibly 'undefined'
    attempt.ran || attempt.held.holders[1].holder,
  ];
}

export function optionsOfLocks(): unknown {
  return [
    // @ts-expect-error: Expected 1 arguments, but got 0
    new Locks(),
    // @ts-expect-error: Property 'store' is missing
    new Locks({}),
    // @ts-expect-error: Type 'number' is not assignable to type 'string | Store'
    new Locks({ store: 7 }),
    // @ts-expect-error: 'ttlMs' does not exist
    new Locks({ store, ttlMs: 30_000 }),
    // @ts-expect-error: Property 'bucket' is missing
    s3Store({ prefix: "prod" }),
    // @ts-expect-error: 'ttl' does not exist
    locks.acquire("k", { ttl: 30 }),
    // @ts-expect-error: Type 'string' is not assignable to type 'number'
    locks.acquire("k", { ttlMs: "30s" }),
    // @ts-expect-error: Type '"always"' is not assignable
    locks.acquire("k", { takeover: "always" }),
    // @ts-expect-error: is not assignable to type 'Json | undefined'
    locks.acquire("k", { metadata: { at: new Date(0) } }),
    // @ts-expect-error: Type 'AbortController' is missing the following properties from type 'AbortSignal'
    locks.acquire("k", { signal: new AbortController() }),
    // @ts-expect-error: has no properties in common with type 'LeaseOptions'
    locks.withLock("k", work, { waitMs: 1_000 }),
    // @ts-expect-error: Expected 2-3 arguments, but got 1
    locks.withLock("k"),
    // @ts-expect-error: Tuple type 'readonly [Lock, Lock]' of length '2' has no element at index '2'
    locks.withLocks(["from", "to"], undefined, ([from, to, third]) => [from, to, third]),
    // @ts-expect-error: Property 'slots' is missing
    locks.slot("worker-id", {}),
    // @ts-expect-error: Expected 2 arguments, but got 1
    locks.semaphore("gpu"),
    // @ts-expect-error: Expected 2 arguments, but got 1
    locks.forceRelease("k"),
    // @ts-expect-error: Property 'token' is missing
    locks.forceRelease("k", { now: true }),
    // @ts-expect-error: Argument of type 'Lock' is not assignable to parameter of type 'string'
    locks.resume(lock),
  ];
}

export function optionsOfElections(): unknown {
  const manager = new Manager({ store, name: "x", metadata: { url: "http://10.0.0.7" } });
  return [
    // @ts-expect-error: Property 'name' is missing
    new Manager({ store }),
    // @ts-expect-error: Property 'onElected' is missing
    manager.run({}),
    // @ts-expect-error: Type '"retry"' is not assignable
    manager.run({ onElected: () => undefined }, { onDone: "retry" }),
    // @ts-expect-error: Property 'ur' does not exist
    manager.lastLeader?.metadata?.ur,
    // @ts-expect-error: is not assignable to type 'Json | undefined'
    new Manager({ store, name: "x", metadata: { close: () => undefined } }),
    // @ts-expect-error: Type 'number' is not assignable to type 'string'
    manager.stepDown({ to: 7 }),
  ];
}

export async function whatIsHeldCantBeChanged(): Promise<unknown> {
  // @ts-expect-error: Cannot assign to 'fencingToken' because it is a read-only property
  lock.fencingToken = 7;
  // @ts-expect-error: Property '[Symbol.dispose]' is missing in type 'Lock'
  using held = await locks.acquire("k");
  const place = await locks.slot("worker-id", { slots: 4 });
  // @ts-expect-error: Cannot assign to 'index' because it is a read-only property
  place.index = 3;
  return [
    held,
    // @ts-expect-error: Property 'index' does not exist on type 'Lock'
    lock.index,
    // @ts-expect-error: Property 'renew' does not exist on type 'Term'
    term.renew(),
    // @ts-expect-error: Property 'handOff' does not exist on type 'Slot'
    place.handOff(),
    // @ts-expect-error: have no overlap
    lock.signal.reason.code === "LOCK_HELD",
    // @ts-expect-error: have no overlap
    (await lock.release()) === "lost",
  ];
}
