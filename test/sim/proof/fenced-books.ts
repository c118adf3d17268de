/**
 * What really happened to the fenced objects of a world: every version in the order of the store. A put that resolved was applied, one that was
 * refused never was, older tokens write nothing, and no two versions have equal bytes (I3, R1).
 */
import type { Attempt } from "../../../src/testing/sim/sim-store.ts";
import type { AppliedWrite } from "../../../src/testing/sim/sim-s3.ts";
import type { Arena } from "./arena.ts";

interface Pointer {
  readonly fencingToken: number;
  readonly leaseKey: string;
  readonly nonce: string;
  readonly inline?: string;
}

/** So many earlier writes a pointer names. */
const NAMED = 8;
const decoder = new TextDecoder();

export class FencedBooks {
  readonly #arena: Arena;
  /** Bodies that were ever applied, as they stand in the pointer, and how many writes of their object came before. */
  readonly #applied = new Map<string, { readonly key: string; readonly at: number }>();
  readonly #writes = new Map<string, number>();
  /** Attempts of each body that were answered with nothing, and those that were refused. */
  readonly #lost = new Map<string, number>();
  readonly #refused = new Map<string, number>();

  constructor(arena: Arena) {
    this.#arena = arena;
    arena.s3.watch((write) => this.#write(write));
    arena.network.watch((stage, attempt) => {
      if (stage === "answered") this.#answered(attempt);
    });
  }

  /** A put of this body has resolved. */
  resolved(body: string): void {
    const at = btoa(body);
    if (!this.#applied.has(at)) this.#arena.fail("I3", `a put of "${body}" resolved, and was never applied`);
    if ((this.#lost.get(at) ?? 0) > 0 && (this.#refused.get(at) ?? 0) > 0)
      this.#arena.coverage.saw("fenced write without a reply found to be its own");
  }

  /** A put of this body was refused: for ever. One whose reply was lost knows itself among the last so many writes. */
  refused(body: string): void {
    this.#arena.coverage.saw("fenced put refused");
    const applied = this.#applied.get(btoa(body));
    const since = applied === undefined ? 0 : (this.#writes.get(applied.key) ?? 0) - applied.at;
    if (applied !== undefined && since <= NAMED)
      this.#arena.fail("I3", `a put of "${body}" was answered "fenced out", and had been applied`);
  }

  #write({ key, body, previous, by }: AppliedWrite): void {
    if (!key.startsWith("fenced/")) return;
    const now = pointerOf(body);
    const before = pointerOf(previous?.body);
    if (now === undefined) return this.#arena.fail("I3", `${key}: something that is no pointer was written`);
    const at = (this.#writes.get(key) ?? 0) + 1;
    this.#writes.set(key, at);
    // An open keeps the body of who wrote it.
    if (now.inline !== undefined && !this.#applied.has(now.inline)) this.#applied.set(now.inline, { key, at });
    this.#arena.coverage.count("fenced objects written");
    if (before !== undefined && now.fencingToken < before.fencingToken)
      this.#arena.fail("I3", `${key}: token ${now.fencingToken} wrote after ${before.fencingToken}`);
    if (before !== undefined && now.nonce === before.nonce) this.#arena.fail("R1", `${key}: two versions with one nonce`);
    const owner = this.#arena.ledger.history(this.#arena.lockKey(now.leaseKey)).acquisitions.get(now.fencingToken)?.process;
    if (owner !== (by as Attempt | undefined)?.process)
      this.#arena.fail("I3", `${key}: token ${now.fencingToken} wrote, which another had acquired`);
  }

  #answered({ operation, outcome }: Attempt): void {
    if (operation.kind !== "create" && operation.kind !== "replace") return;
    if (!operation.key.startsWith("fenced/")) return;
    const body = pointerOf(operation.body)?.inline;
    if (body === undefined) return;
    const to = outcome?.kind !== "reply" ? this.#lost : outcome.reply.status === 412 ? this.#refused : undefined;
    to?.set(body, (to.get(body) ?? 0) + 1);
  }
}

function pointerOf(body: Uint8Array | undefined): Pointer | undefined {
  if (body === undefined) return undefined;
  try {
    return JSON.parse(decoder.decode(body)) as Pointer;
  } catch {
    return undefined;
  }
}
