/** Says what its two clocks show, each time it is asked by a line on its standard input. Used to test the tests' own tools. */
import { createInterface } from "node:readline";
import { emit } from "../support/emit.ts";

const startedMs = performance.now();
emit("ready");
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "fail") throw new Error("asked to fail");
  emit("clocks", { wallMs: Date.now(), fresh: new Date().getTime(), monotonicMs: performance.now() - startedMs, asked: line });
}
