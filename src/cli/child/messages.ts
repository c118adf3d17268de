/** What wrapper and watchdog say to each other: one JSON value a line, on the watchdog's standard input and output. */
import type { Instant } from "../../clock/deadline.ts";
import type { Target } from "./processes.ts";

export type ToWatchdog =
  | { readonly kind: "watch"; readonly target: Target; readonly deadline: Instant; readonly graceMs: number }
  | { readonly kind: "deadline"; readonly number: number; readonly deadline: Instant }
  /** The lease is over: the command has the grace, and not a moment beyond the deadline. */
  | { readonly kind: "stop" }
  /** The command has ended. Without this word, the end of the pipe means that the wrapper is dead. */
  | { readonly kind: "done" };

export type FromWatchdog =
  | { readonly kind: "ready" }
  | { readonly kind: "watching" }
  | { readonly kind: "heard"; readonly number: number }
  | { readonly kind: "term" }
  | { readonly kind: "kill" };

const MAX_LINE = 4096;

/** Splits what arrives into lines, and hands each on as a value. */
export function eachMessage(stream: NodeJS.ReadableStream, take: (message: unknown) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = (lines.pop() ?? "").slice(0, MAX_LINE);
    for (const line of lines) if (line !== "") take(JSON.parse(line));
  });
}
