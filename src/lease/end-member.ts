import { addMs, readClocks } from "../clock/deadline.ts";
import { freshId } from "../clock/wait.ts";
import type { StoreUnavailableError } from "../errors.ts";
import type { TimedRecord } from "../record/record.ts";
import type { Judgement } from "./judge.ts";
import type { LeaseObject } from "./lease-object.ts";
import { endedMember, tombstone } from "./member.ts";
import { observationsOf } from "./observations.ts";
import { lifetimeMs } from "./timing.ts";
import { carryOut } from "./write.ts";
import { WrittenNonces } from "./written.ts";

/**
 * Ends a dead member in the store by one CAS on exactly the version that was judged dead, before any of its locks is taken (rules S6, S7). One that
 * is missing is ended by a create. Whoever does it first does it for all: every lock of that member is free from then on.
 * @returns whether it was applied; otherwise what stands there has to be looked at again.
 * @throws StoreAccessError, StoreUnsafeError.
 */
export async function endMember(
  lease: LeaseObject,
  dead: Extract<Judgement, { kind: "end" }>,
  limits: { readonly signal: AbortSignal; onTrouble(error: StoreUnavailableError): void },
): Promise<boolean> {
  const { store, timing } = lease.settings;
  const lock = lease.view.current?.record;
  if (lock?.session === undefined) return false;
  const view = observationsOf(store).view(dead.ref.member);
  const nonce = freshId(store.random);
  const record: TimedRecord =
    dead.member === undefined ? tombstone(lock, view, nonce, store.clock.wallMs()) : endedMember(dead.member.record, nonce);
  const end = await carryOut(
    {
      store,
      key: dead.ref.member,
      counters: lease.counters,
      written: new WrittenNonces(),
      requestTimeoutMs: timing.requestTimeoutMs,
      onTrouble: (e) => limits.onTrouble(e),
    },
    { record, base: dead.member },
    {
      until: addMs(readClocks(store.clock), 2 * timing.requestTimeoutMs),
      forMs: lifetimeMs(timing),
      signal: limits.signal,
      abortRequests: true,
      explainRefusal: false,
    },
  );
  if (end.kind === "denied") throw end.error;
  if (end.kind !== "applied") {
    if (end.kind !== "undecided") view.noteRefused(dead.member?.etag, lease.nowMs());
    return false;
  }
  lease.counters.add("membersEnded");
  view.accept({ etag: end.etag, record, sinceMs: lease.nowMs(), lastModifiedMs: undefined, dateMs: end.dateMs });
  return true;
}
