/** Our standard streams when they take nothing any more: a reader that has gone away (`… | head -1`), a disk that is full. */
import process from "node:process";
import { EXIT } from "./exit-codes.ts";

const gone = new AbortController();

/** Aborts when standard output takes nothing any more. Who only runs to print something ends by it. */
export const outputGone: AbortSignal = gone.signal;

/** A stream that fails ends no program of ours: a command that runs under a lease has more worth than a line about it. */
export function guardStreams(): void {
  process.stderr.on("error", () => undefined);
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (gone.signal.aborted) return;
    gone.abort();
    // A reader that has gone away has read what it wanted.
    if (error.code === "EPIPE") return;
    process.stderr.write(`s3-consensus: standard output: ${error.message}\n`);
    // The status of an answer that nobody got would be taken for the answer.
    process.once("exit", (status) => {
      if (status === EXIT.ok || status === EXIT.no) process.exitCode = EXIT.output;
    });
  });
}
