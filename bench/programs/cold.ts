/**
 * From nothing to the first result: `bare-get`, `bare-put` (GET, then a conditional PUT, as an election needs), `bare-required` (a GET with an SDK
 * that is required, not imported) or `leader`. `KIND URL`.
 */
import { createRequire } from "node:module";
import { emit } from "../../test/support/emit.ts";

const [kind, url = ""] = process.argv.slice(2);
if (kind === "leader") {
  const { Manager } = await import("s3-consensus");
  const manager = new Manager({ store: url, name: "cold" });
  const term = await manager.campaign();
  emit("done");
  await term.release();
} else {
  const { GetObjectCommand, PutObjectCommand, S3Client } =
    kind === "bare-required"
      ? (createRequire(import.meta.url)("@aws-sdk/client-s3") as typeof import("@aws-sdk/client-s3"))
      : await import("@aws-sdk/client-s3");
  const at = new URL(url);
  const endpoint = at.searchParams.get("endpoint");
  const client = new S3Client({
    region: at.searchParams.get("region") ?? "us-east-1",
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    maxAttempts: 1,
  });
  const where = { Bucket: at.host, Key: `${at.pathname.slice(1)}/bare` };
  const found = await client.send(new GetObjectCommand(where)).then(
    async (answer) => ({ etag: answer.ETag, body: await answer.Body?.transformToString() }),
    () => undefined,
  );
  if (kind === "bare-put") {
    const condition = found?.etag === undefined ? { IfNoneMatch: "*" } : { IfMatch: found.etag };
    await client.send(new PutObjectCommand({ ...where, Body: String(Math.random()), ...condition }));
  }
  emit("done");
}
process.exit(0);
