import type { Clock } from "../clock/clock.ts";
import { addMs, readClocks } from "../clock/deadline.ts";
import { sleep } from "../clock/wait.ts";
import { messageOf } from "../errors.ts";
import type { Abandoned } from "../lease/session-tie.ts";
import { carryOut } from "../lease/write.ts";
import { WrittenNonces } from "../lease/written.ts";
import { decodeRecord, MAX_RECORD_BYTES } from "../record/codec.ts";
import type { LogicalWrite } from "../lease/settle.ts";
import type { TimedRecord } from "../record/record.ts";
import { settleBy } from "./cleaning.ts";

/** More open ends than this are not looked after: the session ends instead, which frees whatever they have closed. */
export const MAX_OPEN_ENDS = 1_000;
const FIRST_PAUSE_MS = 100;

export interface CleanerOptions {
  readonly clock: Clock;
  readonly isHeld: () => boolean;
  /** The longest pause between two looks, in milliseconds. */
  readonly pollMs: number;
  /** There are too many to look after. */
  readonly onTooMany: () => void;
  readonly onTrouble: (key: string, error: unknown) => void;
}

/**
 * Looks after what a session's calls have left open: an acquisition that was given up, a release without an answer. A lock that names a living
 * session and that nobody wants would stay closed for as long as the process lives (rule S14), so each is read until it is decided.
 */
export class Cleaner {
  readonly #options: CleanerOptions;
  readonly #open = new Set<AbortController>();
  #stopped = false;

  constructor(options: CleanerOptions) {
    this.#options = options;
  }

  /** How many ends are open. */
  get size(): number {
    return this.#open.size;
  }

  add(left: Abandoned): void {
    if (this.#stopped || !this.#options.isHeld()) return;
    if (this.#open.size >= MAX_OPEN_ENDS) return this.#options.onTooMany();
    const controller = new AbortController();
    this.#open.add(controller);
    void this.#clean(left, controller.signal).finally(() => this.#open.delete(controller));
  }

  /** Over with the session: then nothing is stuck any more. */
  stop(): void {
    this.#stopped = true;
    for (const controller of this.#open) controller.abort();
  }

  async #clean(left: Abandoned, signal: AbortSignal): Promise<void> {
    const { clock, pollMs, isHeld } = this.#options;
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted && isHeld(); pauseMs = Math.min(pollMs, 2 * pauseMs)) {
      try {
        if (await this.#round(left, signal)) return;
      } catch (error) {
        this.#options.onTrouble(left.lease.settings.key, `an open end is not settled yet: ${messageOf(error)}`);
      }
      await sleep(clock, Math.min(pollMs, pauseMs), { signal });
    }
  }

  /** @returns whether it is decided. */
  async #round(left: Abandoned, signal: AbortSignal): Promise<boolean> {
    const { store, key, timing } = left.lease.settings;
    const read = await store.get(key, { maxBytes: MAX_RECORD_BYTES, timeoutMs: timing.requestTimeoutMs, signal });
    if (read.kind !== "found" && read.kind !== "absent") return false;
    const seen = read.kind === "found" ? { etag: read.etag, record: decodeRecord(key, read.body) } : undefined;
    const next = settleBy(left, seen);
    if (next === "decided") return true;
    return next === "look again" ? false : await this.#write(left, next, signal);
  }

  async #write(left: Abandoned, write: LogicalWrite<TimedRecord>, signal: AbortSignal): Promise<boolean> {
    const { store, key, timing } = left.lease.settings;
    const { requestTimeoutMs } = timing;
    const end = await carryOut({ store, key, counters: left.lease.counters, written: new WrittenNonces(), requestTimeoutMs }, write, {
      until: addMs(readClocks(store.clock), 2 * requestTimeoutMs),
      forMs: 2 * requestTimeoutMs,
      signal,
      abortRequests: true,
      explainRefusal: false,
    });
    if (end.kind === "denied") throw end.error;
    if (end.kind !== "applied") return false;
    left.lease.view.accept({
      etag: end.etag,
      record: write.record,
      sinceMs: left.lease.nowMs(),
      lastModifiedMs: undefined,
      dateMs: undefined,
    });
    return true;
  }
}
