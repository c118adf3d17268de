/** Large bodies: immutable objects beside the pointer, each under a name that nothing else ever has. */
import type { Instant } from "../clock/deadline.ts";
import { freshId } from "../clock/wait.ts";
import { StoreUnavailableError } from "../errors.ts";
import { deliver, type DeliveryEnd } from "../lease/deliver.ts";
import type { ListEntry, ObjectStore, ReadResult } from "../store/object-store.ts";
import { namedBodies, type Pointer, tokenOfBody } from "./pointer.ts";

/** Time limit of one request with a large body: the longest that a store takes. */
export const BODY_REQUEST_MS = 30_000;
const NAME_ATTEMPTS = 3;
const MAX_PAGES = 1_000;
const REMOVED_AT_A_TIME = 8;

export interface BodyWrite {
  readonly body: Uint8Array;
  readonly fencingToken: number;
  readonly until: Instant;
  readonly forMs: number;
  readonly signal: AbortSignal | undefined;
  readonly beforeSend: () => void;
}

export class Bodies {
  readonly #store: ObjectStore;
  /** What the keys of this object's bodies begin with. */
  readonly #prefix: string;

  constructor(store: ObjectStore, prefix: string) {
    this.#store = store;
    this.#prefix = prefix;
  }

  /** Creates it, and answers with its name. It is nobody's body until a pointer names it. */
  async write(write: BodyWrite): Promise<{ readonly name: string } | Exclude<DeliveryEnd<never>, { kind: "applied" | "settled" }>> {
    for (let attempt = 1; ; attempt++) {
      const name = `${write.fencingToken}-${freshId(this.#store.random)}`;
      const end = await deliver<never>(
        { store: this.#store, requestTimeoutMs: BODY_REQUEST_MS },
        {
          key: this.#key(name),
          body: write.body,
          baseEtag: undefined,
          // That it is there is all there is to know: nobody else writes under this name.
          maxBytes: 0,
          settle: (read) => (read.kind === "absent" ? { kind: "again" } : { kind: "mine", etag: "" }),
          beforeSend: write.beforeSend,
        },
        { until: write.until, forMs: write.forMs, signal: write.signal, abortRequests: true, explainRefusal: false },
      );
      if (end.kind === "applied") return { name };
      // Sent once, answered, and refused: a machine that repeats its random numbers (a clone) was here before. Its body is not touched.
      if (end.kind !== "refused" || attempt === NAME_ATTEMPTS) return end as Exclude<typeof end, { kind: "settled" }>;
    }
  }

  async read(name: string, bytes: number, signal: AbortSignal | undefined): Promise<ReadResult> {
    return await this.#store.get(this.#key(name), { maxBytes: bytes, timeoutMs: BODY_REQUEST_MS, signal });
  }

  /** One attempt, and nothing comes of a failure but an object that `prune` will find. */
  async discard(name: string): Promise<void> {
    await this.#store.remove(this.#key(name));
  }

  /**
   * Deletes the bodies that no pointer can name any more: of a token below the bar, and neither the current body nor the one kept. It needs no
   * clock, and a pointer that was read too early only makes it delete less. @returns how many.
   */
  async prune(pointer: Pointer, signal: AbortSignal | undefined): Promise<number> {
    const named = namedBodies(pointer);
    const isGarbage = ({ key }: ListEntry): boolean => {
      const name = key.slice(this.#prefix.length);
      return (tokenOfBody(name) ?? Infinity) < pointer.fencingToken && !named.has(name);
    };
    let removed = 0;
    let after: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const listed = await this.#store.list(this.#prefix, { after, signal });
      signal?.throwIfAborted();
      if (listed.kind !== "page") throw listed.error;
      const garbage = listed.entries.filter(isGarbage);
      for (let i = 0; i < garbage.length; i += REMOVED_AT_A_TIME) {
        const results = await Promise.all(garbage.slice(i, i + REMOVED_AT_A_TIME).map(({ key }) => this.#store.remove(key, { signal })));
        signal?.throwIfAborted();
        for (const result of results) {
          if (typeof result !== "string") throw result.error;
          removed++;
        }
      }
      if (listed.next === undefined) return removed;
      after = listed.next;
    }
    throw new StoreUnavailableError(
      `more than ${MAX_PAGES} pages of bodies at ${this.#prefix}: removed ${removed}, call again for the rest`,
    );
  }

  #key(name: string): string {
    return this.#prefix + name;
  }
}
