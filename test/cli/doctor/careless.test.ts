/** The whole command against the embedded server in each of its ways: the verdict, its line, its exit status. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import type { CarelessMode } from "../../../src/testing/s3-server/faults.ts";
import { fakeS3 } from "../../../src/testing/s3-server/fake-s3.ts";
import { fakeEnv, startCli } from "../../support/cli.ts";
import { whenFinished } from "../../support/finish.ts";
import { expectShape } from "../../support/cli-schema.ts";

interface Told {
  readonly verdict: string;
  readonly checks: readonly { readonly id: string; readonly verdict: string; readonly detail?: string; readonly advice?: string }[];
  readonly saved: boolean;
  readonly requests: number;
  readonly error: { readonly code: string } | null;
}

interface Expected {
  readonly status: number;
  readonly verdict: string;
  /** The lines that tell why, by their ids. */
  readonly lines: readonly string[];
}

const good: Expected = { status: 0, verdict: "good", lines: [] };
const unsafe = (...lines: string[]): Expected => ({ status: 78, verdict: "unsafe", lines });
const noAccess: Expected = { status: 77, verdict: "no-access", lines: ["reach"] };
const remarks = (...lines: string[]): Expected => ({ status: 1, verdict: "remarks", lines });

/** Every way there is: a new one has to have its verdict here. */
const WAYS: Readonly<Record<CarelessMode, Expected>> = {
  "ignore-if-match": unsafe("replace-stale"),
  "ignore-if-none-match": unsafe("create-existing"),
  "if-match-creates": unsafe("replace-missing"),
  "check-then-write": unsafe("create-race"),
  "conditions-not-implemented": unsafe("create-existing"),
  "in-doubt": unsafe("create-existing"),
  // Reads that go back: it may be good again in a minute, as MinIO is after a crash.
  "flip-reads": { status: 69, verdict: "unavailable", lines: ["replace-race"] },
  deny: noAccess,
  "deny-list": noAccess,
  "clock-skew": noAccess,
  "ignore-empty-if-match": good,
  "unquoted-only": good,
  "bare-etags": good,
  "missing-is-412": good,
  "unconditional-delete": good,
  // By the stamps of one client alone it looks right.
  "last-modified-from-client": good,
  "race-loser-500": good,
  "no-date": remarks("times"),
  "last-modified-kept": remarks("times"),
};

const env = fakeEnv();

async function doctor(url: string, ...flags: string[]): Promise<{ readonly status: number; readonly told: Told }> {
  const { status, out, err } = await startCli(["doctor", url, "--json", ...flags], { env }).exit;
  expect(err).toBe("");
  expectShape("doctor", JSON.parse(out));
  const told = JSON.parse(out) as Told;
  // A machine that stands still for a moment makes a store slow, which says nothing about its way.
  const checks = told.checks.filter(({ id }) => id !== "latency");
  const slowAlone = told.verdict === "remarks" && checks.every((c) => c.verdict !== "remark");
  return slowAlone ? { status: status - 1, told: { ...told, checks, verdict: "good" } } : { status, told: { ...told, checks } };
}

describe.concurrent("doctor", () => {
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

  it.each(Object.entries(WAYS) as [CarelessMode, Expected][])("judges a store of the way %s", async (way, expected) => {
    await using server = await fakeS3({ careless: [way] });
    const { status: exit, told } = await doctor(server.url());
    const { status, verdict, lines } = expected;
    expect([exit, told.verdict]).toEqual([status, verdict]);
    const wanted = verdict === "remarks" ? "remark" : verdict === "unavailable" ? "unknown" : "bad";
    const found = told.checks.filter((c) => c.verdict === wanted);
    if (verdict === "unavailable") expect(found[0]?.id).toBe(lines[0]);
    else expect(found.map((c) => c.id)).toEqual(lines);
    if (verdict !== "unavailable") for (const { advice } of found) expect(advice).toMatch(/\w/);
    expect(told.error?.code ?? null).toEqual(verdict === "good" || verdict === "remarks" ? null : expect.stringMatching(/^STORE_/));
  });

  it("names the region where the bucket is", async () => {
    await using server = await fakeS3({ careless: [{ kind: "wrong-region", region: "eu-west-3" }] });
    const { status, told } = await doctor(server.url());
    expect(status).toBe(77);
    expect(told.checks[0]?.advice).toContain("region=eu-west-3");
  });

  it.each([-20, 20])("sees that the store's clock is %i minutes off: a remark, as leases do not need it", async (minutes) => {
    await using server = await fakeS3({ careless: [{ kind: "wrong-date", shiftMs: minutes * 60_000 }] });
    const { status, told } = await doctor(server.url());
    expect(status).toBe(1);
    const remarks = told.checks.filter((c) => c.verdict === "remark");
    expect(remarks.map((c) => c.id)).toEqual(["clock", "times"]);
    expect(remarks[0]?.detail).toMatch(minutes > 0 ? /(1199|1200|1201) s behind/ : /(1199|1200|1201) s ahead/);
  });

  it.each([
    ["answers pages for people", 200, 69, "an S3 server listens there and not something else"],
    ["knows no such page", 404, 77, "the answer is not from S3"],
    ["sends browsers to a login", 302, 77, "the store points to login.example.org"],
  ] as const)("a wrong endpoint that %s is told as such", async (_, status, exit, advice) => {
    const web = createServer((_request, response) => {
      response.writeHead(status, { "content-type": "text/html", location: "https://login.example.org/" }).end("<html>Hello</html>");
    });
    await once(web.listen(0, "127.0.0.1"), "listening");
    whenFinished(() => {
      web.close();
      web.closeAllConnections();
    });
    const answer = await doctor(`s3://bucket?endpoint=http://127.0.0.1:${(web.address() as AddressInfo).port}`);
    expect(answer.status).toBe(exit);
    expect(answer.told.checks[0]).toMatchObject({ id: "reach", advice: expect.stringContaining(advice) });
  });

  it("says which store could not be reached, with status 69", async () => {
    const server = await fakeS3();
    const url = server.url();
    await server.close();
    const { status, told } = await doctor(url);
    expect([status, told.verdict]).toEqual([69, "unavailable"]);
    expect(told.checks).toMatchObject([{ id: "reach", verdict: "unknown", detail: expect.stringContaining("ECONNREFUSED") }]);
  });

  it("writes a report that names neither bucket nor endpoint", async () => {
    await using server = await fakeS3({ buckets: ["secret-bucket"], careless: ["ignore-if-match"] });
    const { out, status } = await startCli(["doctor", server.url("secret-bucket", "hidden-prefix"), "--report"], { env }).exit;
    expect(status).toBe(78);
    expect(out).toContain("a replace with an old ETag was applied");
    expect(out).not.toMatch(/secret-bucket|hidden-prefix/);
    expect(out).not.toContain(String(server.port));
  });

  it("ends at Ctrl-C, and leaves nothing behind", async ({ expect }) => {
    await using server = await fakeS3();
    server.faults.add({ kind: "delay", delayMs: 30 });
    const running = startCli(["doctor", server.url()], { env });
    await expect.poll(() => server.bucket().keys().length, { timeout: 20_000 }).toBeGreaterThan(0);
    running.signal("SIGINT");
    expect((await running.exit).status).toBe(130);
    expect(server.bucket().keys()).toEqual([]);
  });
});
