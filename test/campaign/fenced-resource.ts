/** The resource that the elections protect. It remembers the largest token of each key and refuses older ones: what the fencing token is for. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { FencedWrite } from "../../src/testing/history/index.ts";
import { nowMs } from "./tap.ts";

export interface FencedResource {
  readonly url: string;
  /** Every write, in the order in which it came. */
  readonly writes: readonly FencedWrite[];
  readonly refused: number;
  close(): Promise<void>;
}

export async function fencedResource(): Promise<FencedResource> {
  const writes: FencedWrite[] = [];
  const newest = new Map<string, number>();
  let refused = 0;
  const server = createServer((request, response) => {
    const query = new URL(request.url ?? "/", "http://resource").searchParams;
    const key = query.get("key") ?? "";
    const fencingToken = Number(query.get("token"));
    const accepted = fencingToken >= (newest.get(key) ?? 0);
    if (accepted) newest.set(key, fencingToken);
    else refused++;
    writes.push({ type: "fenced", key, node: query.get("node") ?? "", fencingToken, accepted, atMs: nowMs() });
    response.writeHead(accepted ? 204 : 409).end();
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    writes,
    get refused() {
      return refused;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
