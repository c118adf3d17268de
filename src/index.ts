/**
 * Leadership without extra infrastructure, on S3-compatible storage, by conditional writes alone.
 *
 * **Guarantee.** While the *rates* of the nodes' clocks are wrong by at most 10 %, at most one node believes at any moment that it holds a
 * lease, whatever gets lost, late, repeated, stopped or killed. Clocks may differ by hours. With no assumption about clocks at all, the fencing
 * token still grows with every acquisition, for ever.
 *
 * **Assumption.** The store carries out conditional writes atomically. That is probed on the real bucket before the first write; a store
 * (or an SDK, or a proxy) that drops conditions is refused.
 *
 * **Not guaranteed.** That nothing happens between a check and its effect: a process can be stopped right there. Hand the fencing token to
 * whatever you write to, and let it refuse older ones.
 *
 * @packageDocumentation
 */
export {
  type AnyConsensusError,
  ConfigError,
  ConsensusError,
  type EndReason,
  type Fence,
  FencedOutError,
  type HolderInfo,
  LeaseEndedError,
  LeaseLostError,
  LockHeldError,
  type LossReason,
  NotHeldError,
  RecordError,
  type RecordFault,
  ReentrantLockError,
  StoreAccessError,
  StoreUnavailableError,
  StoreUnsafeError,
  WorkNotStoppedError,
} from "./errors.ts";
export type { Clock, Random, TimerHandle } from "./clock/clock.ts";
export type { ObjectStore, Stats, Store, StoreVerdict } from "./store/object-store.ts";
export { s3Store } from "./store/s3.ts";
export type { EtagQuoting, S3ClientLike, S3StoreOptions } from "./store/s3-options.ts";
export type { Json } from "./record/record.ts";
export type { LeaseSignal } from "./lease/lease-signal.ts";
export type { Takeover } from "./lease/judge.ts";
export type { Held, Lease } from "./lease/held.ts";
export type { ReleaseOutcome } from "./lease/tenancy.ts";
export type { ConsensusEvent, Logger, Wiring } from "./lease/wiring.ts";
export { type Health, Manager } from "./election/manager.ts";
export type { Running } from "./lease/running.ts";
export { type DueReport, type Preview, Scheduler, type SchedulerHealth } from "./scheduler/scheduler.ts";
export type { SchedulerOptions, Task, TaskRun, TriggerOptions } from "./scheduler/options.ts";
export type { TaskStatus } from "./scheduler/status.ts";
export type { MissedPolicy } from "./scheduler/decide.ts";
export type { RunRecord, RunState, TaskEventKind } from "./record/run-record.ts";
export type { Handlers, OnDone } from "./election/lead.ts";
export type { LeaderChange } from "./election/leader-watch.ts";
export type { Attempt, HoldOptions, Invocation, LeaseOptions, Lock, LockApi, OneShotOptions, Semaphore, Slot, Try } from "./locks/api.ts";
export { Locks, type LocksOptions } from "./locks/locks.ts";
export type { ManagerOptions } from "./election/options.ts";
export type { Term } from "./election/term.ts";
export { Session, type SessionManagerOptions, type SessionSchedulerOptions } from "./session/session.ts";
export type { PruneMembersOptions, SessionOptions } from "./session/options.ts";
export { type FencedContent, fencedObject, type FencedObject, type FencedOptions } from "./fencing/fenced-object.ts";
