/** The time of campaign + release on a known key, against two raw conditional PUTs through the same SDK on the same server. */
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { Manager, s3Store } from "s3-consensus";
import { Bench } from "tinybench";
import type { Server } from "../servers.ts";
import { median, type Table } from "../table.ts";

const BLOCKS = 20;

export async function ratio(servers: readonly Server[], rounds: number): Promise<Table> {
  const rows: (string | number)[][] = [];
  for (const server of servers) {
    rows.push(await compare(server, rounds));
    const delayed = await server.delayedBy(30);
    try {
      rows.push(await compare(delayed, Math.ceil(rounds / 4)));
    } finally {
      await delayed.close();
    }
  }
  return {
    title: "Campaign + release against two raw conditional PUTs",
    note: "On a known key; medians over twenty alternating blocks. Limit and goal: ratio at most 1.05 at +30 ms (two requests are the least that is possible).",
    columns: ["Server", "Two raw PUTs, ms", "Campaign + release, ms", "Ratio", "Rounds"],
    rows,
  };
}

async function compare(server: Server, rounds: number): Promise<(string | number)[]> {
  const url = new URL(server.url());
  const endpoint = url.searchParams.get("endpoint") ?? undefined;
  const region = url.searchParams.get("region") ?? "us-east-1";
  const client = new S3Client({
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle: endpoint !== undefined,
    maxAttempts: 1,
    requestChecksumCalculation: "WHEN_REQUIRED",
  });
  const put = async (condition: { IfNoneMatch: string } | { IfMatch: string | undefined }): Promise<string | undefined> => {
    // As many bytes as a record has, other ones each time.
    const Body = JSON.stringify({ nonce: Math.random(), padding: "x".repeat(480) });
    const answer = await client.send(new PutObjectCommand({ Bucket: url.host, Key: `${url.pathname.slice(1)}/raw`, Body, ...condition }));
    return answer.ETag;
  };
  const manager = new Manager({ store: s3Store(url.href), name: "ratio" });
  await (await manager.campaign()).release();
  let etag = await put({ IfNoneMatch: "*" });
  const raw: number[] = [];
  const lease: number[] = [];
  const iterations = Math.max(2, Math.ceil(rounds / BLOCKS));
  for (let block = 0; block < BLOCKS; block++) {
    const bench = new Bench({
      time: 0,
      iterations,
      warmup: block === 0,
      warmupTime: 0,
      warmupIterations: 5,
      retainSamples: true,
      throws: true,
    });
    bench.add("raw", async () => {
      etag = await put({ IfMatch: etag });
      etag = await put({ IfMatch: etag });
    });
    bench.add("lease", async () => {
      const term = await manager.campaign();
      await term.release();
    });
    await bench.run();
    for (const [name, into] of [
      ["raw", raw],
      ["lease", lease],
    ] as const) {
      const result = bench.getTask(name)?.result;
      if (result?.state !== "completed") throw new Error(`${name} on ${server.name}: ${result?.state}`);
      into.push(...(result.latency.samples ?? []));
    }
  }
  client.destroy();
  return [server.name, median(raw), median(lease), Number((median(lease) / median(raw)).toFixed(3)), raw.length];
}
