/**
 * To test a program against a failing S3 (`s3-consensus/testing`): an S3 server in this process (`fakeS3`), a fault proxy in front of a real one
 * (`faultProxy`), whole worlds in virtual time (`testWorld`), and a checker for what happened in a run (`checkHistory`).
 */
export { fakeS3, type FakeS3, type FakeS3Options } from "./s3-server/fake-s3.ts";
export type { BucketAccess, PeekedObject } from "./s3-server/buckets.ts";
export type { Credentials } from "./s3-server/sigv4.ts";
export type {
  CarelessMode,
  Fault,
  FaultHandle,
  Faults,
  FaultSelection,
  NetworkFault,
  NetworkFaultKind,
  StoreFault,
  StoreFaultKind,
} from "./s3-server/faults.ts";
export type { Ending, Execution, KeyFilter, LoggedRequest, RequestFilter, RequestLog } from "./s3-server/request-log.ts";
export type { S3Operation, WireRequest } from "./s3-server/wire.ts";
export { faultProxy, type FaultProxy, type FaultProxyOptions } from "./fault-proxy.ts";
export { testWorld, type TestNode, type TestWorld, type TestWorldOptions, type WorldFault } from "./sim/test-world.ts";
export type { Latency, RequestClass, RequestFault } from "./sim/faults.ts";
export type { NodeOptions, WakeOrder } from "./sim/sim-node.ts";
export type { StoreProfile } from "./sim/sim-s3.ts";
export {
  type Attempt,
  type AttemptOutcome,
  type Belief,
  checkHistory,
  type CheckOptions,
  type Contradiction,
  type ContradictionKind,
  type FencedWrite,
  formatContradiction,
  type HistoryCounts,
  HistoryFormatError,
  type HistoryLine,
  type HistoryVerdict,
  outcomeOf,
  parseHistory,
} from "./history/index.ts";
