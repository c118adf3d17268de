/** Commands to a test program: JSON lines on its standard input, each answered by an `answer` event with the command's `id`. */
import process from "node:process";
import { createInterface } from "node:readline";
import { emit } from "../support/emit.ts";

export function listen(handler: (command: Record<string, unknown>) => unknown): void {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const command = JSON.parse(line) as Record<string, unknown>;
    void (async () => {
      try {
        emit("answer", { id: command["id"], value: await handler(command) });
      } catch (e) {
        emit("answer", { id: command["id"], error: describe(e) });
      }
    })();
  });
}

export function describe(e: unknown): Record<string, unknown> {
  if (!(e instanceof Error)) return { message: String(e) };
  return { name: e.name, message: e.message, code: (e as { code?: unknown }).code, reason: (e as { reason?: unknown }).reason };
}
