import { remainingMs, readClocks, addMs, earlier } from "../clock/deadline.ts";
import type { Instant } from "../clock/deadline.ts";
import { link, sleep } from "../clock/wait.ts";
import { ConsensusError, type RecordError, StoreUnavailableError, StoreUnsafeError } from "../errors.ts";
import { MAX_RECORD_BYTES } from "../record/codec.ts";
import { compareRecords, type Json, type LeaseRecord } from "../record/record.ts";
import type { StoreVerdict } from "../store/object-store.ts";
import { endMember } from "./end-member.ts";
import { judge, type Judgement } from "./judge.ts";
import type { LeaseObject } from "./lease-object.ts";
import { look } from "./look.ts";
import { type KeyView, observationsOf, type Sighting } from "./observations.ts";
import { SessionTenancy } from "./session-tenancy.ts";
import { lifetimeMs } from "./timing.ts";
import type { Tenancy, TenancyHooks } from "./tenancy.ts";
import { TimedTenancy } from "./timed-tenancy.ts";
import { writeFlag } from "./flag.ts";
import { type LogicalWrite, settle } from "./settle.ts";
import { carryOut, type WriteContext, type WriteEnd } from "./write.ts";

export interface TakeOptions {
  readonly signal: AbortSignal;
  /** When to give up, on the monotonic clock. Default: never. */
  readonly untilMs?: number | undefined;
  readonly hooks: TenancyHooks;
  /** What the record is to keep for its face from this acquisition on. Default: what stands there. */
  readonly payload?: Json | undefined;
  /** The fencing token is at least this. Default: one more than what stands there. */
  readonly leastToken?: number | undefined;
  /** Hears of what hinders: an outage, or a record that may not be touched. Returning keeps waiting, throwing ends it. */
  onTrouble(error: StoreUnavailableError | RecordError): void;
}

export interface ContendOptions extends TakeOptions {
  /** Looks, but takes nothing before this time on the monotonic clock: a cooldown. */
  readonly notBeforeMs?: number | undefined;
  /** While another holds it, writes into its record, once for each tenancy, that somebody waits (rule O1). */
  readonly askHolder?: boolean | undefined;
  /** Hears of every look that told something about the key. */
  onLook(view: KeyView, verdict: StoreVerdict | undefined): void;
  /** Hears that the key is closed, as it was last seen: there is nothing to be sent for it now. */
  onClosed?(): void;
}

/**
 * Waits for the key to be free or its holder dead, and takes it (rules C1 to C7). One GET a poll while it is held, mostly answered without
 * a body; one CAS at the very moment a watched record is dead, on exactly the ETag that was watched. A lock that names a session is looked at
 * twice, and its dead member is ended first (rules S7, S8). For a lock of one's own session it ends with that session, too (rule S3).
 * @returns `undefined` when `untilMs` passed.
 * @throws the reason of `signal`, or what ended the session; StoreUnsafeError, StoreAccessError; what `onTrouble` throws.
 */
export async function contend(lease: LeaseObject, options: ContendOptions): Promise<Tenancy | undefined> {
  const { session } = lease.settings;
  if (session === undefined) return await contest(lease, options, []);
  const stop = new AbortController();
  const undo = [link(options.signal, stop), session.whenOver((reason) => stop.abort(reason))];
  const open: LogicalWrite[] = [];
  let taken: Tenancy | undefined;
  try {
    taken = await contest(lease, { ...options, signal: stop.signal }, open);
    return taken;
  } finally {
    for (const u of undo) u();
    // Nobody wants what may still land, or has landed and was answered "refused", and no ttl would free it (rule S14).
    const left = taken === undefined ? open.filter((a) => !isDecided(lease, a)) : [];
    const last = left.at(-1);
    if (last !== undefined) session.abandon({ lease, nonces: left.map((a) => a.record.nonce), base: { etag: last.base?.etag } });
  }
}

/** What stands there by now is neither the version that this attempt needs nor its own: it is not there, and can't come any more. */
function isDecided(lease: LeaseObject, { base }: LogicalWrite): boolean {
  const { current } = lease.view;
  if (current === undefined || current.record.instance === lease.instance) return false;
  return base === undefined || compareRecords(current.record, base.record) > 0;
}

/** @param open takes the attempts whose fate is open. */
async function contest(lease: LeaseObject, options: ContendOptions, open: LogicalWrite[]): Promise<Tenancy | undefined> {
  const { signal } = options;
  const { store, pollMs } = lease.settings;
  let verdict: StoreVerdict | undefined;
  // A key that this process knows to be free needs no look before its CAS.
  const coolingDown = (options.notBeforeMs ?? 0) > lease.nowMs();
  const startMs = lease.nowMs();
  let nextLookMs = !coolingDown && knownFree(lease) ? lease.nowMs() + pollMs : lease.nowMs();
  let looks = 0;
  let asked: Asked = { token: 0, heardAtMs: Infinity };
  let lookedAtMs = -Infinity;
  let attempted = false;
  for (;;) {
    signal.throwIfAborted();
    const looking = lease.nowMs() >= nextLookMs;
    if (looking) lookedAtMs = lease.nowMs();
    const [trouble, safe] = await Promise.all([
      // What was seen before this call says nothing to it: the session may have been closed since. While it waits, looks are shared.
      looking ? look(lease, signal, looks === 0 ? startMs : lookedAtMs - pollMs / 4) : undefined,
      verdict ?? ensureSafe(lease, options),
    ]);
    signal.throwIfAborted();
    if (looking) {
      if (lookedAtMs >= asked.heardAtMs) [looks, asked] = [0, { ...asked, heardAtMs: Infinity }];
      nextLookMs = lease.nowMs() + intervalMs(lease, looks++);
    }
    if (!(safe instanceof StoreUnavailableError)) verdict = fit(lease, safe);
    if (looking && trouble === undefined) options.onLook(lease.view, verdict);
    const next = trouble ?? (safe instanceof StoreUnavailableError ? safe : decide(lease, verdict, options.notBeforeMs ?? 0));
    if (next instanceof ConsensusError) options.onTrouble(next);
    else if (next.kind === "free") {
      if (attempted && leftOf(options, lease) <= 0) return undefined;
      // One that rests on what was known before this call is no answer yet: refused, it only says that a look is due.
      attempted = looks > 0;
      const sentAtMs = lease.nowMs();
      const taken = await take(lease, options, next.by, open, open);
      if (taken !== undefined) return taken;
      // Refused: whoever was faster is who holds it now, and that is the answer, also when the wait is over.
      const refused = (lease.view.refused?.atMs ?? -Infinity) >= sentAtMs;
      if (!refused && leftOf(options, lease) <= 0) return undefined;
      nextLookMs = lease.nowMs();
      continue;
    } else if (next.kind === "end") {
      if (!(await endMember(lease, next, options))) {
        if (leftOf(options, lease) <= 0) return undefined;
        nextLookMs = lease.nowMs();
      }
      continue;
    } else if (refusedSince(lease, lookedAtMs)) {
      // Another candidate of this process, which shares the view, was refused after my look: it is out of date.
      nextLookMs = lease.nowMs();
      continue;
    }
    if (!(next instanceof ConsensusError)) options.onClosed?.();
    if (options.askHolder === true && !(next instanceof ConsensusError)) asked = await ask(lease, asked);
    nextLookMs = Math.min(nextLookMs, asked.heardAtMs);
    const freeInMs = next instanceof ConsensusError ? undefined : next.freeInMs;
    const leftMs = leftOf(options, lease);
    if (leftMs <= 0) return undefined;
    // After an outage of the probe alone, too, the next round comes with the next look.
    if (safe instanceof StoreUnavailableError && !looking) nextLookMs = lease.nowMs() + pollMs;
    await sleep(store.clock, Math.min(Math.max(0, nextLookMs - lease.nowMs()), freeInMs ?? Infinity, leftMs), { signal, keepAlive: true });
  }
}

/**
 * The wait after the look number `look`. The first is a random part of a poll, so that candidates which started together do not look together ever
 * after. Where waits begin short they grow with what has been waited already, each a random part of its length.
 */
function intervalMs(lease: LeaseObject, look: number): number {
  const { store, pollMs, firstPollMs = pollMs } = lease.settings;
  const fullMs = Math.min(pollMs, firstPollMs * 2 ** Math.min(look, 20));
  return look === 0 || fullMs < pollMs ? fullMs * (0.5 + store.random.unit() / 2) : fullMs;
}

interface Asked {
  /** Of the tenancy whose holder has been asked by now, by this candidate or by another. */
  readonly token: number;
  /** When that holder renews next and hears of it: from then on the end is near, and looks come as at the beginning. */
  readonly heardAtMs: number;
}

async function ask(lease: LeaseObject, asked: Asked): Promise<Asked> {
  const seen = lease.view.current;
  if (seen?.record.state !== "held" || seen.record.fencingToken <= asked.token) return asked;
  if (seen.record.flag === undefined) {
    const { store, key, node, timing } = lease.settings;
    const end = await writeFlag(store, key, seen, { kind: "asked", by: node }, timing.requestTimeoutMs);
    // Refused: it was renewed, freed or flagged meanwhile. The next look tells.
    if (end === undefined) return asked;
  }
  return { token: seen.record.fencingToken, heardAtMs: lease.nowMs() + nextRenewalInMs(seen) };
}

/** By the store's own stamps of that version, which its holder wrote. */
function nextRenewalInMs({ record, dateMs, lastModifiedMs }: Sighting): number {
  if (record.session !== undefined || record.flag !== undefined || dateMs === undefined || lastModifiedMs === undefined) return Infinity;
  return Math.max(0, record.ttlMs / 3 - (dateMs - lastModifiedMs));
}

function refusedSince(lease: LeaseObject, atMs: number): boolean {
  const { refused, current } = lease.view;
  return refused !== undefined && refused.etag === current?.etag && refused.atMs >= atMs && lease.nowMs() > atMs;
}

function leftOf(options: TakeOptions, lease: LeaseObject): number {
  return (options.untilMs ?? Infinity) - lease.nowMs();
}

function knownFree(lease: LeaseObject): boolean {
  const { view } = lease;
  if (lease.settings.isFresh === true && view.current === undefined && view.highest === undefined) view.absent = true;
  if (view.current === undefined) return lease.settings.isFresh === true && view.absent;
  const { current, contradiction } = view;
  // A read that told otherwise is looked into first: what was a regression may have been repaired meanwhile (rule H10).
  return contradiction === undefined && judge(current, lease.judge(undefined), lease.nowMs()).kind === "free";
}

type Decision = Exclude<Judgement, { kind: "untouchable" }> | RecordError;

/** What to do about the key as it is known now. Reads and judges, changes nothing but a settled contradiction. */
function decide(lease: LeaseObject, verdict: StoreVerdict | undefined, notBeforeMs: number): Decision {
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
  if (judgement.kind === "untouchable") return judgement.error;
  if (judgement.kind !== "held" && now < notBeforeMs) return { kind: "held", freeInMs: notBeforeMs - now };
  // The very CAS that this asks for was refused a moment ago, and looking told nothing new: the store is in doubt about the key (rule W6).
  if (judgement.kind === "free") return unlessInDoubt(view, view.current?.etag, lease, judgement);
  if (judgement.kind !== "end") return judgement;
  const member = observationsOf(lease.settings.store).view(judgement.ref.member);
  return unlessInDoubt(member, judgement.member?.etag, lease, judgement);
}

function unlessInDoubt<J extends Judgement>(
  view: KeyView,
  etag: string | undefined,
  lease: LeaseObject,
  judgement: J,
): J | Extract<Judgement, { kind: "held" }> {
  const { refused } = view;
  const now = lease.nowMs();
  if (refused === undefined || refused.etag !== etag || now - refused.atMs >= lease.settings.pollMs) return judgement;
  return { kind: "held", freeInMs: refused.atMs + lease.settings.pollMs - now };
}

/** Where only the store's own time counts and the store has none to trust, waiting would never end (rules C3, T4). */
function fit(lease: LeaseObject, verdict: StoreVerdict): StoreVerdict {
  const { store, takeover, ephemeral } = lease.settings;
  if (ephemeral === true && !verdict.storeTime)
    throw new StoreUnsafeError(
      `"${lease.name}" is an ephemeral lock, and the times of ${store.url} were found unfit to number its tokens by: they could go back after a deletion. Use plain locks`,
      { step: "times of the store" },
    );
  if (takeover !== "store-time" || verdict.storeTime) return verdict;
  throw new StoreUnsafeError(
    `takeover "store-time", on which every lock of oneShot(…) stands, can't work on ${store.url}: its Date and Last-Modified were found unfit to tell that a holder is dead. Use takeover "auto" or "observe"`,
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

/**
 * How long after the read that found nothing an ephemeral key may be created: with half an hour that a signed request may be under way at most, it
 * can't land after the deletion of a record that was made meanwhile (rule P2).
 */
const CREATE_WITHIN_MS = 60_000;

/** One acquisition attempt, over the version that was judged. It is carried to its end even when `signal` aborts meanwhile, and then cleaned up after. */
export async function take(
  lease: LeaseObject,
  options: TakeOptions,
  by: Extract<Judgement, { kind: "free" }>["by"],
  open: LogicalWrite[] = [],
  refused: LogicalWrite[] = [],
): Promise<Tenancy | undefined> {
  const { view } = lease;
  const { store, key, timing, session, ephemeral } = lease.settings;
  const write: LogicalWrite = {
    record: lease.acquisition(view.current?.record, options.payload ?? view.current?.record.payload, options.leastToken),
    base: view.current,
  };
  const context: WriteContext = {
    store,
    key,
    counters: lease.counters,
    written: lease.written,
    requestTimeoutMs: timing.requestTimeoutMs,
    onTrouble: (e) => options.onTrouble(e),
    // Sent only under the tenancy that it names, while that is held; each time anew (rule S3).
    beforeSend: session && (() => session.membership.assertHeld()),
  };
  // A caller that waits no longer still gets the two requests that a lost reply takes.
  const patienceMs = Math.min(lifetimeMs(timing), Math.max(leftOf(options, lease), 2 * timing.requestTimeoutMs));
  const sendBy = write.base === undefined && ephemeral === true && view.absence ? addMs(view.absence.askedAt, CREATE_WITHIN_MS) : undefined;
  const until = addMs(readClocks(store.clock), patienceMs);
  const end = await carryOut(context, write, {
    until: sendBy === undefined ? until : earlier(until, sendBy),
    sendBy,
    forMs: lifetimeMs(timing),
    signal: options.signal,
    abortRequests: false,
    explainRefusal: false,
  });
  const applied =
    end.kind === "applied" ? { etag: end.etag, record: write.record, firstSentAt: end.firstSentAt } : adoptedBelowFlag(end, write.record);
  if (applied === undefined) {
    if ((end.kind === "undecided" || end.kind === "denied") && end.mayLand) open.push(write);
    // A proxy that sends a write twice answers "refused" to one that was applied.
    if (end.kind === "refused") refused.push(write);
    if (end.kind === "denied") throw end.error;
    if (end.kind === "refused" || end.kind === "settled") view.noteRefused(write.base?.etag, lease.nowMs());
    const givesUp = options.signal.aborted || leftOf(options, lease) <= 0;
    // What a session has left behind is looked after until it is decided (rule S14).
    if (end.kind === "undecided" && end.mayLand && givesUp && session === undefined) await giveUp(lease, write, options.hooks);
    return undefined;
  }
  view.accept({ etag: applied.etag, record: applied.record, sinceMs: lease.nowMs(), lastModifiedMs: undefined, dateMs: undefined });
  if (isLate(lease, applied.firstSentAt)) return undefined;
  const tenancy = adopt(lease, applied, options.hooks);
  lease.counters.add("acquired");
  if (options.signal.aborted) {
    await tenancy.release("stopped");
    options.signal.throwIfAborted();
  }
  if (by === "orphan") lease.counters.add("orphansTaken");
  else if (by === "observation") lease.counters.add("takeoversByObservation");
  else if (by === "store-time") lease.counters.add("takeoversByStoreTime");
  else if (by === "session") lease.counters.add("takeoversOfSessions");
  return tenancy;
}

export interface Applied {
  readonly etag: string;
  readonly record: LeaseRecord;
  readonly firstSentAt: Instant;
}

/**
 * The clocks are looked at before the answer. One that comes after the deadline makes an orphan, which is never adopted any more (rules H3, W7);
 * the next round takes it again. One that comes after the session's means nothing, although the store took it (rule S2).
 */
export function isLate(lease: LeaseObject, firstSentAt: Instant): boolean {
  const { session, timing, store } = lease.settings;
  if (session !== undefined) return !session.membership.isHeld();
  return remainingMs(addMs(firstSentAt, lifetimeMs(timing)), readClocks(store.clock)) <= 0;
}

export function adopt(lease: LeaseObject, { etag, record, firstSentAt }: Applied, hooks: TenancyHooks): Tenancy {
  const { session } = lease.settings;
  if (record.session === undefined) return new TimedTenancy(lease, { etag, record, firstSentAt }, hooks);
  if (session === undefined) throw new Error(`"${lease.settings.key}" was acquired for a session, and there is none`);
  return new SessionTenancy(lease, session, { etag, record, firstSentAt }, hooks);
}

/**
 * Nobody waits any more for an acquisition whose fate is open: looks once, and gives back what it shows to be won (no later acquisition was
 * sent, so it may still be adopted, rule S4). What lands after that look is freed by its ttl.
 */
export async function giveUp(lease: LeaseObject, write: LogicalWrite, hooks: TenancyHooks): Promise<void> {
  const { store, key, timing } = lease.settings;
  const firstSentAt = lease.written.firstSentAt(write.record.nonce);
  const read = await store.get(key, { maxBytes: MAX_RECORD_BYTES, timeoutMs: timing.requestTimeoutMs });
  if (read.kind !== "found" || firstSentAt === undefined) return;
  const settled = settle(key, write, read, lease.written);
  if (settled.kind !== "mine" && !(settled.kind === "still-mine" && settled.applied)) return;
  if (isLate(lease, firstSentAt)) return;
  const record = settled.kind === "mine" ? write.record : settled.record;
  const tenancy = adopt(lease, { etag: settled.etag, record, firstSentAt }, hooks);
  lease.counters.add("acquired");
  await tenancy.release("stopped");
}

/** The acquisition was applied, and an operator's flag was written on top before its fate was known. */
export function adoptedBelowFlag(end: WriteEnd, record: LeaseRecord): Applied | undefined {
  if (end.kind !== "settled" || end.as.kind !== "still-mine" || end.as.record.holderNonce !== record.nonce) return undefined;
  return { etag: end.as.etag, record: end.as.record, firstSentAt: end.firstSentAt };
}
