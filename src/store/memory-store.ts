/**
 * A store in this process's memory that answers as AWS S3 does: conditional writes are atomic, ETags are made of the body alone (equal bodies
 * have equal ETags, the ABA trap of rule R1), times are cut to the second. For tests and for programs of one process; nothing is shared or kept.
 */
import type { Clock, Random } from "../clock/clock.ts";
import { readClocks, remainingMs } from "../clock/deadline.ts";
import { systemClock, systemRandom } from "../clock/system.ts";
import { freshId } from "../clock/wait.ts";
import { ConfigError, StoreUnavailableError } from "../errors.ts";
import { anObject, aString, checkOptions } from "../options.ts";
import { contentHash } from "./hash.ts";
import { checkEtag, checkKey } from "./keys.ts";
import type {
  ListResult,
  ObjectStore,
  ReadResult,
  RequestOptions,
  Stats,
  Store,
  StoreVerdict,
  Unavailable,
  WriteResult,
} from "./object-store.ts";

export interface MemoryStoreOptions {
  /** The time of both sides: the program's clock and the store's `Date`. Default: the machine's. */
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** The name that messages show. Default `memory://` and a random name. */
  readonly url?: string | undefined;
}

interface StoredObject {
  readonly etag: string;
  readonly body: Uint8Array;
  readonly lastModifiedMs: number;
}

export class MemoryStore implements ObjectStore {
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly #objects = new Map<string, StoredObject>();
  readonly #counts = { get: 0, getNotModified: 0, put: 0, list: 0, delete: 0, applied: 0, refused: 0, unknown: 0, busy: 0, unavailable: 0 };

  constructor(options: MemoryStoreOptions = {}) {
    checkOptions("memoryStore", options, {
      clock: anObject("a Clock", "monotonicMs", "wallMs", "setTimer"),
      random: anObject("a Random", "bytes", "unit"),
      url: aString("a name, such as memory://test", (s) => s.length > 0),
    });
    this.clock = options.clock ?? systemClock;
    this.random = options.random ?? systemRandom;
    this.url = options.url ?? `memory://${freshId(this.random, 4)}`;
  }

  stats(): Stats {
    return { ...this.#counts };
  }

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  /** Nothing to prove: no network lies between, and a `Map` in one thread is atomic. */
  async ensureSafe(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<StoreVerdict> {
    options.signal?.throwIfAborted();
    await Promise.resolve();
    return { storeTime: true, skewMs: 0, remarks: [] };
  }

  knownVerdict(options?: { readonly signal?: AbortSignal | undefined }): Promise<StoreVerdict> {
    return this.ensureSafe(options);
  }

  async get(
    key: string,
    options: RequestOptions & { readonly ifNoneMatch?: string | undefined; readonly maxBytes?: number | undefined } = {},
  ): Promise<ReadResult> {
    checkKey(this.url, "", key);
    if (options.ifNoneMatch !== undefined) checkEtag(this.url, options.ifNoneMatch);
    await Promise.resolve();
    if (options.signal?.aborted === true) return this.#unavailable("read", key);
    this.#counts.get++;
    const dateMs = this.#dateMs();
    const object = this.#objects.get(key);
    if (object === undefined) return { kind: "absent", dateMs };
    if (object.etag === options.ifNoneMatch) {
      this.#counts.getNotModified++;
      return { kind: "not-modified", dateMs };
    }
    const size = object.body.byteLength;
    if (options.maxBytes !== undefined && size > options.maxBytes) return { kind: "too-large", etag: object.etag, size };
    return { kind: "found", etag: object.etag, body: object.body.slice(), lastModifiedMs: object.lastModifiedMs, dateMs };
  }

  async create(key: string, body: Uint8Array, options: RequestOptions = {}): Promise<WriteResult> {
    checkKey(this.url, "", key);
    return await this.#put(key, body, options, (object) => (object === undefined ? undefined : 412));
  }

  async replace(key: string, etag: string, body: Uint8Array, options: RequestOptions = {}): Promise<WriteResult> {
    checkKey(this.url, "", key);
    checkEtag(this.url, etag);
    return await this.#put(key, body, options, (object) => (object === undefined ? 404 : object.etag === etag ? undefined : 412));
  }

  async list(
    prefix: string,
    options: RequestOptions & { readonly after?: string | undefined; readonly limit?: number | undefined } = {},
  ): Promise<ListResult> {
    await Promise.resolve();
    if (options.signal?.aborted === true) return this.#unavailable("list", prefix);
    this.#counts.list++;
    const limit = Math.min(options.limit ?? 1000, 1000);
    const keys = [...this.#objects.keys()].filter(
      (k) => k.startsWith(prefix) && (options.after === undefined || utf8Order(k, options.after) > 0),
    );
    const page = keys.sort(utf8Order).slice(0, limit);
    const entries = page.flatMap((key) => {
      const object = this.#objects.get(key);
      return object === undefined ? [] : [{ key, etag: object.etag, size: object.body.byteLength, lastModifiedMs: object.lastModifiedMs }];
    });
    return { kind: "page", entries, next: keys.length > limit ? page.at(-1) : undefined, dateMs: this.#dateMs() };
  }

  async remove(
    key: string,
    options: RequestOptions & { readonly ifMatch?: string | undefined } = {},
  ): Promise<"removed" | "refused" | Unavailable> {
    checkKey(this.url, "", key);
    if (options.ifMatch !== undefined) checkEtag(this.url, options.ifMatch);
    await Promise.resolve();
    if (isOver(options, this.clock)) return this.#unavailable("delete", key);
    this.#counts.delete++;
    if (options.ifMatch !== undefined && this.#objects.get(key)?.etag !== options.ifMatch) return "refused";
    this.#objects.delete(key);
    return "removed";
  }

  async #put(
    key: string,
    body: Uint8Array,
    options: RequestOptions,
    refusal: (object: StoredObject | undefined) => 404 | 412 | undefined,
  ): Promise<WriteResult> {
    if (!(body instanceof Uint8Array)) throw new ConfigError(this.url, ["the body of a write must be a Uint8Array"]);
    const copy = body.slice();
    await Promise.resolve();
    if (isOver(options, this.clock)) {
      this.#counts.unknown++;
      return { kind: "unknown", error: this.#unavailable("write", key).error };
    }
    this.#counts.put++;
    const dateMs = this.#dateMs();
    const status = refusal(this.#objects.get(key));
    if (status !== undefined) {
      this.#counts.refused++;
      return { kind: "refused", status, dateMs };
    }
    const etag = `"${contentHash(copy)}"`;
    this.#objects.set(key, { etag, body: copy, lastModifiedMs: dateMs });
    this.#counts.applied++;
    return { kind: "applied", etag, dateMs };
  }

  #unavailable(what: string, key: string): Unavailable {
    this.#counts.unavailable++;
    return { kind: "unavailable", error: new StoreUnavailableError(`${this.url}: the ${what} of ${JSON.stringify(key)} was aborted`) };
  }

  #dateMs(): number {
    return Math.floor(this.clock.wallMs() / 1000) * 1000;
  }
}

/** A store in this process's memory. See `MemoryStore`. */
export function memoryStore(options?: MemoryStoreOptions): Store & ObjectStore {
  return new MemoryStore(options);
}

/** Its caller gave it up, or it comes too late. */
function isOver({ signal, sendBy }: RequestOptions, clock: Clock): boolean {
  return signal?.aborted === true || (sendBy !== undefined && remainingMs(sendBy, readClocks(clock)) <= 0);
}

const encoder = new TextEncoder();

/** S3 lists keys in the order of their UTF-8 bytes, which differs from JavaScript's own order beyond the basic plane. */
function utf8Order(a: string, b: string): number {
  if (a === b) return 0;
  const x = encoder.encode(a);
  const y = encoder.encode(b);
  const length = Math.min(x.length, y.length);
  for (let i = 0; i < length; i++) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return x.length - y.length;
}
