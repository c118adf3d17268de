/**
 * A process with ephemeral locks by the thousand: it works under them, or prunes.
 *
 * STORE: the store's URL; NODE: its name; OLDER: by how many milliseconds it takes everything to be older than it is.
 */
import { appendFile, readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { setImmediate } from "node:timers/promises";
import { Locks, s3Store } from "s3-consensus";
import { emit } from "../support/emit.ts";
import { listen } from "./lines.ts";

interface Stamped {
  readonly lastModifiedMs?: number | undefined;
  readonly entries?: readonly Stamped[] | undefined;
}

const olderMs = Number(process.env["OLDER"] ?? "0");

/** The answer, with everything in it so much older. */
function aged<T extends Stamped>(answer: T): T {
  const lastModifiedMs = answer.lastModifiedMs === undefined ? undefined : answer.lastModifiedMs - olderMs;
  return { ...answer, ...(answer.entries === undefined ? { lastModifiedMs } : { entries: answer.entries.map(aged) }) };
}

/** Nothing can be an hour old within a test: reads and listings of this process say that it is. */
function agedStore(url: string): ReturnType<typeof s3Store> {
  const store = s3Store(url);
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      const call = value.bind(target) as (...args: unknown[]) => Promise<Stamped>;
      return olderMs > 0 && (name === "get" || name === "list") ? async (...args: unknown[]) => aged(await call(...args)) : call;
    },
  });
}

const locks = new Locks({ store: agedStore(process.env["STORE"] ?? ""), node: process.env["NODE"], ephemeral: true });
const stop = new AbortController();

/** Reads, lets others run, and writes one more: two at a time would lose one. The fencing token goes to the end of a file beside it. */
async function count(name: string, dir: string): Promise<void> {
  await locks.withLock(name, { waitMs: 240_000 }, async ({ fencingToken }) => {
    const file = `${dir}/${name}`;
    const before = Number(await readFile(file, "utf8"));
    await appendFile(`${file}.tokens`, `${fencingToken}\n`);
    await setImmediate();
    await writeFile(file, String(before + 1));
  });
}

listen(async (command) => {
  const names = command["names"] as readonly string[];
  switch (command["do"]) {
    case "count": {
      const from = Number(command["from"]);
      for (let i = 0; i < Number(command["times"]); i++) await count(names[(from + i) % names.length] ?? "", String(command["dir"]));
      return locks.stats();
    }
    case "prune": {
      let deleted = 0;
      while (!stop.signal.aborted) deleted += await locks.prune({ olderThanMs: 3_600_000 });
      return deleted;
    }
    case "stop":
      return stop.abort();
    default:
      throw new Error(`unknown command ${JSON.stringify(command)}`);
  }
});
emit("ready", { pid: process.pid });
