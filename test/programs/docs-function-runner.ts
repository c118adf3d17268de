/** Calls the function of docs/scheduler.md (`docs-function.ts`) as a platform would: with an event and a context that says what is left. */
import process from "node:process";
import { emit } from "../support/emit.ts";
import { handler } from "./docs-function.ts";
import { listen } from "./lines.ts";

listen(async (command) => {
  if (command["do"] !== "invoke") throw new Error(`unknown command ${JSON.stringify(command)}`);
  const endsAt = performance.now() + Number(command["remainingMs"]);
  return await handler({}, { getRemainingTimeInMillis: () => endsAt - performance.now() });
});

emit("ready", { pid: process.pid });
