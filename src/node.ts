/** What only a Node process needs (`s3-consensus/node`). */
import { setMaxListeners } from "node:events";
import process from "node:process";

const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;
let shared: AbortSignal | undefined;

/**
 * Aborts at the first SIGTERM or SIGINT, for `manager.run(handlers, { signal: shutdownSignal() })`: the work stops, the key is freed, `run`
 * returns, and the process ends by itself. A second signal exits at once, with 128 + the signal's number. One signal for the whole process,
 * however often this is called; waiting for it does not keep the process alive.
 */
export function shutdownSignal(): AbortSignal {
  if (shared !== undefined) return shared;
  const controller = new AbortController();
  for (const [name, number] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(128 + number);
      controller.abort(new DOMException(`${name} received`, "AbortError"));
    });
  }
  shared = controller.signal;
  // A thousand elections of one process may listen to it; that is no leak.
  setMaxListeners(0, shared);
  return shared;
}
