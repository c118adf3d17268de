/**
 * One node of an election that writes a fenced object under its term, when it is told to.
 *
 * STORE: the store's URL; OPTIONS: JSON for `new Manager`; OBJECT: the object's name.
 */
import process from "node:process";
import { fencedObject, Manager, type ManagerOptions, s3Store, type Term } from "s3-consensus";
import { emit } from "../support/emit.ts";
import { listen } from "./lines.ts";

const store = s3Store(process.env["STORE"] ?? "");
const manager = new Manager({ store, ...(JSON.parse(process.env["OPTIONS"] ?? "{}") as ManagerOptions<never>) });
const object = fencedObject(store, process.env["OBJECT"] ?? "");
let term: Term | undefined;

function held(): Term {
  if (term === undefined) throw new Error("there is no term");
  return term;
}

listen(async (command) => {
  switch (command["do"]) {
    case "campaign":
      term = await manager.campaign({ waitMs: 15_000 });
      return { token: term.fencingToken };
    case "open":
      return object.open(held());
    case "put":
      return object.put(String(command["body"]), held());
    case "put-unchecked": {
      // As a program that never asks whether it holds: only the store stands in its way.
      const { key, fencingToken } = held();
      return object.put(String(command["body"]), { key, fencingToken });
    }
    case "release":
      return held().release();
    default:
      throw new Error(`unknown command ${JSON.stringify(command)}`);
  }
});

emit("ready", { pid: process.pid });
