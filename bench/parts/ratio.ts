/** The time of campaign + release on a known key, against two raw conditional PUTs through the same SDK on the same server. */
import { Manager, s3Store } from "s3-consensus";
import { pair } from "../pair.ts";
import { rawOn, twoPuts } from "../raw.ts";
import { eachWithDelay, type Server } from "../servers.ts";
import type { Table } from "../table.ts";

export async function ratio(servers: readonly Server[], rounds: number): Promise<Table> {
  return {
    title: "Campaign + release against two raw conditional PUTs",
    note: "On a known key; medians over twenty alternating blocks. Limit and goal: ratio at most 1.05 at +30 ms (two requests are the least that is possible).",
    columns: ["Server", "Two raw PUTs, ms", "Campaign + release, ms", "Ratio", "Rounds"],
    rows: await eachWithDelay(servers, 30, async (server, isDelayed) => [
      [server.name, ...(await compare(server, isDelayed ? Math.ceil(rounds / 4) : rounds))],
    ]),
  };
}

async function compare(server: Server, rounds: number): Promise<readonly number[]> {
  const url = server.url();
  const raw = rawOn(url);
  const manager = new Manager({ store: s3Store(url), name: "ratio" });
  const cycle = async (): Promise<unknown> => await (await manager.campaign()).release();
  await cycle();
  const row = await pair(rounds, await twoPuts(raw), cycle);
  raw.close();
  return row;
}
