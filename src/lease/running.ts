/** A run in the background: what `start` gives. */
export interface Running extends AsyncDisposable {
  /** Settles as `run` does. */
  readonly done: Promise<void>;
  /** Stops the work, waits for it, gives back what is held. @throws WorkNotStoppedError, or what ended the run before. */
  stop(): Promise<void>;
}

/** Nobody needs to await `done`: what ends the run by itself goes to `failed`. */
export function inBackground(run: (signal: AbortSignal) => Promise<void>, failed: (error: unknown) => void): Running {
  const controller = new AbortController();
  const done = run(controller.signal);
  done.catch(failed);
  const stop = (): Promise<void> => {
    controller.abort();
    return done;
  };
  return {
    done,
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop().catch(() => {});
    },
  };
}
