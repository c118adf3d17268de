/**
 * Many contenders for one name in one process. Each round all of them campaign once, at the same moment; who wins keeps it until the next
 * command.
 *
 * STORE: the store's URL; OPTIONS: JSON for `new Manager`; CONTENDERS: how many.
 */
import process from "node:process";
import { Manager, type ManagerOptions, s3Store, type Term } from "s3-consensus";
import { emit } from "../support/emit.ts";
import { describe, listen } from "./lines.ts";

const store = s3Store(process.env["STORE"] ?? "");
const options = JSON.parse(process.env["OPTIONS"] ?? "{}") as ManagerOptions<never> & { node?: string };
const managers = Array.from(
  { length: Number(process.env["CONTENDERS"] ?? "10") },
  (_, i) => new Manager({ store, ...options, node: `${options.node ?? "racer"}-${i}` }),
);
let held: Term[] = [];

listen(async (command) => {
  switch (command["do"]) {
    case "round": {
      const results = await Promise.allSettled(managers.map((m) => m.campaign({ waitMs: 0 })));
      held = results.flatMap((r) => (r.status === "fulfilled" ? [r.value] : []));
      const refusals = results.flatMap((r) => (r.status === "rejected" ? [describe(r.reason)] : []));
      return { won: held.map((t) => ({ token: t.fencingToken, holder: t.holder })), refusals };
    }
    case "release":
      return Promise.all(held.map((t) => t.release()));
    default:
      throw new Error(`unknown command ${JSON.stringify(command)}`);
  }
});
emit("ready", { pid: process.pid });
