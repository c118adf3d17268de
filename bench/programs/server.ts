/** A server in a process of its own: `embedded BUCKET`, or `proxy TARGET DELAY_MS`. Ends with its parent. */
import { fakeS3, faultProxy } from "s3-consensus/testing";
import { emit } from "../../test/support/emit.ts";

const [kind, what = "", delayMs = "0"] = process.argv.slice(2);
if (kind === "embedded") {
  const server = await fakeS3({ buckets: [what], logLimit: 1_000 });
  emit("listening", { endpoint: server.endpoint });
} else {
  const proxy = await faultProxy({ target: what, logLimit: 1_000 });
  proxy.faults.add({ kind: "delay", delayMs: Number(delayMs) });
  emit("listening", { endpoint: proxy.endpoint });
}
process.stdin.resume().once("end", () => process.exit(0));
