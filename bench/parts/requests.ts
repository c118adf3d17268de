/** Requests on the wire for each operation, as the embedded server logs them. (The tests assert these; here they are told.) */
import { setTimeout as pass } from "node:timers/promises";
import { Manager, type Store } from "s3-consensus";
import { s3Store } from "s3-consensus";
import { fakeS3 } from "s3-consensus/testing";
import type { Table } from "../table.ts";

export async function requests(): Promise<Table> {
  await using server = await fakeS3();
  process.env["AWS_ACCESS_KEY_ID"] ??= "any";
  process.env["AWS_SECRET_ACCESS_KEY"] ??= "any";
  const rows: (string | number)[][] = [];
  const measured = async <T>(what: string, work: () => Promise<T>, per = 1): Promise<T> => {
    server.requests.clear();
    const result = await work();
    const count = (method: string): number => server.requests.count({ method }) / per;
    rows.push([what, count("GET"), count("PUT"), count("GET") + count("PUT") + count("DELETE")]);
    return result;
  };
  const node = (store: Store, node: string, ttlMs = 3_000): Manager => new Manager({ store, node, name: "bench", ttlMs, pollMs: 500 });
  // A store object of its own stands for a process of its own: it knows no ETag and has proved nothing.
  const storeOf = (): Store => s3Store({ bucket: "test", endpoint: server.endpoint });

  await measured("first use of a bucket by anybody: probe, then win a free key", async () =>
    (await node(storeOf(), "a").campaign()).release(),
  );
  const known = node(storeOf(), "b");
  const first = await measured("win a free key, first use in a process (two of them beside the rest)", () => known.campaign());
  await measured("release", () => first.release());
  const again = await measured("win a free key whose ETag is known", () => known.campaign());
  await measured(
    "renewal",
    async () => {
      const before = known.stats()["renewals"] ?? 0;
      while ((known.stats()["renewals"] ?? 0) < before + 3) await pass(10);
    },
    3,
  );
  await measured("leader(): who leads?", () => node(storeOf(), "c").leader());
  await again.release();

  // A long ttl, so that the record rests while the follower looks.
  const leader = await node(storeOf(), "d", 60_000).campaign();
  const follower = node(storeOf(), "e");
  const running = follower.start({ onElected: () => {} });
  await pass(1_000);
  await measured(
    "a follower's poll, answered 304 without a body",
    async () => {
      while (server.requests.count({ status: 304 }) < 6) await pass(10);
    },
    6,
  );
  await running.stop();
  await leader.release();
  return {
    title: "Requests",
    note: "HTTP requests for each operation, counted by the embedded server.",
    columns: ["Operation", "GET", "PUT", "All"],
    rows,
  };
}
