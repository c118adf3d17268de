/**
 * Which locks the code that runs now is inside of. The same key inside its own `withLock` would wait for itself, and only the asynchronous context
 * tells that call from one of another request of the same process.
 *
 * A call that is started inside and not awaited, or comes from a timer that was started inside, counts as inside for as long as that function runs:
 * nobody can tell whether the function waits for it, and a clear error beats a deadlock that shows only under load. Once the function has settled,
 * such a call queues like any other.
 */
interface AsyncContext<T> {
  getStore(): T | undefined;
  run<R>(value: T, fn: () => R): R;
}

interface Inside {
  readonly store: object;
  /** Whether a call for this key would wait for the function that it comes from. */
  readonly holds: (key: string) => boolean;
  readonly outer: Inside | undefined;
  running: boolean;
}

let context: AsyncContext<Inside> | undefined;
let soughtFor = false;

/** Where the runtime has no asynchronous context (a Worker without Node compatibility), a call inside waits like any other, and no longer than its `waitMs`. */
function asyncContext(): AsyncContext<Inside> | undefined {
  if (soughtFor) return context;
  soughtFor = true;
  const host = globalThis as {
    readonly AsyncLocalStorage?: new () => AsyncContext<Inside>;
    readonly process?: { getBuiltinModule?: (id: string) => { AsyncLocalStorage?: new () => AsyncContext<Inside> } | undefined };
  };
  const Storage = host.process?.getBuiltinModule?.("node:async_hooks")?.AsyncLocalStorage ?? host.AsyncLocalStorage;
  context = Storage === undefined ? undefined : new Storage();
  return context;
}

/** Which of `keys` the caller holds by a `withLock` that it runs inside of. */
export function insideOf(store: object, keys: readonly string[]): string | undefined {
  for (let at = asyncContext()?.getStore(); at !== undefined; at = at.outer) {
    const { store: where, holds, running } = at;
    const found = running && where === store ? keys.find((key) => holds(key)) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Runs `fn` inside of the keys that `holds` says, until what it returns settles. */
export async function runInside<T>(store: object, holds: (key: string) => boolean, fn: () => Promise<T> | T): Promise<T> {
  const storage = asyncContext();
  if (storage === undefined) return await fn();
  const inside: Inside = { store, holds, outer: storage.getStore(), running: true };
  try {
    return await storage.run(inside, async () => fn());
  } finally {
    inside.running = false;
  }
}
