/** A process that hardly does anything: `bare` (one SDK request, then nothing), `leader` or `follower`, watched for a while. `KIND URL SECONDS`. */
import process from "node:process";
import { setTimeout as pass } from "node:timers/promises";
import { emit } from "../../test/support/emit.ts";

const [kind, url = "", seconds = "60"] = process.argv.slice(2);
process.stdin.resume().once("end", () => process.exit(0));

if (kind === "bare") {
  const { GetObjectCommand, S3Client } = await import("@aws-sdk/client-s3");
  const at = new URL(url);
  const endpoint = at.searchParams.get("endpoint");
  const client = new S3Client({
    region: at.searchParams.get("region") ?? "us-east-1",
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
  });
  await client.send(new GetObjectCommand({ Bucket: at.host, Key: "nothing" })).catch(() => undefined);
} else {
  const { Manager } = await import("s3-consensus");
  const manager = new Manager({ store: url, name: "idle", node: kind, ttlMs: 15_000 });
  manager.start({ onElected: () => emit("elected"), onLeaderChange: ({ leader }) => emit("sees", { holder: leader?.holder }) });
}
await pass(10_000); // Whatever a start has to do is over.
const before = process.cpuUsage();
const from = process.hrtime.bigint();
await pass(1000 * Number(seconds));
const { user, system } = process.cpuUsage(before);
const percent = (100 * (user + system) * 1000) / Number(process.hrtime.bigint() - from);
globalThis.gc?.();
await pass(100);
globalThis.gc?.();
const { rss, heapUsed } = process.memoryUsage();
emit("measured", { percent, rssMb: rss / 1e6, heapMb: heapUsed / 1e6 });
await pass(60_000);
