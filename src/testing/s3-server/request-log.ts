/** What came over the wire and what became of it, for tests that assert at the wire. Bounded: the oldest entries go first. */
import type { Clock } from "../../clock/clock.ts";
import type { S3Operation, WireRequest } from "./wire.ts";

export interface Execution {
  /** The status that the store gave; `undefined` where it gave none (a proxy whose server is gone). */
  readonly status: number | undefined;
  /** `process.hrtime` at the begin and at the end, in nanoseconds. */
  readonly startedNs: bigint;
  readonly endedNs: bigint;
}

/** How the client saw the request end. `pending`: not yet. `gone`: it gave up before. */
export type Ending = "pending" | "answered" | "cut" | "reset" | "gone";

export interface LoggedRequest {
  /** Counts all requests from 1. */
  readonly number: number;
  readonly method: string;
  readonly operation: S3Operation;
  readonly bucket: string;
  readonly key: string;
  readonly query: string;
  /** Those that decide something: conditions, range, content and `x-amz-` headers (no authorization). */
  readonly headers: Readonly<Record<string, string>>;
  readonly bodyBytes: number;
  /** Wall clock at arrival, in milliseconds since 1970. */
  readonly atMs: number;
  /** `process.hrtime` at arrival and at the answer, in nanoseconds: one clock for all processes of a machine. */
  readonly atNs: bigint;
  readonly answeredNs: bigint | undefined;
  /** What the client was answered; `undefined` while, or if, it was not. */
  readonly status: number | undefined;
  readonly ending: Ending;
  /** One entry for each time that the store carried the request out. */
  readonly executions: readonly Execution[];
  /** Kinds of the faults that struck it. */
  readonly faults: readonly string[];
}

export interface RequestFilter {
  readonly method?: string | undefined;
  readonly operation?: S3Operation | undefined;
  /** A text is the whole key, or its beginning when it ends in "*". */
  readonly key?: KeyFilter | undefined;
  /** The status that the client was answered. */
  readonly status?: number | undefined;
  readonly when?: ((request: LoggedRequest) => boolean) | undefined;
}

export type KeyFilter = string | RegExp | ((key: string) => boolean);

export function matchesKey(filter: KeyFilter | undefined, key: string): boolean {
  if (filter === undefined) return true;
  if (typeof filter === "function") return filter(key);
  if (typeof filter !== "string") return key.search(filter) >= 0;
  return filter.endsWith("*") ? key.startsWith(filter.slice(0, -1)) : key === filter;
}

const KEPT_HEADERS = /^(?:if-|range$|content-|x-amz-(?!security-token$)|date$|user-agent$|expect$)/;

export class LogEntry implements LoggedRequest {
  readonly number: number;
  readonly method: string;
  readonly operation: S3Operation;
  readonly bucket: string;
  readonly key: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly bodyBytes: number;
  readonly atMs: number;
  readonly atNs: bigint;
  answeredNs: bigint | undefined;
  status: number | undefined;
  ending: Ending = "pending";
  readonly executions: Execution[] = [];
  faults: readonly string[] = [];

  constructor(number: number, request: WireRequest, clock: Clock) {
    this.number = number;
    this.method = request.method;
    this.operation = request.operation;
    this.bucket = request.bucket;
    this.key = request.key;
    this.query = request.query.toString();
    const kept = Object.entries(request.headers).filter((e): e is [string, string] => e[1] !== undefined && KEPT_HEADERS.test(e[0]));
    this.headers = Object.fromEntries(kept);
    this.bodyBytes = request.body.length;
    this.atMs = clock.wallMs();
    this.atNs = process.hrtime.bigint();
  }

  end(ending: Ending, status: number | undefined): void {
    if (this.ending !== "pending") return;
    this.ending = ending;
    this.status = status;
    this.answeredNs = process.hrtime.bigint();
  }
}

export class RequestLog {
  readonly #limit: number;
  readonly #clock: Clock;
  #entries: LogEntry[] = [];
  #total = 0;
  #dropped = 0;

  constructor(limit: number, clock: Clock) {
    this.#limit = limit;
    this.#clock = clock;
  }

  /** Requests since the server was made, also those that the log has dropped. */
  get total(): number {
    return this.#total;
  }

  /** The log, oldest first. */
  get all(): readonly LoggedRequest[] {
    return this.#entries;
  }

  /** How many entries the limit has pushed out since the last `clear()`. */
  get dropped(): number {
    return this.#dropped;
  }

  list(filter: RequestFilter = {}): readonly LoggedRequest[] {
    return this.#entries.filter((entry) => selects(filter, entry));
  }

  /**
   * How many requests came since the last `clear()`.
   * @throws RangeError when the log has dropped entries, because the count would be too low.
   */
  count(filter: RequestFilter = {}): number {
    if (this.#dropped > 0)
      throw new RangeError(`${this.#dropped} requests fell out of the log: raise logLimit (${this.#limit}) or clear() it earlier`);
    return this.list(filter).length;
  }

  clear(): void {
    this.#entries = [];
    this.#dropped = 0;
  }

  /** Not for tests: the server adds each request as it comes. */
  add(request: WireRequest): LogEntry {
    const entry = new LogEntry(++this.#total, request, this.#clock);
    this.#entries.push(entry);
    // The oldest tenth at once, so that a full log does not move all its entries for each request.
    if (this.#entries.length > this.#limit) this.#dropped += this.#entries.splice(0, Math.max(1, Math.floor(this.#limit / 10))).length;
    return entry;
  }
}

function selects(filter: RequestFilter, entry: LoggedRequest): boolean {
  if (filter.method !== undefined && filter.method !== entry.method) return false;
  if (filter.operation !== undefined && filter.operation !== entry.operation) return false;
  if (filter.status !== undefined && filter.status !== entry.status) return false;
  return matchesKey(filter.key, entry.key) && (filter.when === undefined || filter.when(entry));
}
