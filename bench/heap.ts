import { setTimeout as pass } from "node:timers/promises";

/** Bytes in use after everything that can be collected was. Needs --expose-gc. */
export async function heapBytes(): Promise<number> {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error("start Node with --expose-gc, or the heap says nothing");
  for (let i = 0; i < 3; i++) {
    gc();
    await pass(20);
  }
  return process.memoryUsage().heapUsed;
}
