/**
 * `doctor` on every server that runs here, with nothing but its own output in docs/stores.md: `npm run docs:stores` writes the table anew, and
 * each run of the wide tier sees whether the verdicts still stand.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { fakeS3 } from "../../src/testing/s3-server/fake-s3.ts";
import { cliEnv, runCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { freshBucket } from "../support/minio-client.ts";
import { type S3Server, startGofakes3, startMinio } from "../support/servers.ts";
import { versionOf } from "./servers/find.ts";
import { startMoto, startRclone, startVersitygw } from "./servers/start.ts";

interface Told {
  readonly verdict: string;
  readonly requests: number;
  readonly checks: readonly { readonly id: string; readonly verdict: string; readonly detail?: string }[];
}

const PAGE = join(import.meta.dirname, "../../docs/stores.md");
const [BEGIN, END] = ["<!-- made by npm run docs:stores -->", "<!-- end of what is made -->"] as const;
const rows = new Map<string, string>();

const SERVERS: readonly (readonly [name: string, start: () => Promise<S3Server>])[] = [
  ["MinIO, one drive", () => startMinio()],
  ["MinIO, four drives", () => startMinio({ drives: 4 })],
  ["gofakes3", () => startGofakes3()],
  [`versitygw ${versionOf("versitygw")}`, () => startVersitygw()],
  [`moto ${versionOf("moto")}`, () => startMoto()],
  [`rclone serve s3 ${versionOf("rclone")}`, () => startRclone()],
];

function row(name: string, { verdict, checks, requests }: Told): string {
  const others = checks.filter((check) => check.verdict !== "good").map((check) => `${check.id}: ${check.verdict}`);
  const of = (id: string): string => checks.find((check) => check.id === id)?.detail ?? "";
  return `| ${name} | ${verdict} | ${others.join("; ") || "–"} | ${of("delete-condition")} | ${requests} |`;
}

describe("doctor", () => {
  it("on fakeS3 of s3-consensus/testing", async () => {
    await using server = await fakeS3();
    const { status, out } = await runCli(["doctor", server.url(), "--json"], {
      env: cliEnv(undefined, { AWS_ACCESS_KEY_ID: "dev", AWS_SECRET_ACCESS_KEY: "dev" }),
    });
    expect(status).toBe(0);
    rows.set("fakeS3", row("`fakeS3`", JSON.parse(out) as Told));
  });

  it.each(SERVERS)("on %s", { timeout: 180_000 }, async (name, start) => {
    const server = await start();
    const { url } = await freshBucket(server);
    const { status, out } = await runCli(["doctor", url("app"), "--json"], { env: cliEnv(server) });
    expectShape("doctor", JSON.parse(out));
    expect([0, 1], out).toContain(status);
    rows.set(name, row(name, JSON.parse(out) as Told));
  });

  afterAll(() => {
    // A table without a server that failed would say less than before.
    if (process.env["UPDATE_DOCS"] !== "1" || rows.size !== SERVERS.length + 1) return;
    const table = [
      `Output of \`doctor\` on the servers that run here, ${new Date().toISOString().slice(0, 10)}. Each was left as it was found.`,
      "",
      "| Server | Verdict | Lines that are not good | DELETE with a condition | Requests |",
      "| --- | --- | --- | --- | --- |",
      ...rows.values(),
    ].join("\n");
    const page = readFileSync(PAGE, "utf8");
    const [before = "", rest = ""] = page.split(BEGIN);
    writeFileSync(PAGE, `${before}${BEGIN}\n\n${table}\n\n${END}${rest.split(END)[1] ?? ""}`);
  });
});
