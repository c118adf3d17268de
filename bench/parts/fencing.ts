/** What a fenced object costs in time, against raw requests of the same bytes. */
import { fencedObject } from "s3-consensus";
import { pair } from "../pair.ts";
import { rawOn, rewriting } from "../raw.ts";
import { eachWithDelay, type Server } from "../servers.ts";
import type { Table } from "../table.ts";

const SMALL_BYTES = 1_000;
const LARGE_BYTES = 1_000_000;

export async function fencing(servers: readonly Server[], rounds: number): Promise<Table> {
  return {
    title: "Fenced objects against raw requests",
    note: `A body of ${SMALL_BYTES} bytes lies in the pointer record; one of ${LARGE_BYTES / 1e6} MB is an object beside it, and each put deletes the one before the last. Medians over twenty alternating blocks.`,
    columns: ["Server", "What", "Raw, ms", "Fenced, ms", "Ratio", "Rounds"],
    rows: await eachWithDelay(servers, 30, (server, isDelayed) => operations(server, isDelayed ? Math.ceil(rounds / 4) : rounds)),
  };
}

async function operations(server: Server, rounds: number): Promise<readonly (string | number)[][]> {
  const url = server.url();
  const raw = rawOn(url);
  const fence = { key: "bench", fencingToken: 1 };
  const rows: (string | number)[][] = [];
  for (const [size, bytes, part] of [
    ["small", SMALL_BYTES, 1],
    ["large", LARGE_BYTES, 4],
  ] as const) {
    // Other bytes each time: equal ones would leave a raw object's ETag as it was.
    const body = new Uint8Array(bytes);
    const changed = (): Uint8Array => {
      body[0] = ((body[0] ?? 0) + 1) % 256;
      return body;
    };
    const object = fencedObject(url, size);
    const put = await rewriting(raw, size, changed);
    const n = Math.ceil(rounds / part);
    rows.push([server.name, `put, ${size}, against one PUT`, ...(await pair(n, put, () => object.put(changed(), fence)))]);
    rows.push([server.name, `get, ${size}, against one GET`, ...(await pair(n, () => raw.get(size), () => object.get()))]); // prettier-ignore
  }
  raw.close();
  return rows;
}
