/** What a lock costs in time, against the raw requests that it can't do without, through the same SDK on the same server. */
import { Locks } from "s3-consensus";
import { pair } from "../pair.ts";
import { rawOn, recordLike, twoPuts } from "../raw.ts";
import { eachWithDelay, type Server } from "../servers.ts";
import type { Table } from "../table.ts";

export async function locks(servers: readonly Server[], rounds: number): Promise<Table> {
  return {
    title: "A lock's cycle against raw requests",
    note: "withLock around nothing, against raw conditional requests; medians over twenty alternating blocks. Goal: ratio at most 1.05 at +30 ms.",
    columns: ["Server", "Cycle", "Raw, ms", "withLock, ms", "Ratio", "Rounds"],
    rows: await eachWithDelay(servers, 30, (server, isDelayed) => cycles(server, isDelayed ? Math.ceil(rounds / 4) : rounds)),
  };
}

async function cycles(server: Server, rounds: number): Promise<readonly (string | number)[][]> {
  const url = server.url();
  const raw = rawOn(url);
  const ours = new Locks({ store: url });
  await ours.withLock("known", () => {});
  let keys = 0;
  const threeRequests = async (): Promise<void> => {
    const key = `first-${++keys}`;
    if ((await raw.get(key)) !== undefined) throw new Error(`${key} is not new`);
    const made = await raw.put(key, recordLike(), { IfNoneMatch: "*" });
    await raw.put(key, recordLike(), { IfMatch: made });
  };
  const known = await pair(rounds, await twoPuts(raw), () => ours.withLock("known", () => {}));
  const first = await pair(rounds, threeRequests, () => ours.withLock(`first-${++keys}`, () => {}));
  raw.close();
  return [
    [server.name, "known key; two PUTs", ...known],
    [server.name, "first on a key; GET, PUT, PUT", ...first],
  ];
}
