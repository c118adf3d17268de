/** A lease of few lines, so that the simulator's own tests need nothing of the package's lease. `careless` leaves out its conditions' point. */
import { freshId, sleep } from "../../src/clock/wait.ts";
import type { ObjectStore } from "../../src/store/object-store.ts";

const TTL_MS = 3_000;
const MARGIN_MS = 300;

export interface ToyLease {
  isHeld(): boolean;
  readonly acquisitions: number;
  readonly token: number;
}

interface ToyRecord {
  readonly nonce: string;
  readonly token: number;
}

/** Campaigns for ever. With `careless` it believes from the reply and not from the send (rule H1 broken). */
export function toyLease(store: ObjectStore, key: string, careless = false): ToyLease {
  const { clock, random } = store;
  let deadline = -1;
  let acquisitions = 0;
  let token = 0;
  let mine: string | undefined;
  let seen: { readonly etag: string; readonly sinceMs: number } | undefined;

  async function write(etag: string | undefined, next: number): Promise<boolean> {
    const body = new TextEncoder().encode(JSON.stringify({ nonce: freshId(random), token: next } satisfies ToyRecord));
    const sentMs = clock.monotonicMs();
    const result = etag === undefined ? await store.create(key, body) : await store.replace(key, etag, body);
    if (result.kind !== "applied") return false;
    mine = result.etag;
    deadline = (careless ? clock.monotonicMs() : sentMs) + TTL_MS - MARGIN_MS;
    if (next !== token) acquisitions++;
    token = next;
    return true;
  }

  async function look(): Promise<void> {
    const found = await store.get(key);
    if (found.kind === "absent") await write(undefined, 1);
    if (found.kind !== "found") return;
    if (seen?.etag !== found.etag) seen = { etag: found.etag, sinceMs: clock.monotonicMs() };
    else if (clock.monotonicMs() - seen.sinceMs > TTL_MS + MARGIN_MS) {
      const record = JSON.parse(new TextDecoder().decode(found.body)) as ToyRecord;
      await write(found.etag, record.token + 1);
    }
  }

  async function loop(): Promise<void> {
    for (;;) {
      if (clock.monotonicMs() < deadline && mine !== undefined) await write(mine, token);
      else await look();
      await sleep(clock, TTL_MS / 3, { keepAlive: true });
    }
  }

  void loop();
  return {
    isHeld: () => clock.monotonicMs() < deadline,
    get acquisitions() {
      return acquisitions;
    },
    get token() {
      return token;
    },
  };
}
