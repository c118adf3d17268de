import { remainingMs, readClocks, addMs } from "../clock/deadline.ts";
import { sleep } from "../clock/wait.ts";
import { ConsensusError, RecordError, StoreUnavailableError, StoreUnsafeError } from "../errors.ts";
import { MAX_RECORD_BYTES } from "../record/codec.ts";
import type { Json } from "../record/record.ts";
import type { ReadResult, StoreVerdict } from "../store/object-store.ts";
import { judge, type Judgement } from "./judge.ts";
import type { LeaseObject } from "./lease-object.ts";
import type { KeyView, Sighting } from "./observations.ts";
import { lifetimeMs } from "./timing.ts";
import { Tenancy, type TenancyHooks } from "./tenancy.ts";
import { type LogicalWrite, settle } from "./settle.ts";
import { carryOut, type WriteContext } from "./write.ts";

export interface TakeOptions {
  readonly signal: AbortSignal;
  /** When to give up, on the monotonic clock. Default: never. */
  readonly untilMs?: number | undefined;
  readonly hooks: TenancyHooks;
  /** What the record is to keep for its face from this acquisition on. Default: what stands there. */
  readonly payload?: Json | undefined;
  /** Hears of what hinders: an outage, or a record that may not be touched. Returning keeps waiting, throwing ends it. */
  onTrouble(error: StoreUnavailableError | RecordError): void;
}

export interface ContendOptions extends TakeOptions {
  /** Looks, but takes nothing before this time on the monotonic clock: a cooldown. */
  readonly notBeforeMs?: number | undefined;
  /** Hears of every look that told something about the key. */
  onLook(view: KeyView, verdict: StoreVerdict | undefined): void;
}

/**
 * Waits for the key to be free or its holder dead, and takes it (rules C1 to C7). One GET a poll while it is held, mostly answered without
 * a body; one CAS at the very moment a watched record is dead, on exactly the ETag that was watched.
 * @returns `undefined` when `untilMs` passed.
 * @throws the reason of `signal`; StoreUnsafeError, StoreAccessError; what `onTrouble` throws.
 */
export async function contend(lease: LeaseObject, options: ContendOptions): Promise<Tenancy | undefined> {
  const { signal } = options;
  const { store, pollMs } = lease.settings;
  let verdict: StoreVerdict | undefined;
  // A key that this process knows to be free needs no look before its CAS.
  const coolingDown = (options.notBeforeMs ?? 0) > lease.nowMs();
  let nextLookMs = !coolingDown && knownFree(lease) ? lease.nowMs() + pollMs : lease.nowMs();
  // The first wait is a random part of a poll, so that candidates which started together do not look together ever after.
  let firstWait = true;
  let lookedAtMs = -Infinity;
  let attempted = false;
  for (;;) {
    signal.throwIfAborted();
    const looking = lease.nowMs() >= nextLookMs;
    if (looking) lookedAtMs = lease.nowMs();
    const [trouble, safe] = await Promise.all([looking ? look(lease, options) : undefined, verdict ?? ensureSafe(lease, options)]);
    signal.throwIfAborted();
    if (looking) {
      nextLookMs = lease.nowMs() + pollMs * (firstWait ? 0.5 + lease.settings.store.random.unit() / 2 : 1);
      firstWait = false;
    }
    if (!(safe instanceof StoreUnavailableError)) verdict = fit(lease, safe);
    if (looking && trouble === undefined) options.onLook(lease.view, verdict);
    const next = trouble ?? (safe instanceof StoreUnavailableError ? safe : decide(lease, verdict, options.notBeforeMs ?? 0));
    if (next instanceof ConsensusError) options.onTrouble(next);
    else if (next.kind === "free") {
      if (attempted && leftOf(options, lease) <= 0) return undefined;
      attempted = true;
      const sentAtMs = lease.nowMs();
      const taken = await take(lease, options, next.by);
      if (taken !== undefined) return taken;
      // Refused: whoever was faster is who holds it now, and that is the answer, also when the wait is over.
      const refused = (lease.view.refused?.atMs ?? -Infinity) >= sentAtMs;
      if (!refused && leftOf(options, lease) <= 0) return undefined;
      nextLookMs = lease.nowMs();
      continue;
    } else if (refusedSince(lease, lookedAtMs)) {
      // Another candidate of this process, which shares the view, was refused after my look: it is out of date.
      nextLookMs = lease.nowMs();
      continue;
    }
    const freeInMs = next instanceof ConsensusError ? undefined : next.freeInMs;
    const leftMs = leftOf(options, lease);
    if (leftMs <= 0) return undefined;
    // After an outage of the probe alone, too, the next round comes with the next look.
    if (safe instanceof StoreUnavailableError && !looking) nextLookMs = lease.nowMs() + pollMs;
    await sleep(store.clock, Math.min(Math.max(0, nextLookMs - lease.nowMs()), freeInMs ?? Infinity, leftMs), { signal, keepAlive: true });
  }
}

function refusedSince(lease: LeaseObject, atMs: number): boolean {
  const { refused, current } = lease.view;
  return refused !== undefined && refused.etag === current?.etag && refused.atMs >= atMs && lease.nowMs() > atMs;
}

function leftOf(options: TakeOptions, lease: LeaseObject): number {
  return (options.untilMs ?? Infinity) - lease.nowMs();
}

function knownFree(lease: LeaseObject): boolean {
  const { current, contradiction } = lease.view;
  // A read that told otherwise is looked into first: what was a regression may have been repaired meanwhile (rule H10).
  return current !== undefined && contradiction === undefined && judge(current, lease.judge(undefined), lease.nowMs()).kind === "free";
}

/** What to do about the key as it is known now. Reads and judges, changes nothing but a settled contradiction. */
function decide(lease: LeaseObject, verdict: StoreVerdict | undefined, notBeforeMs: number): Judgement | RecordError {
  const { view } = lease;
  const now = lease.nowMs();
  const regressed = view.settleContradiction(now, lease.settings.pollMs);
  if (regressed !== undefined) return regressed;
  const judgement: Judgement =
    view.current !== undefined
      ? judge(view.current, lease.judge(verdict?.storeTime === true ? verdict.skewMs : undefined), now)
      : view.absent
        ? { kind: "free", by: "released" }
        : { kind: "held", freeInMs: undefined };
  if (judgement.kind === "free" && now < notBeforeMs) return { kind: "held", freeInMs: notBeforeMs - now };
  // The very CAS that this asks for was refused a moment ago, and looking told nothing new: the store is in doubt about the key (rule W6).
  const { refused } = view;
  if (
    judgement.kind === "free" &&
    refused !== undefined &&
    refused.etag === view.current?.etag &&
    now - refused.atMs < lease.settings.pollMs
  )
    return { kind: "held", freeInMs: refused.atMs + lease.settings.pollMs - now };
  return judgement;
}

/**
 * One look at the key, conditional once an ETag is known.
 * @returns what hindered it, if something that waiting may mend did. @throws StoreAccessError, StoreUnsafeError, the reason of `signal`.
 */
export async function look(
  lease: LeaseObject,
  options: { readonly signal: AbortSignal },
): Promise<StoreUnavailableError | RecordError | undefined> {
  const { store, key, timing } = lease.settings;
  const { view } = lease;
  const read: ReadResult = await store.get(key, {
    // A version that was learnt by writing it has no Last-Modified yet, and a 304 would never tell it (rule C3).
    ifNoneMatch: lease.settings.takeover === "observe" || view.current?.lastModifiedMs !== undefined ? view.current?.etag : undefined,
    maxBytes: MAX_RECORD_BYTES,
    timeoutMs: timing.requestTimeoutMs,
    signal: options.signal,
  });
  options.signal.throwIfAborted();
  if (read.kind === "denied") throw read.error;
  if (read.kind === "unavailable") return read.error;
  const noted = view.note(read, lease.nowMs());
  if (noted === "stale") lease.counters.add("staleReads");
  return noted instanceof RecordError ? noted : undefined;
}

/** Where only the store's own time counts and the store has none to trust, waiting would never end (rules C3, T4). */
function fit(lease: LeaseObject, verdict: StoreVerdict): StoreVerdict {
  const { store, takeover } = lease.settings;
  if (takeover !== "store-time" || verdict.storeTime) return verdict;
  throw new StoreUnsafeError(
    `takeover "store-time" can't work on ${store.url}: its Date and Last-Modified were found unfit to tell that a holder is dead. Use takeover "auto" or "observe"`,
    { step: "times of the store" },
  );
}

async function ensureSafe(lease: LeaseObject, options: ContendOptions): Promise<StoreVerdict | StoreUnavailableError> {
  try {
    return await lease.settings.store.ensureSafe({ signal: options.signal });
  } catch (e) {
    if (e instanceof StoreUnavailableError) return e;
    throw e;
  }
}

/** One acquisition attempt, over the version that was judged. It is carried to its end even when `signal` aborts meanwhile, and then cleaned up after. */
export async function take(
  lease: LeaseObject,
  options: TakeOptions,
  by: "released" | "orphan" | "observation" | "store-time",
): Promise<Tenancy | undefined> {
  const { view } = lease;
  const { store, key, timing } = lease.settings;
  const base: Sighting | undefined = view.current;
  const record = lease.acquisition(base?.record, options.payload ?? base?.record.payload);
  const context: WriteContext = {
    store,
    key,
    counters: lease.counters,
    written: lease.written,
    requestTimeoutMs: timing.requestTimeoutMs,
    onTrouble: (e) => options.onTrouble(e),
  };
  // A caller that waits no longer still gets the two requests that a lost reply takes.
  const patienceMs = Math.min(lifetimeMs(timing), Math.max(leftOf(options, lease), 2 * timing.requestTimeoutMs));
  const end = await carryOut(
    context,
    { record, base },
    {
      until: addMs(readClocks(store.clock), patienceMs),
      forMs: lifetimeMs(timing),
      signal: options.signal,
      abortRequests: false,
      explainRefusal: false,
    },
  );
  const applied = end.kind === "applied" ? { etag: end.etag, record, firstSentAt: end.firstSentAt } : adoptedBelowFlag(end, record);
  if (applied === undefined) {
    if (end.kind === "denied") throw end.error;
    if (end.kind === "refused" || end.kind === "settled") view.noteRefused(base?.etag, lease.nowMs());
    if (end.kind === "undecided" && end.mayLand && (options.signal.aborted || leftOf(options, lease) <= 0))
      await giveUp(lease, { record, base }, options.hooks);
    return undefined;
  }
  view.accept({ etag: applied.etag, record: applied.record, sinceMs: lease.nowMs(), lastModifiedMs: undefined, dateMs: undefined });
  // An answer that comes after the deadline makes an orphan, which is never adopted any more (rules H3, W7); the next round takes it again.
  if (remainingMs(addMs(applied.firstSentAt, lifetimeMs(timing)), readClocks(store.clock)) <= 0) return undefined;
  const tenancy = new Tenancy(lease, applied, options.hooks);
  lease.counters.add("acquired");
  if (options.signal.aborted) {
    await tenancy.release("stopped");
    options.signal.throwIfAborted();
  }
  if (by === "orphan") lease.counters.add("orphansTaken");
  else if (by === "observation") lease.counters.add("takeoversByObservation");
  else if (by === "store-time") lease.counters.add("takeoversByStoreTime");
  return tenancy;
}

/**
 * Nobody waits any more for an acquisition whose fate is open: looks once, and gives back what it shows to be won (no later acquisition was
 * sent, so it may still be adopted, rule S4). What lands after that look is freed by its ttl.
 */
async function giveUp(lease: LeaseObject, write: LogicalWrite, hooks: TenancyHooks): Promise<void> {
  const { store, key, timing } = lease.settings;
  const firstSentAt = lease.written.firstSentAt(write.record.nonce);
  const read = await store.get(key, { maxBytes: MAX_RECORD_BYTES, timeoutMs: timing.requestTimeoutMs });
  if (read.kind !== "found" || firstSentAt === undefined) return;
  const settled = settle(key, write, read, lease.written);
  if (settled.kind !== "mine" && !(settled.kind === "still-mine" && settled.applied)) return;
  if (remainingMs(addMs(firstSentAt, lifetimeMs(timing)), readClocks(store.clock)) <= 0) return;
  const record = settled.kind === "mine" ? write.record : settled.record;
  const tenancy = new Tenancy(lease, { etag: settled.etag, record, firstSentAt }, hooks);
  lease.counters.add("acquired");
  await tenancy.release("stopped");
}

/** The acquisition was applied, and an operator's flag was written on top before its fate was known. */
function adoptedBelowFlag(
  end: Awaited<ReturnType<typeof carryOut>>,
  record: Sighting["record"],
): ConstructorParameters<typeof Tenancy>[1] | undefined {
  if (end.kind !== "settled" || end.as.kind !== "still-mine" || end.as.record.holderNonce !== record.nonce) return undefined;
  return { etag: end.as.etag, record: end.as.record, firstSentAt: end.firstSentAt };
}
