import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cliEnv, type CliProcess, startCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { temporaryFolder } from "../support/reaper.ts";

const env = cliEnv(undefined, { AWS_ACCESS_KEY_ID: "dev", AWS_SECRET_ACCESS_KEY: "dev" });

interface Told {
  readonly endpoint: string;
  readonly store: string;
}

async function devServer(...flags: string[]): Promise<{ readonly server: CliProcess; readonly told: Told }> {
  const server = startCli(["dev-server", "--port", "0", "--json", ...flags], { env });
  await server.written(/\n/);
  return { server, told: JSON.parse(server.out()) as Told };
}

async function put(endpoint: string, key: string, body: string, headers: Record<string, string> = {}): Promise<number> {
  return (await fetch(`${endpoint}/dev/${key}`, { method: "PUT", body, headers })).status;
}

describe("dev-server", () => {
  it("says where it is, serves, and ends with 0 when it is stopped", async () => {
    const { server, told } = await devServer();
    expectShape("devServer", told);
    expect(await put(told.endpoint, "a", "1", { "If-None-Match": "*" })).toBe(200);
    expect(await put(told.endpoint, "a", "2", { "If-None-Match": "*" })).toBe(412);
    server.signal("SIGTERM");
    expect((await server.exit).status).toBe(0);
  });

  it("keeps its objects in a folder and finds them again, whatever their keys are", async () => {
    const dir = temporaryFolder("dev-server");
    const first = await devServer("--dir", dir);
    const keys = ["plain", "with%20space/%2E%2E%2Fout", "k".repeat(900)];
    for (const key of keys) expect(await put(first.told.endpoint, key, `body of ${key.length}`)).toBe(200);
    const gone = await fetch(`${first.told.endpoint}/dev/plain`, { method: "DELETE" });
    expect(gone.status).toBe(204);
    const etag = (await fetch(`${first.told.endpoint}/dev/${keys[1]}`)).headers.get("etag");
    first.server.signal("SIGKILL");
    await first.server.exit;
    const { server, told } = await devServer("--dir", dir);
    expect((await fetch(`${told.endpoint}/dev/plain`)).status).toBe(404);
    const again = await fetch(`${told.endpoint}/dev/${keys[1]}`);
    expect([again.headers.get("etag"), await again.text()]).toEqual([etag, `body of ${keys[1]?.length}`]);
    expect((await fetch(`${told.endpoint}/dev/${keys[2]}`)).status).toBe(200);
    server.signal("SIGINT");
    expect((await server.exit).status).toBe(0);
    // A file that is damaged is named, and left as it is.
    const [file = ""] = readdirSync(join(dir, "dev"));
    writeFileSync(join(dir, "dev", file), "{");
    const refused = await startCli(["dev-server", "--port", "0", "--dir", dir], { env }).exit;
    expect(refused.status).toBe(64);
    expect(refused.err).toContain(file);
  });

  it("breaks as it is told", async () => {
    const { told } = await devServer("--careless", "ignore-if-none-match", "--fail", "503:0");
    expect(await put(told.endpoint, "a", "1")).toBe(200);
    expect(await put(told.endpoint, "a", "2", { "If-None-Match": "*" })).toBe(200);
    const busy = await devServer("--fail", "503");
    expect(await put(busy.told.endpoint, "a", "1")).toBe(503);
    const { status, err } = await startCli(["dev-server", "--careless", "ignore-if-mach"], { env }).exit;
    expect(status).toBe(64);
    expect(err).toContain("ignore-if-match");
  });
});
