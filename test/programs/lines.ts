/** How a test program talks with the test that started it: JSON lines, events out, commands in. */
import process from "node:process";
import { createInterface } from "node:readline";

/** Nanoseconds on the clock that all processes of a host share, as a text (JSON has no integers of that size). */
export function now(): string {
  return process.hrtime.bigint().toString();
}

export function say(event: string, data: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, at: now(), ...data })}\n`);
}

/** Calls `handler` for each command line; its answer goes out as an `answer` event with the command's `id`. */
export function listen(handler: (command: Record<string, unknown>) => unknown): void {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const command = JSON.parse(line) as Record<string, unknown>;
    void (async () => {
      try {
        say("answer", { id: command["id"], value: await handler(command) });
      } catch (e) {
        say("answer", { id: command["id"], error: describe(e) });
      }
    })();
  });
  // The test's end of the pipe is gone: so is the reason to run.
  lines.on("close", () => process.exit(0));
}

export function describe(e: unknown): object {
  if (!(e instanceof Error)) return { message: String(e) };
  return { name: e.name, message: e.message, code: (e as { code?: unknown }).code, reason: (e as { reason?: unknown }).reason };
}
