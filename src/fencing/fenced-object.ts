import { toIso } from "../clock/calendar.ts";
import { addMs, type Instant, readClocks } from "../clock/deadline.ts";
import { backoffMs, freshId, sleep } from "../clock/wait.ts";
import { type Fence, FencedOutError, RecordError, StoreUnavailableError } from "../errors.ts";
import { deliver } from "../lease/deliver.ts";
import type { ObjectStore, Store } from "../store/object-store.ts";
import { openStore } from "../store/open-store.ts";
import { checkBar, type Instead, nextPointer, settlePointer, type Version, versionOf } from "./bar.ts";
import { Bodies } from "./bodies.ts";
import { checkedFence, checkedOptions, contentBytes, keysOf } from "./checks.ts";
import { type KnownPointer, knownPointer } from "./known.ts";
import { type Content, encodePointer, MAX_INLINE_BYTES, MAX_POINTER_BYTES, namedBodies } from "./pointer.ts";

export interface FencedOptions {
  /** Ends the call, which rejects with its reason. A write that was under way may be applied all the same. */
  readonly signal?: AbortSignal | undefined;
  /** How long a write tries to learn its fate, in milliseconds. Default 60,000; 100 to 3,600,000. */
  readonly timeoutMs?: number | undefined;
}

export interface FencedContent {
  readonly body: Uint8Array;
  /** The bar: the newest token that wrote or opened the object. */
  readonly fence: Fence;
}

/** One object that refuses older fencing tokens. Everything about it is in `docs/fencing.md`. */
export interface FencedObject {
  readonly name: string;
  /**
   * The body as it was last written, or `undefined` where nothing was written yet. One GET; two for a body above 64 KiB. It never writes and never probes.
   * @throws RecordError, StoreUnavailableError, StoreAccessError, StoreUnsafeError; the reason of `signal`.
   */
  get(o?: Omit<FencedOptions, "timeoutMs">): Promise<FencedContent | undefined>;
  /**
   * Replaces the body, if no newer token has written or opened the object. When it resolves, it was applied. `fence` is what is held (then
   * `assertHeld()` is called before each request that writes), or `{ key, fencingToken }`.
   * One PUT where this process knows the newest version, a GET before otherwise; a body above 64 KiB is a PUT more, and from the third one on a DELETE.
   * @param body a text (stored as UTF-8) or bytes, at most 64 MiB.
   * @throws FencedOutError; LeaseLostError or LeaseEndedError of the lease; ConfigError for a wrong argument, or another lease's key than the
   * object's; RecordError; StoreUnavailableError when its fate is not known after `timeoutMs`; StoreAccessError, StoreUnsafeError; the reason of `signal`.
   */
  put(body: string | Uint8Array, fence: Fence, o?: FencedOptions): Promise<void>;
  /**
   * Raises the bar to this token and leaves the body as it is: from now on all older tokens are refused. A new holder calls it before it reads
   * what it will change. A GET and a PUT; the GET alone where the bar stands there already.
   * @throws as `put`.
   */
  open(fence: Fence, o?: FencedOptions): Promise<void>;
  /**
   * Deletes large bodies that writers left behind which died between their two writes. Never the current one. One LIST for each thousand, and a
   * DELETE for each that is deleted. @returns how many were.
   * @throws RecordError, StoreUnavailableError, StoreAccessError, StoreUnsafeError; the reason of `signal`.
   */
  prune(o?: Omit<FencedOptions, "timeoutMs">): Promise<number>;
}

/**
 * An object that the store itself guards by fencing tokens: a put under an older token is refused, whatever its sender believes.
 * @param store a store, or its URL.
 * @param name any text; objects, locks and elections have name spaces of their own.
 * @throws ConfigError
 */
export function fencedObject(store: Store | string, name: string): FencedObject {
  return new StoredFencedObject(openStore(store), name);
}

const REQUEST_TIMEOUT_MS = 5_000;
/** Looks at a pointer that contradicts what is known, or names a body that is not there, before that is believed. */
const LOOKS = 5;
const LOOK_PAUSE_MS = 500;
const RACE_PAUSE_MS = 250;

/** One call of `put` or `open`, from its first look to its end. */
interface Call {
  readonly fence: Fence;
  readonly until: Instant;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly beforeSend: () => void;
}

class StoredFencedObject implements FencedObject {
  readonly name: string;
  readonly #store: ObjectStore;
  readonly #key: string;
  readonly #bodies: Bodies;

  constructor(store: ObjectStore, name: string) {
    const keys = keysOf(store, name);
    this.name = name;
    this.#store = store;
    this.#key = keys.pointer;
    this.#bodies = new Bodies(store, keys.bodies);
  }

  get #known(): KnownPointer {
    return knownPointer(this.#store, this.#key);
  }

  async get(o: Omit<FencedOptions, "timeoutMs"> = {}): Promise<FencedContent | undefined> {
    const { signal } = checkedOptions("get", o);
    for (let look = 1; ; look++) {
      const version = await this.#look(signal);
      if (version === undefined) return undefined;
      const { content, leaseKey: key, fencingToken } = version.pointer;
      const fence: Fence = { key, fencingToken };
      if (content.kind === "none") return undefined;
      if (content.kind === "inline") return { body: content.body, fence };
      const read = await this.#bodies.read(content.name, content.bytes, signal);
      signal?.throwIfAborted();
      if (read.kind === "unavailable" || read.kind === "denied") throw read.error;
      if (read.kind === "found" && read.body.length === content.bytes) return { body: read.body, fence };
      // Two writes went by since the pointer was read, and the second one deleted this body: the pointer says what there is now.
      if (read.kind !== "absent" || look === LOOKS) throw this.#bodyFault(content, read.kind === "absent" ? "is gone" : "has another size");
      await sleep(this.#store.clock, backoffMs(this.#store.random, look, 20, LOOK_PAUSE_MS), { signal, keepAlive: true });
    }
  }

  async put(body: string | Uint8Array, fence: Fence, o: FencedOptions = {}): Promise<void> {
    const call = this.#begin("put", fence, o);
    const bytes = contentBytes(this.name, body);
    const base = await this.#safeBase(call, this.#known.newest);
    if (bytes.length <= MAX_INLINE_BYTES) return await this.#write(call, base, () => ({ kind: "inline", body: bytes }));
    // Nothing large is sent for nothing.
    checkBar(this.name, base?.pointer, call.fence);
    const { until, timeoutMs: forMs, signal, beforeSend } = call;
    const sent = await this.#bodies.write({ body: bytes, fencingToken: call.fence.fencingToken, until, forMs, signal, beforeSend });
    if (!("name" in sent)) throw this.#failure(call, sent, "its body could not be put beside it, and the object is as it was");
    const content: Content = { kind: "object", name: sent.name, bytes: bytes.length };
    try {
      await this.#write(call, base, () => content);
    } catch (error) {
      if (!(error instanceof FencedOutError)) throw error;
      // Named all the same: a write without a reply was applied, and opened over so often since that its nonce is gone from the pointer.
      const newest = this.#known.newest;
      if (newest !== undefined && namedBodies(newest.pointer).has(sent.name)) return;
      // Fenced out is for ever, so no pointer will name it any more.
      await this.#bodies.discard(sent.name);
      throw error;
    }
  }

  async open(fence: Fence, o: FencedOptions = {}): Promise<void> {
    const call = this.#begin("open", fence, o);
    const base = await this.#safeBase(call, undefined);
    await this.#write(call, base, (version) =>
      // A version with this token is the bar, however old the read that showed it.
      version?.pointer.fencingToken === call.fence.fencingToken ? "no need" : (version?.pointer.content ?? { kind: "none" }),
    );
  }

  async prune(o: Omit<FencedOptions, "timeoutMs"> = {}): Promise<number> {
    const { signal } = checkedOptions("prune", o);
    const version = await this.#look(signal);
    return version === undefined ? 0 : await this.#bodies.prune(version.pointer, signal);
  }

  #begin(what: string, fence: Fence, o: FencedOptions): Call {
    const { signal, timeoutMs } = checkedOptions(what, o);
    const checked = checkedFence(this.name, fence);
    signal?.throwIfAborted();
    checked.beforeSend();
    return { ...checked, signal, timeoutMs, until: addMs(readClocks(this.#store.clock), timeoutMs) };
  }

  /** What to write over: the version that is known, or a look, beside the proof that the store is safe. */
  async #safeBase(call: Call, known: Version | undefined): Promise<Version | undefined> {
    const [base] = await Promise.all([known ?? this.#look(call.signal), this.#store.ensureSafe({ signal: call.signal })]);
    return base;
  }

  /** Writes the next version over `base`, and over whatever gets in between that this token may write over. */
  async #write(call: Call, base: Version | undefined, contentOver: (version: Version | undefined) => Content | "no need"): Promise<void> {
    const { clock, random } = this.#store;
    for (let round = 0; ; round++) {
      checkBar(this.name, base?.pointer, call.fence);
      const content = contentOver(base);
      if (content === "no need") return;
      if (round > 0) await sleep(clock, backoffMs(random, round, 10, RACE_PAUSE_MS), { signal: call.signal, keepAlive: true });
      const instead = await this.#send(call, base, content);
      if (instead === undefined || instead.kind === "superseded") return;
      if (instead.kind === "unreadable") throw instead.error;
      if (instead.kind === "older") throw this.#known.regressed(instead.position);
      if (instead.kind === "gone") throw this.#known.regressed(undefined);
      base = instead.version;
      this.#known.note(base);
    }
  }

  /** One CAS, carried to its end. @returns what stands there instead, `undefined` when it was applied. */
  async #send(call: Call, base: Version | undefined, content: Content): Promise<Instead | undefined> {
    const { clock, random } = this.#store;
    const nonce = freshId(random);
    let older = 0;
    const pointer = nextPointer(base?.pointer, { fence: call.fence, nonce, writtenAt: toIso(clock.wallMs()) }, content);
    const end = await deliver<Instead>(
      { store: this.#store, requestTimeoutMs: REQUEST_TIMEOUT_MS },
      {
        key: this.#key,
        body: encodePointer(this.#key, pointer),
        baseEtag: base?.etag,
        maxBytes: MAX_POINTER_BYTES,
        settle: (read) => {
          const settled = settlePointer(this.#key, { nonce, base, highest: this.#known.highest }, read);
          const isOlder = settled.kind === "settled" && settled.as.kind === "older";
          return isOlder && ++older < LOOKS ? { kind: "again" } : settled;
        },
        beforeSend: call.beforeSend,
      },
      { until: call.until, forMs: call.timeoutMs, signal: call.signal, abortRequests: true, explainRefusal: true },
    );
    if (end.kind === "settled") return end.as;
    if (end.kind !== "applied") throw this.#failure(call, end);
    this.#known.note({ etag: end.etag, pointer });
    const dropped = base?.pointer.kept;
    if (dropped !== undefined && dropped !== pointer.kept) await this.#bodies.discard(dropped);
    return undefined;
  }

  /**
   * The newest version, or `undefined` where there is none. A read that is older than what is known is looked at again before it is believed.
   * @throws RecordError, StoreUnavailableError, StoreAccessError, StoreUnsafeError; the reason of `signal`.
   */
  async #look(signal: AbortSignal | undefined): Promise<Version | undefined> {
    const known = this.#known;
    for (let look = 1; ; look++) {
      const read = await this.#store.get(this.#key, { maxBytes: MAX_POINTER_BYTES, timeoutMs: REQUEST_TIMEOUT_MS, signal });
      signal?.throwIfAborted();
      if (read.kind === "unavailable" || read.kind === "denied") throw read.error;
      if (read.kind === "found" || read.kind === "too-large") {
        const version = versionOf(this.#key, read);
        if (known.note(version) === "news") return version;
        if (look === LOOKS) throw known.regressed(version.pointer);
      } else if (known.newest === undefined) return undefined;
      else if (look === LOOKS) throw known.regressed(undefined);
      await sleep(this.#store.clock, backoffMs(this.#store.random, look, 20, LOOK_PAUSE_MS), { signal, keepAlive: true });
    }
  }

  /** Why a write has no end that can be told. @param nothing what is said where nothing of it can be seen, now or later. */
  #failure(
    call: Call,
    end:
      | { readonly kind: "refused" }
      | { readonly kind: "denied"; readonly error: Error }
      | { readonly kind: "undecided"; readonly mayLand: boolean; readonly error: Error | undefined },
    nothing?: string,
  ): unknown {
    if (call.signal?.aborted === true) return call.signal.reason;
    if (end.kind === "denied") return end.error;
    const cause = end.kind === "undecided" ? end.error : undefined;
    const mayLand = end.kind === "undecided" && end.mayLand && nothing === undefined;
    const what = mayLand
      ? "it is not known whether the write was applied, and it may be yet, until a newer token writes or opens the object"
      : `${nothing ?? "the write was not applied"} (timeoutMs is ${call.timeoutMs})`;
    return new StoreUnavailableError(
      `fenced object ${JSON.stringify(this.name)}, fencing token ${call.fence.fencingToken}: ${what}${cause === undefined ? "" : `: ${cause.message}`}`,
      { cause },
    );
  }

  #bodyFault(content: Extract<Content, { kind: "object" }>, what: string): RecordError {
    return new RecordError(
      `the fenced object at "${this.#key}" names a body of ${content.bytes} bytes (${content.name}) that ${what} (damaged record; it is left as it is)`,
      { key: this.#key, kind: "damaged" },
    );
  }
}
