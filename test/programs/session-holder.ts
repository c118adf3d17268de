/**
 * A session with locks, in a process of its own.
 *
 * STORE: the store's URL; OPTIONS: JSON for `Session.open`.
 */
import process from "node:process";
import { Locks, s3Store, Session, type SessionOptions } from "s3-consensus";
import { emit } from "../support/emit.ts";
import { describe, listen } from "./lines.ts";

const store = s3Store(process.env["STORE"] ?? "");
const options = JSON.parse(process.env["OPTIONS"] ?? "{}") as Omit<SessionOptions, "store">;
const session = await Session.open({ store, ...options });
const plain = new Locks({ store, ...(options.node === undefined ? {} : { node: options.node }) });
const held = new Map<string, Awaited<ReturnType<typeof plain.acquire>>>();
session.signal.addEventListener("abort", () => emit("over", describe(session.signal.reason)), { once: true });

listen(async (command) => {
  const key = command["key"] as string;
  switch (command["do"]) {
    case "acquire": {
      const lock = await session.locks().acquire(key, { waitMs: Number(command["waitMs"] ?? 30_000) });
      held.set(key, lock);
      lock.signal.addEventListener("abort", () => {
        emit("ended", { key, reason: lock.signal.reason.reason });
        // What an operator asks for is done: there is no work to stop here.
        if (lock.signal.reason.reason === "stepped-down") void lock.release();
      });
      return { token: lock.fencingToken };
    }
    case "look":
      return {
        over: session.signal.aborted,
        held: [...held]
          .filter(([, lock]) => lock.isHeld())
          .map(([name]) => name)
          .toSorted(),
        puts: store.stats()["put"],
      };
    case "release":
      return held.get(key)?.release();
    case "force":
      return plain.forceRelease(key, { token: Number(command["token"]), now: command["now"] === true });
    case "close":
      return session.close();
    default:
      throw new Error(`unknown command ${JSON.stringify(command)}`);
  }
});

emit("ready", { pid: process.pid });
