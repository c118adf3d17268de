/** What every face of a lease (election, lock, task) takes from its user, and what it tells back. */
import { type AnyConsensusError, type Fence, type HolderInfo, type LeaseLostError, messageOf, type RecordError } from "../errors.ts";
import type { RunRecord, TaskEventKind } from "../record/run-record.ts";
import type { Store } from "../store/object-store.ts";
import type { ReleaseOutcome } from "./tenancy.ts";

/** Any structured logger: pino and its like fit as they are. */
export interface Logger {
  debug(o: object, m?: string): void;
  info(o: object, m?: string): void;
  warn(o: object, m?: string): void;
  error(o: object, m?: string): void;
}

export type ConsensusEvent =
  | { readonly type: "acquired"; readonly lease: Fence; readonly waitedMs: number }
  | { readonly type: "lost"; readonly lease: Fence; readonly error: LeaseLostError }
  | { readonly type: "released"; readonly lease: Fence; readonly outcome: ReleaseOutcome; readonly error?: AnyConsensusError | undefined }
  | { readonly type: "renewal-failed"; readonly lease: Fence; readonly remainingMs: number; readonly error: AnyConsensusError }
  /** A listing passed over an object that is no record of this version: damaged, foreign, newer. It is left as it is. */
  | { readonly type: "unreadable"; readonly error: RecordError }
  | { readonly type: "callback-failed"; readonly name: string; readonly error: unknown }
  | { readonly type: "leader"; readonly name: string; readonly leader: HolderInfo | undefined }
  | { readonly type: "task"; readonly task: string; readonly kind: TaskEventKind; readonly run: RunRecord };

export interface Wiring {
  /** A store, or its URL (`s3://bucket/prefix?endpoint=…`). One URL is one store in a process. */
  readonly store: Store | string;
  /** This node's name, for people and for `stepDown({ to })`. It decides nothing else. Default: `host:pid`. At most 256 bytes. */
  readonly node?: string | undefined;
  readonly logger?: Logger | undefined;
  /** Hears of every event. What it throws changes nothing. It is called outside of all loops, in order. */
  readonly onEvent?: ((e: ConsensusEvent) => void) | undefined;
}

const QUEUE_LIMIT = 1000;

/**
 * Calls the user's `onEvent` and logger, in order, never from inside a renewal loop (rule H6). A queue that nobody drains (a blocked event
 * loop) is bounded: the oldest events go first, and the log says how many.
 */
export class Emitter {
  readonly #onEvent: ((e: ConsensusEvent) => void) | undefined;
  readonly #logger: Logger | undefined;
  readonly #queue: ConsensusEvent[] = [];
  #dropped = 0;
  #scheduled = false;

  constructor(wiring: Pick<Wiring, "onEvent" | "logger">) {
    this.#onEvent = wiring.onEvent;
    this.#logger = wiring.logger;
  }

  emit(event: ConsensusEvent): void {
    if (this.#onEvent === undefined && this.#logger === undefined) return;
    this.#queue.push(event);
    if (this.#queue.length > QUEUE_LIMIT) {
      this.#queue.shift();
      this.#dropped += 1;
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#drain());
  }

  /** Says something beside the events. */
  log(level: "warn" | "error", about: object, message: string): void {
    guarded(() => this.#logger?.[level](about, message));
  }

  #drain(): void {
    this.#scheduled = false;
    if (this.#dropped > 0) this.log("warn", { dropped: this.#dropped }, "events were dropped: they came faster than they were handled");
    this.#dropped = 0;
    for (const event of this.#queue.splice(0)) {
      guarded(() => this.#onEvent?.(event));
      guarded(() => this.#tell(event));
    }
  }

  #tell(event: ConsensusEvent): unknown {
    const logger = this.#logger;
    if (logger === undefined) return undefined;
    switch (event.type) {
      case "acquired":
        return logger.info({ ...event.lease, waitedMs: event.waitedMs }, "lease acquired");
      case "lost":
        return logger.error({ ...event.lease, reason: event.error.reason }, event.error.message);
      case "released":
        return logger.info({ ...event.lease, outcome: event.outcome }, `lease ended: ${event.outcome}`);
      case "renewal-failed":
        return logger.warn(
          { ...event.lease, remainingMs: event.remainingMs, code: event.error.code },
          `renewal failed, ${(event.remainingMs / 1000).toFixed(1)} s of the lease are left: ${event.error.message}`,
        );
      case "unreadable":
        return logger.warn({ key: event.error.key, kind: event.error.kind }, `passed over: ${event.error.message}`);
      case "callback-failed":
        return logger.error({ callback: event.name, err: event.error }, `${event.name} threw: ${messageOf(event.error)}`);
      case "leader":
        return logger.info({ name: event.name, leader: event.leader?.holder, fencingToken: event.leader?.fencingToken }, "leader changed");
      case "task": {
        const { task, scheduledAt, attempt, fencingToken, error, missed } = event.run;
        const level = event.kind === "failed" || event.kind === "timed-out" || event.kind === "abandoned" ? "error" : "info";
        return logger[level]({ task, scheduledAt, attempt, fencingToken, error, missed }, `task "${task}": ${event.kind}`);
      }
    }
  }
}

/** Calls user code that nothing depends on: what it throws, or rejects with if it is async after all, goes to `failed` and changes nothing. */
export function guarded(fn: () => unknown, failed: (error: unknown) => void = () => {}): void {
  try {
    const result = fn();
    if (result instanceof Promise) result.catch(failed);
  } catch (error) {
    failed(error);
  }
}

/** `host:pid` where the runtime knows them. */
export function defaultNode(): string {
  const process = (globalThis as { process?: { pid?: number; getBuiltinModule?: (id: string) => { hostname?: () => string } | undefined } })
    .process;
  const host = process?.getBuiltinModule?.("node:os")?.hostname?.() ?? "localhost";
  return `${host}:${process?.pid ?? 0}`;
}
