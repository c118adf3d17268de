/**
 * A function as AWS Lambda runs it: a loop on the Runtime API (AWS_LAMBDA_RUNTIME_API), one invocation at a time. Each invocation tries one lock for
 * itself; an event may tell it to die in the middle.
 *
 * STORE: the store's URL.
 */
import process from "node:process";
import { Locks } from "s3-consensus";
import { emit } from "../support/emit.ts";
import { describe } from "./lines.ts";

const api = `http://${process.env["AWS_LAMBDA_RUNTIME_API"]}/2018-06-01/runtime/invocation`;
const locks = new Locks({ store: process.env["STORE"] ?? "", node: process.env["NODE_NAME"] });

interface Event {
  readonly key: string;
  readonly workMs: number;
  readonly crash: boolean;
}

async function handle(event: Event, deadlineMs: number): Promise<object> {
  const context = { getRemainingTimeInMillis: () => deadlineMs - performance.timeOrigin - performance.now() };
  try {
    const attempt = await locks.oneShot(context).tryWithLock(event.key, async (lock) => {
      emit("begin", { key: event.key, token: lock.fencingToken });
      if (event.crash) process.kill(process.pid, "SIGKILL");
      await new Promise((resolve) => setTimeout(resolve, event.workMs));
      lock.assertHeld();
      emit("end", { key: event.key, token: lock.fencingToken });
      return lock.fencingToken;
    });
    return attempt.ran ? { token: attempt.value } : { held: attempt.held.message };
  } catch (e) {
    return { error: describe(e) };
  }
}

for (;;) {
  const next = await fetch(`${api}/next`);
  const id = next.headers.get("lambda-runtime-aws-request-id") ?? "";
  const deadlineMs = Number(next.headers.get("lambda-runtime-deadline-ms"));
  const answer = await handle((await next.json()) as Event, deadlineMs);
  await fetch(`${api}/${id}/response`, { method: "POST", body: JSON.stringify(answer) });
}
