/** The whole command against the embedded server in each of its ways: the verdict, its line, its exit status. */
import { describe, expect, it } from "vitest";
import type { CarelessMode } from "../../../src/testing/s3-server/faults.ts";
import { fakeS3 } from "../../../src/testing/s3-server/fake-s3.ts";
import { cliEnv, startCli } from "../../support/cli.ts";

interface Told {
  readonly verdict: string;
  readonly checks: readonly { readonly id: string; readonly verdict: string; readonly detail?: string; readonly advice?: string }[];
  readonly saved: boolean;
  readonly requests: number;
  readonly error?: { readonly code: string };
}

const env = cliEnv(undefined, { AWS_ACCESS_KEY_ID: "dev", AWS_SECRET_ACCESS_KEY: "dev" });

async function doctor(url: string, ...flags: string[]): Promise<{ readonly status: number; readonly told: Told }> {
  const { status, out, err } = await startCli(["doctor", url, "--json", ...flags], { env }).exit;
  expect(err).toBe("");
  return { status, told: JSON.parse(out) as Told };
}

describe("doctor", () => {
  it("finds a right store good, leaves nothing behind, and saves its verdict only when told to", async () => {
    await using server = await fakeS3();
    const first = await doctor(server.url("test", "app"));
    expect(first.status).toBe(0);
    expect(first.told.checks.filter((c) => c.verdict !== "good")).toEqual([]);
    expect(server.bucket().keys()).toEqual([]);
    expect(first.told.requests).toBe(server.requests.all.length);
    const second = await doctor(server.url("test", "app"), "--save");
    expect(second.told.saved).toBe(true);
    expect(server.bucket().keys()).toEqual([expect.stringMatching(/^app\/\.s3-consensus\/verdict-/)]);
  });

  it.each<readonly [CarelessMode, number, string, string]>([
    ["ignore-if-match", 78, "unsafe", "replace-stale"],
    ["ignore-if-none-match", 78, "unsafe", "create-existing"],
    ["if-match-creates", 78, "unsafe", "replace-missing"],
    ["check-then-write", 78, "unsafe", "create-race"],
    ["conditions-not-implemented", 78, "unsafe", "create-existing"],
    ["deny", 77, "no-access", "reach"],
    ["deny-list", 77, "no-access", "reach"],
    ["clock-skew", 77, "no-access", "reach"],
  ])(
    "refuses a store of the way %s with status %i and the verdict %s, at the line %s, with what to do",
    async (way, status, verdict, line) => {
      await using server = await fakeS3({ careless: [way] });
      const { status: exit, told } = await doctor(server.url());
      expect([exit, told.verdict]).toEqual([status, verdict]);
      const first = told.checks.find((c) => c.verdict === "bad");
      expect(first?.id).toBe(line);
      expect(first?.advice).toMatch(/\w/);
      expect(told.error?.code).toMatch(/^STORE_/);
    },
  );

  it.each<readonly [CarelessMode, number, string | undefined]>([
    ["unquoted-only", 0, undefined],
    ["missing-is-412", 0, undefined],
    ["unconditional-delete", 0, undefined],
    ["no-date", 1, "times"],
    ["last-modified-kept", 1, "times"],
  ])("takes a store of the way %s, with status %i and a remark at %s", async (way, status, line) => {
    await using server = await fakeS3({ careless: [way] });
    const { status: exit, told } = await doctor(server.url());
    expect(exit).toBe(status);
    expect(told.checks.filter((c) => c.verdict === "remark").map((c) => c.id)).toEqual(line === undefined ? [] : [line]);
  });

  it("names the region where the bucket is", async () => {
    await using server = await fakeS3({ careless: [{ kind: "wrong-region", region: "eu-west-3" }] });
    const { status, told } = await doctor(server.url());
    expect(status).toBe(77);
    expect(told.checks[0]?.advice).toContain("region=eu-west-3");
  });

  it("says which store could not be reached, with status 69", async () => {
    const server = await fakeS3();
    const url = server.url();
    await server.close();
    const { status, told } = await doctor(url);
    expect([status, told.verdict]).toEqual([69, "unavailable"]);
  });

  it("writes a report that names neither bucket nor endpoint", async () => {
    await using server = await fakeS3({ buckets: ["secret-bucket"], careless: ["ignore-if-match"] });
    const { out, status } = await startCli(["doctor", server.url("secret-bucket", "hidden-prefix"), "--report"], { env }).exit;
    expect(status).toBe(78);
    expect(out).toContain("a replace with an old ETag was applied");
    expect(out).not.toMatch(/secret-bucket|hidden-prefix/);
    expect(out).not.toContain(String(server.port));
  });

  it("ends at Ctrl-C, and leaves nothing behind", async () => {
    await using server = await fakeS3();
    server.faults.add({ kind: "delay", delayMs: 30 });
    const running = startCli(["doctor", server.url()], { env });
    await expect.poll(() => server.bucket().keys().length, { timeout: 20_000 }).toBeGreaterThan(0);
    running.signal("SIGINT");
    expect((await running.exit).status).toBe(130);
    expect(server.bucket().keys()).toEqual([]);
  });
});
