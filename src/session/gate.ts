import { observationsOf, shareObservations } from "../lease/observations.ts";
import type { ObjectStore } from "../store/object-store.ts";

/** How many requests for the locks of one session are under way at a time: its own renewals must find a free socket. */
export const MAX_AT_A_TIME = 32;

/**
 * The same store, for everything but the member record: requests beyond the limit wait for their turn, in order. What is known of the keys is
 * shared with the store itself.
 */
export function gated(store: ObjectStore, limit: number = MAX_AT_A_TIME): ObjectStore {
  const waiting: (() => void)[] = [];
  let free = limit;
  const within = async <T>(signal: AbortSignal | undefined, send: () => Promise<T>): Promise<T> => {
    if (free > 0) free -= 1;
    else if (!(await turn(waiting, signal))) return await send();
    try {
      return await send();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
  const gate: ObjectStore = {
    url: store.url,
    clock: store.clock,
    random: store.random,
    stats: () => store.stats(),
    checkKey: (key) => store.checkKey?.(key),
    prepare: () => store.prepare(),
    ensureSafe: (o) => store.ensureSafe(o),
    knownVerdict: (o) => store.knownVerdict?.(o) ?? Promise.resolve(undefined),
    get: (key, o) => within(o?.signal, () => store.get(key, o)),
    create: (key, body, o) => within(o?.signal, () => store.create(key, body, o)),
    replace: (key, etag, body, o) => within(o?.signal, () => store.replace(key, etag, body, o)),
    list: (prefix, o) => within(o?.signal, () => store.list(prefix, o)),
    remove: (key, o) => within(o?.signal, () => store.remove(key, o)),
  };
  shareObservations(gate, observationsOf(store));
  return gate;
}

/** Whether one's turn came before `signal` aborted: then the request needs none, because that signal ends it at once. */
function turn(waiting: (() => void)[], signal: AbortSignal | undefined): Promise<boolean> {
  if (signal?.aborted === true) return Promise.resolve(false);
  return new Promise((resolve) => {
    const onAbort = (): void => {
      waiting.splice(waiting.indexOf(go), 1);
      resolve(false);
    };
    const go = (): void => {
      signal?.removeEventListener("abort", onAbort);
      resolve(true);
    };
    waiting.push(go);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
