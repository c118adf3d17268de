import { addMs, readClocks } from "../clock/deadline.ts";
import { StoreUnavailableError } from "../errors.ts";
import { adopt, adoptedBelowFlag, type Applied, giveUp, isLate } from "./contend.ts";
import type { LeaseObject } from "./lease-object.ts";
import type { Tenancy, TenancyHooks, TimedVersion } from "./tenancy.ts";
import type { LogicalWrite } from "./settle.ts";
import { lifetimeMs } from "./timing.ts";
import { carryOut } from "./write.ts";

const ROUNDS = 3;

/**
 * Goes on from a version that its holder handed off (rule O4): an acquisition like any other, by CAS on that very version, with the next token and
 * belief from its own send. Refused, it goes again only where nothing but a flag was put on top.
 * @returns `undefined` where the version is gone for good: another resumed, or it was freed or taken.
 * @throws the reason of `signal`; StoreUnavailableError, StoreAccessError, StoreUnsafeError.
 */
export async function resume(
  lease: LeaseObject,
  from: TimedVersion,
  signal: AbortSignal | undefined,
  hooks: TenancyHooks,
): Promise<Tenancy | undefined> {
  signal?.throwIfAborted();
  const { store, key, timing, session } = lease.settings;
  await store.ensureSafe({ signal });
  signal?.throwIfAborted();
  const until = addMs(readClocks(store.clock), lifetimeMs(timing));
  const limits = { until, forMs: lifetimeMs(timing), signal, abortRequests: false, explainRefusal: true };
  let base: LogicalWrite["base"] & object = from;
  for (let round = 0; round < ROUNDS; round++) {
    const record = { ...lease.acquisition(base.record), metadata: base.record.metadata };
    const context = {
      store,
      key,
      counters: lease.counters,
      written: lease.written,
      requestTimeoutMs: timing.requestTimeoutMs,
      beforeSend: session && (() => session.membership.assertHeld()),
    };
    const end = await carryOut(context, { record, base }, limits);
    const taken = end.kind === "applied" ? { etag: end.etag, record, firstSentAt: end.firstSentAt } : adoptedBelowFlag(end, record);
    if (taken !== undefined) return await believe(lease, taken, signal, hooks);
    if (end.kind === "denied") throw end.error;
    if (end.kind === "undecided") {
      // No ttl would free what a session has left behind (rule S14).
      if (end.mayLand && session !== undefined) session.abandon({ lease, nonces: [record.nonce], base });
      else if (end.mayLand) await giveUp(lease, { record, base }, hooks);
      signal?.throwIfAborted();
      throw end.error ?? new StoreUnavailableError(`lease "${lease.name}" could not be resumed within ${lifetimeMs(timing)} ms`);
    }
    if (end.kind !== "settled" || end.as.kind !== "other") return undefined;
    const { etag, record: seen } = end.as;
    const onlyFlagged =
      seen.state === "held" && seen.holderNonce === from.record.holderNonce && seen.fencingToken === from.record.fencingToken;
    if (!onlyFlagged) return undefined;
    base = { etag, record: seen };
  }
  return undefined;
}

async function believe(
  lease: LeaseObject,
  taken: Applied,
  signal: AbortSignal | undefined,
  hooks: TenancyHooks,
): Promise<Tenancy | undefined> {
  lease.view.accept({ ...taken, sinceMs: lease.nowMs(), lastModifiedMs: undefined, dateMs: undefined });
  if (isLate(lease, taken.firstSentAt)) return undefined;
  const tenancy = adopt(lease, taken, hooks);
  lease.counters.add("acquired");
  if (signal?.aborted === true) {
    await tenancy.release("stopped");
    signal.throwIfAborted();
  }
  return tenancy;
}
