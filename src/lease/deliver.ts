import { addMs, type Instant, readClocks, remainingMs } from "../clock/deadline.ts";
import { backoffMs, sleep } from "../clock/wait.ts";
import type { StoreAccessError, StoreUnavailableError, StoreUnsafeError } from "../errors.ts";
import type { ObjectStore, ReadResult, WriteResult } from "../store/object-store.ts";
import type { LeaseCounter } from "./counters.ts";

/** One logical write of whatever object: every attempt of it is the same bytes under the same condition (rule W3). */
export interface Delivery<S> {
  readonly key: string;
  readonly body: Uint8Array;
  /** The version that it replaces; `undefined` for a create. */
  readonly baseEtag: string | undefined;
  /** The largest object that `settle` makes something of, in bytes. */
  readonly maxBytes: number;
  /** Pure: what a read, made after a refusal, says about this write. */
  settle(read: Extract<ReadResult, { kind: "found" | "absent" | "too-large" }>): Delivered<S>;
  /** Called with the clock reading that the write's time counts from, before it is first sent. */
  readonly onFirstSend?: ((at: Instant) => void) | undefined;
  /** Called before each attempt: what it throws ends the delivery. */
  readonly beforeSend?: (() => void) | undefined;
}

export type Delivered<S> =
  /** It was applied: its nonce stands there. */
  | { readonly kind: "mine"; readonly etag: string }
  /** Nothing is settled (rules W6, W7). Look again. */
  | { readonly kind: "again" }
  /** Something else stands there. `applied`: the write in question is known to be below it. */
  | { readonly kind: "settled"; readonly as: S; readonly applied: boolean };

export interface DeliveryContext {
  readonly store: ObjectStore;
  readonly requestTimeoutMs: number;
  readonly counters?: { add(name: LeaseCounter): void } | undefined;
  /** Hears of each attempt that did not end in an answer that counts. */
  readonly onTrouble?: ((error: StoreUnavailableError) => void) | undefined;
}

export interface DeliveryLimits {
  /** Attempts and looks end here; by default `forMs` after the first send. */
  readonly until?: Instant | undefined;
  readonly forMs: number;
  /** No attempt leaves after this, whatever stops this process meanwhile. Default: `until` alone, which is looked at before each attempt. */
  readonly sendBy?: Instant | undefined;
  /** How often it is sent at most. */
  readonly maxAttempts?: number | undefined;
  /** Ends it before the next attempt. */
  readonly signal?: AbortSignal | undefined;
  /** Whether `signal` also aborts the attempt under way. An acquisition waits for its answer instead: it would have to be cleaned up after. */
  readonly abortRequests: boolean;
  /** Read the object even after a plain refusal, to learn why (a holder must know, a candidate looks again anyway). */
  readonly explainRefusal: boolean;
}

export type DeliveryEnd<S> =
  | { readonly kind: "applied"; readonly etag: string; readonly dateMs: number | undefined; readonly firstSentAt: Instant }
  /** Refused without a doubt, and nobody asked why. */
  | { readonly kind: "refused" }
  /** Refused, and this is what stands there instead. */
  | { readonly kind: "settled"; readonly as: S; readonly firstSentAt: Instant }
  /** The time or the attempts ran out. `mayLand`: some attempt may still be applied. */
  | { readonly kind: "undecided"; readonly mayLand: boolean; readonly error: StoreUnavailableError | undefined }
  | { readonly kind: "denied"; readonly error: StoreAccessError | StoreUnsafeError; readonly mayLand: boolean };

/**
 * Carries one logical write to its end (rules W1 to W5): sends it, and as long as its fate is open sends the same bytes under the same
 * condition again, at a jittered pace, until it is applied, refused, or its time is over. After a refusal that an earlier attempt of its own
 * may have caused, what stands there decides.
 *
 * The caller looks at its clocks before it believes the answer (rule H3).
 */
export async function deliver<S>(context: DeliveryContext, write: Delivery<S>, limits: DeliveryLimits): Promise<DeliveryEnd<S>> {
  const { store, counters } = context;
  const { key, body, baseEtag } = write;
  await store.prepare();
  const firstSentAt = readClocks(store.clock);
  const until = limits.until ?? addMs(firstSentAt, limits.forMs);
  write.onFirstSend?.(firstSentAt);
  let mayLand = false;
  let lastError: StoreUnavailableError | undefined;
  for (let attempt = 0; ; attempt++) {
    const leftMs = remainingMs(until, readClocks(store.clock));
    if (leftMs <= 0 || limits.signal?.aborted === true || attempt >= (limits.maxAttempts ?? Infinity)) {
      counters?.add("undecided");
      return { kind: "undecided", mayLand, error: lastError };
    }
    write.beforeSend?.();
    const signal = limits.abortRequests ? limits.signal : undefined;
    const options = { timeoutMs: Math.min(context.requestTimeoutMs, leftMs), signal, sendBy: limits.sendBy };
    const result = await (baseEtag === undefined ? store.create(key, body, options) : store.replace(key, baseEtag, body, options));
    count(counters, result);
    let paceMs: number;
    switch (result.kind) {
      case "applied":
        return { kind: "applied", etag: result.etag, dateMs: result.dateMs, firstSentAt };
      case "denied":
        return { kind: "denied", error: result.error, mayLand };
      case "refused": {
        if (!mayLand && !limits.explainRefusal) return { kind: "refused" };
        const settled = await lookAfterRefusal(context, write, options);
        if (settled.kind === "mine") {
          counters?.add("resolvedMine");
          return { kind: "applied", etag: settled.etag, dateMs: undefined, firstSentAt };
        }
        if (settled.kind === "settled") {
          if (mayLand) counters?.add(settled.applied ? "resolvedMine" : "resolvedOther");
          return { kind: "settled", as: settled.as, firstSentAt };
        }
        paceMs = paceOf(store, attempt, limits.forMs, undefined);
        break;
      }
      case "busy":
      case "unknown":
        mayLand ||= result.kind === "unknown" || !result.certain;
        lastError = result.error;
        context.onTrouble?.(result.error);
        paceMs = paceOf(store, attempt, limits.forMs, result);
    }
    await sleep(store.clock, paceMs, { signal: limits.signal, keepAlive: true });
  }
}

/** One unconditional read: what stands there now, seen from this write. A read that fails settles nothing. */
async function lookAfterRefusal<S>(
  context: DeliveryContext,
  write: Delivery<S>,
  options: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
): Promise<Delivered<S>> {
  const read = await context.store.get(write.key, { ...options, maxBytes: write.maxBytes });
  switch (read.kind) {
    case "found":
    case "absent":
    case "too-large": {
      const settled = write.settle(read);
      if (settled.kind === "again") context.counters?.add("staleReads");
      return settled;
    }
    case "unavailable":
      context.onTrouble?.(read.error);
      return { kind: "again" };
    case "denied":
    case "not-modified":
      return { kind: "again" };
  }
}

/** Full jitter; a store that said "slow down" gets about one write a second for this key, or what it asked for (rule W5). */
function paceOf(
  store: ObjectStore,
  attempt: number,
  forMs: number,
  result: Extract<WriteResult, { kind: "busy" | "unknown" }> | undefined,
): number {
  const capMs = Math.min(1000, forMs / 8);
  if (result?.kind === "busy") {
    const askedMs = Math.min(result.retryAfterMs ?? 0, forMs / 4);
    return askedMs + capMs * (0.5 + store.random.unit() / 2);
  }
  return backoffMs(store.random, attempt, Math.min(50, capMs), capMs);
}

function count(counters: DeliveryContext["counters"], result: WriteResult): void {
  if (result.kind === "applied") counters?.add("writesApplied");
  else if (result.kind === "refused") counters?.add("writesRefused");
  else if (result.kind === "busy") counters?.add("writesBusy");
  else if (result.kind === "unknown") counters?.add("writesUnknown");
}
