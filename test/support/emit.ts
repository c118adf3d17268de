/** What a test program says to the test that started it: one JSON object a line on standard output (see programs.ts). */
import { writeSync } from "node:fs";
import { hostMs } from "./host-clock.ts";

/** Written synchronously, so that a SIGKILL right after it doesn't swallow it; `atMs` is the time on the clock that all processes share. */
export function emit(event: string, fields: Readonly<Record<string, unknown>> = {}): void {
  let rest = Buffer.from(`${JSON.stringify({ event, atMs: hostMs(), ...fields })}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      // The pipe is full and the test is busy: it will read on.
      if ((error as { code?: string }).code !== "EAGAIN") throw error;
    }
  }
}
