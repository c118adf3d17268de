import type { Instant } from "../clock/deadline.ts";

const LIMIT = 64;

/** The newest nonces that one lease object has sent, each with the clock reading before its first send (rules W3, H4, C1). */
export class WrittenNonces {
  readonly #sentAt = new Map<string, Instant>();

  /** One that is known already becomes the newest again. */
  add(nonce: string, firstSentAt: Instant): void {
    this.#sentAt.delete(nonce);
    this.#sentAt.set(nonce, firstSentAt);
    if (this.#sentAt.size <= LIMIT) return;
    const oldest = this.#sentAt.keys().next();
    if (oldest.done !== true) this.#sentAt.delete(oldest.value);
  }

  has(nonce: string): boolean {
    return this.#sentAt.has(nonce);
  }

  firstSentAt(nonce: string): Instant | undefined {
    return this.#sentAt.get(nonce);
  }
}
