/**
 * A process with locks. It counts in unprotected files under them, or holds one until it is told otherwise.
 *
 * STORE: the store's URL; NODE: its name; OPTIONS: JSON for the defaults of `new Locks`.
 */
import { appendFile, readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { setImmediate } from "node:timers/promises";
import { fencedObject, type LeaseOptions, type Lock, Locks, s3Store } from "s3-consensus";
import { emit } from "../support/emit.ts";
import { listen } from "./lines.ts";

const defaults = JSON.parse(process.env["OPTIONS"] ?? "{}") as LeaseOptions;
const store = s3Store(process.env["STORE"] ?? "");
const locks = new Locks({ store, node: process.env["NODE"], defaults });
let lock: Lock | undefined;

/** Reads, lets others run, and writes one more: two at a time would lose one. The fencing token goes to the end of a file beside it. */
async function count(key: string, file: string): Promise<void> {
  await locks.withLock(key, { waitMs: 240_000 }, async ({ fencingToken }) => {
    const before = Number(await readFile(file, "utf8"));
    await appendFile(`${file}.tokens`, `${fencingToken}\n`);
    await setImmediate();
    await writeFile(file, String(before + 1));
  });
}

listen(async (command) => {
  const key = typeof command["key"] === "string" ? command["key"] : "k";
  switch (command["do"]) {
    case "count": {
      const files = command["files"] as Readonly<Record<string, string>>;
      for (let i = 0; i < Number(command["times"]); i++) for (const [name, file] of Object.entries(files)) await count(name, file);
      return locks.stats();
    }
    case "acquire":
      lock = await locks.acquire(key, command["options"] as LeaseOptions);
      return lock.fencingToken;
    case "try":
      lock = await locks.tryAcquire(key);
      return lock?.fencingToken ?? null;
    case "look":
      return { held: lock?.isHeld(), aborted: lock?.signal.aborted };
    case "renew":
      return lock?.renew();
    case "release":
      return lock?.release();
    case "put":
      // By the lease, which is asked first; or by its token alone, as one would who believes it.
      return lock && fencedObject(store, "report").put("x", command["blindly"] === true ? { key, fencingToken: lock.fencingToken } : lock);
    case "handOff":
      return lock?.handOff();
    case "resume":
      lock = await locks.resume(command["text"] as string);
      return lock.fencingToken;
    case "forceRelease":
      return locks.forceRelease(key, { token: Number(command["token"]), now: command["now"] === true });
    default:
      throw new Error(`unknown command ${JSON.stringify(command)}`);
  }
});
emit("ready", { pid: process.pid });
