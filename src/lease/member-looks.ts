import type { SessionRef } from "../record/record.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { readInto } from "./inspect.ts";
import { isKnown } from "./look.ts";
import { type KeyView, observationsOf } from "./observations.ts";

/** The looks of one round at the members that many locks name: one at each, and none where another call has looked since the round began. */
export class MemberLooks {
  readonly #store: ObjectStore;
  readonly #sinceMs: number;
  readonly #looks = new Map<string, Promise<void>>();

  constructor(store: ObjectStore) {
    this.#store = store;
    this.#sinceMs = store.clock.monotonicMs();
  }

  /** @throws RecordError, StoreUnavailableError, StoreAccessError, StoreUnsafeError; the reason of `signal`. */
  async at(ref: SessionRef, signal: AbortSignal | undefined): Promise<KeyView> {
    const member = observationsOf(this.#store).view(ref.member);
    if (isKnown(member, ref, this.#store.clock.monotonicMs(), this.#sinceMs)) return member;
    const looking = this.#looks.get(member.key) ?? readInto(this.#store, member, signal);
    this.#looks.set(member.key, looking);
    await looking;
    return member;
  }
}
