/** A library of a user's own, which exports what our calls give: its declarations must be able to name all of that. */
import { fencedObject, Locks, type Manager, Scheduler, type Session, s3Store } from "s3-consensus";
import { memoryStore } from "s3-consensus/memory";
import { shutdownSignal } from "s3-consensus/node";
import { checkHistory, fakeS3, faultProxy, testWorld } from "s3-consensus/testing";

const task = { name: "a", cron: "@daily", run: () => undefined } as const;

export const store = s3Store("s3://jobs/prod");
export const inMemory = memoryStore();
export const locks = new Locks({ store });
export const scheduler = new Scheduler({ store, tasks: [task] });
export const report = fencedObject(store, "report");
export const stop = shutdownSignal;

export const ofLocks = () => ({
  shot: locks.oneShot({ remainingMs: 1 }),
  gpu: locks.semaphore("gpu", { permits: 4 }),
  list: locks.list(),
  attempt: locks.tryWithLock("k", (lock) => lock),
  both: locks.withLocks(["a", "b"], undefined, (all) => all),
  slot: locks.slot("worker", { slots: 4 }),
  stats: locks.stats(),
});
export const ofSession = (session: Session) => ({
  locks: session.locks(),
  manager: session.manager({ name: "x" }),
  scheduler: session.scheduler({ tasks: [task] }),
  health: session.health(),
  signal: session.signal,
});
export const ofManager = (manager: Manager<{ readonly url: string }>) => ({
  leader: manager.leader(),
  observed: manager.observe(),
  running: manager.start({ onElected: () => undefined }),
  term: manager.campaign(),
  health: manager.health(),
});
export const ofScheduler = () => ({
  due: scheduler.runDue(),
  history: scheduler.history("a"),
  status: scheduler.status(),
  preview: scheduler.preview("a", 2),
  health: scheduler.health(),
});
export const content = () => report.get();
export const tools = () => ({
  world: testWorld(),
  node: testWorld().node("a"),
  server: fakeS3(),
  proxy: faultProxy({ target: "http://127.0.0.1:9000" }),
  verdict: checkHistory([]),
});
