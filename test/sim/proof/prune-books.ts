/**
 * What is true of records that are deleted (rules P1 to P4, S12), judged by the store in true time: what may be closed and when, what a DELETE hits
 * when it lands, and with which token a key begins that was deleted.
 */
import type { Attempt } from "../../../src/testing/sim/sim-store.ts";
import type { SimProcess } from "../../../src/testing/sim/sim-node.ts";
import type { Arena } from "./arena.ts";
import type { KeyHistory, WriteEntry } from "./ledger.ts";
import type { RecordView } from "./record-view.ts";

const HOUR_MS = 3_600_000;
/** How long a signed request may be under way, and how long after what it rests on it may leave. */
const UNDER_WAY_MS = 30 * 60_000;
const LEAVES_WITHIN_MS = 60_000;
/** How long the delays of a session's locks may count from its end by another. */
const LONGEST_DELAY_MS = 7 * 24 * HOUR_MS;
/** Clocks within their bound. */
const SLOWEST = 0.9;

export class PruneBooks {
  readonly #arena: Arena;
  /** When the version that stands at a key was written, not counting the one that closes it. */
  readonly #openSince = new Map<string, number>();
  /** Keys that were deleted, and have not been made anew. */
  readonly #deleted = new Set<string>();
  /** DELETEs that were sent, by key and version. */
  readonly #sent = new Set<string>();
  /** When the write that closes a version was first sent, by key and process. */
  readonly #closing = new Map<string, { readonly process: SimProcess; readonly sentMs: number }>();

  constructor(arena: Arena) {
    this.#arena = arena;
    arena.network.watch((stage, attempt) => {
      if (stage === "sent") this.#removing(attempt);
    });
  }

  /** A write of a record goes out. */
  sent({ key, record, process, firstSent }: WriteEntry): void {
    if (isEphemeral(key) && isClosed(record)) this.#closing.set(key, { process, sentMs: firstSent.trueMs });
  }

  /** A write of a record, at the moment that it is applied; `before` is what was there. */
  applied(key: string, before: KeyHistory, record: RecordView): void {
    if (key.includes("members/")) return this.#member(key, before, record);
    if (!isEphemeral(key)) return;
    const { world, coverage } = this.#arena;
    const was = before.current;
    if (was !== undefined && isClosed(record) && was.fencingToken === record.fencingToken) return this.#closed(key, was, record);
    this.#openSince.set(key, world.nowMs);
    if (was === undefined) return this.#created(key, record);
    if (isClosed(was) && record.fencingToken > was.fencingToken)
      coverage.saw("key that was closed for deletion taken when it was open again");
  }

  /** A DELETE of a record, at the moment that it is carried out on something. */
  deleted(key: string, was: RecordView, sinceMs: number): void {
    const { coverage, plan, terms, world } = this.#arena;
    this.#deleted.add(key);
    if (key.includes("members/")) {
      coverage.saw("member record of a session that is over deleted");
      const ageMs = world.nowMs - sinceMs;
      if (was.state !== "released") return this.#fail("S12", key, "a member was deleted that had not been ended in the store");
      // Where the condition is ignored, a late DELETE may hit what somebody made in the place of a member that was missing: that is over, too.
      const leastMs = plan.profile.conditionalDelete === false ? 0 : was.endedBy === "other" ? LONGEST_DELAY_MS : HOUR_MS;
      if (ageMs < leastMs) this.#fail("S12", key, `a member was deleted ${Math.round(ageMs)} ms after its end`);
      return;
    }
    coverage.count(`deleted by a store that ${plan.profile.conditionalDelete === false ? "ignores" : "keeps"} the condition`);
    if (was.state !== "released" || was.flag !== undefined) return this.#fail("P4", key, `what was deleted is ${was.state}`);
    if (!isClosed(was)) return this.#fail("P3", key, "what was deleted had not been closed");
    if (terms.believers(key).length > 0) this.#fail("P3", key, "deleted while somebody believes to hold it");
  }

  /** P2, P4: only what was open for everybody, and for an hour of true time. */
  #closed(key: string, was: RecordView, { holdForMs = 0 }: RecordView): void {
    const { world, coverage } = this.#arena;
    coverage.count("keys closed for deletion");
    const ageMs = world.nowMs - (this.#openSince.get(key) ?? 0);
    if (was.state !== "released" || was.flag !== undefined) return this.#fail("P4", key, `closed for deletion while it is ${was.state}`);
    if (isClosed(was)) coverage.count("keys closed for deletion again");
    // By the fastest clock it is to outlast a DELETE that is under way.
    if (holdForMs < (LEAVES_WITHIN_MS + UNDER_WAY_MS) / SLOWEST) this.#fail("P3", key, `closed for ${holdForMs} ms only`);
    if (ageMs < Math.max(HOUR_MS, was.holdForMs ?? 0))
      this.#fail("P2", key, `closed for deletion ${Math.round(ageMs)} ms after its release, with a hold of ${was.holdForMs ?? 0} ms`);
  }

  /** P1: the first token is the store's time, not ahead of it, and not older than a request can be. That it is above all before is I2. */
  #created(key: string, { fencingToken }: RecordView): void {
    const { coverage, plan, world } = this.#arena;
    if (this.#deleted.delete(key)) coverage.saw("key that was deleted made anew");
    const { offsetMs = 0, skewMs = 0, storeTime } = plan.profile;
    if (storeTime !== true) this.#fail("P1", key, "made by times that are unfit");
    const storeMs = world.startWallMs + world.nowMs + offsetMs;
    const oldestMs = LEAVES_WITHIN_MS / SLOWEST + UNDER_WAY_MS + 1_000;
    if (fencingToken > storeMs + skewMs) this.#fail("P1", key, `its first token is ${fencingToken - storeMs} ms ahead of the store's time`);
    if (fencingToken < storeMs - oldestMs) this.#fail("P2", key, `it was made by a read of ${Math.round(storeMs - fencingToken)} ms ago`);
  }

  /** S12: the id of a member is used once. */
  #member(key: string, before: KeyHistory, record: RecordView): void {
    const first = before.acquisitions.values().next().value;
    if (record.state === "held" && first !== undefined && first.instance !== record.instance)
      this.#fail("S12", key, "the id of a member was used again");
    if (record.state === "held" && this.#deleted.has(key)) this.#fail("S12", key, "a member that was deleted came back");
  }

  /** P3: one DELETE, by its version, within a minute of the write that closed it. */
  #removing({ operation, process }: Attempt): void {
    if (operation.kind !== "remove" || !isEphemeral(operation.key)) return;
    const { key, etag } = operation;
    const { ledger, world, coverage } = this.#arena;
    // Of a key that never was: so a pruner learns whether it may.
    if (key.includes("/.prune-")) return;
    coverage.count("DELETEs of ephemeral keys");
    if (etag === undefined) return this.#fail("P3", key, "a DELETE that names no version");
    if (this.#sent.has(`${key} ${etag}`)) this.#fail("P3", key, "a second DELETE of one version");
    this.#sent.add(`${key} ${etag}`);
    const version = ledger.history(key).byEtag.get(etag);
    const closing = this.#closing.get(key);
    if (version === undefined || !isClosed(version)) return this.#fail("P3", key, "a DELETE of a version that was not closed");
    if (closing?.process !== process) return;
    const lateMs = world.nowMs - closing.sentMs;
    if (lateMs > LEAVES_WITHIN_MS / SLOWEST)
      this.#fail("P3", key, `its DELETE left ${Math.round(lateMs)} ms after the write that closed it`);
  }

  #fail(rule: string, key: string, what: string): void {
    this.#arena.fail(rule, `${key}: ${what}`);
  }
}

function isEphemeral(key: string): boolean {
  return key.startsWith("locks/ephemeral/");
}

/** Released, and closed by a pruner since: the one write that adds a hold, and proves nothing of a holder. */
export function isClosed({ state, nonce, holderNonce, holdForMs }: RecordView): boolean {
  return state === "released" && nonce !== holderNonce && holdForMs !== undefined;
}
