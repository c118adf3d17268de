/** Ctrl-C and its like, and a reader that has gone away (`npm run demo | head`), end the demo in good order. */
import process from "node:process";
import { StoryError } from "./story-error.ts";

const SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1, SIGQUIT: 3 } as const;

export function interruption(): { readonly signal: AbortSignal; readonly caught: () => number | undefined } {
  const stop = new AbortController();
  let status: number | undefined;
  for (const [name, number] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      status = 128 + number;
      stop.abort(new StoryError(`${name} received`));
    });
  }
  process.stdout.on("error", () => stop.abort(new StoryError("nobody reads the output any more")));
  return { signal: stop.signal, caught: () => status };
}
