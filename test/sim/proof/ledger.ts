/**
 * What really happened: every write of a record, attempt by attempt, as it was sent, landed and was answered; and every record that the store
 * ever had. The checks judge by it, never by what the code under test says of itself.
 */
import type { Attempt } from "../../../src/testing/sim/sim-store.ts";
import type { SimProcess } from "../../../src/testing/sim/sim-node.ts";
import type { AppliedWrite, SimS3 } from "../../../src/testing/sim/sim-s3.ts";
import type { Network } from "../../../src/testing/sim/network.ts";
import type { World } from "../../../src/testing/sim/world.ts";
import type { Coverage } from "./coverage.ts";
import { memberKeyOf, viewOf, type RecordView } from "./record-view.ts";
import { Violation } from "./violation.ts";

export type WriteKind = "acquire" | "renew" | "release" | "other";

/** One logical write: all attempts that carry the same nonce. */
export interface WriteEntry {
  readonly kind: WriteKind;
  readonly key: string;
  readonly record: RecordView;
  readonly process: SimProcess;
  /** The sender's clocks, and true time, before its first attempt. */
  readonly firstSent: { readonly trueMs: number; readonly monotonicMs: number; readonly wallMs: number };
  open: number;
  lostReplies: number;
  conflicts: number;
  applied: boolean;
  /** The sender heard 200 of it. */
  acknowledged: boolean;
  refused: boolean;
}

export interface KeyHistory {
  readonly byEtag: Map<string, RecordView>;
  readonly nonces: Set<string>;
  /** Who acquired with which token, in the order of the store. */
  readonly acquisitions: Map<
    number,
    { readonly instance: string; readonly process: SimProcess | undefined; readonly base: { readonly key: string; readonly token: number } }
  >;
  /** The record that ended a tenancy, by its token. */
  readonly ends: Map<number, RecordView>;
  highestToken: number;
  current: RecordView | undefined;
  /** When it was written, in true time. */
  sinceMs: number;
  /** An operator changed it behind everybody's back. */
  tampered: boolean;
}

export interface LedgerWatcher {
  /** An acquisition, at the moment that the store applies it. */
  readonly onAcquired: (key: string, by: SimProcess) => void;
  /** A release, at the moment that it is first sent. */
  readonly onReleasing: (key: string, token: number, by: SimProcess) => void;
  /** A write that the store refused to its sender, and had not applied. */
  readonly onRefused: (write: WriteEntry) => void;
  /** A write that the code sends, at each attempt. */
  readonly onSent: (write: WriteEntry) => void;
  /** A DELETE of the code that hit something. `sinceMs`: when that was written. */
  readonly onDeleted: (key: string, was: RecordView, sinceMs: number) => void;
  /** A write of the code, at the moment that the store applies it; `history` shows what was there before. */
  readonly onApplied: (key: string, history: KeyHistory, record: RecordView, write: WriteEntry | undefined) => void;
}

export class Ledger {
  readonly #world: World;
  readonly #coverage: Coverage;
  readonly #watcher: LedgerWatcher;
  readonly #keys = new Map<string, KeyHistory>();
  readonly #writes = new Map<string, WriteEntry>();
  /** The newest acquisition and the renewals on it that are known to their sender, by process and key. */
  readonly #believed = new Map<string, WriteEntry>();
  /** The newest of them that were applied. */
  readonly #newest = new Map<string, WriteEntry>();

  constructor(world: World, s3: SimS3, network: Network, coverage: Coverage, watcher: LedgerWatcher) {
    this.#watcher = watcher;
    this.#world = world;
    this.#coverage = coverage;
    s3.watch((write) => this.#applied(write));
    network.watch((stage, attempt) => {
      if (stage === "sent") this.#sent(attempt);
      else if (stage === "answered") this.#answered(attempt);
      else if (stage === "executed") this.#executed(attempt);
    });
  }

  history(key: string): KeyHistory {
    let history = this.#keys.get(key);
    if (history === undefined) {
      history = {
        byEtag: new Map(),
        nonces: new Set(),
        acquisitions: new Map(),
        ends: new Map(),
        highestToken: 0,
        current: undefined,
        sinceMs: 0,
        tampered: false,
      };
      this.#keys.set(key, history);
    }
    return history;
  }

  /** The write of this process that the record at `key` shows now, if it is one. */
  writeOf(nonce: string): WriteEntry | undefined {
    return this.#writes.get(nonce);
  }

  /** The newest write of a process that was acknowledged to it and holds `key` under `token`; what its belief may rest on. */
  believed(process: SimProcess, key: string, token: number): WriteEntry | undefined {
    const entry = this.#believed.get(believedKey(process, key));
    return entry?.record.fencingToken === token ? entry : undefined;
  }

  /** The newest write of a process that was applied, whether it knows or not: no belief of it lasts longer. */
  newest(process: SimProcess, key: string, token: number): WriteEntry | undefined {
    const entry = this.#newest.get(believedKey(process, key));
    return entry?.record.fencingToken === token ? entry : undefined;
  }

  /** A term was handed out. */
  noteTerm(process: SimProcess, key: string, token: number): void {
    for (const write of this.#writes.values()) {
      if (write.kind !== "acquire" || write.process !== process || write.key !== key || write.record.fencingToken !== token) continue;
      if (write.applied && !write.acknowledged) this.#coverage.saw("acquisition resolved as own");
    }
  }

  /** Whether somebody may still send a create of this key, after a look of its own from before there was anything. */
  mayBeCreated(key: string): boolean {
    return [...this.#writes.values()].some((w) => w.key === key && w.record.version === 1 && !w.applied && !w.refused && w.process.isAlive);
  }

  /** Writes of a process that it still waits for. */
  openWrites(process: SimProcess): WriteEntry[] {
    return [...this.#writes.values()].filter((w) => w.process === process && w.open > 0);
  }

  /** Old writes are forgotten, so that hours of simulated time fit into memory. Nothing lands later than `latestMs`. */
  forgetBefore(trueMs: number): void {
    for (const [nonce, write] of this.#writes) {
      if (
        write.firstSent.trueMs < trueMs &&
        (write.open === 0 || !write.process.isAlive) &&
        this.#keys.get(write.key)?.current?.nonce !== nonce
      )
        this.#writes.delete(nonce);
    }
  }

  #sent(attempt: Attempt): void {
    const { operation, process } = attempt;
    if (operation.kind !== "create" && operation.kind !== "replace") return;
    const record = isLease(operation.key) ? viewOf(operation.body) : undefined;
    if (record === undefined) return;
    const known = this.#writes.get(record.nonce);
    if (known !== undefined) {
      known.open++;
      this.#watcher.onSent(known);
      return;
    }
    if (record.state === "released" && record.endedBy !== "other") this.#watcher.onReleasing(operation.key, record.fencingToken, process);
    const base = operation.kind === "create" ? undefined : this.history(operation.key).byEtag.get(operation.etag);
    // Built upon without a word of the store that it was applied: a read showed its nonce (rule W3).
    const below = base === undefined ? undefined : this.#writes.get(base.nonce);
    if (below?.process === process && below.kind === "renew" && below.refused && !below.acknowledged)
      this.#coverage.saw("renewal resolved as own");
    const { node } = process;
    const entry: WriteEntry = {
      kind: kindOf(record, base),
      key: operation.key,
      record,
      process,
      firstSent: { trueMs: this.#world.nowMs, monotonicMs: node.monotonicMs(), wallMs: node.wallMs() },
      open: 1,
      lostReplies: 0,
      conflicts: 0,
      applied: false,
      acknowledged: false,
      refused: false,
    };
    this.#writes.set(record.nonce, entry);
    this.#watcher.onSent(entry);
  }

  #executed(attempt: Attempt): void {
    const write = this.#writeOfAttempt(attempt);
    if (write === undefined || write.applied) return;
    // The sender has given it up, or its time is over, and only now it is decided: too late to be applied.
    const givenUp = attempt.answeredMs !== undefined || !write.process.isAlive;
    if (!givenUp) return;
    if (write.kind === "renew") this.#coverage.saw("late renewal refused");
    if (write.kind === "release") this.#coverage.saw("late release refused");
  }

  #answered(attempt: Attempt): void {
    const { outcome, operation } = attempt;
    if (outcome?.kind === "reply" && operation.kind === "replace" && outcome.reply.status === 404) {
      if (isLease(operation.key)) this.#coverage.saw("404 on If-Match");
    }
    const write = this.#writeOfAttempt(attempt);
    if (write === undefined) return;
    write.open--;
    if (outcome?.kind !== "reply") {
      write.lostReplies++;
      return;
    }
    const { status } = outcome.reply;
    if (status === 409) write.conflicts++;
    if (status === 412 || status === 404) {
      write.refused = true;
      if (!write.applied) this.#watcher.onRefused(write);
      if (write.applied && write.lostReplies > 0) this.#coverage.saw("412 after an own lost reply");
    }
    if (status !== 200) return;
    write.acknowledged = true;
    if (write.conflicts > 0) this.#coverage.saw("409 then applied");
    if (!withinLifetime(write)) this.#coverage.saw("reply after the deadline");
    if (write.kind !== "acquire" && write.kind !== "renew") return;
    // An answer after the deadline of the write before it extends nothing: that tenancy has ended (rule H3).
    const id = believedKey(write.process, write.key);
    const before = this.#believed.get(id);
    const ended = write.kind === "renew" && (before?.record.fencingToken !== write.record.fencingToken || !withinLifetime(before));
    if (!ended) this.#believed.set(id, write);
  }

  #applied({ key, body, etag, by }: AppliedWrite): void {
    if (!isLease(key)) return;
    const history = this.history(key);
    const record = viewOf(body);
    const before = history.current;
    if (record !== undefined) history.byEtag.set(etag, record);
    if (by === undefined) {
      this.#stands(history, record);
      history.tampered = true;
      history.highestToken = Math.max(history.highestToken, record?.fencingToken ?? 0);
      return;
    }
    if (body === undefined && isDeletable(key)) {
      if (before !== undefined) this.#watcher.onDeleted(key, before, history.sinceMs);
      return this.#stands(history, undefined);
    }
    if (record === undefined) throw new Violation("I2", `${key}: something that is no record was written by the code`);
    if (history.nonces.has(record.nonce) && !history.tampered)
      throw new Violation("I2", `${key}: nonce ${record.nonce} was applied twice (rule R1)`);
    history.nonces.add(record.nonce);
    const write = this.#writes.get(record.nonce);
    if (write !== undefined) {
      write.applied = true;
      if (write.kind === "acquire" || write.kind === "renew") this.#newest.set(believedKey(write.process, key), write);
    }
    this.#watcher.onApplied(key, history, record, write);
    this.#stands(history, record);
    if (record.state === "released") history.ends.set(record.fencingToken, record);
    // The end of a member that was missing is nobody's acquisition (rule S7).
    if (before === undefined && record.state === "released") return;
    if (before?.fencingToken === record.fencingToken && before.instance === record.instance) return;
    this.#acquired(history, key, before, record, write, by as Attempt);
  }

  #stands(history: KeyHistory, record: RecordView | undefined): void {
    history.current = record;
    history.sinceMs = this.#world.nowMs;
  }

  #acquired(
    history: KeyHistory,
    key: string,
    before: RecordView | undefined,
    record: RecordView,
    write: WriteEntry | undefined,
    attempt: Attempt,
  ): void {
    this.#coverage.count("acquisitions applied");
    if (record.fencingToken <= history.highestToken && !history.tampered) {
      throw new Violation("I2", `${key}: acquired with fencing token ${record.fencingToken} after ${history.highestToken} was given out`);
    }
    history.highestToken = Math.max(history.highestToken, record.fencingToken);
    const member = memberKeyOf(record);
    const base = member === undefined ? { key, token: record.fencingToken } : { key: member, token: record.session?.token ?? 0 };
    history.acquisitions.set(record.fencingToken, { instance: record.instance, process: write?.process, base });
    this.#watcher.onAcquired(key, attempt.process);
    if (before?.state === "held" && before.instance === record.instance) this.#coverage.saw("orphan taken again");
    // Nobody waits for the answer any more: the record names a holder that will never believe.
    if (attempt.answeredMs !== undefined || !attempt.process.isAlive) this.#coverage.saw("late acquire that became an orphan");
  }

  #writeOfAttempt({ operation }: Attempt): WriteEntry | undefined {
    if (operation.kind !== "create" && operation.kind !== "replace") return undefined;
    const record = isLease(operation.key) ? viewOf(operation.body) : undefined;
    return record === undefined ? undefined : this.#writes.get(record.nonce);
  }
}

/** Not the probe's hidden folder, fenced objects, or what operators want of a task: they are no leases. */
function isLease(key: string): boolean {
  return /^locks\/(elections|locks|ephemeral|members|tasks)\/[^~]*$/.test(key);
}

/** What is deleted in normal life; everything else never is (rule R3). */
function isDeletable(key: string): boolean {
  return /^locks\/(ephemeral|members)\//.test(key);
}

function believedKey(process: SimProcess, key: string): string {
  return `${process.node.name}/${process.generation}/${key}`;
}

function kindOf(record: RecordView, base: RecordView | undefined): WriteKind {
  if (record.state === "released") return "release";
  if (base?.fencingToken !== record.fencingToken || base.instance !== record.instance) return "acquire";
  return record.holderNonce === record.nonce ? "renew" : "other";
}

/** What is left of a write's lifetime on the sender's own clocks, now (rules H1, H2). */
export function lifetimeLeftMs(write: WriteEntry): number {
  const { node } = write.process;
  const lifetimeMs = write.record.ttlMs - write.record.marginMs;
  const { monotonicMs, wallMs } = write.firstSent;
  return Math.min(monotonicMs + lifetimeMs - node.monotonicMs(), wallMs + lifetimeMs - node.wallMs());
}

function withinLifetime(write: WriteEntry): boolean {
  return lifetimeLeftMs(write) > 0;
}
