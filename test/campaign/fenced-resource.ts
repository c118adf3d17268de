/**
 * The resource that the elections and locks protect: a number for each key, which their holders count up. It remembers the largest token of each key
 * and refuses older ones, which is what the fencing token is for. Whoever opens it raises the bar before he reads: then no increment can be lost.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { FencedWrite } from "../../src/testing/history/index.ts";
import { nowMs } from "./tap.ts";

export interface FencedResource {
  readonly url: string;
  /** Every write, in the order in which it came. */
  readonly writes: readonly FencedWrite[];
  /** Stale writes that were turned away. */
  readonly refused: number;
  readonly increments: number;
  /** Increments that were written over because two counted on from the same number. There must be none. */
  readonly lost: readonly string[];
  close(): Promise<void>;
}

export async function fencedResource(): Promise<FencedResource> {
  const writes: FencedWrite[] = [];
  const lost: string[] = [];
  const newest = new Map<string, number>();
  const values = new Map<string, number>();
  let refused = 0;
  const server = createServer((request, response) => {
    const query = new URL(request.url ?? "/", "http://resource").searchParams;
    const key = query.get("key") ?? "";
    const fencingToken = Number(query.get("token"));
    const accepted = fencingToken >= (newest.get(key) ?? 0);
    const before = values.get(key) ?? 0;
    const value = query.get("value");
    if (accepted) {
      newest.set(key, fencingToken);
      if (value !== null) {
        if (Number(value) !== before + 1) lost.push(`${key}: token ${fencingToken} wrote ${value} over ${before}`);
        values.set(key, Number(value));
      }
    } else if (value !== null) refused++;
    writes.push({ type: "fenced", key, node: query.get("node") ?? "", fencingToken, accepted, atMs: nowMs() });
    response.writeHead(accepted ? 200 : 409).end(String(values.get(key) ?? 0));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    writes,
    lost,
    get increments() {
      return [...values.values()].reduce((sum, value) => sum + value, 0);
    },
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
