import { beforeAll, describe, expect, it } from "vitest";
import { startCli } from "../support/cli.ts";
import { temporaryFolder } from "../support/reaper.ts";
import { manifest, pack, run } from "./consumer.ts";

let tarball: string;
let store: string;

beforeAll(async () => {
  ({ tarball } = pack());
  const server = startCli(["dev-server", "--port", "0", "--json"]);
  await server.written(/\n/);
  ({ store } = JSON.parse(server.out()) as { store: string });
});

describe("npx in an empty folder, from the packed tarball", () => {
  const npx = (...args: string[]): string => {
    const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], AWS_ACCESS_KEY_ID: "dev", AWS_SECRET_ACCESS_KEY: "dev" };
    const command = ["--yes", "--prefer-offline", `--package=${tarball}`, manifest.name];
    return run("npx", [...command, ...args], { cwd: temporaryFolder("empty"), env: { ...process.env, ...env, NODE_OPTIONS: "" } });
  };

  it("examines a bucket", () => {
    expect(npx("doctor", store)).toContain("Good: use it.");
  });

  it("tells its version", () => {
    expect(npx("version").trim()).toMatch(/^\d+\.\d+\.\d+/);
  });
});
